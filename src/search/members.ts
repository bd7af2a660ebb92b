/**
 * A set of local record numbers in the form in which its list came: increasing numbers, or a bitmap. Frequent
 * keywords stay bitmaps: a test of one bit, or one AND of 32 records, instead of a walk over half the segment.
 */
import { EMPTY_SET, intersect, subtract, unite } from './sets.ts';

/** Members of a set; `ids` is computed from the bitmap when it is first needed. */
export interface Members {
  readonly size: number;
  readonly ids: Uint32Array;
  /** Bit i % 32 of word i / 32 (least significant first) is number i; null when the set is held as numbers. */
  readonly bits: Uint32Array | null;
}

/** A set held as increasing numbers. */
export function membersOfIds(ids: Uint32Array): Members {
  return { size: ids.length, ids, bits: null };
}

class BitMembers implements Members {
  readonly size: number;
  readonly bits: Uint32Array;
  #ids: Uint32Array | undefined;

  constructor(bits: Uint32Array, size: number) {
    this.bits = bits;
    this.size = size;
  }

  get ids(): Uint32Array {
    this.#ids ??= idsOfBits(this.bits, this.size);
    return this.#ids;
  }
}

/** A set held as `bits`, which has `size` bits set. */
export function membersOfBits(bits: Uint32Array, size: number): Members {
  return new BitMembers(bits, size);
}

export const NO_MEMBERS: Members = membersOfIds(EMPTY_SET);

/** Words of a bitmap of the numbers below `width`. */
export function wordsFor(width: number): number {
  return Math.ceil(width / 32);
}

/** How many bits are set. */
export function countBits(bits: Uint32Array): number {
  let count = 0;
  for (let i = 0; i < bits.length; i++) {
    // Sums of neighbouring pairs, fours and eights of bits, and of the four bytes by one product.
    let word = bits[i] | 0;
    word -= (word >>> 1) & 0x55555555;
    word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
    count += Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

function idsOfBits(bits: Uint32Array, size: number): Uint32Array {
  const ids = new Uint32Array(size);
  let n = 0;
  for (let i = 0; i < bits.length; i++) {
    const base = 32 * i + 31;
    for (let word = bits[i] | 0; word !== 0; word &= word - 1) ids[n++] = base - Math.clz32(word & -word);
  }
  return ids;
}

const hasBit = (bits: Uint32Array, id: number): boolean => ((bits[id >>> 5] >>> (id & 31)) & 1) === 1;

/** Members of both. */
export function intersectMembers(a: Members, b: Members): Members {
  if (a.bits !== null && b.bits !== null) {
    const bits = new Uint32Array(a.bits.length);
    for (let i = 0; i < bits.length; i++) bits[i] = a.bits[i] & b.bits[i];
    return membersOfBits(bits, countBits(bits));
  }
  if (a.bits !== null) return filterBits(b.ids, a.bits, true);
  if (b.bits !== null) return filterBits(a.ids, b.bits, true);
  return membersOfIds(intersect(a.ids, b.ids));
}

/** Members of `a` that are not in `b`. */
export function subtractMembers(a: Members, b: Members): Members {
  if (b.bits === null) return membersOfIds(subtract(a.ids, b.ids));
  if (a.bits === null) return filterBits(a.ids, b.bits, false);
  const bits = new Uint32Array(a.bits.length);
  for (let i = 0; i < bits.length; i++) bits[i] = a.bits[i] & ~b.bits[i];
  return membersOfBits(bits, countBits(bits));
}

/** Members of either. */
export function uniteMembers(a: Members, b: Members): Members {
  if (a.bits === null && b.bits === null) return membersOfIds(unite(a.ids, b.ids));
  const [held, other] = a.bits !== null ? [a.bits, b] : [b.bits ?? EMPTY_SET, a];
  const bits = held.slice();
  if (other.bits !== null) for (let i = 0; i < bits.length; i++) bits[i] |= other.bits[i];
  else for (const id of other.ids) bits[id >>> 5] |= 1 << (id & 31);
  return membersOfBits(bits, countBits(bits));
}

/** Whether every member of `a` is in `b`; both below `width`. */
export function isWithin(a: Members, b: Members, width: number): boolean {
  if (a.size > b.size) return false;
  if (b.size === width) return true;
  if (a.bits === null || b.bits === null) return intersectMembers(a, b).size === a.size;
  for (let i = 0; i < a.bits.length; i++) if ((a.bits[i] & ~b.bits[i]) !== 0) return false;
  return true;
}

/** All of 0 to width - 1. */
export function allMembers(width: number): Members {
  const bits = new Uint32Array(wordsFor(width)).fill(0xffffffff);
  if (width % 32 !== 0) bits[bits.length - 1] = 2 ** (width % 32) - 1;
  return membersOfBits(bits, width);
}

function filterBits(ids: Uint32Array, bits: Uint32Array, wanted: boolean): Members {
  const out = new Uint32Array(ids.length);
  let n = 0;
  for (let i = 0; i < ids.length; i++) if (hasBit(bits, ids[i]) === wanted) out[n++] = ids[i];
  return membersOfIds(out.subarray(0, n));
}
