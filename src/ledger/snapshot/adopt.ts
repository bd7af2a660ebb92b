/**
 * The last steps of a catch-up: chunks become the spare state, and one write puts it in force together with the history below
 * it. Before that write this member is where it was, after it at the certified height.
 */
import { concat, equalBytes, fromUtf8, u64be, utf8 } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { storedBlock } from '../engine/blocks.ts';
import { EntryQueries } from '../engine/entry-queries.ts';
import { tipOp } from '../engine/founding.ts';
import { META_TABLE, NONCE_TABLE } from '../engine/tables.ts';
import { FRONTIER_KEY, frontierMatches, LOG_TABLE } from '../log/index.ts';
import type { NonceState } from '../machine/index.ts';
import type { KvOp, KvStore } from '../ports.ts';
import { STATE_NODE_TABLE, STATE_TABLE, stateRoot } from '../state-tree/index.ts';
import type { StateChild } from '../state-tree/node.ts';
import type { BlockHeader } from '../verify/consensus.ts';
import { decodeChunk, nameOf, subtreeOf } from './chunks.ts';
import { type Generations, STATE_TABLES } from './generations.ts';
import type { History } from './history.ts';
import type { Places } from './manifest.ts';
import { CHUNK_TABLE, chunkKey, clearTable, FACT_TABLE, META_BUILT, META_HISTORY, pages } from './tables.ts';

const NAME_BYTES = 65;
/** Operations of one write while a state is built. */
const BUILD_OPS = 10_000;
const NONCE_PREFIX = 'nonce/';

/** Whether the chunk that stands at a place is stored; one of an empty place always is. */
export function hasChunk(
  store: KvStore,
  depth: number,
  number: number,
  child: StateChild | undefined,
): boolean {
  if (child === undefined) return true;
  const row = store.get(CHUNK_TABLE, chunkKey(depth, number));
  return row !== undefined && equalBytes(row.subarray(0, NAME_BYTES), nameOf(child));
}

/** Stores a chunk. Throws `snapshot.bad_chunk` unless it is exactly what stands at its place. */
export async function putChunk(
  store: KvStore,
  depth: number,
  number: number,
  child: StateChild | undefined,
  bytes: Uint8Array,
): Promise<void> {
  const name = nameOf(child);
  const given = subtreeOf(decodeChunk(bytes, depth, number), depth);
  if (!equalBytes(nameOf(given.child), name)) {
    throw new CodedError('snapshot.bad_chunk', `chunk ${number} is not what the certified state has there`);
  }
  await store.write([{ table: CHUNK_TABLE, key: chunkKey(depth, number), value: concat(name, bytes) }]);
}

/**
 * Builds the spare state from the stored chunks. Throws `snapshot.missing_chunk`, and `snapshot.bad_state` when the result has
 * another root. What an earlier call built is used when it has this root.
 */
export async function buildState(
  store: Generations,
  depth: number,
  { children, top }: Places,
  root: Uint8Array,
): Promise<void> {
  const built = store.get(META_TABLE, META_BUILT);
  if (built !== undefined && equalBytes(built, root)) return;
  await store.write([{ table: META_TABLE, key: META_BUILT, remove: true }]);
  const { spare } = store;
  for (const table of STATE_TABLES) await clearTable(spare, table);
  let ops: KvOp[] = top.map(({ path, bytes }) => ({ table: STATE_NODE_TABLE, key: path, value: bytes }));
  for (const [number, child] of children.entries()) {
    if (child === undefined) continue;
    const row = store.get(CHUNK_TABLE, chunkKey(depth, number));
    if (row === undefined || !hasChunk(store, depth, number, child)) {
      throw new CodedError('snapshot.missing_chunk', `chunk ${number} of the certified state is not here`);
    }
    ops.push(...subtreeOf(decodeChunk(row.subarray(NAME_BYTES), depth, number), depth).ops);
    if (ops.length < BUILD_OPS) continue;
    await spare.write(ops);
    ops = [];
  }
  await spare.write(ops);
  if (!equalBytes(stateRoot(spare), root))
    throw new CodedError('snapshot.bad_state', 'the chunks give another state root than the certified one');
  await store.write([{ table: META_TABLE, key: META_BUILT, value: root }]);
}

/**
 * Moves the tip to `header`, whose state is built and whose history is stored. `resume` is the ordering engine's. Throws
 * `snapshot.bad_state` or `snapshot.bad_history` and changes nothing when either is of another height.
 */
export async function adopt(
  store: Generations,
  history: History,
  header: BlockHeader,
  resume: Uint8Array,
): Promise<void> {
  const { height, time, treeSize: size, stateRoot: state, logRoot } = header;
  const { spare } = store;
  const isHistory = history.end.height === height && frontierMatches(history.frontier, size, logRoot);
  if (!isHistory) throw new CodedError('snapshot.bad_history', `the history does not end at block ${height}`);
  if (!equalBytes(stateRoot(spare), state))
    throw new CodedError('snapshot.bad_state', 'the spare state has another root than the certified one');
  await clearTable(spare, NONCE_TABLE);
  await spare.write(nonceGroups(spare, store));
  await store.exchange([
    tipOp({ height, time, size, stateRoot: state, logRoot, resume }),
    { table: LOG_TABLE, key: FRONTIER_KEY, value: history.frontier },
    { table: META_TABLE, key: META_HISTORY, remove: true },
    { table: META_TABLE, key: META_BUILT, remove: true },
  ]);
  await sweep(store);
}

/** Removes what a catch-up that is over, or was given up, has left behind. */
export async function sweep(store: Generations): Promise<void> {
  const { spare } = store;
  if (store.get(META_TABLE, META_BUILT) !== undefined)
    await store.write([{ table: META_TABLE, key: META_BUILT, remove: true }]);
  if (store.get(META_TABLE, META_HISTORY) !== undefined)
    await store.write([{ table: META_TABLE, key: META_HISTORY, remove: true }]);
  for (const table of [CHUNK_TABLE, FACT_TABLE]) await clearTable(store, table);
  for (const table of STATE_TABLES) await clearTable(spare, table);
}

/** The table by which remembered nonces are forgotten again, from the nonces in `state` and the blocks that took them. */
function nonceGroups(state: KvStore, store: KvStore): KvOp[] {
  const taken: { readonly key: string; readonly index: number }[] = [];
  rows: for (const page of pages(state, STATE_TABLE, BUILD_OPS, utf8(NONCE_PREFIX))) {
    for (const [bytes, value] of page) {
      const key = fromUtf8(bytes);
      if (!key.startsWith(NONCE_PREFIX)) break rows;
      taken.push({ key, index: (decodeCbor(value) as NonceState).index });
    }
  }
  taken.sort((a, b) => a.index - b.index);
  const entries = new EntryQueries(store);
  const groups: KvOp[] = [];
  for (let i = 0; i < taken.length; ) {
    const leaf = entries.leafAt(taken[i].index);
    const block = leaf === undefined ? undefined : storedBlock(store, leaf.height);
    if (block === undefined)
      throw new CodedError('snapshot.bad_history', `no block holds entry ${taken[i].index}`);
    const keys: string[] = [];
    const end = block.firstIndex + block.count;
    for (; i < taken.length && taken[i].index < end; i++) keys.push(taken[i].key);
    groups.push({ table: NONCE_TABLE, key: u64be(block.time), value: encodeCbor(keys) });
  }
  return groups;
}
