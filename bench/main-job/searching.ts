/**
 * Search over four custodians by the SDK: a query that is answered by a plain scan of the same resources first, so that
 * only right answers are timed. Cold: a client with nothing but its device. New terms: field keys are held, keyword
 * secrets are not. Warm: the same query again, checked against the ledger anew.
 */

import type { ImportedRecord } from '../../src/cli/import.ts';
import type { Hippocrypt, SearchReport } from '../../src/client/index.ts';
import { extractKeywords } from '../../src/fhir/index.ts';
import { percentiles, type Row } from '../harness/row.ts';
import { CallTimes } from './calls.ts';
import type { Connect } from './people.ts';

interface PlainQuery {
  readonly text: string;
  /** Pseudonyms of the patients that have all of it, sorted. */
  readonly patients: readonly string[];
}

/** Codes that stand in a query without quotes. */
const isPlain = (code: string): boolean => /^[A-Za-z0-9][A-Za-z0-9.-]{0,40}$/.test(code);

/** Conjunctions of a condition and a medication with most patients first, found by a plain scan. */
export function plainQueries(records: readonly ImportedRecord[]): readonly PlainQuery[] {
  const having = new Map<string, Set<string>>();
  for (const { patient, resource } of records) {
    if (patient === null) continue;
    for (const value of extractKeywords(resource.json)) {
      const isWanted = value.kind === 'code' && (value.field === 'condition' || value.field === 'medication');
      if (!isWanted || !isPlain(value.code)) continue;
      const term = `${value.field}:${value.code}`;
      having.set(term, (having.get(term) ?? new Set()).add(patient));
    }
  }
  const terms = [...having].sort((a, b) => b[1].size - a[1].size || (a[0] < b[0] ? -1 : 1));
  const conditions = terms.filter(([term]) => term.startsWith('condition:')).slice(0, 12);
  const medications = terms.filter(([term]) => term.startsWith('medication:')).slice(0, 12);
  return conditions
    .flatMap(([condition, who]) =>
      medications.map(([medication, others]) => ({
        text: `${condition} and ${medication}`,
        patients: [...who].filter((one) => others.has(one)).sort(),
      })),
    )
    .sort((a, b) => b.patients.length - a.patients.length || (a.text < b.text ? -1 : 1));
}

export interface SearchOptions {
  readonly connect: Connect;
  readonly records: readonly ImportedRecord[];
  readonly cold: number;
  readonly warm: number;
}

export async function searches(options: SearchOptions): Promise<readonly Row[]> {
  const { connect, records, cold, warm } = options;
  const queries = plainQueries(records);
  const query = queries[0];
  if (query === undefined || query.patients.length === 0) {
    throw new Error('no patient has a condition and a medication: import more bundles');
  }
  const times = new CallTimes();
  let client: Hippocrypt | undefined;
  const coldRow = await timedSearch('search, 2 terms, 4 custodians, cold client', cold, times, async () => {
    client = await connect(times);
    await client.keys.request();
    times.clear();
    return [client, query];
  });
  if (client === undefined) throw new Error('no cold search was run');
  const held = client;
  times.clear();
  const warmRow = await timedSearch('search, 2 terms, 4 custodians, warm', warm, times, async () => [
    held,
    query,
  ]);
  // Terms that the client has not asked for: the field keys are there, the keyword secrets come by VOPRF.
  const used = new Set(query.text.split(' and '));
  const fresh = queries.filter(({ text, patients }) => {
    const terms = text.split(' and ');
    if (patients.length === 0 || terms.some((term) => used.has(term))) return false;
    for (const term of terms) used.add(term);
    return true;
  });
  times.clear();
  const freshRow =
    fresh.length === 0
      ? []
      : [
          await timedSearch(
            'search, 2 new terms, 4 custodians',
            Math.min(fresh.length, cold),
            times,
            async (run) => [held, fresh[run]],
          ),
        ];
  return [coldRow, ...freshRow, warmRow];
}

async function timedSearch(
  op: string,
  n: number,
  times: CallTimes,
  prepare: (run: number) => Promise<[Hippocrypt, PlainQuery]>,
): Promise<Row> {
  const samples: number[] = [];
  let last: SearchReport | undefined;
  for (let i = 0; i < n; i++) {
    const [client, { text, patients }] = await prepare(i);
    const begin = performance.now();
    const report = await client.search.query(text);
    samples.push(performance.now() - begin);
    if (report.missing.length > 0 || report.patients.join() !== patients.join()) {
      throw new Error(
        `"${text}" found ${report.patients.length} patients, a plain scan finds ${patients.length}`,
      );
    }
    last = report;
  }
  return {
    suite: 'main',
    op,
    n,
    ...percentiles(samples),
    patients: last?.patients.length ?? 0,
    bytes: last?.cost.bytes ?? 0,
    entries: last?.committed.length ?? 0,
    calls_p50_ms: times.summary(),
  };
}
