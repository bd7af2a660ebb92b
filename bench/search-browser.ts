/**
 * Memory of a browser that searches a million records: Chromium, headless, with the product's compiled modules over
 * loopback, once for each fetch policy. The answers must be those that Node finds. Runs only when it is named.
 */
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toBase64url, toHex } from '../src/codec/bytes.ts';
import {
  type ByteRange,
  encodeFieldSpec,
  encodeKeyword,
  encodeManifest,
  type FetchPolicy,
  fieldOf,
  keywordKey,
  sentinel,
} from '../src/search/index.ts';
import { makeCorpus, makeQueries } from './search-corpus.ts';
import { BenchClient, type BenchIndex, buildIndex, FIELD, REGISTRY, wordOf } from './search-index.ts';
import type { PageReport, PageSetup } from './search-page.ts';
import { type Row, round } from './search-row.ts';

export interface SearchBrowserOptions {
  /** A smaller index. */
  readonly quick?: boolean;
  readonly log?: (line: string) => void;
}

const POLICIES: readonly FetchPolicy[] = ['pages-and-tree', 'pages', 'whole'];
/** Chromium's names on Linux, in the order in which they are looked for; `CHROMIUM` names another. */
const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome'];
/** How long one page may take. */
const PAGE_MS_MAX = 600_000;
/** Packages whose modules the page loads; their exports become the import map. */
const PACKAGES = [
  '@noble/curves',
  '@noble/hashes',
  '@noble/ciphers',
  '@ipld/dag-cbor',
  'cborg',
  'multiformats',
  'stemmer',
];

/** A row for each policy; none, with a line to `log`, where there is no Chromium. */
export async function runSearchBrowserBench(options: SearchBrowserOptions = {}): Promise<Row[]> {
  const { quick = false, log = () => {} } = options;
  const program = findChromium();
  if (program === undefined) {
    log(`SKIPPED: memory in a browser (no ${PROGRAMS.join(', ')} on the path; CHROMIUM names another)`);
    return [];
  }
  const documents = quick ? 100_000 : 1_000_000;
  const corpus = makeCorpus(documents);
  const { index } = buildIndex(corpus, documents);
  const rows: Row[] = [];
  for (const policy of POLICIES) {
    const row = await measure(program, index, policy);
    rows.push(row);
    log(`${row.op}: ${row.renderer_peak_mib} MiB at most, queries ${row.p50_ms} ms`);
  }
  return rows;
}

function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(':');
  const known = PROGRAMS.flatMap((name) => folders.map((folder) => join(folder, name)));
  return [process.env.CHROMIUM, ...known].find((path) => path !== undefined && existsSync(path));
}

async function measure(program: string, index: BenchIndex, policy: FetchPolicy): Promise<Row> {
  const queries = makeQueries(index.documents).slice(6);
  const setup = setupOf(index, policy, queries);
  const profile = mkdtempSync(join(tmpdir(), 'hippocrypt-chromium-'));
  let reported: (report: PageReport) => void = () => undefined;
  let failed: (error: Error) => void = () => undefined;
  const seen = new Promise<PageReport>((resolve, reject) => {
    reported = resolve;
    failed = reject;
  });
  const server = createServer((request, response) => {
    answer(request, response, { index, setup, reported, failed }).catch(failed);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const late = setTimeout(() => failed(new Error('the page did not report in time')), PAGE_MS_MAX);
  const browser = spawn(
    program,
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      '--enable-precise-memory-info',
      '--enable-blink-features=ForceEagerMeasureMemory',
      '--js-flags=--expose-gc',
      `--user-data-dir=${profile}`,
      urlOf(server),
    ],
    { stdio: 'ignore' },
  );
  browser.once('error', failed);
  browser.once('exit', () => failed(new Error('Chromium ended before its page reported')));
  try {
    const report = await seen;
    const peak = rendererPeakMib(profile);
    return await rowOf(index, policy, queries, report, peak);
  } finally {
    clearTimeout(late);
    browser.removeAllListeners('exit');
    const ended = new Promise((resolve) => browser.once('exit', resolve));
    if (browser.exitCode === null && browser.kill()) await ended;
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

type Queries = ReturnType<typeof makeQueries>;

async function rowOf(
  index: BenchIndex,
  policy: FetchPolicy,
  queries: Queries,
  report: PageReport,
  peak: number | undefined,
): Promise<Row> {
  const client = new BenchClient(index);
  for (const [i, query] of queries.entries()) {
    const { numbers } = (await client.ask(query)).records[0];
    const { hits, sum } = report.answers[i];
    if (hits !== numbers.length || sum !== numbers.reduce((total, one) => total + one, 0))
      throw new Error(`${query.name} in the browser: ${hits} hits, Node finds ${numbers.length}`);
  }
  const again = report.answers.map((one) => one.again_ms).sort((a, b) => a - b);
  const mib = (bytes: number | null): number => (bytes === null ? 0 : round(bytes / 2 ** 20));
  return {
    suite: 'search-browser',
    op: `${index.documents} records in Chromium, fetch policy ${policy}`,
    n: index.documents,
    runs: again.length,
    p50_ms: round(again[Math.floor(again.length / 2)]),
    p95_ms: round(again[again.length - 1]),
    first_query_ms: round(report.answers[0].first_ms),
    requests: report.requests,
    fetched_mib: mib(report.bytes),
    heap_before_mib: mib(report.heapBefore),
    heap_mib: mib(report.heapAfter),
    heap_and_buffers_mib: mib(report.allAfter),
    ...(peak === undefined ? {} : { renderer_peak_mib: peak }),
    index_mib: Math.round([...index.files.values()].reduce((sum, file) => sum + file.length, 0) / 2 ** 20),
  };
}

function setupOf(index: BenchIndex, policy: FetchPolicy, queries: Queries): PageSetup {
  const words = new Set(queries.flatMap(({ keywords }) => keywords));
  const keywords = [...[...words].map(wordOf), encodeKeyword(sentinel(FIELD))];
  return {
    policy,
    manifest: toBase64url(encodeManifest(index.manifest)),
    spec: toBase64url(encodeFieldSpec(fieldOf(REGISTRY, FIELD))),
    documents: index.documents,
    patients: index.patients.numbers.size,
    queries: queries.map((query) => query.keywords.map((keyword) => `${FIELD}:k${keyword}`).join(' and ')),
    secrets: keywords.map((keyword) => {
      const secret = index.secrets.get(keywordKey(keyword));
      if (secret === undefined) throw new RangeError('a query has a keyword without a secret');
      return [toHex(keyword), toHex(secret.t)];
    }),
  };
}

interface Serving {
  readonly index: BenchIndex;
  readonly setup: PageSetup;
  readonly reported: (report: PageReport) => void;
  readonly failed: (error: Error) => void;
}

const BENCH = dirname(fileURLToPath(import.meta.url));
const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

async function answer(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  // Isolated from other origins, so that the browser tells how much memory the page has.
  response.setHeader('cross-origin-opener-policy', 'same-origin');
  response.setHeader('cross-origin-embedder-policy', 'require-corp');
  if (pathname === '/') {
    response.setHeader('content-type', 'text/html');
    response.end(page());
    return;
  }
  if (pathname === '/setup') {
    response.end(JSON.stringify(serving.setup));
    return;
  }
  if (pathname === '/report') {
    const report = JSON.parse((await bodyOf(request)).toString()) as PageReport | { readonly failed: string };
    response.end();
    if ('failed' in report) serving.failed(new Error(`the page failed: ${report.failed}`));
    else serving.reported(report);
    return;
  }
  if (pathname.startsWith('/segments/')) {
    const file = serving.index.files.get(pathname.slice('/segments/'.length)) ?? new Uint8Array(0);
    if (request.method !== 'POST') {
      response.end(file);
      return;
    }
    const ranges = JSON.parse((await bodyOf(request)).toString()) as readonly ByteRange[];
    response.end(Buffer.concat(ranges.map(({ offset, length }) => file.subarray(offset, offset + length))));
    return;
  }
  const path = normalize(pathname);
  const root = path.startsWith('/node_modules/') ? dirname(modulesAbove(BENCH)) : dirname(BENCH);
  response.setHeader('content-type', 'text/javascript');
  createReadStream(join(root, path))
    .on('error', () => response.writeHead(404).end())
    .pipe(response);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** A page without a bundler: native modules, and an import map from what the packages export. */
function page(): string {
  const imports = Object.fromEntries(PACKAGES.flatMap(exportsOf));
  return `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script><script type="module" src="/bench/search-page.js"></script>`;
}

function exportsOf(name: string): (readonly [string, string])[] {
  const folder = join(modulesAbove(BENCH), name);
  const { exports, main } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    exports?: Record<string, string | { import?: string; default?: string }>;
    main?: string;
  };
  const entries = Object.entries(exports ?? { '.': `./${main ?? 'index.js'}` });
  return entries.flatMap(([key, target]) => {
    const file = typeof target === 'string' ? target : (target.import ?? target.default);
    if (typeof file !== 'string') return [];
    return [[`${name}${key.slice(1)}`, `/node_modules/${name}/${file.replace(/^\.\//, '')}`] as const];
  });
}

function modulesAbove(from: string): string {
  for (let folder = from; folder !== dirname(folder); folder = dirname(folder)) {
    const modules = join(folder, 'node_modules');
    if (existsSync(join(modules, PACKAGES[0]))) return modules;
  }
  throw new Error(`no node_modules with ${PACKAGES[0]} above the benches`);
}

/** Most memory that the page's process ever held, where the system tells (Linux). */
function rendererPeakMib(profile: string): number | undefined {
  if (!existsSync('/proc/self/status')) return undefined;
  const peaks = readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (!command.includes('--type=renderer') || !command.includes(profile)) return [];
      const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      return peak === undefined ? [] : [Number(peak) / 1024];
    } catch {
      return [];
    }
  });
  return peaks.length === 0 ? undefined : Math.round(Math.max(...peaks));
}
