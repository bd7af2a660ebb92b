/**
 * The plain bytes of one keyword's list: encoding byte, count, then local record numbers as the shorter of
 * delta-varint (0) and bitmap (1), or nothing when the list has every record, then with bit 1 of the encoding byte
 * one weight byte a posting. Canonical: one list has one form, and decoding refuses every other. The empty list
 * occurs for sentinels only.
 */
import { searchError } from './errors.ts';
import { allMembers, countBits, type Members, membersOfBits, membersOfIds, wordsFor } from './members.ts';

/** A keyword's records in a segment: strictly increasing local numbers, and weights for ranked fields. */
export interface PostingList {
  readonly ids: Uint32Array;
  readonly weights: Uint8Array | null;
}

/** A list as it was read: its members in the form of its encoding, and their weights in the order of `ids`. */
export interface ReadList {
  readonly members: Members;
  readonly weights: Uint8Array | null;
}

const BITMAP = 1;
const WEIGHTED = 2;

const varintBytes = (value: number): number =>
  value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x200000 ? 3 : value < 0x10000000 ? 4 : 5;

/** Canonical bytes of a list over a segment of `width` records. `ids` must be strictly increasing, below `width`. */
export function encodeList(list: PostingList, width: number): Uint8Array {
  const { ids, weights } = list;
  const n = ids.length;
  let deltaBytes = 0;
  let next = 0;
  for (let i = 0; i < n; i++) {
    deltaBytes += varintBytes(ids[i] - next);
    next = ids[i] + 1;
  }
  if (next > width) throw new RangeError('a local number lies outside the segment');
  const bitmapBytes = Math.ceil(width / 8);
  const everyone = n === width;
  const bitmap = !everyone && bitmapBytes < deltaBytes;
  const head = 1 + varintBytes(n);
  const body = everyone ? 0 : bitmap ? bitmapBytes : deltaBytes;
  const out = new Uint8Array(head + body + (weights === null ? 0 : n));
  out[0] = (bitmap ? BITMAP : 0) | (weights === null ? 0 : WEIGHTED);
  writeVarint(out, 1, n);
  if (bitmap) for (let i = 0; i < n; i++) out[head + (ids[i] >>> 3)] |= 1 << (ids[i] & 7);
  else if (!everyone) writeDeltas(out, head, ids);
  if (weights !== null) out.set(weights, head + body);
  return out;
}

function writeVarint(out: Uint8Array, at: number, value: number): number {
  let offset = at;
  let rest = value;
  while (rest >= 0x80) {
    out[offset++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[offset++] = rest;
  return offset;
}

function writeDeltas(out: Uint8Array, at: number, ids: Uint32Array): void {
  let offset = at;
  let next = 0;
  for (let i = 0; i < ids.length; i++) {
    const gap = ids[i] - next;
    if (gap < 0x80) out[offset++] = gap;
    else offset = writeVarint(out, offset, gap);
    next = ids[i] + 1;
  }
}

const malformed = (what: string) => searchError('search.list_malformed', `a list is not canonical: ${what}`);

/**
 * The list in `bytes` for a segment of `width` records. A body in a page is `exact`; in a `slot` zeros follow.
 * Throws `search.list_malformed` on anything but the canonical form.
 */
export function decodeList(bytes: Uint8Array, width: number, place: 'exact' | 'slot'): ReadList {
  const kind = bytes[0];
  if (bytes.length < 2 || kind > (BITMAP | WEIGHTED)) throw malformed('unknown encoding');
  const weighted = (kind & WEIGHTED) !== 0;
  const reader = { offset: 1 };
  const n = readVarint(bytes, reader);
  if (n > width) throw malformed('more postings than records');
  const members = readMembers(bytes, reader, (kind & BITMAP) !== 0, n, width);
  const end = reader.offset;
  const tail = end + (weighted ? n : 0);
  if (tail > bytes.length) throw malformed('cut short');
  if (place === 'exact' && tail !== bytes.length) throw malformed('bytes follow it');
  if (!isZero(bytes, tail)) throw malformed('padding is not zero');
  return { members, weights: weighted ? bytes.slice(end, tail) : null };
}

/** Whether all of `bytes` from `offset` on are zero; half a slot may be, so four at a time. */
function isZero(bytes: Uint8Array, offset: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = offset;
  let seen = 0;
  for (; at + 4 <= bytes.length; at += 4) seen |= view.getUint32(at);
  for (; at < bytes.length; at++) seen |= bytes[at];
  return seen === 0;
}

/** A bitmap is canonical only where deltas are longer; that is sure when there are more postings than bytes. */
function checkNeedsBitmap(members: Members, bitmapBytes: number): void {
  if (members.size > bitmapBytes) return;
  let deltaBytes = 0;
  let next = 0;
  for (const id of members.ids) {
    deltaBytes += varintBytes(id - next);
    next = id + 1;
  }
  if (deltaBytes <= bitmapBytes) throw malformed('deltas would be as short');
}

function readVarint(bytes: Uint8Array, reader: { offset: number }): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[reader.offset++];
    if (byte === undefined) throw malformed('cut short');
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) {
      if (byte === 0 && shift > 0) throw malformed('a number is longer than needed');
      if (value > 0xffffffff) throw malformed('a number is too large');
      return value;
    }
  }
  throw malformed('a number is too large');
}

function readMembers(
  bytes: Uint8Array,
  reader: { offset: number },
  bitmap: boolean,
  n: number,
  width: number,
): Members {
  if (n < width) return bitmap ? readBitmap(bytes, reader, n, width) : readDeltas(bytes, reader, n, width);
  if (bitmap) throw malformed('a list of every record has no body');
  return allMembers(width);
}

function readDeltas(bytes: Uint8Array, reader: { offset: number }, n: number, width: number): Members {
  const ids = new Uint32Array(n);
  const start = reader.offset;
  const last = bytes.length - 1;
  let offset = start;
  let next = 0;
  for (let i = 0; i < n; i++) {
    const low = bytes[offset];
    const isLong = low >>> 7;
    const high = offset < last ? bytes[offset + 1] : 0;
    // One byte, or two of which the second is 1 to 127: nearly all gaps. Which of both is as good as random, so no branch asks.
    if (offset < last && ((high - 1) & 0xff & -isLong) < 0x7f) {
      next += (low & 0x7f) | ((high << 7) & -isLong);
      offset += 1 + isLong;
    } else {
      reader.offset = offset;
      next += readVarint(bytes, reader);
      offset = reader.offset;
    }
    if (next >= width) throw malformed('a record number lies outside the segment');
    ids[i] = next++;
  }
  reader.offset = offset;
  if (Math.ceil(width / 8) < reader.offset - start) throw malformed('a bitmap would be shorter');
  return membersOfIds(ids);
}

function readBitmap(bytes: Uint8Array, reader: { offset: number }, n: number, width: number): Members {
  const length = Math.ceil(width / 8);
  const start = reader.offset;
  reader.offset += length;
  if (reader.offset > bytes.length) throw malformed('cut short');
  const bits = wordsOf(bytes, start, length);
  if (countBits(bits) !== n) throw malformed('another number of bits than postings');
  if (width % 32 !== 0 && bits[bits.length - 1] >>> (width % 32) !== 0)
    throw malformed('a bit lies outside the segment');
  const members = membersOfBits(bits, n);
  checkNeedsBitmap(members, length);
  return members;
}

/** `length` bytes from `start` on as words, the first byte lowest, with zeros behind them. */
function wordsOf(bytes: Uint8Array, start: number, length: number): Uint32Array {
  const words = new Uint32Array(wordsFor(8 * length));
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, length);
  const whole = length >>> 2;
  for (let i = 0; i < whole; i++) words[i] = view.getUint32(4 * i, true);
  for (let i = 4 * whole; i < length; i++) words[whole] |= bytes[start + i] << (8 * (i & 3));
  return words;
}
