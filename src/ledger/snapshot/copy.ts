/**
 * A state as it was at one height, put aside in the order in which it is given away. The state's own table is ordered by
 * key, a chunk by key hash; and the state moves on while a member fetches.
 */
import { u32be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { readTip } from '../engine/founding.ts';
import type { KvOp, KvReader, KvStore } from '../ports.ts';
import { STATE_NODE_TABLE, STATE_TABLE } from '../state-tree/index.ts';
import { childAt, EMPTY_NODE, nodePath, STATE_RADIX, stateKeyHash } from '../state-tree/node.ts';
import { chunkOf, encodePair } from './chunks.ts';
import { CHUNK_BYTES_MAX, DEPTH_MAX, type Manifest, SNAPSHOT_BYTES_MAX } from './manifest.ts';
import { pages } from './tables.ts';

/** Key hash -> pair. The only table of the store that a copy is made in. */
export const PAIR_TABLE = 'pair';
/** Bytes of a state whose chunks are cut at depth 1 and 2: chunks of a quarter of a mebibyte on the average. */
const DEPTH_BYTES: readonly number[] = [4 * 1024 * 1024, 64 * 1024 * 1024];
/** Rows read and written at a time: votes are answered in between. */
const COPY_ROWS = 1_000;

/** What of a manifest a copy knows. */
export type CopiedState = Pick<Manifest, 'depth' | 'nodes' | 'sizes'>;

export interface StateCopy extends CopiedState {
  readonly height: number;
  /** Bytes of one chunk; throws `snapshot.unknown_chunk`. */
  chunk(number: number): Uint8Array;
}

/**
 * Copies the state of `view`, which must not change meanwhile, into the empty store `into`. Throws `snapshot.too_large` for
 * a state beyond the bounds of a manifest.
 */
export async function copyState(view: KvReader, into: KvStore): Promise<StateCopy> {
  const finest = new Array<number>(STATE_RADIX ** DEPTH_MAX).fill(0);
  let total = 0;
  for (const page of pages(view, STATE_TABLE, COPY_ROWS)) {
    const ops: KvOp[] = page.map(([key, value]) => {
      const keyHash = stateKeyHash(key);
      const pair = encodePair(key, value);
      finest[chunkOf(keyHash, DEPTH_MAX)] += pair.length;
      total += pair.length;
      return { table: PAIR_TABLE, key: keyHash, value: pair };
    });
    await into.write(ops);
  }
  let depth = 1 + DEPTH_BYTES.filter((bytes) => total > bytes).length;
  while (depth < DEPTH_MAX && coarser(finest, depth).some((size) => size > CHUNK_BYTES_MAX)) depth++;
  const sizes = coarser(finest, depth);
  if (total > SNAPSHOT_BYTES_MAX || sizes.some((size) => size > CHUNK_BYTES_MAX)) {
    throw new CodedError('snapshot.too_large', 'the state is larger than a snapshot may be');
  }
  const nodes: Uint8Array[] = [];
  collect(view, new Uint8Array(32), 0, depth, nodes);
  return {
    height: readTip(view)?.height ?? 0,
    depth,
    nodes,
    sizes,
    chunk: (number) => readChunk(into, depth, number),
  };
}

/** Sizes at `depth` from those at the greatest depth. */
function coarser(finest: readonly number[], depth: number): number[] {
  const sizes = new Array<number>(STATE_RADIX ** depth).fill(0);
  const share = finest.length / sizes.length;
  for (const [i, size] of finest.entries()) sizes[Math.floor(i / share)] += size;
  return sizes;
}

/** Nodes above `depth`, each before its children. */
function collect(view: KvReader, prefix: Uint8Array, at: number, depth: number, nodes: Uint8Array[]): void {
  const bytes = view.get(STATE_NODE_TABLE, nodePath(prefix, at)) ?? EMPTY_NODE;
  nodes.push(bytes);
  if (at + 1 === depth) return;
  for (let nibble = 0; nibble < STATE_RADIX; nibble++) {
    if (childAt(bytes, nibble)?.kind !== 'node') continue;
    const below = new Uint8Array(prefix);
    below[at >> 1] |= at % 2 === 0 ? nibble << 4 : nibble;
    collect(view, below, at + 1, depth, nodes);
  }
}

function readChunk(store: KvReader, depth: number, number: number): Uint8Array {
  if (!Number.isSafeInteger(number) || number < 0 || number >= STATE_RADIX ** depth) {
    throw new CodedError('snapshot.unknown_chunk', `expected a chunk below ${STATE_RADIX ** depth}`);
  }
  // The chunk's nibbles, left in a u32: the keys from here to the next such number.
  const step = 2 ** (32 - 4 * depth);
  const gte = u32be(number * step);
  const end = (number + 1) * step;
  const range = end < 2 ** 32 ? { gte, lt: u32be(end) } : { gte };
  const pairs = [...store.range(PAIR_TABLE, range)].map(([, pair]) => pair);
  const chunk = new Uint8Array(pairs.reduce((bytes, pair) => bytes + pair.length, 0));
  let at = 0;
  for (const pair of pairs) {
    chunk.set(pair, at);
    at += pair.length;
  }
  return chunk;
}
