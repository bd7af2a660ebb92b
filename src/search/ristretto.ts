/**
 * The group of the keyword secrets: ristretto255 (RFC 9496) over encoded elements and scalars, 32 bytes each. Two
 * implementations of one interface, with equal bytes (test/search/voprf): `NOBLE`, pure JavaScript and always there, and libsodium
 * in WebAssembly, which is constant time and about eight times as fast. What it does not do: hide that it runs.
 */
import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js';
import { equalBytes } from '../codec/bytes.ts';

/** Group and scalar arithmetic. Whatever is not a canonical element, or would give the identity, is a RangeError. */
export interface Ristretto {
  /** The element that 64 uniform bytes map to (RFC 9496, section 4.3.4). */
  fromUniform(uniform: Uint8Array): Uint8Array;
  /** Whether `element` is canonical and not the identity. */
  isElement(element: Uint8Array): boolean;
  multiply(scalar: Uint8Array, element: Uint8Array): Uint8Array;
  multiplyBase(scalar: Uint8Array): Uint8Array;
  add(a: Uint8Array, b: Uint8Array): Uint8Array;
  /** 64 little-endian bytes modulo the order. */
  reduce(wide: Uint8Array): Uint8Array;
  /** r - c * k modulo the order. */
  subtractProduct(r: Uint8Array, c: Uint8Array, k: Uint8Array): Uint8Array;
  invert(scalar: Uint8Array): Uint8Array;
}

const { Point } = ristretto255;
const { Fn } = Point;

function encoded(point: InstanceType<typeof Point>): Uint8Array {
  if (point.equals(Point.ZERO)) throw new RangeError('the result is the identity');
  return point.toBytes();
}

function decoded(element: Uint8Array): InstanceType<typeof Point> {
  try {
    return Point.fromBytes(element);
  } catch (cause) {
    throw new RangeError('expected a canonical element', { cause });
  }
}

/** The reference. */
export const NOBLE: Ristretto = {
  fromUniform: (uniform) => deriveToCurve(uniform),
  isElement(element) {
    try {
      return !Point.fromBytes(element).equals(Point.ZERO);
    } catch {
      return false;
    }
  },
  multiply: (scalar, element) => encoded(decoded(element).multiply(Fn.fromBytes(scalar))),
  multiplyBase: (scalar) => encoded(Point.BASE.multiply(Fn.fromBytes(scalar))),
  add: (a, b) => encoded(decoded(a).add(decoded(b))),
  reduce: (wide) => Fn.toBytes(Fn.create(littleEndian(wide))),
  subtractProduct: (r, c, k) => Fn.toBytes(Fn.sub(Fn.fromBytes(r), Fn.mul(Fn.fromBytes(c), Fn.fromBytes(k)))),
  invert: (scalar) => Fn.toBytes(Fn.inv(Fn.fromBytes(scalar))),
};

function deriveToCurve(uniform: Uint8Array): Uint8Array {
  const derive = ristretto255_hasher.deriveToCurve;
  if (derive === undefined) throw new RangeError('the library maps no bytes to elements');
  return encoded(derive(uniform));
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

/** Whether `scalar` is canonical, so that no two encodings pass for one proof. */
export function isScalar(group: Ristretto, scalar: Uint8Array): boolean {
  const wide = new Uint8Array(64);
  wide.set(scalar);
  return scalar.length === 32 && equalBytes(group.reduce(wide), scalar);
}

let opening: Promise<Ristretto> | undefined;

/** libsodium's group; loads the WebAssembly at the first call, some tens of milliseconds. */
export function openRistretto(): Promise<Ristretto> {
  opening ??= loadSodium();
  return opening;
}

async function loadSodium(): Promise<Ristretto> {
  const { default: sodium } = await import('libsodium-wrappers-sumo');
  await sodium.ready;
  /** The library throws where the result is the identity or the input is no element. */
  const checked = (act: () => Uint8Array): Uint8Array => {
    try {
      return act();
    } catch (cause) {
      throw new RangeError('expected canonical elements, and a result that is not the identity', { cause });
    }
  };
  const isElement = (element: Uint8Array): boolean =>
    element.length === 32 &&
    element.some((byte) => byte !== 0) &&
    sodium.crypto_core_ristretto255_is_valid_point(element);
  return {
    isElement,
    fromUniform: (uniform) => sodium.crypto_core_ristretto255_from_hash(uniform),
    multiply: (scalar, element) => checked(() => sodium.crypto_scalarmult_ristretto255(scalar, element)),
    multiplyBase: (scalar) => checked(() => sodium.crypto_scalarmult_ristretto255_base(scalar)),
    add(a, b) {
      const sum = checked(() => sodium.crypto_core_ristretto255_add(a, b));
      if (!isElement(sum)) throw new RangeError('the result is the identity');
      return sum;
    },
    reduce: (wide) => sodium.crypto_core_ristretto255_scalar_reduce(wide),
    subtractProduct: (r, c, k) =>
      sodium.crypto_core_ristretto255_scalar_sub(r, sodium.crypto_core_ristretto255_scalar_mul(c, k)),
    invert: (scalar) => checked(() => sodium.crypto_core_ristretto255_scalar_invert(scalar)),
  };
}
