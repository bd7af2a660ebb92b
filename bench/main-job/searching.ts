/**
 * Search by the SDK: every query is answered by a plain scan of the same resources first, so that only right answers are
 * timed. Cold client: nothing but its device. New terms: field keys are held, keyword secrets are not, so that entries are
 * committed and keywords evaluated. Warm: the same query again, checked against the ledger anew.
 */

import type { ImportedRecord } from '../../src/cli/import.ts';
import type { Hippocrypt, SearchReport } from '../../src/client/index.ts';
import { extractKeywords } from '../../src/fhir/index.ts';
import { percentiles, type Row, round } from '../harness/row.ts';
import { withTarget } from '../harness/targets.ts';
import { CallTimes } from './calls.ts';
import type { Consortium } from './consortium.ts';
import type { Connect } from './people.ts';

/** Conditions and medications that queries are made of, the most common ones. */
const TERMS_MAX = 48;

interface PlainQuery {
  readonly text: string;
  /** Custodians that are asked; all where it is absent. */
  readonly custodians?: readonly string[];
  /** Pseudonyms of the patients that have all of it, sorted. */
  readonly patients: readonly string[];
}

/** A code with the patients that have it. */
type Having = readonly [term: string, patients: ReadonlySet<string>];

/** Codes that stand in a query without quotes. */
const isPlain = (code: string): boolean => /^[A-Za-z0-9][A-Za-z0-9.-]{0,40}$/.test(code);

/** Codes of one field with who has them, most patients first, by a plain scan. */
function codesOf(records: readonly ImportedRecord[], field: string): readonly Having[] {
  const having = new Map<string, Set<string>>();
  for (const { patient, resource } of records) {
    if (patient === null) continue;
    for (const value of extractKeywords(resource.json)) {
      if (value.kind !== 'code' || value.field !== field || !isPlain(value.code)) continue;
      const term = `${field}:${value.code}`;
      having.set(term, (having.get(term) ?? new Set()).add(patient));
    }
  }
  return [...having].sort((a, b) => b[1].size - a[1].size || (a[0] < b[0] ? -1 : 1)).slice(0, TERMS_MAX);
}

const both = ([condition, who]: Having, [medication, others]: Having): PlainQuery => ({
  text: `${condition} and ${medication}`,
  patients: [...who].filter((one) => others.has(one)).sort(),
});

/** The conjunction of a condition and a medication with most patients. */
function commonest(records: readonly ImportedRecord[]): PlainQuery {
  const medications = codesOf(records, 'medication');
  const [query] = codesOf(records, 'condition')
    .flatMap((condition) => medications.map((medication) => both(condition, medication)))
    .sort((a, b) => b.patients.length - a.patients.length || (a.text < b.text ? -1 : 1));
  if (query === undefined || query.patients.length === 0)
    throw new Error('no patient has a condition and a medication: import more bundles');
  return query;
}

/** Conjunctions of which no term occurs twice or in `used`. */
function fresh(records: readonly ImportedRecord[], used: string): readonly PlainQuery[] {
  const [conditions, medications] = ['condition', 'medication'].map((field) =>
    codesOf(records, field).filter(([term]) => !used.split(' and ').includes(term)),
  );
  return conditions.slice(0, medications.length).map((condition, i) => both(condition, medications[i]));
}

export interface SearchOptions {
  readonly consortium: Consortium;
  readonly connect: Connect;
  readonly records: readonly ImportedRecord[];
  readonly cold: number;
  readonly warm: number;
}

export async function searches(options: SearchOptions): Promise<readonly Row[]> {
  const { consortium, connect, records, cold, warm } = options;
  const query = commonest(records);
  const [custodian] = consortium.urls.keys();
  const times = new CallTimes();
  const timed = (op: string, n: number, prepare: Prepare): Promise<Row> =>
    timedSearch({ op: `search, 2 terms, ${op}`, n, times, consortium, prepare });
  let client: Hippocrypt | undefined;
  const coldRow = await timed('4 custodians, cold client', cold, async () => {
    client = await connect(times);
    await client.keys.request();
    times.clear();
    return [client, query];
  });
  if (client === undefined) throw new Error('no cold search was run');
  const held = client;
  const warmRow = await timed('4 custodians, warm', warm, async () => [held, query]);
  const own = records.filter((one) => one.custodian === custodian);
  const ofAll = fresh(records, query.text).slice(0, warm);
  const freshRow = await timed('new, 4 custodians, field keys held', ofAll.length, async (run) => [
    held,
    ofAll[run],
  ]);
  const used = [query, ...ofAll].map(({ text }) => text).join(' and ');
  const ofOne = fresh(own, used).slice(0, warm);
  const freshAlone = await timed('new, 1 custodian, field keys held', ofOne.length, async (run) => [
    held,
    { ...ofOne[run], custodians: [custodian] },
  ]);
  return [
    coldRow,
    withTarget(freshRow, 'p50_ms <= 150'),
    withTarget(freshAlone, 'p50_ms <= 40'),
    withTarget(warmRow, 'p50_ms <= 10'),
  ];
}

type Prepare = (run: number) => Promise<[Hippocrypt, PlainQuery]>;

interface Timed {
  readonly op: string;
  readonly n: number;
  readonly times: CallTimes;
  readonly consortium: Consortium;
  readonly prepare: Prepare;
}

async function timedSearch({ op, n, times, consortium, prepare }: Timed): Promise<Row> {
  const samples: number[] = [];
  const cpu = { server: 0, client: 0 };
  let requests = 0;
  let last: SearchReport | undefined;
  times.clear();
  for (let i = 0; i < n; i++) {
    const [client, { text, custodians, patients }] = await prepare(i);
    const before = times.count;
    const server = await consortium.cpuMs();
    const own = process.cpuUsage();
    const begin = performance.now();
    const report = await client.search.query(text, custodians === undefined ? {} : { custodians });
    samples.push(performance.now() - begin);
    const { user, system } = process.cpuUsage(own);
    cpu.client += (user + system) / 1000;
    requests += times.count - before;
    cpu.server += (await consortium.cpuMs()) - server;
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
    requests: round(requests / n),
    server_cpu_ms: round(cpu.server / n),
    client_cpu_ms: round(cpu.client / n),
    patients: last?.patients.length ?? 0,
    bytes: last?.cost.bytes ?? 0,
    entries: last?.committed.length ?? 0,
    calls_p50_ms: times.summary(),
  };
}
