/**
 * Merkle tree hashes and proof verifiers of RFC 6962 / RFC 9162 section 2.1 (SHA-256), with the subtree form of
 * the Merkle Tree Certificates draft (section 4.4), of which a consistency proof is the case start = 0.
 *
 * Verifiers return a boolean and never throw: every argument may come from an attacker. They prove a relation
 * between hashes; who vouches for the root is the checkpoint's matter.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { sha256 } from '../../codec/hash.ts';
import { digest } from './digest.ts';

/** Bytes of a hash. */
export const HASH_BYTES = 32;

/** Root of the tree without leaves. */
export const EMPTY_LOG_ROOT: Uint8Array = sha256();

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** The entry id: SHA-256(0x00 || entry). */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(LEAF, entry);
}

const NODE_BYTES = 1 + 2 * HASH_BYTES;
// Filled and hashed within one call; never handed out.
const scratch = new Uint8Array(NODE_BYTES);
scratch[0] = 1;

/** SHA-256(0x01 || left || right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.length !== HASH_BYTES || right.length !== HASH_BYTES) return sha256(NODE, left, right);
  scratch.set(left, 1);
  scratch.set(right, 1 + HASH_BYTES);
  return digest(scratch);
}

// Indices go up to 2^53, so halving is division: JavaScript's shifts stop at 32 bits.
const half = (n: number): number => Math.floor(n / 2);
const isOdd = (n: number): boolean => n % 2 === 1;

const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
const areHashes = (hashes: readonly Uint8Array[]): boolean =>
  hashes.every((hash) => hash.length === HASH_BYTES);

/** Whether `leaf` is leaf number `index` of the tree of `size` leaves under `root` (RFC 9162, 2.1.3.2). */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!isCount(index) || !isCount(size) || index >= size || !areHashes([leaf, root, ...proof])) return false;
  let at = index;
  let last = size - 1;
  let hash = leaf;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (isOdd(at) || at === last) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(at) && at !== 0) {
        at = half(at);
        last = half(last);
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    at = half(at);
    last = half(last);
  }
  return last === 0 && equalBytes(hash, root);
}

/** Whether the tree of `size1` leaves under `root1` is a prefix of the tree of `size2` under `root2`. */
export function verifyConsistency(
  size1: number,
  size2: number,
  proof: readonly Uint8Array[],
  root1: Uint8Array,
  root2: Uint8Array,
): boolean {
  // Every tree begins with the empty one: a proof of that says nothing.
  if (size1 === 0)
    return (
      size2 === 0 && proof.length === 0 && [root1, root2].every((root) => equalBytes(root, EMPTY_LOG_ROOT))
    );
  return verifySubtreeConsistency({ start: 0, end: size1, size: size2 }, proof, root1, root2);
}

/** `start` is a multiple of the smallest power of two that covers the subtree. */
function isSubtree(start: number, end: number): boolean {
  if (!isCount(start) || !isCount(end) || start > end) return false;
  let width = 1;
  while (width < end - start) width *= 2;
  return start % width === 0;
}

/** Whether `leaf` is leaf number `index` of the log, inside the subtree [start, end) whose hash is `root`. */
export function verifySubtreeInclusion(
  leaf: Uint8Array,
  index: number,
  subtree: { readonly start: number; readonly end: number },
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  const { start, end } = subtree;
  if (!isSubtree(start, end) || index < start) return false;
  return verifyInclusion(leaf, index - start, end - start, proof, root);
}

/** Whether `node` is the hash of leaves [start, end) of the tree of `size` leaves under `root`. */
export function verifySubtreeConsistency(
  subtree: { readonly start: number; readonly end: number; readonly size: number },
  proof: readonly Uint8Array[],
  node: Uint8Array,
  root: Uint8Array,
): boolean {
  const { start, end, size } = subtree;
  if (!isSubtree(start, end) || !isCount(size) || end > size || !areHashes(proof)) return false;
  // The empty subtree is a part of every tree, and says nothing about it.
  if (start === end) return proof.length === 0 && equalBytes(node, EMPTY_LOG_ROOT);
  let first = start;
  let last = end - 1;
  let tip = size - 1;
  // Up to the highest node that both trees share on the subtree's right edge.
  while (first !== last && (end === size || isOdd(last))) {
    first = half(first);
    last = half(last);
    tip = half(tip);
  }
  const hashes = [...proof];
  const seed = first === last ? node : hashes.shift();
  if (seed === undefined) return false;
  let inSubtree = seed;
  let inTree = seed;
  for (const sibling of hashes) {
    if (tip === 0) return false;
    if (isOdd(last) || last === tip) {
      if (first < last) inSubtree = nodeHash(sibling, inSubtree);
      inTree = nodeHash(sibling, inTree);
      while (!isOdd(last) && last !== 0) {
        first = half(first);
        last = half(last);
        tip = half(tip);
      }
    } else {
      inTree = nodeHash(inTree, sibling);
    }
    first = half(first);
    last = half(last);
    tip = half(tip);
  }
  return tip === 0 && equalBytes(inSubtree, node) && equalBytes(inTree, root);
}
