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

/** Number of bits of a u16. */
function bitsOf(map: number): number {
  let count = 0;
  for (let rest = map; rest !== 0; rest &= rest - 1) count++;
  return count;
}

const childrenOf = (node: Uint8Array): number => (node[0] << 8) | node[1];
const leavesOf = (node: Uint8Array): number => (node[2] << 8) | node[3];

/** Throws `state.damaged` unless the bytes are two bit maps and exactly the hashes that they announce. */
export function checkNode(node: Uint8Array): Uint8Array {
  const [children, leaves] = [childrenOf(node), leavesOf(node)];
  const length = 4 + HASH * (bitsOf(children) + bitsOf(leaves));
  if (node.length !== length || (leaves & ~children) !== 0) {
    throw new CodedError(
      'state.damaged',
      'expected a state tree node: two bit maps and the hashes they announce',
    );
  }
  return node;
}

/** Where the child of `nibble` stands, or would stand. */
function offsetOf(node: Uint8Array, nibble: number): number {
  const below = (1 << nibble) - 1;
  return 4 + HASH * (bitsOf(childrenOf(node) & below) + bitsOf(leavesOf(node) & below));
}

/** The child at `nibble` of a checked node; views into it. */
export function childAt(node: Uint8Array, nibble: number): StateChild | undefined {
  const bit = 1 << nibble;
  if ((childrenOf(node) & bit) === 0) return undefined;
  const at = offsetOf(node, nibble);
  const first = node.subarray(at, at + HASH);
  if ((leavesOf(node) & bit) === 0) return { kind: 'node', hash: first };
  return { kind: 'leaf', keyHash: first, valueHash: node.subarray(at + HASH, at + 2 * HASH) };
}

/** Bytes of one child's hashes. */
const sizeOf = (child: StateChild | undefined): number =>
  child === undefined ? 0 : child.kind === 'leaf' ? 2 * HASH : HASH;

/** `node` with another child, or none, at `nibble`; written into `node` itself when the length stays. */
export function withChild(node: Uint8Array, nibble: number, child: StateChild | undefined): Uint8Array {
  const at = offsetOf(node, nibble);
  const before = sizeOf(childAt(node, nibble));
  const after = sizeOf(child);
  let out = node;
  if (before !== after) {
    out = new Uint8Array(node.length - before + after);
    out.set(node.subarray(0, at));
    out.set(node.subarray(at + before), at + after);
    const bit = 1 << nibble;
    const children = child === undefined ? childrenOf(node) & ~bit : childrenOf(node) | bit;
    const leaves = child?.kind === 'leaf' ? leavesOf(node) | bit : leavesOf(node) & ~bit;
    out.set([children >> 8, children & 255, leaves >> 8, leaves & 255]);
  }
  if (child?.kind === 'leaf') {
    out.set(child.keyHash, at);
    out.set(child.valueHash, at + HASH);
  } else if (child !== undefined) {
    out.set(child.hash, at);
  }
  return out;
}

/** The only child of a node that has one and no other, if that child is a leaf; `empty` for no child at all. */
export function loneLeaf(node: Uint8Array): StateChild | 'empty' | undefined {
  const [children, leaves] = [childrenOf(node), leavesOf(node)];
  if (children === 0) return 'empty';
  if (children !== leaves || bitsOf(children) !== 1) return undefined;
  return childAt(node, Math.log2(children));
}
