/**
 * Two ways to know that a fetched leaf belongs to a segment. `pathProof` asks for the nodes on the way to the root: about
 * 1 kB a segment and query, many small ranges. `treeProof` fetches all leaf hashes once, one range of 0.4 % of the file,
 * and afterwards nothing: for sources where a request costs more than a kilobyte. What either asks for follows from the
 * leaf numbers (and from what was asked before), so neither shows more than the leaves do.
 */
import { equalBytes } from '../codec/bytes.ts';
import { buildTree, HASH_BYTES, proofNodes, TreeVerifier } from './merkle.ts';
import type { ByteRange } from './reader.ts';
import { levelOffsets, type SegmentMeta, segmentRoot, segmentShape } from './segment.ts';

/** How the leaves of one large segment are proved; keeps what it has verified. */
export interface LeafProof {
  /** What is needed beside the `wanted` leaves (sorted, distinct). */
  ranges(wanted: readonly number[]): readonly ByteRange[];
  /** Whether leaves of these hashes are the segment's; `parts` are the bytes of `ranges`. */
  check(wanted: readonly number[], hashes: readonly Uint8Array[], parts: readonly Uint8Array[]): boolean;
}

const rootCheck = (meta: SegmentMeta) => (treeRoot: Uint8Array) =>
  equalBytes(segmentRoot(meta, treeRoot), meta.root);

/** Paths to the root, for each batch of leaves. */
export function pathProof(meta: SegmentMeta): LeafProof {
  const shape = segmentShape(meta);
  const levels = levelOffsets(shape);
  const verifier = new TreeVerifier(shape.leaves, rootCheck(meta));
  return {
    ranges: (wanted) =>
      proofNodes(shape.leaves, wanted).map(({ level, index }) => ({
        offset: levels[level] + HASH_BYTES * index,
        length: HASH_BYTES,
      })),
    check: (wanted, hashes, parts) => verifier.verify(wanted, hashes, parts),
  };
}

/** All leaf hashes at the first use. */
export function treeProof(meta: SegmentMeta): LeafProof {
  const { leaves, leafBytes } = segmentShape(meta);
  const isRoot = rootCheck(meta);
  let held: readonly Uint8Array[] | undefined;
  return {
    ranges: () => (held === undefined ? [{ offset: leafBytes, length: HASH_BYTES * leaves }] : []),
    check: (wanted, hashes, parts) => {
      const [level] = parts;
      if (held === undefined && level !== undefined) {
        const all = Array.from({ length: leaves }, (_, i) =>
          level.slice(HASH_BYTES * i, HASH_BYTES * (i + 1)),
        );
        const tree = buildTree(all);
        if (isRoot(tree[tree.length - 1][0])) held = all;
      }
      const known = held;
      return known !== undefined && wanted.every((leaf, i) => equalBytes(known[leaf], hashes[i]));
    },
  };
}
