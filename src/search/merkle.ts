/**
 * The tree over a segment's pages and slots: RFC 6962 section 2.1 hashing (leaf 0x00, node 0x01), built level by
 * level, a lone node moving up unchanged, which gives RFC 6962's root for any number of leaves. One proof serves
 * several leaves and holds no node that can be computed from them.
 */

import { equalBytes } from '../codec/bytes.ts';
import { sha256 } from '../codec/hash.ts';

const LEAF = Uint8Array.of(0);
export const HASH_BYTES = 32;

/** Longest leaf that is copied behind its prefix: pages, and the slots of the two lowest tiers. */
const COPIED_BYTES_MAX = 16 * 1024;
/** 0x00 || leaf and 0x01 || left || right. A hash over one buffer needs no object that has to be collected. */
const leafInput = new Uint8Array(1 + COPIED_BYTES_MAX);
const nodeInput = Uint8Array.of(1, ...new Uint8Array(2 * HASH_BYTES));

/** Hash of one page or slot. */
export function leafHash(leaf: Uint8Array): Uint8Array {
  if (leaf.length > COPIED_BYTES_MAX) return sha256(LEAF, leaf);
  leafInput.set(leaf, 1);
  return sha256(leafInput.subarray(0, 1 + leaf.length));
}

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}

/** Sizes of the levels of a tree over `leaves`, leaves first, root last. */
export function levelSizes(leaves: number): number[] {
  const sizes = [leaves];
  while (sizes[sizes.length - 1] > 1) sizes.push(Math.ceil(sizes[sizes.length - 1] / 2));
  return sizes;
}

/** All levels, leaves first; the last level is the root alone. */
export function buildTree(leafHashes: readonly Uint8Array[]): Uint8Array[][] {
  if (leafHashes.length === 0) throw new RangeError('a tree has at least one leaf');
  const levels = [[...leafHashes]];
  while (levels[levels.length - 1].length > 1) {
    const below = levels[levels.length - 1];
    const level: Uint8Array[] = [];
    for (let i = 0; i < below.length; i += 2) {
      level.push(i + 1 < below.length ? nodeHash(below[i], below[i + 1]) : below[i]);
    }
    levels.push(level);
  }
  return levels;
}

/** A tree node by level and position. */
export interface NodeAt {
  readonly level: number;
  readonly index: number;
}

/** The nodes that a proof for `wanted` leaves (sorted, distinct) needs, in the order in which it is checked. */
export function proofNodes(leaves: number, wanted: readonly number[]): NodeAt[] {
  const nodes: NodeAt[] = [];
  const sizes = levelSizes(leaves);
  let known = [...wanted];
  for (let level = 0; level + 1 < sizes.length; level++) {
    const parents: number[] = [];
    for (let i = 0; i < known.length; i++) {
      const sibling = known[i] ^ 1;
      if (known[i + 1] === sibling) i++;
      else if (sibling < sizes[level]) nodes.push({ level, index: sibling });
      parents.push(sibling >>> 1);
    }
    known = parents;
  }
  return nodes;
}

/** Levels below the root whose verified nodes are remembered: at most 511 of them. */
const REMEMBERED_LEVELS = 9;

/**
 * Checks leaves of one tree against its root. Nodes near the root that an earlier proof has verified are remembered,
 * so that a later proof is hashed only up to them.
 */
export class TreeVerifier {
  readonly #sizes: readonly number[];
  readonly #isRoot: (treeRoot: Uint8Array) => boolean;
  readonly #verified: Map<number, Uint8Array>[];

  /** `isRoot` tells whether a hash is the tree's committed root. */
  constructor(leaves: number, isRoot: (treeRoot: Uint8Array) => boolean) {
    this.#sizes = levelSizes(leaves);
    this.#isRoot = isRoot;
    this.#verified = this.#sizes.map(() => new Map());
  }

  /**
   * Whether `leafHashes` of the sorted distinct `wanted` belong to the tree; `proof` has the nodes that `proofNodes`
   * names, in its order.
   */
  verify(
    wanted: readonly number[],
    leafHashes: readonly Uint8Array[],
    proof: readonly Uint8Array[],
  ): boolean {
    const path: { readonly positions: readonly number[]; readonly hashes: readonly Uint8Array[] }[] = [];
    let used = 0;
    let positions = wanted;
    let hashes = leafHashes;
    for (let level = 0; ; level++) {
      if (this.#knows(level, positions, hashes)) break;
      path.push({ positions, hashes });
      if (level + 1 === this.#sizes.length) {
        if (used !== proof.length || !this.#isRoot(hashes[0])) return false;
        break;
      }
      const parents: number[] = [];
      const above: Uint8Array[] = [];
      for (let i = 0; i < positions.length; i++) {
        const at = positions[i];
        const sibling = at ^ 1;
        parents.push(at >>> 1);
        if (positions[i + 1] === sibling) {
          above.push(nodeHash(hashes[i], hashes[i + 1]));
          i++;
        } else if (sibling >= this.#sizes[level]) above.push(hashes[i]);
        else {
          const other = proof[used++];
          if (other === undefined) return false;
          above.push(at % 2 === 0 ? nodeHash(hashes[i], other) : nodeHash(other, hashes[i]));
        }
      }
      positions = parents;
      hashes = above;
    }
    path.forEach((step, level) => {
      this.#remember(level, step.positions, step.hashes);
    });
    return true;
  }

  #knows(level: number, positions: readonly number[], hashes: readonly Uint8Array[]): boolean {
    const known = this.#verified[level];
    if (known.size < positions.length) return false;
    return positions.every((at, i) => {
      const node = known.get(at);
      return node !== undefined && equalBytes(node, hashes[i]);
    });
  }

  #remember(level: number, positions: readonly number[], hashes: readonly Uint8Array[]): void {
    if (level < this.#sizes.length - REMEMBERED_LEVELS) return;
    positions.forEach((at, i) => {
      this.#verified[level].set(at, hashes[i]);
    });
  }
}

/** All levels but the root, in order: the tree section of a segment file. */
export function treeBytes(levels: readonly (readonly Uint8Array[])[]): Uint8Array {
  return joinMany(levels.slice(0, -1).flat());
}

/** `parts` in one array; for more parts than a call may have arguments. */
export function joinMany(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
