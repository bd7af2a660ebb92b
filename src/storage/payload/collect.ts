/**
 * Garbage collection of blocks by mark and sweep from ledger state, never from a local list of pins. Two phases
 * with a grace, so that a payload stored just before its ledger entry commits is not collected between the two.
 *
 * Marks are rows of LMDB, so memory does not grow with the store: `live` holds the number of the run that
 * reached a block, `dead` the time at which a run first found it unreachable.
 */
import { fromHex, readU32be, u32be, u64be, utf8 } from '../../codec/bytes.ts';
import { hasCode } from '../../codec/errors.ts';
import type { KvOp } from '../lmdb/kv.ts';
import type { Blocks } from './blocks.ts';
import { blockKey, type CID, isKeyText, keyText, parseCid, RAW_CID_PREFIX, rawCidOf } from './cid.ts';
import { walkDag } from './dag.ts';

/** Rows a transaction, so that a sweep does not hold the write lock for long. */
const BATCH_ROWS = 1000;
const RUN_KEY = utf8('run');

/** See `PayloadStore.collect`. */
export async function collectBlocks(
  blocks: Blocks,
  live: AsyncIterable<string> | Iterable<string>,
  graceMs: number,
  now: number,
): Promise<{ removed: number; kept: number }> {
  const run = await beginRun(blocks);
  await mark(blocks, live, run);
  const swept = await sweep(blocks, run, graceMs, now);
  await removeUnnamedFiles(blocks, now - graceMs);
  return swept;
}

/** See `PayloadStore.remove`. Memory grows with the blocks of `objects`, not with the store. */
export async function removeObjects(
  blocks: Blocks,
  objects: readonly CID[],
  live: AsyncIterable<string> | Iterable<string>,
): Promise<number> {
  const doomed = new Map<string, Uint8Array>();
  for (const object of objects)
    for await (const cid of walkDag(object, (inner) => readOrNothing(blocks, inner)))
      doomed.set(keyText(blockKey(cid)), blockKey(cid));
  const texts = new Set([...doomed.values()].map((key) => rawCidOf(key).toString()));
  for await (const text of live) {
    if (doomed.size === 0) return 0;
    // Nearly every object is one raw block, and need not be parsed to see that it is another.
    if (text.startsWith(RAW_CID_PREFIX) && !texts.has(text)) continue;
    for await (const cid of walkDag(parseCid(text), (inner) => readOrNothing(blocks, inner)))
      doomed.delete(keyText(blockKey(cid)));
  }
  // No await between looking and queueing the removals, as in a sweep.
  const gone = [...doomed].filter(([text]) => !blocks.isBeingWritten(text)).map(([, key]) => key);
  const present = gone.filter((key) => ['small', 'large'].some((table) => blocks.env.get(table, key)));
  const tables = ['small', 'large', 'dead', 'live'];
  const ops = present.flatMap((key) => tables.map((table): KvOp => ({ table, key, remove: true })));
  await blocks.env.write(ops, { fromReserve: true });
  for (const key of present) removeUnnamed(blocks, key);
  return present.length;
}

/** A damaged inner block hides what is below it, like a missing one. */
async function readOrNothing(blocks: Blocks, cid: CID): Promise<Uint8Array | undefined> {
  try {
    return await blocks.read(cid);
  } catch (error) {
    if (hasCode(error, 'storage.corrupt')) return undefined;
    throw error;
  }
}

async function beginRun(blocks: Blocks): Promise<Uint8Array> {
  const last = blocks.env.get('meta', RUN_KEY);
  const run = u32be(last === undefined ? 1 : readU32be(last, 0) + 1);
  await blocks.env.write([{ table: 'meta', key: RUN_KEY, value: run }], { fromReserve: true });
  return run;
}

async function mark(
  blocks: Blocks,
  live: AsyncIterable<string> | Iterable<string>,
  run: Uint8Array,
): Promise<void> {
  let ops: KvOp[] = [];
  for await (const text of live) {
    // A gap in a live object hides what is below it; the rest of the run goes on.
    for await (const cid of walkDag(parseCid(text), (inner) => blocks.read(inner))) {
      ops.push({ table: 'live', key: blockKey(cid), value: run });
      if (ops.length < BATCH_ROWS) continue;
      await blocks.env.write(ops, { fromReserve: true });
      ops = [];
    }
  }
  await blocks.env.write(ops, { fromReserve: true });
}

async function sweep(
  blocks: Blocks,
  run: Uint8Array,
  graceMs: number,
  now: number,
): Promise<{ removed: number; kept: number }> {
  const total = { removed: 0, kept: 0 };
  for (const table of ['small', 'large'] as const) {
    let after: Uint8Array | undefined;
    do {
      const keys = keysAfter(blocks, table, after);
      after = keys.at(-1);
      const swept = await sweepBatch(blocks, table, keys, { run, graceMs, now });
      total.removed += swept.removed;
      total.kept += swept.kept;
    } while (after !== undefined);
  }
  return total;
}

function keysAfter(blocks: Blocks, table: string, after: Uint8Array | undefined): Uint8Array[] {
  // The successor of a key in byte order is the key with a zero byte behind it.
  const gte = after === undefined ? {} : { gte: Uint8Array.from([...after, 0]) };
  return [...blocks.env.range(table, { ...gte, limit: BATCH_ROWS })].map(([key]) => key);
}

/**
 * Decides and queues the removals without an await in between: a writer that begins later queues its own write
 * behind them, and one that began earlier holds its keys. A file goes after its index entry, so that no entry
 * ever names a file that is gone.
 */
async function sweepBatch(
  blocks: Blocks,
  table: 'small' | 'large',
  keys: readonly Uint8Array[],
  { run, graceMs, now }: { run: Uint8Array; graceMs: number; now: number },
): Promise<{ removed: number; kept: number }> {
  const ops: KvOp[] = [];
  const gone: Uint8Array[] = [];
  for (const key of keys) {
    const isLive = sameRun(blocks.env.get('live', key), run);
    const markedAt = readTime(blocks.env.get('dead', key));
    if (isLive || blocks.isBeingWritten(keyText(key))) {
      if (markedAt !== undefined) ops.push({ table: 'dead', key, remove: true });
    } else if (markedAt === undefined) {
      ops.push({ table: 'dead', key, value: u64be(now) });
    } else if (markedAt <= now - graceMs) {
      gone.push(key);
      for (const of of [table, 'dead', 'live']) ops.push({ table: of, key, remove: true });
    }
  }
  await blocks.env.write(ops, { fromReserve: true });
  if (table === 'large') for (const key of gone) removeUnnamed(blocks, key);
  return { removed: gone.length, kept: keys.length - gone.length };
}

/** Removes the file of a block unless the index names it, or a writer is about to. */
function removeUnnamed(blocks: Blocks, key: Uint8Array): void {
  if (blocks.isBeingWritten(keyText(key)) || blocks.env.get('large', key) !== undefined) return;
  blocks.files.removeNow(keyText(key));
}

function sameRun(stored: Uint8Array | undefined, run: Uint8Array): boolean {
  return stored !== undefined && readU32be(stored, 0) === readU32be(run, 0);
}

function readTime(stored: Uint8Array | undefined): number | undefined {
  return stored === undefined ? undefined : readU32be(stored, 0) * 2 ** 32 + readU32be(stored, 4);
}

/** Files that a crash left between their renaming and the commit of their index entry. */
async function removeUnnamedFiles(blocks: Blocks, changedBefore: number): Promise<void> {
  for await (const { key, changedAt } of blocks.files.list()) {
    if (changedAt <= changedBefore && isKeyText(key)) removeUnnamed(blocks, fromHex(key));
  }
}
