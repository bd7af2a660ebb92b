/**
 * The payload store on this disk: small, middle and large objects put (durable when resolved) and got (each block
 * checked against its CID); bulk import; and one large object sealed and stored as a stream, with the growth of
 * the process. Bytes are random, so that nothing is deduplicated or compressed.
 */
import { createCipheriv, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  headerHash,
  openEmbeddedStore,
  openEnvironment,
  openHeaderStore,
  type PayloadStore,
} from '../src/storage/index.ts';
import { smallRecords } from './storage-records.ts';

/** One measurement; further keys as the operation needs them. */
export interface Row {
  readonly suite: 'storage';
  readonly op: string;
  readonly n: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly [key: string]: string | number;
}

/** Turns a plaintext stream into what is stored; `sealPayload` of src/abe/payload with its key and name bound. */
export type Seal = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

export interface StorageBenchOptions {
  readonly seal: Seal;
  /** Plaintext bytes of the large object; 1 GiB unless told. */
  readonly largeBytes?: number;
  /** Small records of one node; 100,000 unless told. */
  readonly records?: number;
  /** Where the stores are made; the system's temporary directory unless told. */
  readonly directory?: string;
  /** Another store to run the same operations on, for example over a Kubo daemon. It is not closed. */
  readonly other?: { readonly name: string; readonly store: PayloadStore };
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** The rows in order of running. Takes about half a minute with a 1 GiB object. */
export async function runStorageBench(options: StorageBenchOptions): Promise<Row[]> {
  const dir = mkdtempSync(join(options.directory ?? tmpdir(), 'hippocrypt-bench-storage-'));
  const rows: Row[] = [];
  const add = (row: Row): void => {
    rows.push(row);
    options.log?.(JSON.stringify(row));
  };
  try {
    const store = openEmbeddedStore(join(dir, 'payloads'));
    // First, while the process is small, or its growth would hide in what the others left behind.
    for (const row of await large(store, options)) add(row);
    for (const row of await sizes(store, 'embedded')) add(row);
    add(await bulk(store, 'embedded'));
    if (options.other) {
      for (const row of await sizes(options.other.store, options.other.name)) add(row);
      add(await bulk(options.other.store, options.other.name));
    }
    await store.close();
    for (const row of await smallRecords(join(dir, 'records'), options.records ?? 100_000)) add(row);
    for (const row of await headers(join(dir, 'headers'))) add(row);
    for (const row of await keyValue(join(dir, 'state'))) add(row);
    return rows;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function sizes(store: PayloadStore, backend: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [name, size, n] of [
    ['1 KiB', KIB, 500],
    ['1 MiB', MIB, 50],
    ['100 MiB', 100 * MIB, 3],
  ] as const) {
    const cids: string[] = [];
    const put = await timed(n, async () => {
      const bytes = new Uint8Array(randomBytes(size));
      const begin = performance.now();
      cids.push((await store.put(bytes)).cid);
      return performance.now() - begin;
    });
    const got = await timed(n, async (i) => {
      const begin = performance.now();
      let length = 0;
      for await (const chunk of store.get(cids[i])) length += chunk.length;
      if (length !== size) throw new Error(`got ${length} bytes of ${size}`);
      return performance.now() - begin;
    });
    rows.push(row(`put ${name}, ${backend}`, put, rate(size, put)));
    rows.push(row(`get ${name}, ${backend}`, got, rate(size, got)));
  }
  return rows;
}

/** Records of 4 KiB, 500 a transaction, as an import makes them. */
async function bulk(store: PayloadStore, backend: string): Promise<Row> {
  const batch = 500;
  const times = await timed(6, async () => {
    const items = Array.from({ length: batch }, () => new Uint8Array(randomBytes(4 * KIB)));
    const begin = performance.now();
    await store.putMany(items);
    return performance.now() - begin;
  });
  return row(`putMany 500 x 4 KiB, ${backend}`, times, {
    items_per_s: Math.round((1000 * batch) / median(times)),
  });
}

/** Seals and stores one large object while watching the resident size, then reads it back. */
async function large(store: PayloadStore, options: StorageBenchOptions): Promise<Row[]> {
  const size = options.largeBytes ?? 1024 * MIB;
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let peak = before;
  async function* watched(): AsyncGenerator<Uint8Array> {
    for (const chunk of keyStream(size)) {
      peak = Math.max(peak, process.memoryUsage.rss());
      yield chunk;
    }
  }
  let begin = performance.now();
  const { cid } = await store.put(options.seal(watched()));
  const put = [performance.now() - begin];
  const growth = { rss_growth_mib: Math.round((peak - before) / MIB) };
  begin = performance.now();
  for await (const chunk of store.get(cid)) void chunk;
  const got = [performance.now() - begin];
  const name = `${Math.round(size / MIB)} MiB`;
  return [
    row(`seal and put ${name}`, put, { ...rate(size, put), ...growth }),
    row(`get ${name}`, got, rate(size, got)),
  ];
}

/** AES-CTR key stream in pieces of 1 MiB: random bytes at several GiB/s, so the source is not what is measured. */
function* keyStream(size: number): Generator<Uint8Array> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(MIB);
  for (let left = size; left > 0; left -= MIB) yield cipher.update(zeros.subarray(0, Math.min(left, MIB)));
}

async function headers(dir: string): Promise<Row[]> {
  const random = (n: number) => new Uint8Array(randomBytes(n));
  const store = await openHeaderStore(dir, { random });
  const made = Array.from({ length: 1000 }, () => {
    const bytes = random(1200);
    return { hash: headerHash(bytes), bytes };
  });
  const many = await timed(1, async () => {
    const begin = performance.now();
    await store.putMany(made);
    return performance.now() - begin;
  });
  const got = await timed(made.length, async (i) => {
    const begin = performance.now();
    await store.get(made[i].hash);
    return performance.now() - begin;
  });
  const erased = await timed(200, async (i) => {
    const begin = performance.now();
    await store.delete(made[i].hash);
    return performance.now() - begin;
  });
  await store.close();
  return [
    row('header putMany 1000 x 1.2 kB', many, {
      items_per_s: Math.round((1000 * made.length) / median(many)),
    }),
    row('header get', got, {}),
    row('header erase', erased, {}),
  ];
}

async function keyValue(dir: string): Promise<Row[]> {
  const env = openEnvironment(dir, { tables: ['state'] });
  const value = new Uint8Array(randomBytes(512));
  const times = await timed(300, async (i) => {
    const ops = Array.from({ length: 50 }, (_, j) => ({
      table: 'state',
      key: Buffer.from(`${i}/${j}`),
      value,
    }));
    const begin = performance.now();
    await env.write(ops);
    return performance.now() - begin;
  });
  await env.close();
  return [row('state write of 50 x 512 B', times, { writes_per_s: Math.round((1000 * 50) / median(times)) })];
}

/** `n` times in ms, each measured by `once` itself so that it can prepare outside. */
async function timed(n: number, once: (i: number) => Promise<number>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < n; i++) times.push(await once(i));
  return times;
}

function row(op: string, times: readonly number[], more: Record<string, number>): Row {
  return {
    suite: 'storage',
    op,
    n: times.length,
    p50_ms: median(times),
    p95_ms: quantile(times, 0.95),
    ...more,
  };
}

function rate(size: number, times: readonly number[]): { mb_per_s: number } {
  return { mb_per_s: Math.round((size / MIB / median(times)) * 1000) };
}

const median = (times: readonly number[]): number => quantile(times, 0.5);

function quantile(times: readonly number[], q: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  return Math.round(value * 1000) / 1000;
}
