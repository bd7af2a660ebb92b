/**
 * What a segment is on disk and in the manifest. File = 2^b bucket pages of P bytes || slots of tier 0, 1, ..
 * (4 KiB x 4^j each) || padding (small files only) || Merkle tree without its root (large files only). Every page,
 * every slot and the padding is one leaf. All sizes follow from the parameters, which the root covers.
 */
import { concat, equalBytes } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { taggedHash } from '../codec/hash.ts';
import { searchError } from './errors.ts';
import { buildTree, HASH_BYTES, leafHash, levelSizes, treeBytes } from './merkle.ts';
import { SMALL_FILE_BYTES, SUITE, TIER_BYTES, WHOLE_FETCH_BYTES } from './parameters.ts';

/** The key epoch under which a segment holds the keywords of one field. */
export interface FieldEpoch {
  readonly field: string;
  readonly epoch: number;
}

/** Everything public about a segment; one entry of the manifest. */
export interface SegmentMeta {
  /** 16 bytes, drawn while the segment is built. */
  readonly id: Uint8Array;
  /** Record numbers [lo, hi). */
  readonly lo: number;
  readonly hi: number;
  readonly level: number;
  /** Block time of the build, ms since 1970. */
  readonly time: number;
  /** Sorted by field, each once. */
  readonly epochs: readonly FieldEpoch[];
  /** b: the segment has 2^b pages. */
  readonly bits: number;
  /** D: cells a page. */
  readonly cells: number;
  /** P: bytes a page. */
  readonly pageBytes: number;
  /** Slots of each tier; the last one is not 0. */
  readonly tiers: readonly number[];
  /** Bytes of padding behind the slots. */
  readonly padBytes: number;
  readonly root: Uint8Array;
}

/** Where things lie in a segment file, from its parameters alone. */
export interface SegmentShape {
  readonly pages: number;
  readonly leaves: number;
  /** Bytes of pages, slots and padding. */
  readonly leafBytes: number;
  readonly fileBytes: number;
  /** Whether the file ends with its tree. */
  readonly hasTree: boolean;
}

export type SegmentSizes = Pick<SegmentMeta, 'bits' | 'pageBytes' | 'tiers' | 'padBytes'>;

/** Bytes of a slot of `tier`. */
export function slotBytes(tier: number): number {
  return TIER_BYTES * 4 ** tier;
}

/** Sizes that follow from a segment's parameters. */
export function segmentShape(meta: SegmentSizes): SegmentShape {
  const pages = 2 ** meta.bits;
  let leaves = pages + (meta.padBytes > 0 ? 1 : 0);
  let leafBytes = pages * meta.pageBytes + meta.padBytes;
  meta.tiers.forEach((slots, tier) => {
    leaves += slots;
    leafBytes += slots * slotBytes(tier);
  });
  const hasTree = leafBytes > WHOLE_FETCH_BYTES;
  const nodes = hasTree ? levelSizes(leaves).reduce((sum, size) => sum + size, 0) - 1 : 0;
  return { pages, leaves, leafBytes, fileBytes: leafBytes + HASH_BYTES * nodes, hasTree };
}

/** Padding that brings pages and slots of `bytes` to the next size class; 0 above the small sizes. */
export function paddingFor(bytes: number): number {
  if (bytes > WHOLE_FETCH_BYTES) return 0;
  let size = SMALL_FILE_BYTES;
  while (size < bytes) size *= 2;
  return size - bytes;
}

/** Byte range of leaf `index` in the file: pages first, then slots tier by tier, then the padding. */
export function leafRange(
  meta: SegmentSizes,
  index: number,
): { readonly offset: number; readonly length: number } {
  const pages = 2 ** meta.bits;
  if (index < pages) return { offset: index * meta.pageBytes, length: meta.pageBytes };
  let offset = pages * meta.pageBytes;
  let rest = index - pages;
  for (let tier = 0; tier < meta.tiers.length; tier++) {
    const length = slotBytes(tier);
    if (rest < meta.tiers[tier]) return { offset: offset + rest * length, length };
    rest -= meta.tiers[tier];
    offset += meta.tiers[tier] * length;
  }
  return { offset, length: meta.padBytes };
}

/** Leaf number of `slot` in `tier`. */
export function slotLeaf(meta: SegmentSizes, tier: number, slot: number): number {
  let leaf = 2 ** meta.bits + slot;
  for (let below = 0; below < tier; below++) leaf += meta.tiers[below];
  return leaf;
}

/** Byte offset in the file of the first node of each tree level but the root's. */
export function levelOffsets(shape: SegmentShape): number[] {
  let offset = shape.leafBytes;
  return levelSizes(shape.leaves)
    .slice(0, -1)
    .map((size) => {
      const start = offset;
      offset += HASH_BYTES * size;
      return start;
    });
}

/** The map that the root covers and the manifest holds, without the root. */
export function metaForm(meta: Omit<SegmentMeta, 'root'>): Record<string, unknown> {
  return {
    id: meta.id,
    lo: meta.lo,
    hi: meta.hi,
    level: meta.level,
    time: meta.time,
    epochs: meta.epochs.map(({ field, epoch }) => [field, epoch]),
    b: meta.bits,
    d: meta.cells,
    p: meta.pageBytes,
    tiers: [...meta.tiers],
    pad: meta.padBytes,
  };
}

const ROOT_TAG = 'hippocrypt/index-segment/1';

/** The segment root: suite, parameters and the tree's root under one hash. */
export function segmentRoot(meta: Omit<SegmentMeta, 'root'>, treeRoot: Uint8Array): Uint8Array {
  return taggedHash(ROOT_TAG, encodeCbor([SUITE, metaForm(meta), treeRoot]));
}

/** The levels of the tree over the leaves in `file`. */
export function fileTree(meta: SegmentSizes, file: Uint8Array): Uint8Array[][] {
  const { leaves } = segmentShape(meta);
  const hashes: Uint8Array[] = [];
  for (let leaf = 0; leaf < leaves; leaf++) {
    const { offset, length } = leafRange(meta, leaf);
    hashes.push(leafHash(file.subarray(offset, offset + length)));
  }
  return buildTree(hashes);
}

/**
 * Checks a whole file against its manifest entry: length, every leaf, the stored tree. Throws
 * `search.segment_length` or `search.segment_root`. About 1 ms a MiB.
 */
export function verifySegmentFile(meta: SegmentMeta, file: Uint8Array): void {
  const shape = segmentShape(meta);
  if (file.length !== shape.fileBytes) {
    throw searchError(
      'search.segment_length',
      `a segment file has ${file.length} of ${shape.fileBytes} bytes`,
    );
  }
  const levels = fileTree(meta, file);
  const treeRoot = levels[levels.length - 1][0];
  const stored = file.subarray(shape.leafBytes);
  const good =
    equalBytes(segmentRoot(meta, treeRoot), meta.root) &&
    (!shape.hasTree || equalBytes(stored, treeBytes(levels)));
  if (!good)
    throw searchError('search.segment_root', 'a segment file does not hash to its root in the manifest');
}

/** `leaves` followed by their tree where the file is a large one; with the tree's root. */
export function closeFile(
  meta: SegmentSizes,
  leafPart: Uint8Array,
): { file: Uint8Array; treeRoot: Uint8Array } {
  const levels = fileTree(meta, leafPart);
  const treeRoot = levels[levels.length - 1][0];
  const file = segmentShape(meta).hasTree ? concat(leafPart, treeBytes(levels)) : leafPart;
  return { file, treeRoot };
}
