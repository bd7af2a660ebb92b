/** Scalars modulo L = 2^252 + 27742317777372353535851937790883648493, the order of the base point. Public values only. */

/** L in bytes, the lowest first. */
const ORDER = Uint8Array.of(
  ...[0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14],
  ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10],
);

const LIMB = 2 ** 21;
/** 2^252 modulo L in limbs of 21 bits, as ref10 has it. */
const FOLD = [666643, 470296, 654183, -997805, 136657, -683901];

/** Whether the 32 bytes are a number below L. RFC 8032 section 5.1.7 asks it of every signature. */
export function isReduced(bytes: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) if (bytes[i] !== ORDER[i]) return bytes[i] < ORDER[i];
  return false;
}

const limbs = new Float64Array(24);

function fold(from: number, to: number): void {
  for (let i = from; i >= to; i--) {
    const value = limbs[i];
    for (let k = 0; k < 6; k++) limbs[i - 12 + k] += value * FOLD[k];
    limbs[i] = 0;
  }
}

/** Carries every second limb; the rounding one leaves limbs of both signs. */
function carry(from: number, to: number, step: number, rounding: number): void {
  for (let i = from; i <= to; i += step) {
    const value = Math.floor((limbs[i] + rounding) / LIMB);
    limbs[i + 1] += value;
    limbs[i] -= value * LIMB;
  }
}

/** 64 bytes, the lowest first, modulo L, as 32 bytes to `out`. Sums stay below 2^45, so doubles are exact. */
export function reduce(bytes: Uint8Array, out: Uint8Array): void {
  for (let i = 0; i < 24; i++) limbs[i] = bitsAt(bytes, 21 * i, i === 23 ? 29 : 21);
  fold(23, 18);
  carry(6, 16, 2, LIMB / 2);
  carry(7, 15, 2, LIMB / 2);
  fold(17, 12);
  carry(0, 10, 2, LIMB / 2);
  carry(1, 11, 2, LIMB / 2);
  fold(12, 12);
  carry(0, 11, 1, 0);
  fold(12, 12);
  carry(0, 10, 1, 0);
  for (let at = 0; at < 32; at++) {
    const bit = 8 * at;
    const i = Math.min(Math.floor(bit / 21), 11);
    const shift = bit - 21 * i;
    const above = i < 11 ? limbs[i + 1] : 0;
    out[at] = (limbs[i] >>> shift) | (above << (21 - shift));
  }
}

/** `count` bits, at most 29, from bit `from` on; beyond the end they are zero. */
function bitsAt(bytes: Uint8Array, from: number, count: number): number {
  const at = from >> 3;
  const shift = from & 7;
  let value = ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16)) >>> shift;
  value |= (bytes[at + 3] ?? 0) << (24 - shift);
  if (shift > 0) value |= (bytes[at + 4] ?? 0) << (32 - shift);
  return count === 32 ? value >>> 0 : (value & (2 ** count - 1)) >>> 0;
}

/**
 * The digits of a number below 2^253 in base 2^width, from -2^(width-1) to 2^(width-1) - 1, the lowest first,
 * one byte each.
 */
export function signedDigits(bytes: Uint8Array, width: number, out: Int8Array): void {
  const half = 2 ** (width - 1);
  let carried = 0;
  for (let i = 0; i < out.length; i++) {
    const digit = bitsAt(bytes, i * width, width) + carried;
    carried = digit >= half ? 1 : 0;
    out[i] = digit - 2 * half * carried;
  }
}
