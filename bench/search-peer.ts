/** SQLite FTS5 on plaintext, run by python3's own sqlite3 (bench/peers/fts5.py), as the peer of bench/search.ts. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BenchQuery, KEYWORDS_A_DOCUMENT } from './search-corpus.ts';
import { percentiles, type QueryRow, type Row, round } from './search-row.ts';

/** The peer's build and its answers in the order of the queries. */
export interface Peer {
  readonly build: Row;
  readonly rows: readonly QueryRow[];
}

interface PeerAnswer {
  readonly version: string;
  readonly build_s: number;
  readonly bytes: number;
  readonly answers: readonly {
    readonly hits: number;
    readonly sum: number;
    readonly ms: readonly number[];
    readonly cpu_ms: number;
  }[];
}

/** Undefined, with a line to `log`, where python3 or its FTS5 is missing. */
export function runPeer(
  corpus: Uint32Array,
  documents: number,
  queries: readonly BenchQuery[],
  runs: number,
  log: (line: string) => void,
): Peer | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'hippocrypt-bench-'));
  try {
    const path = join(folder, 'corpus.bin');
    const head = Uint32Array.of(documents, KEYWORDS_A_DOCUMENT);
    writeFileSync(path, Buffer.concat([bytesOf(head), bytesOf(corpus)]));
    const script = fileURLToPath(new URL('peers/fts5.py', import.meta.url));
    const asked = JSON.stringify(queries.map(({ keywords }) => keywords));
    const done = spawnSync('python3', [script, path, asked, String(runs)], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    });
    if (done.status !== 0) {
      log(
        `SKIPPED: SQLite FTS5 peer (python3 with FTS5 did not run: ${done.error?.message ?? done.stderr.trim()})`,
      );
      return undefined;
    }
    return peerRows(JSON.parse(done.stdout) as PeerAnswer, queries, corpus.length, runs);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const bytesOf = (words: Uint32Array): Uint8Array =>
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

function peerRows(answer: PeerAnswer, queries: readonly BenchQuery[], postings: number, runs: number): Peer {
  const ms = round(answer.build_s * 1000);
  const build: Row = {
    suite: 'search',
    op: 'build, SQLite FTS5',
    n: postings,
    p50_ms: ms,
    p95_ms: ms,
    postings_per_s: Math.round(postings / answer.build_s),
    bytes_per_posting: round(answer.bytes / postings),
    version: answer.version,
  };
  const rows = answer.answers.map(({ hits, sum, ms: times, cpu_ms }, i) => ({
    suite: 'search' as const,
    op: `${queries[i].name}, SQLite FTS5`,
    n: runs,
    ...percentiles(times),
    cpu_ms: round(cpu_ms),
    hits,
    sum,
  }));
  return { build, rows };
}
