/** Summaries as tables for people. */
import type { LedgerSummary } from './ledger-rounds.ts';
import type { StorageSummary } from './storage-moments.ts';

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => cell.padEnd(widths[i]))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
}

const largest = (values: readonly number[]): string =>
  values.length === 0 ? '-' : String(Math.max(...values));

export function ledgerTable(summary: LedgerSummary): string {
  const kinds = [...new Set(summary.rounds.map(({ kind }) => kind))].sort();
  const rows = kinds.map((kind) => {
    const rounds = summary.rounds.filter((round) => round.kind === kind);
    const silences = rounds.flatMap(({ facts }) =>
      typeof facts.silence_ms === 'number' ? [facts.silence_ms] : [],
    );
    const sum = (of: (round: (typeof rounds)[number]) => number): string =>
      String(rounds.reduce((total, round) => total + of(round), 0));
    return [
      kind,
      String(rounds.length),
      sum(({ acknowledged }) => acknowledged),
      sum(({ lost }) => lost),
      largest(silences),
      largest(rounds.map(({ recovered_ms }) => recovered_ms)),
      sum(({ violations }) => violations.length),
    ];
  });
  const head = [
    'fault',
    'rounds',
    'acknowledged',
    'lost',
    'longest silence ms',
    'recovered ms',
    'violations',
  ];
  const { seed, acknowledged, lost, forks, verified, violations } = summary;
  return [
    table(head, rows),
    '',
    `seed ${seed}: ${summary.rounds.length} rounds, ${acknowledged} acknowledged, ${lost} lost, ${forks} forks`,
    ...verified.map(
      ({ member, blocks, entries }) => `ledger verify ${member}: ${blocks} blocks, ${entries} entries`,
    ),
    ...violations.map((what) => `VIOLATION ${what}`),
  ].join('\n');
}

const QUARTERS = 4;

/** By operation: how many kills, where in the operation they fell, and what was found. */
export function storageTable(summary: StorageSummary): string {
  const names = [...new Set(summary.moments.map(({ operation }) => operation))];
  const rows = names.map((name) => {
    const moments = summary.moments.filter(({ operation }) => operation === name);
    const inside = moments.flatMap(({ at }) => at ?? []);
    const quarters = Array.from(
      { length: QUARTERS },
      (_, q) => inside.filter((at) => Math.min(QUARTERS - 1, Math.floor(at * QUARTERS)) === q).length,
    );
    return [
      name,
      String(summary.durations[name]),
      String(moments.length),
      String(inside.length),
      quarters.join(' / '),
      largest(moments.map(({ restart_ms }) => restart_ms)),
      String(moments.reduce((total, { violations }) => total + violations.length, 0)),
    ];
  });
  const head = ['killed in', 'takes ms', 'kills', 'inside', 'by quarter', 'up again ms', 'violations'];
  const { seed, records, erased, damage, violations } = summary;
  return [
    table(head, rows),
    '',
    ...damage.map(({ damage: what, outcome }) => `${what}: ${outcome}`),
    `seed ${seed}: ${summary.moments.length} kills, ${records} records acknowledged, ${erased} erased`,
    ...violations.map((what) => `VIOLATION ${what}`),
  ].join('\n');
}
