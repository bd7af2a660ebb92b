/**
 * One batch of changes to the state: new root and write operations, from a reader, without writing. Each touched node is
 * read, hashed and written once, whatever the number of changes below it. The result depends on the set of
 * changes alone, not on their order or on how the state came to be.
 */
import { compareBytes, equalBytes } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { KvOp, KvReader } from '../ports.ts';
import {
  checkNode,
  childAt,
  EMPTY_NODE,
  loneLeaf,
  nibbleAt,
  nodePath,
  STATE_DEPTH_MAX,
  STATE_NODE_TABLE,
  STATE_TABLE,
  type StateChild,
  stateKeyHash,
  stateNodeHash,
  stateValueHash,
  withChild,
} from './node.ts';

/** Longest key; stores have smaller limits than memory. */
export const STATE_KEY_BYTES_MAX = 512;
/** Largest value of one key. */
export const STATE_VALUE_BYTES_MAX = 1024 * 1024;

/** New state root, and what to write for it: values (table `state`) and nodes (table `state-node`). */
export interface StateUpdate {
  readonly root: Uint8Array;
  readonly ops: readonly KvOp[];
}

interface Change {
  readonly keyHash: Uint8Array;
  /** Undefined removes the key. */
  readonly valueHash: Uint8Array | undefined;
}

/** The root of the state that `reader` holds. */
export function stateRoot(reader: KvReader): Uint8Array {
  return stateNodeHash(reader.get(STATE_NODE_TABLE, nodePath(new Uint8Array(), 0)) ?? EMPTY_NODE);
}

/** The value of `key`, if it has one. */
export function readState(reader: KvReader, key: Uint8Array): Uint8Array | undefined {
  return reader.get(STATE_TABLE, key);
}

/**
 * Sets (a value) and removes (undefined) keys; removing an absent key changes nothing. Throws
 * `state.duplicate_key`, `state.too_large`, and `state.damaged` when the store lacks a node that it should have.
 */
export function updateState(
  reader: KvReader,
  changes: Iterable<readonly [key: Uint8Array, value: Uint8Array | undefined]>,
): StateUpdate {
  const ops: KvOp[] = [];
  const sorted: Change[] = [];
  for (const [key, value] of changes) {
    if (key.length === 0 || key.length > STATE_KEY_BYTES_MAX) {
      throw new CodedError('state.too_large', `expected a key of 1 to ${STATE_KEY_BYTES_MAX} bytes`);
    }
    if (value !== undefined && value.length > STATE_VALUE_BYTES_MAX) {
      throw new CodedError('state.too_large', `expected a value of at most ${STATE_VALUE_BYTES_MAX} bytes`);
    }
    ops.push(
      value === undefined ? { table: STATE_TABLE, key, remove: true } : { table: STATE_TABLE, key, value },
    );
    const valueHash = value === undefined ? undefined : stateValueHash(value);
    sorted.push({ keyHash: stateKeyHash(key), valueHash });
  }
  sorted.sort((a, b) => compareBytes(a.keyHash, b.keyHash));
  if (sorted.some(({ keyHash }, i) => i > 0 && equalBytes(keyHash, sorted[i - 1].keyHash))) {
    throw new CodedError('state.duplicate_key', 'expected each key once in a batch');
  }
  if (sorted.length === 0) return { root: stateRoot(reader), ops };
  const root = new Walk(reader, ops).root(sorted);
  return { root, ops };
}

/** One descent over the changed paths, collecting operations. */
class Walk {
  readonly #reader: KvReader;
  readonly #ops: KvOp[];

  constructor(reader: KvReader, ops: KvOp[]) {
    this.#reader = reader;
    this.#ops = ops;
  }

  root(changes: readonly Change[]): Uint8Array {
    const path = nodePath(new Uint8Array(), 0);
    const stored = this.#reader.get(STATE_NODE_TABLE, path);
    const bytes = this.#apply(stored === undefined ? EMPTY_NODE : checkNode(stored), changes, 0);
    this.#ops.push({ table: STATE_NODE_TABLE, key: path, value: bytes });
    return stateNodeHash(bytes);
  }

  /** A copy of `node` after `changes` (sorted, all below it). */
  #apply(node: Uint8Array, changes: readonly Change[], depth: number): Uint8Array {
    let out: Uint8Array = new Uint8Array(node);
    let start = 0;
    while (start < changes.length) {
      const nibble = nibbleAt(changes[start].keyHash, depth);
      let end = start + 1;
      while (end < changes.length && nibbleAt(changes[end].keyHash, depth) === nibble) end++;
      const child = this.#child(childAt(node, nibble), changes.slice(start, end), depth + 1);
      out = withChild(out, nibble, child);
      start = end;
    }
    return out;
  }

  /** What stands at a place after `changes`. */
  #child(old: StateChild | undefined, changes: readonly Change[], depth: number): StateChild | undefined {
    if (old?.kind === 'node') {
      const path = nodePath(changes[0].keyHash, depth);
      const bytes = this.#reader.get(STATE_NODE_TABLE, path);
      // A bent node is not looked for here: it gives a root that no quorum certifies, and the node stops.
      if (bytes === undefined) {
        throw new CodedError('state.damaged', `a state node of depth ${depth} is missing`);
      }
      return this.#settle(this.#apply(checkNode(bytes), changes, depth), path, true);
    }
    const isKept = old !== undefined && !changes.some((change) => equalBytes(change.keyHash, old.keyHash));
    const pairs = changes.filter((change) => change.valueHash !== undefined);
    if (isKept) pairs.push(old);
    return this.#build(pairs, depth);
  }

  /** A subtree of nothing but `pairs`. */
  #build(pairs: readonly Change[], depth: number): StateChild | undefined {
    if (pairs.length === 0) return undefined;
    const [{ keyHash, valueHash }] = pairs;
    if (pairs.length === 1 && valueHash !== undefined) return { kind: 'leaf', keyHash, valueHash };
    if (depth === STATE_DEPTH_MAX) throw new CodedError('state.damaged', 'two keys have one hash');
    const groups: Change[][] = [];
    for (const pair of pairs) {
      const nibble = nibbleAt(pair.keyHash, depth);
      groups[nibble] ??= [];
      groups[nibble].push(pair);
    }
    let node: Uint8Array = new Uint8Array(EMPTY_NODE);
    for (const [nibble, group] of groups.entries()) {
      if (group !== undefined) node = withChild(node, nibble, this.#build(group, depth + 1));
    }
    return this.#settle(node, nodePath(keyHash, depth), false);
  }

  /** Writes a node that holds two keys or more; one that has shrunk below that goes, and its last leaf moves up. */
  #settle(node: Uint8Array, path: Uint8Array, stored: boolean): StateChild | undefined {
    const lone = loneLeaf(node);
    if (lone !== undefined) {
      if (stored) this.#ops.push({ table: STATE_NODE_TABLE, key: path, remove: true });
      return lone === 'empty' ? undefined : lone;
    }
    this.#ops.push({ table: STATE_NODE_TABLE, key: path, value: node });
    return { kind: 'node', hash: stateNodeHash(node) };
  }
}
