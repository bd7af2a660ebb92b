/**
 * How the cost of encrypted search grows with the index: the corpus of bench/search.ts at 10,000, 100,000 and a million
 * records, built, stored and asked, SQLite FTS5 beside it. Not among the suites that run by default: the largest takes
 * minutes.
 */
import { NewNumbers, NumberTable } from '../src/client/number-table.ts';
import { toHex, u32be } from '../src/codec/bytes.ts';
import { sha256 } from '../src/codec/hash.ts';
import { PatientNumbers } from '../src/search/index.ts';
import { makeCorpus, makeQueries } from './search-corpus.ts';
import { BenchClient, type BenchIndex, buildIndex, RECORDS_A_PATIENT, timed } from './search-index.ts';
import { runPeers } from './search-peer.ts';
import { type Row, round } from './search-row.ts';

export interface SearchGrowthOptions {
  /** Smaller indexes and fewer runs. */
  readonly quick?: boolean;
  readonly log?: (line: string) => void;
}

/** Rows of each size: the build, then each query beside FTS5's. */
export async function runSearchGrowthBench(options: SearchGrowthOptions = {}): Promise<Row[]> {
  const { quick = false, log = () => {} } = options;
  const rows: Row[] = [];
  for (const documents of quick ? [1000, 10_000] : [10_000, 100_000, 1_000_000]) {
    rows.push(...(await measure(documents, quick ? 5 : 21, log)));
  }
  return rows;
}

async function measure(documents: number, runs: number, log: (line: string) => void): Promise<Row[]> {
  const corpus = makeCorpus(documents);
  const queries = makeQueries(documents);
  const { index, row } = buildIndex(corpus, documents);
  const memory = process.memoryUsage();
  const size = `${documents} records`;
  log(`${size}: ${row.postings_per_s} postings/s, ${row.bytes_per_posting} B a posting`);
  const [peer] = runPeers({ corpus, documents, queries, runs, log, only: ['SQLite FTS5'] });
  const rows: Row[] = [
    {
      ...row,
      suite: 'search-growth',
      op: `build, ${size}`,
      n: documents,
      runs: 1,
      index_mib: Math.round(fileBytes(index) / 2 ** 20),
      rss_mib: Math.round(memory.rss / 2 ** 20),
      numbers_mib: round(numbersMib(documents)),
    },
  ];
  if (peer !== undefined)
    rows.push({
      ...peer.build,
      suite: 'search-growth',
      op: `build, ${size}, SQLite FTS5`,
      n: documents,
      runs: 1,
    });
  for (const [i, query] of queries.entries()) {
    const client = new BenchClient(index);
    const first = (await client.ask(query)).cost;
    const { last, times } = await timed(runs, () => client.ask(query));
    const theirs = peer?.rows[i];
    const hits = last.records[0].numbers.length;
    if (theirs !== undefined && theirs.hits !== hits)
      throw new Error(`query ${query.name} of ${size}: ${hits} hits, FTS5 has ${theirs.hits}`);
    rows.push({
      suite: 'search-growth',
      op: `${size}: ${query.name}`,
      n: documents,
      runs,
      ...times,
      hits,
      bytes: last.cost.bytes,
      bytes_cold: first.bytes,
      ...(theirs === undefined
        ? {}
        : { fts5_p50_ms: theirs.p50_ms, ratio_to_fts5: round(times.p50_ms / theirs.p50_ms) }),
    });
    log(`${size}: ${query.name}: ${times.p50_ms} ms, FTS5 ${theirs?.p50_ms ?? 'not run'} ms`);
  }
  return rows;
}

/** What a client holds of the record and patient of every number, to name what it finds. */
function numbersMib(documents: number): number {
  // Once unmeasured: the engine's own notes on the code are no part of it.
  tableOf(documents);
  const before = heldBytes();
  const table = tableOf(documents);
  const bytes = heldBytes() - before;
  if (table.length !== documents) throw new Error('a number was lost');
  return bytes / 2 ** 20;
}

const tableOf = (documents: number): NumberTable =>
  NumberTable.empty(new PatientNumbers()).with(newNumbers(documents));

function newNumbers(documents: number): NewNumbers {
  const patients = Math.ceil(documents / RECORDS_A_PATIENT);
  const numbers = new NewNumbers(documents);
  for (let i = 0; i < documents; i++) {
    const record = sha256(u32be(i));
    numbers.push(record, toHex(sha256(u32be(i % patients)).subarray(0, 16)));
  }
  return numbers;
}

/** Heap and buffers after a collection, which the harness lets its suites ask for. */
function heldBytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const fileBytes = ({ files }: BenchIndex): number =>
  [...files.values()].reduce((sum, file) => sum + file.length, 0);
