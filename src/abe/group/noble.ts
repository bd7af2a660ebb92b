/**
 * The reference backend: @noble/curves, audited and in plain JavaScript, three to ten times slower. bigint
 * arithmetic is not constant time, so an authority does not run on it outside tests.
 */
import { bls12_381 } from '@noble/curves/bls12-381.js';
import { toHex, utf8 } from '../../codec/bytes.ts';
import { HASH_TO_G1_DST } from '../domains.ts';
import { checkCompressed, checkGTCoordinates, refuseElement } from './encoding.ts';
import { bytesToBigint, mod } from './scalar.ts';
import { type G1, G1_BYTES, type G2, G2_BYTES, GROUP_ORDER, type Group, type GT } from './types.ts';

const Point1 = bls12_381.G1.Point;
const Point2 = bls12_381.G2.Point;
const { Fp, Fp2, Fp12 } = bls12_381.fields;
type Point1 = InstanceType<typeof Point1>;
type Point2 = InstanceType<typeof Point2>;
type Fp12 = ReturnType<typeof bls12_381.pairing>;

/** Hashes of leaves remembered. The oldest is forgotten first. */
const HASH_CACHE_MAX = 4096;

class NobleG1 implements G1 {
  readonly kind = 'G1';
  readonly point: Point1;
  constructor(point: Point1) {
    this.point = point;
  }
}
class NobleG2 implements G2 {
  readonly kind = 'G2';
  readonly point: Point2;
  constructor(point: Point2) {
    this.point = point;
  }
}
class NobleGT implements GT {
  readonly kind = 'GT';
  readonly value: Fp12;
  constructor(value: Fp12) {
    this.value = value;
  }
}

const foreign = (): never => {
  throw new TypeError('a group element of another backend');
};
const p1 = (element: G1): Point1 => (element instanceof NobleG1 ? element.point : foreign());
const p2 = (element: G2): Point2 => (element instanceof NobleG2 ? element.point : foreign());
const value = (element: GT): Fp12 => (element instanceof NobleGT ? element.value : foreign());

/**
 * Noble's own pairing refuses identities and points outside the subgroup, mcl counts the former as 1 and ignores
 * torsion of G1, which the final exponentiation removes. So that both answer alike, the Miller loop is called
 * without noble's checks of G1.
 */
function pairingProduct(pairs: readonly (readonly [G1, G2])[]): NobleGT {
  const lines = [];
  for (const [a, b] of pairs) {
    const left = p1(a);
    const right = p2(b);
    if (left.is0() || right.is0()) continue;
    // Noble's line computation throws an untyped error for a point outside the subgroup; it remembers the answer.
    try {
      right.assertValidity();
    } catch (cause) {
      refuseElement('a point of G2', cause);
    }
    const { x, y } = left.toAffine();
    lines.push([bls12_381.utils.calcPairingPrecomputes(right), x, y] satisfies Parameters<
      typeof bls12_381.millerLoopBatch
    >[0][number]);
  }
  if (lines.length === 0) return new NobleGT(Fp12.ONE);
  return new NobleGT(Fp12.finalExponentiate(bls12_381.millerLoopBatch(lines)));
}

/** The coordinate at `offset`, without the three flag bits of the first byte. */
function coordinate(bytes: Uint8Array, offset: number): bigint {
  const value = bytesToBigint(bytes.subarray(offset, offset + 48));
  return offset === 0 ? value & ((1n << 381n) - 1n) : value;
}

const FLAG_LARGER_Y = 0x20;
const HALF_PRIME = (Fp.ORDER - 1n) / 2n;

/** sqrt of `square` with the sign that the flag states; refuses a value that is no square. */
function signedRoot<T>(
  field: { sqrt(square: T): T; neg(y: T): T },
  square: T,
  isLarger: (y: T) => boolean,
  wantLarger: boolean,
): T {
  let y: T;
  try {
    y = field.sqrt(square);
  } catch (cause) {
    return refuseElement('a point on the curve', cause);
  }
  return isLarger(y) === wantLarger ? y : field.neg(y);
}

// Noble's own decoder always tests the subgroup; ours must tell the two tests apart, as mcl does.

function decompressG1(bytes: Uint8Array): Point1 {
  const x = coordinate(bytes, 0);
  const square = Fp.add(Fp.mul(Fp.sqr(x), x), Point1.CURVE().b);
  const y = signedRoot(Fp, square, (root) => root > HALF_PRIME, (bytes[0] & FLAG_LARGER_Y) !== 0);
  return Point1.fromAffine({ x, y });
}

function decompressG2(bytes: Uint8Array): Point2 {
  const x = Fp2.fromBigTuple([coordinate(bytes, 48), coordinate(bytes, 0)]);
  const square = Fp2.add(Fp2.mul(Fp2.sqr(x), x), Point2.CURVE().b);
  const isLarger = ({ c0, c1 }: typeof square): boolean => (c1 === 0n ? c0 : c1) > HALF_PRIME;
  const y = signedRoot(Fp2, square, isLarger, (bytes[0] & FLAG_LARGER_Y) !== 0);
  return Point2.fromAffine({ x, y });
}

/** Variable-time multiplication, short for scalars close to 0 or to the order. */
function mulPoint1(point: Point1, k: bigint): Point1 {
  const positive = mod(k);
  return positive * 2n > GROUP_ORDER
    ? point.multiplyUnsafe(GROUP_ORDER - positive).negate()
    : point.multiplyUnsafe(positive);
}

/** Builds the backend. Call through `openGroup`, which tests it first. */
export function nobleGroup(): Group {
  const dst = utf8(HASH_TO_G1_DST);
  const hashes = new Map<string, NobleG1>();

  function hashToG1(message: Uint8Array): NobleG1 {
    const name = toHex(message);
    const known = hashes.get(name);
    if (known !== undefined) return known;
    const hashed = bls12_381.G1.hashToCurve(message, { DST: dst });
    const point = new NobleG1(Point1.fromAffine(hashed.toAffine()));
    if (hashes.size >= HASH_CACHE_MAX) {
      const oldest = hashes.keys().next();
      if (!oldest.done) hashes.delete(oldest.value);
    }
    hashes.set(name, point);
    return point;
  }

  return {
    backend: 'noble',
    g1: new NobleG1(Point1.BASE),
    g2: new NobleG2(Point2.BASE),
    gt: pairingProduct([[new NobleG1(Point1.BASE), new NobleG2(Point2.BASE)]]),
    hashToG1,
    sumG1: (points) => new NobleG1(points.reduce((sum, p) => sum.add(p1(p)), Point1.ZERO)),
    negG1: (p) => new NobleG1(p1(p).negate()),
    mulG1: (p, k) => new NobleG1(mulPoint1(p1(p), k)),
    multiMulG1: (points, scalars) =>
      new NobleG1(points.reduce((sum, p, i) => sum.add(mulPoint1(p1(p), scalars[i])), Point1.ZERO)),
    mulSecretG1: (p, k) => new NobleG1(p1(p).multiply(bytesToBigint(k))),
    inSubgroupG1: (p) => p1(p).isTorsionFree(),
    equalG1: (a, b) => p1(a).equals(p1(b)),
    sumG2: (points) => new NobleG2(points.reduce((sum, p) => sum.add(p2(p)), Point2.ZERO)),
    mulG2: (p, k) => new NobleG2(p2(p).multiplyUnsafe(mod(k))),
    mulSecretG2: (p, k) => new NobleG2(p2(p).multiply(bytesToBigint(k))),
    isIdentityG2: (p) => p2(p).is0(),
    mulGT: (a, b) => new NobleGT(Fp12.mul(value(a), value(b))),
    powGT: (a, k) => new NobleGT(Fp12.pow(value(a), mod(k))),
    equalGT: (a, b) => Fp12.eql(value(a), value(b)),
    pairingProduct,
    prepare: () => {},
    encodeG1(p) {
      if (p1(p).is0()) refuseElement('a point that is not the identity');
      return p1(p).toBytes();
    },
    encodeG2(p) {
      if (p2(p).is0()) refuseElement('a point that is not the identity');
      return p2(p).toBytes();
    },
    encodeGT: (a) => Fp12.toBytes(value(a)),
    decodeG1(bytes, check) {
      checkCompressed(bytes, G1_BYTES);
      const point = decompressG1(bytes);
      if (check === 'subgroup' && !point.isTorsionFree()) refuseElement('a point of G1');
      return new NobleG1(point);
    },
    decodeG2(bytes, check) {
      checkCompressed(bytes, G2_BYTES);
      const point = decompressG2(bytes);
      if (check === 'subgroup' && !point.isTorsionFree()) refuseElement('a point of G2');
      return new NobleG2(point);
    },
    decodeGT(bytes) {
      checkGTCoordinates(bytes);
      const element = Fp12.fromBytes(bytes);
      if (Fp12.is0(element) || !Fp12.eql(Fp12.pow(element, GROUP_ORDER), Fp12.ONE)) {
        refuseElement('an element of GT');
      }
      return new NobleGT(element);
    },
  };
}
