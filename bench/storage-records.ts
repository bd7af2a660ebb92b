/**
 * A hundred thousand small records in the stores of one node: rate, files (inodes), bytes on disk against bytes of content,
 * a whole collection, the removal of one, and two backups, of which the second finds a hundred more records. Sizes are those of health records.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  backup,
  headerHash,
  openEmbeddedStore,
  openHeaderStore,
  openRepository,
  type PayloadStore,
} from '../src/storage/index.ts';
import { withTarget } from './harness/targets.ts';
import type { Row } from './storage.ts';

const PAYLOAD_BYTES = 2048;
const HEADER_BYTES = 1200;
const BATCH = 500;
/** Records that are new to the second backup. */
const LATER = 100;
const MIB = 1024 * 1024;

const random = (n: number): Uint8Array => new Uint8Array(randomBytes(n));

interface Stores {
  readonly payloads: PayloadStore & { copyTo(dir: string): Promise<void> };
  readonly headers: Awaited<ReturnType<typeof openHeaderStore>>;
  readonly cids: string[];
}

/** Rows of `count` records in `dir`, which is empty. */
export async function smallRecords(dir: string, count: number): Promise<Row[]> {
  const payloads = openEmbeddedStore(join(dir, 'payloads'));
  const headers = await openHeaderStore(join(dir, 'headers'), { random });
  const stores: Stores = { payloads, headers, cids: [] };
  const repository = await openRepository(join(dir, 'repository'), { keyFile: random(64) }, random);
  try {
    const put = await timed(() => putRecords(stores, count));
    const { files, bytes } = sizeOf(dir);
    const collected = await timed(() => payloads.collect(stores.cids, 0, 1));
    const erased = await timed(() => payloads.remove([stores.cids[0]], stores.cids.slice(1)));
    const first = await backUp(stores, dir, repository, 1);
    await putRecords(stores, LATER);
    const second = await backUp(stores, dir, repository, 2);
    return [
      row(`put ${count} records of ${PAYLOAD_BYTES} B with headers`, put.ms, {
        records_per_s: Math.round((1000 * count) / put.ms),
        cpu_ms: put.cpuMs,
        files,
        disk_mib: Math.round(bytes / MIB),
        content_mib: Math.round((count * (PAYLOAD_BYTES + HEADER_BYTES)) / MIB),
      }),
      row(`collect among ${count} live records`, collected.ms, { cpu_ms: collected.cpuMs }),
      row(`remove one of ${count} records`, erased.ms, { cpu_ms: erased.cpuMs }),
      row(`backup of ${count} records`, first.ms, { new_mib: Math.round(first.newBytes / MIB) }),
      withTarget(
        row(`backup after ${LATER} more`, second.ms, {
          new_mib: Math.round((10 * second.newBytes) / MIB) / 10,
          read_mib: Math.round(second.bytes / MIB),
        }),
        'new_mib <= 5',
      ),
    ];
  } finally {
    repository.close();
    await payloads.close();
    await headers.close();
  }
}

async function putRecords({ payloads, headers, cids }: Stores, count: number): Promise<void> {
  for (let done = 0; done < count; done += BATCH) {
    const size = Math.min(BATCH, count - done);
    const stored = await payloads.putMany(Array.from({ length: size }, () => random(PAYLOAD_BYTES)));
    for (const { cid } of stored) cids.push(cid);
    await headers.putMany(
      Array.from({ length: size }, () => {
        const bytes = random(HEADER_BYTES);
        return { hash: headerHash(bytes), bytes };
      }),
    );
  }
}

async function backUp(
  { payloads, headers }: Stores,
  dir: string,
  repository: Awaited<ReturnType<typeof openRepository>>,
  now: number,
): Promise<{ ms: number; newBytes: number; bytes: number }> {
  const sources = [
    { path: 'headers', copyTo: (to: string) => headers.copyTo(to) },
    { path: 'payloads', immutable: 'files', copyTo: (to: string) => payloads.copyTo(to) },
  ];
  const { value, ms } = await timed(() => backup(sources, repository, join(dir, 'staging'), now));
  return { ms, newBytes: value.newBytes, bytes: value.bytes };
}

function sizeOf(dir: string): { files: number; bytes: number } {
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => join(dir, name));
  const stats = paths.map((path) => statSync(path)).filter((stat) => stat.isFile());
  return { files: stats.length, bytes: stats.reduce((sum, { blocks }) => sum + 512 * blocks, 0) };
}

/** Processor time too: it says more on a machine that others use. */
async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number; cpuMs: number }> {
  const [began, before] = [performance.now(), process.cpuUsage()];
  const value = await work();
  const { user, system } = process.cpuUsage(before);
  return { value, ms: performance.now() - began, cpuMs: Math.round((user + system) / 1000) };
}

function row(op: string, ms: number, more: Record<string, number>): Row {
  const time = Math.round(ms);
  return { suite: 'storage', op, n: 1, p50_ms: time, p95_ms: time, ...more };
}
