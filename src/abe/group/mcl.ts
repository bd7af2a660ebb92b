/**
 * The fast backend: mcl-wasm through raw pointers. Elements live in JavaScript, so nothing leaks; only fixed-base
 * tables stay in wasm memory, within the keeper's bounds. Every call puts its operands into one scratch area.
 */
import { toHex, utf8 } from '../../codec/bytes.ts';
import { HASH_TO_G1_DST } from '../domains.ts';
import { checkCompressed, checkGTCoordinates, refuseElement } from './encoding.ts';
import { GENERATOR_G1, GENERATOR_G2 } from './generators.ts';
import { type MclElement, MclG1, MclG2, MclGT, own } from './mcl-elements.ts';
import { MclKeeper } from './mcl-keeper.ts';
import {
  allocate,
  MCL_FR_BYTES,
  MCL_G1_BYTES,
  MCL_G2_BYTES,
  MCL_GT_BYTES,
  type MclModule,
} from './mcl-module.ts';
import { secretMultiplier } from './mcl-secret.ts';
import { addFromTable, type TableKind } from './mcl-tables.ts';
import { mod, scalarToBytes } from './scalar.ts';
import {
  type G1,
  G1_BYTES,
  type G2,
  G2_BYTES,
  GROUP_ORDER,
  type Group,
  GT_BYTES,
  type PointCheck,
  SCALAR_BYTES,
  type SecretScalar,
} from './types.ts';

/** Scalars up to this size are cheaper by double-and-add than by the library's general multiplication. */
const SMALL_SCALAR_MAX = 0xffffn;
/** Pairs in one product; the scheme needs 2 + tau, and tau is at most the number of leaves. */
const PAIRS_MAX = 512;

/** Builds the backend over a fresh module. Call through `openGroup`, which tests it first. */
export function mclGroup(mcl: MclModule): Group {
  const out = allocate(mcl, PAIRS_MAX * (MCL_G1_BYTES + MCL_G2_BYTES) + 4 * MCL_GT_BYTES + 2048);
  const left = out + MCL_GT_BYTES;
  const right = left + MCL_GT_BYTES;
  const scalarAt = right + MCL_GT_BYTES;
  const bytesAt = scalarAt + 64;
  const g1At = bytesAt + 1536;
  const g2At = g1At + PAIRS_MAX * MCL_G1_BYTES;

  const dst = utf8(HASH_TO_G1_DST);
  const dstAt = allocate(mcl, dst.length);
  mcl.HEAP8.set(dst, dstAt);

  const put = (element: MclElement, at: number): void => mcl.HEAP32.set(element.words, at >> 2);
  const take = (at: number, bytes: number): Int32Array => mcl.HEAP32.slice(at >> 2, (at + bytes) >> 2);
  const takeG1 = (at = out): MclG1 => new MclG1(take(at, MCL_G1_BYTES));
  const takeG2 = (at = out): MclG2 => new MclG2(take(at, MCL_G2_BYTES));
  const takeGT = (at = out): MclGT => new MclGT(take(at, MCL_GT_BYTES));
  const putBytes = (bytes: Uint8Array, at: number): void => mcl.HEAP8.set(bytes, at);
  const takeBytes = (at: number, length: number): Uint8Array =>
    new Uint8Array(mcl.HEAP8.slice(at, at + length));

  /** Loads a scalar as a field element and wipes the plain bytes again. */
  function loadScalar(scalar: Uint8Array): void {
    if (scalar.length !== SCALAR_BYTES) throw new TypeError('a scalar has 32 bytes');
    putBytes(scalar, bytesAt);
    mcl._mclBnFr_setBigEndianMod(scalarAt, bytesAt, SCALAR_BYTES);
    mcl.HEAP8.fill(0, bytesAt, bytesAt + SCALAR_BYTES);
  }
  /** Double-and-add for the small weights of reconstruction and interpolation. Leaves the product at `out`. */
  function mulSmallG1(point: MclG1, k: number): void {
    put(point, left);
    mcl._mclBnG1_clear(out);
    for (let bit = 31 - Math.clz32(k); bit >= 0; bit--) {
      mcl._mclBnG1_dbl(out, out);
      if (((k >>> bit) & 1) === 1) mcl._mclBnG1_add(out, out, left);
    }
  }

  function mulSmallG2(point: MclG2, k: number): void {
    put(point, left);
    mcl._mclBnG2_clear(out);
    for (let bit = 31 - Math.clz32(k); bit >= 0; bit--) {
      mcl._mclBnG2_dbl(out, out);
      if (((k >>> bit) & 1) === 1) mcl._mclBnG2_add(out, out, left);
    }
  }

  const keeper = new MclKeeper(mcl, left);

  // The pairs' area is free outside of pairings and long sums.
  const secrets = secretMultiplier(mcl, g1At);

  /** scalar * point at `out`, in constant time. */
  function mulSecret(point: MclElement, kind: TableKind, scalar: SecretScalar): void {
    if (scalar.length !== SCALAR_BYTES) throw new TypeError('a scalar has 32 bytes');
    put(point, g1At);
    secrets.multiply(kind, keeper.secretTable(point), out, scalar);
  }

  function hashToG1(message: Uint8Array): MclG1 {
    const name = toHex(message);
    const known = keeper.recall(name);
    if (known !== undefined) return known;
    const at = message.length <= 1024 ? bytesAt : allocate(mcl, message.length);
    putBytes(message, at);
    const status = mcl._mclBnG1_hashAndMapToWithDst(out, at, message.length, dstAt, dst.length);
    if (at !== bytesAt) mcl._free(at);
    if (status !== 0) refuseElement('a message that hashes to the curve');
    const point = takeG1();
    keeper.remember(name, point);
    return point;
  }

  function decodeG1(bytes: Uint8Array, check: PointCheck): MclG1 {
    checkCompressed(bytes, G1_BYTES);
    putBytes(bytes, bytesAt);
    if (mcl._mclBnG1_deserialize(out, bytesAt, G1_BYTES) !== G1_BYTES) refuseElement('a point on the curve');
    if (check === 'subgroup' && mcl._mclBnG1_isValidOrder(out) !== 1) refuseElement('a point of G1');
    return takeG1();
  }

  function decodeG2(bytes: Uint8Array, check: PointCheck): MclG2 {
    checkCompressed(bytes, G2_BYTES);
    putBytes(bytes, bytesAt);
    if (mcl._mclBnG2_deserialize(out, bytesAt, G2_BYTES) !== G2_BYTES) refuseElement('a point on the twist');
    if (check === 'subgroup' && mcl._mclBnG2_isValidOrder(out) !== 1) refuseElement('a point of G2');
    return takeG2();
  }

  function pairingProduct(pairs: readonly (readonly [G1, G2])[]): MclGT {
    if (pairs.length === 0 || pairs.length > PAIRS_MAX) throw new RangeError('1 to 512 pairs');
    for (let i = 0; i < pairs.length; i++) {
      put(own(MclG1, pairs[i][0]), g1At + i * MCL_G1_BYTES);
      put(own(MclG2, pairs[i][1]), g2At + i * MCL_G2_BYTES);
    }
    mcl._mclBn_millerLoopVec(out, g1At, g2At, pairs.length);
    mcl._mclBn_finalExp(out, out);
    return takeGT();
  }

  /** mcl in ETH mode writes each pair of coordinates with the imaginary part first; ours has it second. */
  function swapPairs(bytes: Uint8Array): Uint8Array {
    const swapped = new Uint8Array(GT_BYTES);
    for (let offset = 0; offset < GT_BYTES; offset += 96) {
      swapped.set(bytes.subarray(offset + 48, offset + 96), offset);
      swapped.set(bytes.subarray(offset, offset + 48), offset + 48);
    }
    return swapped;
  }

  const g1 = decodeG1(GENERATOR_G1, 'subgroup');
  const g2 = decodeG2(GENERATOR_G2, 'subgroup');

  return {
    backend: 'mcl',
    g1,
    g2,
    gt: pairingProduct([[g1, g2]]),
    hashToG1,
    sumG1(points) {
      mcl._mclBnG1_clear(out);
      for (const point of points) {
        put(own(MclG1, point), left);
        mcl._mclBnG1_add(out, out, left);
      }
      return takeG1();
    },
    negG1(p) {
      put(own(MclG1, p), left);
      mcl._mclBnG1_neg(out, left);
      return takeG1();
    },
    mulG1(p, k) {
      const point = own(MclG1, p);
      const positive = mod(k);
      const negative = GROUP_ORDER - positive;
      if (positive <= SMALL_SCALAR_MAX) {
        mulSmallG1(point, Number(positive));
        return takeG1();
      }
      if (negative <= SMALL_SCALAR_MAX) {
        mulSmallG1(point, Number(negative));
        mcl._mclBnG1_neg(out, out);
        return takeG1();
      }
      keeper.touch(point);
      const scalar = scalarToBytes(positive);
      if (point.table !== undefined) {
        mcl._mclBnG1_clear(out);
        addFromTable(point.table, out, scalar, right);
        return takeG1();
      }
      loadScalar(scalar);
      put(point, left);
      mcl._mclBnG1_mul(out, left, scalarAt);
      return takeG1();
    },
    multiMulG1(points, scalars) {
      const sum = right;
      mcl._mclBnG1_clear(sum);
      // The vectors lie where a pairing has its operands, so long sums go in pieces.
      for (let from = 0; from < points.length; from += PAIRS_MAX) {
        const piece = points.slice(from, from + PAIRS_MAX);
        piece.forEach((point, i) => {
          loadScalar(scalarToBytes(scalars[from + i]));
          mcl.HEAP8.copyWithin(g2At + i * MCL_FR_BYTES, scalarAt, scalarAt + MCL_FR_BYTES);
          put(own(MclG1, point), g1At + i * MCL_G1_BYTES);
        });
        mcl._mclBnG1_mulVec(out, g1At, g2At, piece.length);
        mcl._mclBnG1_add(sum, sum, out);
      }
      return takeG1(sum);
    },
    mulSecretG1(p, k) {
      const point = own(MclG1, p);
      keeper.touch(point);
      mulSecret(point, keeper.kinds.G1, k);
      return takeG1();
    },
    inSubgroupG1(p) {
      put(own(MclG1, p), left);
      return mcl._mclBnG1_isValidOrder(left) === 1;
    },
    equalG1(a, b) {
      put(own(MclG1, a), left);
      put(own(MclG1, b), right);
      return mcl._mclBnG1_isEqual(left, right) === 1;
    },
    sumG2(points) {
      mcl._mclBnG2_clear(out);
      for (const point of points) {
        put(own(MclG2, point), left);
        mcl._mclBnG2_add(out, out, left);
      }
      return takeG2();
    },
    mulG2(p, k) {
      const point = own(MclG2, p);
      const positive = mod(k);
      const negative = GROUP_ORDER - positive;
      if (positive <= SMALL_SCALAR_MAX) {
        mulSmallG2(point, Number(positive));
        return takeG2();
      }
      if (negative <= SMALL_SCALAR_MAX) {
        mulSmallG2(point, Number(negative));
        mcl._mclBnG2_neg(out, out);
        return takeG2();
      }
      const scalar = scalarToBytes(positive);
      if (point.table !== undefined) {
        mcl._mclBnG2_clear(out);
        addFromTable(point.table, out, scalar, right);
        return takeG2();
      }
      loadScalar(scalar);
      put(point, left);
      mcl._mclBnG2_mul(out, left, scalarAt);
      return takeG2();
    },
    mulSecretG2(p: G2, k: SecretScalar) {
      mulSecret(own(MclG2, p), keeper.kinds.G2, k);
      return takeG2();
    },
    isIdentityG2(p) {
      put(own(MclG2, p), left);
      return mcl._mclBnG2_isZero(left) === 1;
    },
    mulGT(a, b) {
      put(own(MclGT, a), left);
      put(own(MclGT, b), right);
      mcl._mclBnGT_mul(out, left, right);
      return takeGT();
    },
    powGT(a, k) {
      const base = own(MclGT, a);
      const scalar = scalarToBytes(k);
      if (base.table !== undefined) {
        mcl._mclBnGT_setInt32(out, 1);
        addFromTable(base.table, out, scalar, right);
        return takeGT();
      }
      loadScalar(scalar);
      put(base, left);
      mcl._mclBnGT_pow(out, left, scalarAt);
      return takeGT();
    },
    equalGT(a, b) {
      put(own(MclGT, a), left);
      put(own(MclGT, b), right);
      return mcl._mclBnGT_isEqual(left, right) === 1;
    },
    pairingProduct,
    prepare(base) {
      if (base.kind === 'GT') keeper.prepare(own(MclGT, base));
      else if (base.kind === 'G2') keeper.prepare(own(MclG2, base));
      else keeper.prepare(own(MclG1, base));
    },
    encodeG1(p) {
      put(own(MclG1, p), left);
      if (mcl._mclBnG1_isZero(left) === 1) refuseElement('a point that is not the identity');
      mcl._mclBnG1_serialize(bytesAt, G1_BYTES, left);
      return takeBytes(bytesAt, G1_BYTES);
    },
    encodeG2(p) {
      put(own(MclG2, p), left);
      if (mcl._mclBnG2_isZero(left) === 1) refuseElement('a point that is not the identity');
      mcl._mclBnG2_serialize(bytesAt, G2_BYTES, left);
      return takeBytes(bytesAt, G2_BYTES);
    },
    encodeGT(a) {
      put(own(MclGT, a), left);
      mcl._mclBnGT_serialize(bytesAt, GT_BYTES, left);
      return swapPairs(takeBytes(bytesAt, GT_BYTES));
    },
    decodeG1,
    decodeG2,
    decodeGT(bytes) {
      checkGTCoordinates(bytes);
      putBytes(swapPairs(bytes), bytesAt);
      const read = mcl._mclBnGT_deserialize(out, bytesAt, GT_BYTES);
      if (read !== GT_BYTES || mcl._mclBnGT_isValid(out) !== 1) refuseElement('an element of GT');
      return takeGT();
    },
  };
}
