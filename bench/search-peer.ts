/**
 * The peers of bench/search.ts, on the plaintext of the same corpus: SQLite FTS5 by python3's own sqlite3, and MiniSearch
 * in a process of its own. Both read one file and answer one JSON object; where one cannot run, that is said.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BenchQuery, KEYWORDS_A_DOCUMENT } from './search-corpus.ts';
import { percentiles, type QueryRow, type Row, round } from './search-row.ts';

/** A peer's build and its answers in the order of the queries. */
export interface Peer {
  readonly name: string;
  /** Key of our rows: our time over its. */
  readonly ratio: string;
  readonly build: Row;
  readonly rows: readonly QueryRow[];
}

interface PeerAnswer {
  readonly version: string;
  readonly build_s: number;
  readonly bytes?: number;
  readonly rss_mib?: number;
  readonly answers: readonly {
    readonly hits: number;
    readonly sum: number;
    readonly ms: readonly number[];
    readonly cpu_ms: number;
  }[];
}

/** How to start a peer; the corpus, the queries as JSON and the number of runs are put behind. */
interface Start {
  readonly name: PeerName;
  readonly ratio: string;
  readonly needs: string;
  /** Undefined, after a line to `log`, where it cannot be had. */
  readonly command: (log: (line: string) => void) => readonly [string, ...string[]] | undefined;
}

const peerFile = (path: string): string => fileURLToPath(new URL(`peers/${path}`, import.meta.url));

const FTS5: Start = {
  name: 'SQLite FTS5',
  ratio: 'ratio_to_fts5',
  needs: 'python3 with FTS5',
  command: () => ['python3', peerFile('fts5.py')],
};

/** 100,000 documents and their index in objects take more than the heap that a process gets by itself. */
const HEAP_MIB = 4096;

const MINISEARCH: Start = {
  name: 'MiniSearch',
  ratio: 'ratio_to_minisearch',
  needs: 'a package registry at the first run',
  command: (log) => {
    const folder = installed(peerFile('minisearch'), log);
    if (folder === undefined) return undefined;
    return [process.execPath, `--max-old-space-size=${HEAP_MIB}`, join(folder, 'search.mjs')];
  },
};

/** How long a package registry may take. */
const INSTALL_MS_MAX = 60_000;

/**
 * The peer's folder with its locked packages, kept beside the compiled benches under the hash of its files. The lock names
 * hashes and no registry: any that serves these bytes will do.
 */
function installed(source: string, log: (line: string) => void): string | undefined {
  const files = ['package.json', 'package-lock.json', 'search.mjs'];
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(join(source, file)));
  const cache = join(cacheFolder(source), `minisearch-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(cache)) return cache;
  mkdirSync(dirname(cache), { recursive: true });
  const fresh = mkdtempSync(`${cache}-`);
  for (const file of files) cpSync(join(source, file), join(fresh, file));
  const done = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: fresh,
    encoding: 'utf8',
    timeout: INSTALL_MS_MAX,
  });
  if (done.status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    const reason = done.error?.message ?? done.stderr.trim().split('\n').at(-1);
    log(`SKIPPED: MiniSearch peer (its package could not be installed: ${reason})`);
    return undefined;
  }
  renameSync(fresh, cache);
  return cache;
}

/** The cache of the nearest node_modules above, or the system's temporary folder. */
function cacheFolder(from: string): string {
  for (let folder = from; folder !== dirname(folder); folder = dirname(folder)) {
    const modules = join(folder, 'node_modules');
    if (existsSync(modules)) return join(modules, '.cache', 'hippocrypt-peers');
  }
  return tmpdir();
}

/** All peers. */
export const PEERS = ['SQLite FTS5', 'MiniSearch'] as const;
export type PeerName = (typeof PEERS)[number];

export interface PeersOptions {
  readonly corpus: Uint32Array;
  readonly documents: number;
  readonly queries: readonly BenchQuery[];
  readonly runs: number;
  readonly log: (line: string) => void;
  readonly only: readonly PeerName[];
}

/** Every peer of `only` that can run here; a line to `log` for each that cannot. */
export function runPeers({ corpus, documents, queries, runs, log, only }: PeersOptions): readonly Peer[] {
  const folder = mkdtempSync(join(tmpdir(), 'hippocrypt-bench-'));
  try {
    const path = join(folder, 'corpus.bin');
    const head = Uint32Array.of(documents, KEYWORDS_A_DOCUMENT);
    writeFileSync(path, Buffer.concat([bytesOf(head), bytesOf(corpus)]));
    return [FTS5, MINISEARCH]
      .filter(({ name }) => only.includes(name))
      .flatMap((start) => runPeer(start, path, queries, corpus.length, runs, log) ?? []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runPeer(
  { name, ratio, needs, command }: Start,
  path: string,
  queries: readonly BenchQuery[],
  postings: number,
  runs: number,
  log: (line: string) => void,
): Peer | undefined {
  const started = command(log);
  if (started === undefined) return undefined;
  const [program, ...args] = started;
  const asked = JSON.stringify(queries.map(({ keywords }) => keywords));
  const done = spawnSync(program, [...args, path, asked, String(runs)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (done.status !== 0) {
    const reason = done.error?.message ?? done.stderr.trim().split('\n').at(-1);
    log(`SKIPPED: ${name} peer (needs ${needs}: ${reason})`);
    return undefined;
  }
  const answer = JSON.parse(done.stdout) as PeerAnswer;
  const rows = answer.answers.map(({ hits, sum, ms, cpu_ms }, i) => ({
    suite: 'search' as const,
    op: `${queries[i].name}, ${name}`,
    n: runs,
    ...percentiles(ms),
    cpu_ms: round(cpu_ms),
    hits,
    sum,
  }));
  return { name, ratio, build: buildRow(name, answer, postings), rows };
}

function buildRow(name: string, answer: PeerAnswer, postings: number): Row {
  const ms = round(answer.build_s * 1000);
  return {
    suite: 'search',
    op: `build, ${name}`,
    n: postings,
    p50_ms: ms,
    p95_ms: ms,
    postings_per_s: Math.round(postings / answer.build_s),
    ...(answer.bytes === undefined ? {} : { bytes_per_posting: round(answer.bytes / postings) }),
    ...(answer.rss_mib === undefined ? {} : { rss_mib: answer.rss_mib }),
    version: answer.version,
  };
}

const bytesOf = (words: Uint32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
