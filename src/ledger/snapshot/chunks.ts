/**
 * Chunks of a state: all pairs whose key hash begins with the same nibbles, as docs/format/ledger.md has them. A chunk is
 * the contents of one place in the state tree, so whoever knows that place's hash from the nodes above needs nobody's word
 * for the chunk: not for what stands in it, and not for what is missing.
 */
import { compareBytes, concat, readU32be, u32be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { KvOp } from '../ports.ts';
import { STATE_KEY_BYTES_MAX, STATE_TABLE, STATE_VALUE_BYTES_MAX } from '../state-tree/index.ts';
import {
  EMPTY_NODE,
  nibbleAt,
  nodePath,
  STATE_NODE_TABLE,
  type StateChild,
  stateKeyHash,
  stateNodeHash,
  stateValueHash,
  withChild,
} from '../state-tree/node.ts';

/** One pair of a state with the hash by which the tree knows its key. */
export interface Pair {
  readonly keyHash: Uint8Array;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** u16 length of the key || key || u32 length of the value || value. */
export function encodePair(key: Uint8Array, value: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(key.length >> 8, key.length & 255), key, u32be(value.length), value);
}

/** Number of the chunk that a key hash belongs to, of 16^depth. */
export function chunkOf(keyHash: Uint8Array, depth: number): number {
  let number = 0;
  for (let d = 0; d < depth; d++) number = 16 * number + nibbleAt(keyHash, d);
  return number;
}

function refuse(expected: string): never {
  throw new CodedError('snapshot.bad_chunk', `expected a chunk ${expected}`);
}

/** Pairs in order of their key hashes. Throws `snapshot.bad_chunk` for anything that is no chunk `number` of this depth. */
export function decodeChunk(bytes: Uint8Array, depth: number, number: number): readonly Pair[] {
  const pairs: Pair[] = [];
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) refuse('of whole pairs');
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const [high, low] = take(2);
    const keyLength = 256 * high + low;
    if (keyLength < 1 || keyLength > STATE_KEY_BYTES_MAX)
      refuse(`with keys of 1 to ${STATE_KEY_BYTES_MAX} bytes`);
    const key = take(keyLength);
    const valueLength = readU32be(take(4), 0);
    if (valueLength > STATE_VALUE_BYTES_MAX) refuse(`with values of at most ${STATE_VALUE_BYTES_MAX} bytes`);
    const pair = { keyHash: stateKeyHash(key), key, value: take(valueLength) };
    const before = pairs.at(-1);
    if (before !== undefined && compareBytes(before.keyHash, pair.keyHash) >= 0)
      refuse('in the order of the key hashes');
    if (chunkOf(pair.keyHash, depth) !== number) refuse('with keys of its own place');
    pairs.push(pair);
  }
  return pairs;
}

/** What stands at a place of the tree that holds exactly `pairs`, and the rows that store it. */
export interface Subtree {
  readonly child: StateChild | undefined;
  readonly ops: readonly KvOp[];
}

/** The subtree of `pairs` (in order, all below one place of `depth`). */
export function subtreeOf(pairs: readonly Pair[], depth: number): Subtree {
  const ops: KvOp[] = [];
  for (const { key, value } of pairs) ops.push({ table: STATE_TABLE, key, value });
  return { child: build(pairs, depth, ops), ops };
}

function build(pairs: readonly Pair[], depth: number, ops: KvOp[]): StateChild | undefined {
  if (pairs.length === 0) return undefined;
  const [{ keyHash, value }] = pairs;
  if (pairs.length === 1) return { kind: 'leaf', keyHash, valueHash: stateValueHash(value) };
  let node: Uint8Array = new Uint8Array(EMPTY_NODE);
  for (let start = 0, end = 0; start < pairs.length; start = end) {
    const nibble = nibbleAt(pairs[start].keyHash, depth);
    while (end < pairs.length && nibbleAt(pairs[end].keyHash, depth) === nibble) end++;
    node = withChild(node, nibble, build(pairs.slice(start, end), depth + 1, ops));
  }
  ops.push({ table: STATE_NODE_TABLE, key: nodePath(keyHash, depth), value: node });
  return { kind: 'node', hash: stateNodeHash(node) };
}

/** A place's contents by hash, in 65 bytes: u8 kind || key hash || value hash, or u8 kind || node hash || zeros. */
export function nameOf(child: StateChild | undefined): Uint8Array {
  if (child === undefined) return new Uint8Array(65);
  if (child.kind === 'leaf') return concat(Uint8Array.of(1), child.keyHash, child.valueHash);
  return concat(Uint8Array.of(2), child.hash, new Uint8Array(32));
}
