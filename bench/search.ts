/**
 * Encrypted search beside SQLite FTS5 on plaintext, in one run on one machine. Corpus: documents of 20 distinct
 * keywords, Zipf with planted keywords of exact frequency; segments of falling size, as merges leave them; keyword
 * secrets cached; files in memory; every page verified to its root in every query. One thread.
 */
import { randomBytes } from 'node:crypto';
import { u32be } from '../src/codec/bytes.ts';
import { sha256 } from '../src/codec/hash.ts';
import {
  type ByteRange,
  blindKeywords,
  buildSegment,
  deriveFieldKeyPair,
  encodeKeyword,
  encodeManifest,
  evaluate,
  evaluateDirect,
  fieldRegistry,
  finalize,
  type KeywordSecret,
  keywordKey,
  type Manifest,
  parseQuery,
  planQuery,
  runQuery,
  type SecretList,
  type SegmentMeta,
  SegmentReader,
  secretFromT,
  segmentName,
  segmentShape,
  sentinel,
} from '../src/search/index.ts';

import {
  type BenchQuery,
  KEYWORDS_A_DOCUMENT,
  makeCorpus,
  makeQueries,
  VOCABULARY,
} from './search-corpus.ts';
import { runPeer } from './search-peer.ts';
import { percentiles, type QueryRow, type Row, round } from './search-row.ts';

export type { Row } from './search-row.ts';

/** What to run. */
export interface SearchBenchOptions {
  /** Documents of the corpus; 100,000 unless told. */
  readonly documents?: number;
  /** Timed runs of each query; 21 unless told. */
  readonly runs?: number;
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

/** Untimed runs before each query, so that compiled code is timed. */
const WARM_UP_RUNS = 50;
/** Share of the corpus in each segment, as eight-fold merges leave it. */
const SEGMENT_SHARES = [0.5, 0.25, 0.125, 0.05, 0.025, 0.02, 0.01, 0.01, 0.005, 0.005];

/** All rows: build, queries with their peer's, VOPRF. */
export async function runSearchBench(options: SearchBenchOptions = {}): Promise<Row[]> {
  const documents = options.documents ?? 100_000;
  const runs = options.runs ?? 21;
  const log = options.log ?? (() => {});
  log(`corpus of ${documents} documents`);
  const corpus = makeCorpus(documents);
  const queries = makeQueries();
  const { index, row } = buildIndex(corpus, documents);
  log(`build ${row.postings_per_s} postings/s, ${row.bytes_per_posting} B a posting`);
  const rows: Row[] = [row];
  const peer = runPeer(corpus, documents, queries, runs, log);
  if (peer !== undefined) rows.push(peer.build);
  for (const [i, query] of queries.entries()) {
    const ours = await timeQuery(index, query, runs);
    const theirs = peer?.rows[i];
    if (theirs !== undefined && (theirs.hits !== ours.hits || theirs.sum !== ours.sum)) {
      throw new Error(`query ${query.name}: ${ours.hits} hits, FTS5 has ${theirs.hits}`);
    }
    if (theirs === undefined) rows.push(ours);
    else rows.push({ ...ours, ratio_to_fts5: round(ours.p50_ms / theirs.p50_ms) }, theirs);
    log(`${query.name}: ${ours.p50_ms} ms, FTS5 ${theirs?.p50_ms ?? 'not run'} ms, ${ours.hits} hits`);
  }
  rows.push(...timeVoprf(Math.min(runs, 9)));
  return rows;
}

/** Processor milliseconds of this process since `before`: what a loaded machine does not blur. */
function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const FIELD = 'w';
const REGISTRY = fieldRegistry([
  {
    name: FIELD,
    index: { type: 'code', hierarchy: 'none', prefix: null },
    sensitive: false,
    budget: { perDay: 200, perEpoch: 2000 },
  },
]);

interface BenchIndex {
  readonly manifest: Manifest;
  readonly documents: number;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly secrets: ReadonlyMap<string, KeywordSecret>;
}

const wordOf = (keyword: number): Uint8Array =>
  encodeKeyword({ field: FIELD, type: 'code', system: null, value: `k${keyword}` });

function buildIndex(corpus: Uint32Array, documents: number): { index: BenchIndex; row: Row } {
  const secrets = new Map<string, KeywordSecret>();
  const byNumber: KeywordSecret[] = [];
  for (let keyword = 0; keyword < VOCABULARY; keyword++) {
    byNumber.push(secretFromT(sha256(u32be(keyword))));
    secrets.set(keywordKey(wordOf(keyword)), byNumber[keyword]);
  }
  const guard = secretFromT(sha256(new Uint8Array(1)));
  secrets.set(keywordKey(encodeKeyword(sentinel(FIELD))), guard);
  const bounds = SEGMENT_SHARES.map((_, i) =>
    Math.round(documents * SEGMENT_SHARES.slice(0, i + 1).reduce((sum, share) => sum + share, 0)),
  );
  const files = new Map<string, Uint8Array>();
  const segments: SegmentMeta[] = [];
  const begin = performance.now();
  const cpu = process.cpuUsage();
  let lo = 0;
  for (const hi of bounds) {
    if (hi === lo) continue;
    const lists = listsOf(corpus, lo, hi, byNumber, guard);
    const epochs = [{ field: FIELD, epoch: 1 }];
    const { meta, file } = buildSegment({ lo, hi, level: 0, time: 0, epochs, lists }, (n) => randomBytes(n));
    files.set(segmentName(meta), file);
    segments.push(meta);
    lo = hi;
  }
  const ms = performance.now() - begin;
  const cpuMs = cpuSince(cpu);
  const postings = corpus.length;
  const bytes = [...files.values()].reduce((sum, file) => sum + file.length, 0);
  const manifest = { custodian: 'bench', seq: 1, segments };
  const row: Row = {
    suite: 'search',
    op: 'build',
    n: postings,
    p50_ms: round(ms),
    p95_ms: round(ms),
    postings_per_s: Math.round((postings / ms) * 1000),
    postings_per_cpu_s: Math.round((postings / cpuMs) * 1000),
    bytes_per_posting: round(bytes / postings),
    segments: segments.length,
    manifest_bytes: encodeManifest(manifest).length,
    bucket_bits_max: Math.max(...segments.map((meta) => meta.bits)),
    page_bytes_max: Math.max(...segments.map((meta) => meta.pageBytes)),
    file_bytes_max: Math.max(...segments.map((meta) => segmentShape(meta).fileBytes)),
  };
  return { index: { manifest, documents, files, secrets }, row };
}

function listsOf(
  corpus: Uint32Array,
  lo: number,
  hi: number,
  secrets: readonly KeywordSecret[],
  guard: KeywordSecret,
): SecretList[] {
  const ids: number[][] = [];
  const used: number[] = [];
  for (let document = lo; document < hi; document++) {
    for (let j = 0; j < KEYWORDS_A_DOCUMENT; j++) {
      const keyword = corpus[document * KEYWORDS_A_DOCUMENT + j];
      let list = ids[keyword];
      if (list === undefined) {
        list = [];
        ids[keyword] = list;
        used.push(keyword);
      }
      list.push(document - lo);
    }
  }
  const lists = used.map((keyword) => ({
    secret: secrets[keyword],
    list: { ids: Uint32Array.from(ids[keyword]), weights: null },
  }));
  lists.push({
    secret: guard,
    list: { ids: Uint32Array.from({ length: hi - lo }, (_, i) => i), weights: null },
  });
  return lists;
}

async function timeQuery(index: BenchIndex, query: BenchQuery, runs: number): Promise<QueryRow> {
  const text = query.keywords.map((keyword) => `${FIELD}:k${keyword}`).join(' and ');
  const source = {
    fetchWhole: async (name: string) => fileOf(index, name),
    fetchRanges: async (name: string, ranges: readonly ByteRange[]) =>
      ranges.map(({ offset, length }) => fileOf(index, name).subarray(offset, offset + length)),
  };
  const readers = new Map(index.manifest.segments.map((meta) => [meta, new SegmentReader(meta, [source])]));
  const clientKey = new Uint8Array(32);
  const once = () =>
    runQuery({
      plan: planQuery(parseQuery(text), REGISTRY),
      unit: 'record',
      clientKey,
      custodians: [
        {
          manifest: index.manifest,
          records: index.documents,
          dead: new Uint32Array(0),
          secretOf: (keyword) => index.secrets.get(keywordKey(keyword)),
          readerOf: (meta) => readers.get(meta) ?? new SegmentReader(meta, [source]),
        },
      ],
    });
  let result = await once();
  const first = result.cost;
  for (let i = 0; i < WARM_UP_RUNS; i++) result = await once();
  const times: number[] = [];
  const cpu = process.cpuUsage();
  for (let i = 0; i < runs; i++) {
    const begin = performance.now();
    result = await once();
    times.push(performance.now() - begin);
  }
  const cpuMs = cpuSince(cpu) / runs;
  const { numbers } = result.records[0];
  return {
    suite: 'search',
    op: query.name,
    n: runs,
    ...percentiles(times),
    cpu_ms: round(cpuMs),
    hits: numbers.length,
    sum: numbers.reduce((sum, number) => sum + number, 0),
    bytes: result.cost.bytes,
    bytes_cold: first.bytes,
    proof_bytes_a_segment: round(
      result.cost.proofBytes / [...readers.values()].filter((reader) => !reader.isWhole).length,
    ),
  };
}

function fileOf(index: BenchIndex, name: string): Uint8Array {
  const file = index.files.get(name);
  if (file === undefined) throw new Error(`no file ${name}`);
  return file;
}

function timeVoprf(runs: number): Row[] {
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
    rows.push({ suite: 'search', op, n: runs, ...percentiles(times) });
  };
  for (const count of [1, 4, 16]) {
    const words = Array.from({ length: count }, (_, i) => wordOf(i));
    const batch = blindKeywords(words, random);
    const evaluation = evaluate(keys, batch.elements, random);
    push(`voprf blind ${count}`, () => blindKeywords(words, random));
    push(`voprf evaluate and prove ${count}`, () => evaluate(keys, batch.elements, random));
    push(`voprf verify and finalize ${count}`, () => finalize(batch, evaluation, keys.publicKey));
  }
  push('voprf owner, one new keyword', () => evaluateDirect(keys.secretKey, wordOf(1)));
  return rows;
}
