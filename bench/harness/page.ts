/**
 * A run as one HTML page that needs nothing else: what was met and missed, where the run took place, plots, every row,
 * and the results themselves as JSON at its end. Text from rows is data and escaped.
 */
import { type Comparison, NOTABLE_RATIO, type Results } from './baseline.ts';
import type { Environment } from './environment.ts';
import { STYLE } from './page-style.ts';
import type { Plot } from './plots.ts';
import { ROW_KEYS, type Row, rowKey } from './row.ts';
import { SUITES } from './suites.ts';
import { formatNumber, formatRatio } from './table.ts';
import { type Check, checkTargets } from './targets.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** `text` for element content and quoted attributes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (one) => ESCAPES[one] ?? one);

/** The page; plots are trusted SVG of ours. */
export function renderPage(results: Results, plots: readonly Plot[], comparison?: Comparison): string {
  const { environment, rows } = results;
  const checks = checkTargets(rows);
  const suites = [...new Set(rows.map((row) => row.suite))];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hippocrypt benchmarks, ${escapeHtml(environment.date.slice(0, 10))}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${head(environment, checks, suites)}
${targets(checks, plots)}
${machine(environment, comparison)}
${suites.map((suite) => section(suite, rows, plots, comparison)).join('\n')}
${notes()}
</main>
<script type="application/json" id="results">${JSON.stringify(results).replaceAll('<', '\\u003c')}</script>
</body>
</html>
`;
}

function head(environment: Environment, checks: readonly Check[], suites: readonly string[]): string {
  const met = checks.filter((one) => one.met).length;
  const when = `${environment.date.slice(0, 16).replace('T', ' ')} UTC`;
  const links = suites.map((suite) => `<a href="#${suite}">${escapeHtml(titleOf(suite))}</a>`).join('');
  return `<header>
<p class="kicker">Hippocrypt ${escapeHtml(environment.version)} &middot; ${escapeHtml(environment.commit)} &middot; ${when}</p>
<h1>Benchmarks</h1>
${checks.length === 0 ? '' : `<p class="verdict"><strong>${met} of ${checks.length}</strong> targets met${environment.quick ? ', in a quick run: smaller data, fewer repetitions' : ''}${isBusy(environment) ? ', on a machine that was busy with other work' : ''}.</p>`}
<nav>${links}</nav>
</header>`;
}

/** Others wanted the processor when the run began. */
const isBusy = ({ load_average, cores }: Environment): boolean => (load_average[0] ?? 0) > cores;

function targets(checks: readonly Check[], plots: readonly Plot[]): string {
  if (checks.length === 0) return '';
  const lines = checks.map(
    ({ suite, what, measured, relation, limit, unit, met }) => `<tr class="${met ? 'met' : 'missed'}">
<td><span class="badge">${met ? 'met' : 'missed'}</span></td><td>${escapeHtml(suite)}</td><td>${escapeHtml(what)}</td>
<td class="number">${formatNumber(measured)}</td><td class="number">${escapeHtml(relation).replace('&lt;=', '&le;').replace('&gt;=', '&ge;')} ${formatNumber(limit)}</td><td>${escapeHtml(unitText(unit))}</td></tr>`,
  );
  return `<section id="targets"><h2>Targets</h2>
<p>Ratios compare rows of this run, so they mean the same on any machine. Absolute targets are for two cores of an idle machine.</p>
${figure(plots, 'targets')}
<details><summary>The figures behind it</summary>
<div class="scroll"><table><thead><tr><th></th><th>suite</th><th>what</th><th class="number">measured</th><th class="number">target</th><th>unit</th></tr></thead>
<tbody>${lines.join('\n')}</tbody></table></div></details>
</section>`;
}

/** `p50_ms` as people write it; other units stand as they are. */
function unitText(unit: string): string {
  if (unit === 'p50_ms') return 'ms, p50';
  return unit
    .replace(/_per_s$/, '/s')
    .replace(/_p99_ms$/, ' p99, ms')
    .replaceAll('_', ' ');
}

function machine(environment: Environment, comparison?: Comparison): string {
  const { cpu, cores, memory_mib, os, arch, node, load_average, core_share, disk_flush, suites } =
    environment;
  const facts: readonly (readonly [string, string])[] = [
    ['Processor', `${cpu}, ${cores} hardware threads, ${arch}`],
    ['Memory', `${formatNumber(Math.round(memory_mib / 102.4) / 10)} GiB`],
    ['System', `${os}, Node ${node}`],
    [
      'Load average',
      `${load_average.map((one) => one.toFixed(2)).join(', ')} over 1, 5, 15 minutes at the start`,
    ],
    ['A busy loop got', `${Math.round(100 * core_share)} % of a hardware thread`],
    [
      'Disk flush',
      `p50 ${formatNumber(disk_flush.p50_ms)} ms, p95 ${formatNumber(disk_flush.p95_ms)} ms for 4 KiB (n = ${disk_flush.n})`,
    ],
    ['Commit', environment.commit],
    ...suites.map(
      ({ suite, status, rows, seconds, reason }) =>
        [
          `Suite ${suite}`,
          `${status}, ${rows} rows in ${formatNumber(seconds)} s${reason === undefined ? '' : `: ${reason}`}`,
        ] as const,
    ),
  ];
  const warnings = [
    ...(isBusy(environment)
      ? [
          'The machine was busy with other work when the run began: absolute figures are too high, and ratios vary more than usual.',
        ]
      : []),
    ...(comparison?.warnings ?? []).map((one) => `${one[0].toUpperCase()}${one.slice(1)}.`),
  ];
  return `<section id="environment"><h2>Where it ran</h2>
${warnings.map((one) => `<p class="warning">${escapeHtml(one)}</p>`).join('\n')}
<dl>${facts.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`).join('')}</dl>
</section>`;
}

/** A table of more rows waits to be asked for. */
const OPEN_ROWS_MAX = 16;

/** Groups of rows that come from a part of a suite. */
const PARTS: readonly { readonly name: string; readonly title: string; readonly about: string }[] = [
  {
    name: 'ledger-log',
    title: 'Ledger log, proofs and receipts',
    about:
      'The evidence that a ledger leaves: appending to the log, proving entries and state, and verifying what others prove.',
  },
];

const named = (suite: string) => [...SUITES, ...PARTS].find((one) => one.name === suite);

const titleOf = (suite: string): string => named(suite)?.title ?? suite;

function section(
  suite: string,
  rows: readonly Row[],
  plots: readonly Plot[],
  comparison?: Comparison,
): string {
  const own = rows.filter((row) => row.suite === suite);
  const about = named(suite)?.about;
  return `<section id="${escapeHtml(suite)}"><h2>${escapeHtml(titleOf(suite))}</h2>
${about === undefined ? '' : `<p>${escapeHtml(about)}</p>`}
${figure(plots, suite)}
<details${own.length <= OPEN_ROWS_MAX ? ' open' : ''}><summary>All ${own.length} rows</summary><div class="scroll">${table(own, comparison)}</div></details>
</section>`;
}

function figure(plots: readonly Plot[], name: string): string {
  const plot = plots.find((one) => one.name === name);
  if (plot === undefined) return '';
  return `<figure><div class="scroll" role="img" aria-label="${escapeHtml(plot.title)}">${plot.svg}</div>
<figcaption>${escapeHtml(plot.title)}.</figcaption></figure>`;
}

function table(rows: readonly Row[], comparison?: Comparison): string {
  const hasBackend = rows.some((row) => typeof row.backend === 'string');
  const heads = [
    'operation',
    ...(hasBackend ? ['backend'] : []),
    'n',
    'p50 ms',
    'p95 ms',
    ...(comparison === undefined ? [] : ['against baseline']),
    'more',
  ];
  const lines = rows.map((row) => {
    const ratio = comparison?.ratios.get(rowKey(row));
    const tone =
      ratio === undefined
        ? ''
        : ratio > NOTABLE_RATIO
          ? ' slower'
          : ratio < 1 / NOTABLE_RATIO
            ? ' faster'
            : '';
    return `<tr><td>${escapeHtml(row.op)}</td>${hasBackend ? `<td>${escapeHtml(String(row.backend ?? ''))}</td>` : ''}
<td class="number">${formatNumber(row.n)}</td><td class="number strong">${formatNumber(row.p50_ms)}</td><td class="number">${formatNumber(row.p95_ms)}</td>
${comparison === undefined ? '' : `<td class="number${tone}">${ratio === undefined ? 'new' : formatRatio(ratio)}</td>`}<td class="more">${more(row)}</td></tr>`;
  });
  const isNumber = (name: string): string => (/^(n|p\d\d ms|against.*)$/.test(name) ? ' class="number"' : '');
  return `<table><thead><tr>${heads.map((name) => `<th${isNumber(name)}>${name}</th>`).join('')}</tr></thead>
<tbody>${lines.join('\n')}</tbody></table>`;
}

function more(row: Row): string {
  return Object.entries(row)
    .filter(([key]) => !(ROW_KEYS as readonly string[]).includes(key) && key !== 'backend')
    .map(([key, value]) => {
      const text = typeof value === 'number' ? formatNumber(value) : String(value);
      return `<span><i>${escapeHtml(key.replace(/_per_s$/, '/s').replaceAll('_', ' '))}</i> ${escapeHtml(text)}</span>`;
    })
    .join(' ');
}

function notes(): string {
  return `<section id="method"><h2>How to read this</h2>
<ul>
<li>p50 and p95 are times that were measured, by nearest rank; n counts runs, or is the size of the problem in rows that name their runs.</li>
<li>Every suite runs in a process of its own, after the one before has ended. Peers run in the same suite on the same data, and their answers must be equal to ours.</li>
<li>Nothing is a mock: disks are flushed, signatures and proofs are checked, the main job goes over HTTP from another process.</li>
<li>Run it again with <code>npm run bench</code>; docs/benchmarks.md says what each row measures and what dominates it.</li>
</ul></section>`;
}
