/**
 * Scalars modulo the group order. bigint arithmetic is not constant time: see the callers for what follows. What an
 * authority derives for a key is reduced by `reduceSecret`, without any.
 */
import { requireArgument } from '../errors.ts';
import { GROUP_ORDER, SCALAR_BYTES, type SecretScalar } from './types.ts';

/** Fewest bytes a uniform scalar is reduced from: 128 bits above the order, so the bias is below 2^-128. */
export const WIDE_SCALAR_BYTES_MIN = 48;

/** `k` modulo the order, in 0 .. order-1. */
export function mod(k: bigint): bigint {
  const rest = k % GROUP_ORDER;
  return rest < 0n ? rest + GROUP_ORDER : rest;
}

/** Big-endian bytes as an integer. */
export function bytesToBigint(bytes: Uint8Array): bigint {
  let out = 0n;
  let i = 0;
  for (; i + 4 <= bytes.length; i += 4) {
    const word = ((bytes[i] << 24) | (bytes[i + 1] << 16) | (bytes[i + 2] << 8) | bytes[i + 3]) >>> 0;
    out = (out << 32n) | BigInt(word);
  }
  for (; i < bytes.length; i++) out = (out << 8n) | BigInt(bytes[i]);
  return out;
}

/** A uniform scalar from at least 48 uniform bytes. */
export function reduceWide(wide: Uint8Array): bigint {
  requireArgument(wide.length >= WIDE_SCALAR_BYTES_MIN, 'a scalar is reduced from 48 bytes or more');
  return bytesToBigint(wide) % GROUP_ORDER;
}

const LIMB_BITS = 26;
const LIMB_MASK = 2 ** LIMB_BITS - 1;
/** Twice a reduced value stays below 2^260. */
const LIMBS = 10;
const ORDER_LIMBS = Int32Array.from({ length: LIMBS }, (_, i) =>
  Number((GROUP_ORDER >> BigInt(LIMB_BITS * i)) & BigInt(LIMB_MASK)),
);

/**
 * A uniform scalar from at least 48 uniform bytes, for secrets: bit by bit, the order subtracted each time and the
 * difference kept by masks, so that no branch, index or length depends on the value. About 30 us for 64 bytes.
 */
export function reduceSecret(wide: Uint8Array): SecretScalar {
  requireArgument(wide.length >= WIDE_SCALAR_BYTES_MIN, 'a scalar is reduced from 48 bytes or more');
  const value = new Int32Array(LIMBS + 1);
  const less = new Int32Array(LIMBS);
  for (const byte of wide) {
    for (let bit = 7; bit >= 0; bit--) {
      let carry = (byte >>> bit) & 1;
      let borrow = 0;
      for (let i = 0; i < LIMBS; i++) {
        const doubled = (value[i] << 1) | carry;
        carry = doubled >>> LIMB_BITS;
        value[i] = doubled & LIMB_MASK;
        const difference = value[i] - ORDER_LIMBS[i] - borrow;
        borrow = difference >>> 31;
        less[i] = difference & LIMB_MASK;
      }
      const keep = -borrow;
      for (let i = 0; i < LIMBS; i++) value[i] = (value[i] & keep) | (less[i] & ~keep);
    }
  }
  const out = new Uint8Array(SCALAR_BYTES);
  for (let j = 0; j < SCALAR_BYTES; j++) {
    const limb = Math.floor((8 * j) / LIMB_BITS);
    const shift = (8 * j) % LIMB_BITS;
    out[SCALAR_BYTES - 1 - j] = (value[limb] >>> shift) | (value[limb + 1] << (LIMB_BITS - shift));
  }
  value.fill(0);
  less.fill(0);
  return out;
}

/** `k` as 32 bytes big-endian; `k` is taken modulo the order. */
export function scalarToBytes(k: bigint): SecretScalar {
  const out = new Uint8Array(SCALAR_BYTES);
  const view = new DataView(out.buffer);
  let rest = mod(k);
  for (let offset = 24; offset >= 0; offset -= 8) {
    view.setBigUint64(offset, rest & 0xffffffffffffffffn);
    rest >>= 64n;
  }
  return out;
}

/** The scalar that 32 canonical bytes encode, or undefined when they are out of range. */
export function scalarFromBytes(bytes: Uint8Array): bigint | undefined {
  if (bytes.length !== SCALAR_BYTES) return undefined;
  const k = bytesToBigint(bytes);
  return k < GROUP_ORDER ? k : undefined;
}

/** Inverse modulo the order by Fermat; throws for zero. */
export function invert(k: bigint): bigint {
  let base = mod(k);
  requireArgument(base !== 0n, 'zero has no inverse');
  let out = 1n;
  for (let exponent = GROUP_ORDER - 2n; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) out = (out * base) % GROUP_ORDER;
    base = (base * base) % GROUP_ORDER;
  }
  return out;
}

/** Value at `x` of the polynomial with `coefficients`, constant term first. */
export function evaluate(coefficients: readonly bigint[], x: bigint): bigint {
  let out = 0n;
  for (let i = coefficients.length - 1; i >= 0; i--) out = (out * x + coefficients[i]) % GROUP_ORDER;
  return out;
}
