/**
 * Nodes of the state tree: bytes, hash and place in the store.
 *
 * A node at depth d covers all keys whose hash begins with its d nibbles. Its stored bytes are what is hashed:
 *
 *     node = u16 children || u16 leaves || for each child, by nibble: keyHash || valueHash (leaf), or nodeHash
 *
 * Bit i of `children` says that the child of nibble i is there, bit i of `leaves` that it is a leaf. A leaf stands as
 * high as it can: a node other than the root holds at least two keys. So one set of pairs has exactly one tree.
 */
import { concat, utf8 } from '../../codec/bytes.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { CodedError } from '../../codec/errors.ts';
import { digest } from '../verify/digest.ts';

/** Children of a node. */
export const STATE_RADIX = 16;
/** Nibbles of a key hash. */
export const STATE_DEPTH_MAX = 64;
/** Bytes of the largest node. */
export const STATE_NODE_BYTES_MAX = 4 + STATE_RADIX * 64;

/** Table of values by their keys, and table of nodes by their paths. */
export const STATE_TABLE = 'state';
export const STATE_NODE_TABLE = 'state-node';

const HASH = 32;

/** One pair, as the tree knows it. */
export interface StateLeaf {
  readonly keyHash: Uint8Array;
  readonly valueHash: Uint8Array;
}

/** What hangs at one nibble. */
export type StateChild =
  | ({ readonly kind: 'leaf' } & StateLeaf)
  | { readonly kind: 'node'; readonly hash: Uint8Array };

/** Sixteen places. */
export type StateNode = readonly (StateChild | undefined)[];

/** Filled and hashed within one call; never handed out. Larger strings take one of their own. */
const scratch = new Uint8Array(4096);

/** `taggedHash` for one tag, without a new array for every node. */
function hasher(tag: string): (bytes: Uint8Array) => Uint8Array {
  const prefix = concat(Uint8Array.of(tag.length), utf8(tag));
  return (bytes) => {
    const length = prefix.length + bytes.length;
    if (length > scratch.length) return digest(concat(prefix, bytes));
    scratch.set(prefix);
    scratch.set(bytes, prefix.length);
    return digest(scratch.subarray(0, length));
  };
}

/** Where a key stands in the tree. */
export const stateKeyHash: (key: Uint8Array) => Uint8Array = hasher(DOMAIN.stateKey);

/** What a leaf says of its value. */
export const stateValueHash: (value: Uint8Array) => Uint8Array = hasher(DOMAIN.stateLeaf);

/** Hash of a node's bytes; of the root node it is the state root. */
export const stateNodeHash: (bytes: Uint8Array) => Uint8Array = hasher(DOMAIN.stateNode);

/** Bytes of a node without children: the root of an empty state. */
export const EMPTY_NODE: Uint8Array = new Uint8Array(4);

/** Nibble number `depth` of a key hash. */
export function nibbleAt(keyHash: Uint8Array, depth: number): number {
  const byte = keyHash[depth >> 1];
  return depth % 2 === 0 ? byte >> 4 : byte & 15;
}

/** Place of the node above all keys that share the first `depth` nibbles of `keyHash`: u8 depth || nibbles, padded with 0. */
export function nodePath(keyHash: Uint8Array, depth: number): Uint8Array {
  const path = new Uint8Array(1 + Math.ceil(depth / 2));
  path[0] = depth;
  path.set(keyHash.subarray(0, path.length - 1), 1);
  if (depth % 2 === 1) path[path.length - 1] &= 0xf0;
  return path;
}

export function encodeNode(node: StateNode): Uint8Array {
  let children = 0;
  let leaves = 0;
  let length = 4;
  for (let i = 0; i < STATE_RADIX; i++) {
    const child = node[i];
    if (child === undefined) continue;
    children |= 1 << i;
    if (child.kind === 'leaf') leaves |= 1 << i;
    length += child.kind === 'leaf' ? 2 * HASH : HASH;
  }
  const bytes = new Uint8Array(length);
  bytes.set([children >> 8, children & 255, leaves >> 8, leaves & 255]);
  let offset = 4;
  for (const child of node) {
    if (child === undefined) continue;
    if (child.kind === 'leaf') {
      bytes.set(child.keyHash, offset);
      bytes.set(child.valueHash, offset + HASH);
      offset += 2 * HASH;
    } else {
      bytes.set(child.hash, offset);
      offset += HASH;
    }
  }
  return bytes;
}

/** Reads a node; every byte must have its meaning. Throws `state.damaged`. */
export function decodeNode(bytes: Uint8Array): (StateChild | undefined)[] {
  const refuse = (): never => {
    throw new CodedError(
      'state.damaged',
      'expected a state tree node: two bit maps and the hashes they announce',
    );
  };
  if (bytes.length < 4) refuse();
  const children = (bytes[0] << 8) | bytes[1];
  const leaves = (bytes[2] << 8) | bytes[3];
  if ((leaves & ~children) !== 0) refuse();
  const node: (StateChild | undefined)[] = [];
  let offset = 4;
  for (let i = 0; i < STATE_RADIX; i++) {
    if ((children & (1 << i)) === 0) continue;
    const isLeaf = (leaves & (1 << i)) !== 0;
    const end = offset + (isLeaf ? 2 * HASH : HASH);
    if (end > bytes.length) refuse();
    const first = bytes.subarray(offset, offset + HASH);
    node[i] = isLeaf
      ? { kind: 'leaf', keyHash: first, valueHash: bytes.subarray(offset + HASH, end) }
      : { kind: 'node', hash: first };
    offset = end;
  }
  if (offset !== bytes.length) refuse();
  node.length = STATE_RADIX;
  return node;
}
