/**
 * The encrypted index of the search benches: segments of falling size, as merges leave them, files in memory, keyword
 * secrets made up instead of evaluated; and queries over it that verify every page to its root.
 */
import { randomBytes } from 'node:crypto';
import { u32be } from '../src/codec/bytes.ts';
import { sha256 } from '../src/codec/hash.ts';
import {
  type ByteRange,
  buildSegment,
  type CustodianIndex,
  encodeKeyword,
  encodeManifest,
  type FetchPolicy,
  fieldRegistry,
  type KeywordSecret,
  keywordKey,
  type Manifest,
  type PatientMap,
  PatientNumbers,
  parseQuery,
  patientMap,
  planQuery,
  type QueryResult,
  runQuery,
  type SecretList,
  type SegmentMeta,
  SegmentReader,
  secretFromT,
  segmentName,
  segmentShape,
  sentinel,
} from '../src/search/index.ts';
import { type BenchQuery, KEYWORDS_A_DOCUMENT, VOCABULARY } from './search-corpus.ts';
import { percentiles, type Row, round } from './search-row.ts';

/** The one field of the corpus. */
export const FIELD = 'w';
export const REGISTRY = fieldRegistry([
  {
    name: FIELD,
    index: { type: 'code', hierarchy: 'none', prefix: null },
    sensitive: false,
    budget: { perDay: 200, perEpoch: 2000 },
  },
]);

/** Share of the corpus in each segment, as eight-fold merges leave it. */
const SEGMENT_SHARES = [0.5, 0.25, 0.125, 0.05, 0.025, 0.02, 0.01, 0.01, 0.005, 0.005];
/** Records of one patient, spread over the whole index. */
export const RECORDS_A_PATIENT = 50;
/** Documents of a build that is not timed, so that compiled code is. */
const WARM_UP_DOCUMENTS = 10_000;

export interface BenchIndex {
  readonly manifest: Manifest;
  readonly documents: number;
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly secrets: ReadonlyMap<string, KeywordSecret>;
  readonly patients: PatientMap;
}

/** Processor milliseconds of this process since `before`: what a loaded machine does not blur. */
export function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** An encoded keyword of the corpus. */
export const wordOf = (keyword: number): Uint8Array =>
  encodeKeyword({ field: FIELD, type: 'code', system: null, value: `k${keyword}` });

interface Secrets {
  readonly byNumber: readonly KeywordSecret[];
  readonly guard: KeywordSecret;
}

/** Builds the index of `corpus`, timed; a small one first, untimed. */
export function buildIndex(corpus: Uint32Array, documents: number): { index: BenchIndex; row: Row } {
  const secrets = new Map<string, KeywordSecret>();
  const byNumber: KeywordSecret[] = [];
  for (let keyword = 0; keyword < VOCABULARY; keyword++) {
    byNumber.push(secretFromT(sha256(u32be(keyword))));
    secrets.set(keywordKey(wordOf(keyword)), byNumber[keyword]);
  }
  const guard = secretFromT(sha256(new Uint8Array(1)));
  secrets.set(keywordKey(encodeKeyword(sentinel(FIELD))), guard);
  buildSegments(corpus, Math.min(documents, WARM_UP_DOCUMENTS), { byNumber, guard });
  const begin = performance.now();
  const cpu = process.cpuUsage();
  const { files, segments } = buildSegments(corpus, documents, { byNumber, guard });
  const ms = performance.now() - begin;
  const cpuMs = cpuSince(cpu);
  const postings = corpus.length;
  const bytes = [...files.values()].reduce((sum, file) => sum + file.length, 0);
  const manifest = { custodian: 'bench', seq: 1, segments };
  const names = Array.from(
    { length: documents },
    (_, i) => `patient ${i % Math.ceil(documents / RECORDS_A_PATIENT)}`,
  );
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
  const patients = patientMap(new PatientNumbers(), names);
  return { index: { manifest, documents, files, secrets, patients }, row };
}

function buildSegments(
  corpus: Uint32Array,
  documents: number,
  secrets: Secrets,
): { files: Map<string, Uint8Array>; segments: SegmentMeta[] } {
  const bounds = SEGMENT_SHARES.map((_, i) =>
    Math.round(documents * SEGMENT_SHARES.slice(0, i + 1).reduce((sum, share) => sum + share, 0)),
  );
  const files = new Map<string, Uint8Array>();
  const segments: SegmentMeta[] = [];
  let lo = 0;
  for (const hi of bounds) {
    if (hi === lo) continue;
    const lists = listsOf(corpus, lo, hi, secrets);
    const epochs = [{ field: FIELD, epoch: 1 }];
    const { meta, file } = buildSegment({ lo, hi, level: 0, time: 0, epochs, lists }, (n) => randomBytes(n));
    files.set(segmentName(meta), file);
    segments.push(meta);
    lo = hi;
  }
  return { files, segments };
}

function listsOf(corpus: Uint32Array, lo: number, hi: number, { byNumber, guard }: Secrets): SecretList[] {
  // Lists of a keyword lie together: counted first, then filled, as numbers and not as objects.
  const first = new Uint32Array(VOCABULARY + 1);
  for (let i = lo * KEYWORDS_A_DOCUMENT; i < hi * KEYWORDS_A_DOCUMENT; i++) first[corpus[i] + 1]++;
  for (let keyword = 0; keyword < VOCABULARY; keyword++) first[keyword + 1] += first[keyword];
  const next = first.slice();
  const ids = new Uint32Array((hi - lo) * KEYWORDS_A_DOCUMENT);
  for (let i = lo * KEYWORDS_A_DOCUMENT; i < hi * KEYWORDS_A_DOCUMENT; i++)
    ids[next[corpus[i]]++] = Math.floor(i / KEYWORDS_A_DOCUMENT) - lo;
  const lists: SecretList[] = [];
  for (let keyword = 0; keyword < VOCABULARY; keyword++) {
    if (first[keyword] === first[keyword + 1]) continue;
    const list = { ids: ids.subarray(first[keyword], first[keyword + 1]), weights: null };
    lists.push({ secret: byNumber[keyword], list });
  }
  const everyone = Uint32Array.from({ length: hi - lo }, (_, i) => i);
  lists.push({ secret: guard, list: { ids: everyone, weights: null } });
  return lists;
}

/** One client's way to the index; what it has fetched and verified stays with it. */
export class BenchClient {
  readonly #index: BenchIndex;
  readonly readers: ReadonlyMap<SegmentMeta, SegmentReader>;

  constructor(index: BenchIndex, policy: FetchPolicy = 'pages') {
    this.#index = index;
    const source = {
      fetchWhole: async (name: string) => fileOf(index, name),
      fetchRanges: async (name: string, ranges: readonly ByteRange[]) =>
        ranges.map(({ offset, length }) => fileOf(index, name).subarray(offset, offset + length)),
    };
    this.readers = new Map(
      index.manifest.segments.map((meta) => [meta, new SegmentReader(meta, [source], policy)]),
    );
  }

  ask(query: BenchQuery, unit: 'record' | 'patient' = 'record'): Promise<QueryResult> {
    const { manifest, documents, secrets, patients } = this.#index;
    const text = query.keywords.map((keyword) => `${FIELD}:k${keyword}`).join(' and ');
    const custodian: CustodianIndex = {
      manifest,
      records: documents,
      dead: new Uint32Array(0),
      secretOf: (keyword) => secrets.get(keywordKey(keyword)),
      readerOf: (meta) => this.readers.get(meta) ?? missing('a reader'),
      patients,
    };
    const plan = planQuery(parseQuery(text), REGISTRY);
    return runQuery({ plan, unit, clientKey: new Uint8Array(32), custodians: [custodian] });
  }
}

/** Untimed runs before a query's timed ones, so that compiled code is timed. */
const WARM_UP_RUNS = 50;

/** Times `runs` runs of `once`, after untimed ones. */
export async function timed<T>(
  runs: number,
  once: () => Promise<T>,
): Promise<{ readonly last: T; readonly times: { p50_ms: number; p95_ms: number; cpu_ms: number } }> {
  let last = await once();
  for (let i = 1; i < WARM_UP_RUNS; i++) last = await once();
  const samples: number[] = [];
  const cpu = process.cpuUsage();
  for (let i = 0; i < runs; i++) {
    const begin = performance.now();
    last = await once();
    samples.push(performance.now() - begin);
  }
  return { last, times: { ...percentiles(samples), cpu_ms: round(cpuSince(cpu) / runs) } };
}

function fileOf(index: BenchIndex, name: string): Uint8Array {
  return index.files.get(name) ?? missing(`the file ${name}`);
}

function missing(what: string): never {
  throw new Error(`${what} is missing`);
}
