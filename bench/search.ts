/**
 * Encrypted search beside SQLite FTS5 and MiniSearch on plaintext, in one run on one machine. Corpus: documents of 20
 * distinct keywords, Zipf with planted keywords of exact frequency; keyword secrets cached; every page verified to its root
 * in every query. One thread.
 */
import { randomBytes } from 'node:crypto';
import {
  blindKeywords,
  deriveFieldKeyPair,
  evaluate,
  evaluateDirect,
  finalize,
  NOBLE,
  openRistretto,
  type Ristretto,
} from '../src/search/index.ts';
import { type BenchQuery, makeCorpus, makeQueries } from './search-corpus.ts';
import { BenchClient, type BenchIndex, buildIndex, FIELD, timed, wordOf } from './search-index.ts';
import { PEERS, type Peer, type PeerName, runPeers } from './search-peer.ts';
import { percentiles, type QueryRow, type Row, round } from './search-row.ts';

export type { Row } from './search-row.ts';

/** So many more runs of ours: a run takes less than a collection of garbage in its process, which a median of few runs shows. */
const OURS = 5;

/** What to run. */
export interface SearchBenchOptions {
  /** Documents of the corpus; 100,000 unless told. */
  readonly documents?: number;
  /** Timed runs of each query by a peer, and a fifth of ours; 21 unless told. */
  readonly runs?: number;
  /** Peers to run beside; all unless told. MiniSearch asks a package registry once. */
  readonly peers?: readonly PeerName[];
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

/** Candidates of the queries that are also asked by patients. */
const BY_PATIENT = 1000;

/** All rows: build, queries with their peers', units, VOPRF. */
export async function runSearchBench(options: SearchBenchOptions = {}): Promise<Row[]> {
  const documents = options.documents ?? 100_000;
  const runs = options.runs ?? 21;
  const log = options.log ?? (() => {});
  log(`corpus of ${documents} documents`);
  const corpus = makeCorpus(documents);
  const queries = makeQueries(documents);
  const { index, row } = buildIndex(corpus, documents);
  log(`build ${row.postings_per_s} postings/s, ${row.bytes_per_posting} B a posting`);
  const rows: Row[] = [row];
  const peers = runPeers({ corpus, documents, queries, runs, log, only: options.peers ?? PEERS });
  rows.push(...peers.map((peer) => peer.build));
  for (const [i, query] of queries.entries()) {
    const ours = await timeQuery(index, query, OURS * runs);
    for (const peer of peers) checkEqual(query, ours, peer, i);
    const ratios = peers.map(({ ratio, rows: theirs }) => [ratio, round(ours.p50_ms / theirs[i].p50_ms)]);
    rows.push({ ...ours, ...Object.fromEntries(ratios) }, ...peers.map((peer) => peer.rows[i]));
    const others = peers.map((peer) => `${peer.name} ${peer.rows[i].p50_ms} ms`).join(', ');
    log(`${query.name}: ${ours.p50_ms} ms, ${others || 'no peer'}, ${ours.hits} hits`);
    if (query.candidates >= BY_PATIENT) {
      const byPatient = await timePatients(index, query, OURS * runs, ours.p50_ms);
      rows.push(byPatient);
    }
  }
  rows.push(...timeVoprf(Math.min(runs, 9), await openRistretto(), ''));
  rows.push(...timeVoprf(Math.min(runs, 9), NOBLE, ', noble').slice(0, 3));
  return rows;
}

function checkEqual({ name }: BenchQuery, ours: QueryRow, peer: Peer, at: number): void {
  const theirs = peer.rows[at];
  if (theirs.hits !== ours.hits || theirs.sum !== ours.sum)
    throw new Error(`query ${name}: ${ours.hits} hits, ${peer.name} has ${theirs.hits}`);
}

async function timeQuery(index: BenchIndex, query: BenchQuery, runs: number): Promise<QueryRow> {
  const client = new BenchClient(index);
  const first = (await client.ask(query)).cost;
  const { last, times } = await timed(runs, () => client.ask(query));
  const { numbers } = last.records[0];
  const paged = [...client.readers.values()].filter((reader) => !reader.isWhole).length;
  return {
    suite: 'search',
    op: query.name,
    n: runs,
    ...times,
    hits: numbers.length,
    sum: numbers.reduce((sum, number) => sum + number, 0),
    bytes: last.cost.bytes,
    bytes_cold: first.bytes,
    proof_bytes_a_segment: paged === 0 ? 0 : round(last.cost.proofBytes / paged),
  };
}

/** The same query by patients, of 50 records each: two facts may then stand in two records. */
async function timePatients(
  index: BenchIndex,
  query: BenchQuery,
  runs: number,
  recordMs: number,
): Promise<Row> {
  const client = new BenchClient(index);
  const { last, times } = await timed(runs, () => client.ask(query, 'patient'));
  return {
    suite: 'search',
    op: `${query.name}, by patient`,
    n: runs,
    ...times,
    patients: last.patients.length,
    records: last.records[0].numbers.length,
    ratio_to_record: round(times.p50_ms / recordMs),
  };
}

function timeVoprf(runs: number, group: Ristretto, suffix: string): Row[] {
  const random = (length: number): Uint8Array => randomBytes(length);
  const keys = deriveFieldKeyPair(randomBytes(32), 'bench', FIELD, 1);
  const rows: Row[] = [];
  const push = (op: string, act: () => unknown) => {
    act();
    const times: number[] = [];
    for (let i = 0; i < runs; i++) {
      const begin = performance.now();
      act();
      times.push(performance.now() - begin);
    }
    rows.push({ suite: 'search', op: `${op}${suffix}`, n: runs, ...percentiles(times) });
  };
  for (const count of [1, 4, 16]) {
    const words = Array.from({ length: count }, (_, i) => wordOf(i));
    const batch = blindKeywords(words, random, group);
    const evaluation = evaluate(keys, batch.elements, random, group);
    push(`voprf blind ${count}`, () => blindKeywords(words, random, group));
    push(`voprf evaluate and prove ${count}`, () => evaluate(keys, batch.elements, random, group));
    push(`voprf verify and finalize ${count}`, () => finalize(batch, evaluation, keys.publicKey, group));
  }
  push('voprf owner, one new keyword', () => evaluateDirect(keys.secretKey, wordOf(1), group));
  return rows;
}
