/**
 * Opening verified pages and slots (verification steps 6 and 7): a tag occurs at most once in a page, a cell is
 * legal, a list decodes strictly. Absence is a page without the tag; nothing distinguishes it from outside.
 */
import { ctrXor } from '../codec/aead.ts';
import { searchError } from './errors.ts';
import type { ListKeys } from './keys.ts';
import { decodeList, type ReadList } from './list.ts';
import { CELL_BYTES, INLINE_BYTES_MAX, TAG_BYTES } from './parameters.ts';
import type { SegmentMeta } from './segment.ts';

const ZERO_IV = new Uint8Array(16);

/** What a page says about a keyword: nothing, the list itself, or the slot that holds it. */
export type CellContent =
  | { readonly kind: 'absent' }
  | { readonly kind: 'list'; readonly list: ReadList }
  | { readonly kind: 'slot'; readonly tier: number; readonly slot: number };

/** Reads all cells of `page`. Throws `search.segment_duplicate_tag`, `search.segment_cell`, `search.list_malformed`. */
export function readPage(meta: SegmentMeta, page: Uint8Array, keys: ListKeys): CellContent {
  const { tag, mask } = keys;
  const [first] = tag;
  let found = -1;
  for (let cell = 0; cell < meta.cells; cell++) {
    const at = cell * CELL_BYTES;
    if (page[at] !== first || !sameTag(page, at, tag)) continue;
    if (found >= 0) throw searchError('search.segment_duplicate_tag', 'a page holds one tag twice');
    found = at;
  }
  if (found < 0) return { kind: 'absent' };
  const head = ((page[found + 8] ^ mask[0]) << 8) | (page[found + 9] ^ mask[1]);
  const place =
    (((page[found + 10] ^ mask[2]) << 24) |
      ((page[found + 11] ^ mask[3]) << 16) |
      ((page[found + 12] ^ mask[4]) << 8) |
      (page[found + 13] ^ mask[5])) >>>
    0;
  const kind = head >>> 11;
  const length = head & 0x7ff;
  if (kind === 0) return { kind: 'list', list: readInline(meta, page, keys, place, length) };
  if (length !== 0 || kind > meta.tiers.length || place >= meta.tiers[kind - 1]) throw badCell();
  return { kind: 'slot', tier: kind - 1, slot: place };
}

function sameTag(page: Uint8Array, at: number, tag: Uint8Array): boolean {
  for (let i = 1; i < TAG_BYTES; i++) if (page[at + i] !== tag[i]) return false;
  return true;
}

const badCell = () => searchError('search.segment_cell', 'a cell points outside its page or tier');

function readInline(
  meta: SegmentMeta,
  page: Uint8Array,
  keys: ListKeys,
  offset: number,
  length: number,
): ReadList {
  const legal =
    length <= INLINE_BYTES_MAX && offset >= meta.cells * CELL_BYTES && offset + length <= page.length;
  if (!legal) throw badCell();
  const plain = ctrXor(keys.key, ZERO_IV, page.subarray(offset, offset + length));
  return decodeList(plain, meta.hi - meta.lo, 'exact');
}

/** The list in a verified slot. */
export function readSlot(meta: SegmentMeta, slot: Uint8Array, keys: ListKeys): ReadList {
  return decodeList(ctrXor(keys.key, ZERO_IV, slot), meta.hi - meta.lo, 'slot');
}
