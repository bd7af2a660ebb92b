/**
 * The recoding that every fixed-base table and every multiplication by a secret uses (after Joye and Tunstall,
 * AFRICACRYPT 2009): all digits odd and none zero, so that each window costs the same addition whatever the scalar.
 * An even k is first replaced by k + r, which is odd and gives the same multiple of a point of order r.
 *
 *   k odd, below 2^L, bits b_j:  k = sum over j < L of sigma_j 2^j,  sigma_j = 2 b_(j+1) - 1,  sigma_(L-1) = 1
 *
 * A window of w signs is an odd number between -(2^w - 1) and 2^w - 1. No branch and no index here depends on the
 * scalar.
 */
import { GROUP_ORDER, SCALAR_BYTES } from './types.ts';

/** The odd scalar k or k + r is below 2^256. */
const RECODED_BITS = 256;

/** How many windows of `windowBits` a recoded scalar has. */
export const windowsOf = (windowBits: number): number => Math.ceil(RECODED_BITS / windowBits);

const ORDER_BYTES = Uint8Array.from({ length: SCALAR_BYTES }, (_, i) =>
  Number((GROUP_ORDER >> BigInt(8 * (SCALAR_BYTES - 1 - i))) & 255n),
);

/** `count` bits from bit `from` (0 is the lowest) of 32 big-endian bytes, at most 17 of them; 0 beyond the top. */
function bitsOf(bytes: Uint8Array, from: number, count: number): number {
  const byte = SCALAR_BYTES - 1 - (from >>> 3);
  const word = (bytes[byte] ?? 0) | ((bytes[byte - 1] ?? 0) << 8) | ((bytes[byte - 2] ?? 0) << 16);
  return (word >>> (from & 7)) & ((1 << count) - 1);
}

/**
 * The windows of `scalar` (32 bytes big-endian, below the order), lowest first. The top bit of a window is its sign,
 * 1 for plus; see `entryOf` for the rest. As secret as the scalar.
 */
export function recode(scalar: Uint8Array, windowBits: number): Uint16Array {
  const whenEven = (scalar[SCALAR_BYTES - 1] & 1) - 1;
  const odd = new Uint8Array(SCALAR_BYTES);
  let carry = 0;
  for (let i = SCALAR_BYTES - 1; i >= 0; i--) {
    const sum = scalar[i] + (ORDER_BYTES[i] & whenEven) + carry;
    odd[i] = sum & 255;
    carry = sum >>> 8;
  }
  const windows = new Uint16Array(windowsOf(windowBits));
  for (let i = 0; i < windows.length; i++) windows[i] = bitsOf(odd, i * windowBits + 1, windowBits);
  windows[windows.length - 1] |= 1 << (windowBits - 1);
  odd.fill(0);
  return windows;
}

/** The sign of a window: 1 for plus, 0 for minus. */
export const signOf = (window: number, windowBits: number): number => window >>> (windowBits - 1);

/** j of a window whose absolute value is 2 j + 1. */
export const entryOf = (window: number, windowBits: number): number =>
  (window ^ (signOf(window, windowBits) - 1)) & ((1 << (windowBits - 1)) - 1);
