/**
 * Multiplication by a secret, in constant time as far as this host allows. The library has a `mulCT`, whose time follows
 * the number of zero windows and the length of the scalar's halves, so it is not used. Here
 *
 * - every scalar takes the same calls with the same pointers (test/abe/group/constant-time.test.ts compares traces): all
 *   digits are odd (`recoding.ts`), all entries of a window are read and one is kept by masks, the negative is always
 *   made and kept by masks;
 * - the running sum has random projective coordinates (Coron, CHES 1999, section 5.3). The library's field arithmetic
 *   branches on carries and inverts by a method that takes longer for some values; with coordinates that differ in
 *   each multiplication neither says anything about the scalar, nor does the third coordinate of the result.
 *
 * An addition of equal or opposite points takes another path in the library; it needs a scalar within 32 of 0 or r.
 * Not covered: what the just-in-time compiler makes of it, and attackers on the same core. Figures:
 * docs/constant-time.md.
 */
import { utf8 } from '../../codec/bytes.ts';
import { hmacSha512 } from '../../codec/hash.ts';
import { ABE_DOMAIN } from '../domains.ts';
import type { MclModule } from './mcl-module.ts';
import { type FixedBaseTable, fillOdd, type TableKind } from './mcl-tables.ts';
import { entryOf, recode, signOf } from './recoding.ts';

/** Window of tables that secrets are multiplied with: 16 entries are read for each of 52 windows. */
export const SECRET_WINDOW_BITS = 5;
const ENTRIES = 2 ** (SECRET_WINDOW_BITS - 1);
const MCL_FP_BYTES = 48;
const LABEL = utf8(ABE_DOMAIN.blinding);

/** A multiplier for one module. `scratch` has room for 18 elements of G2 and 512 bytes. */
export interface SecretMultiplier {
  /**
   * Writes scalar * base to `out`. `table` is one of `SECRET_WINDOW_BITS`, or undefined for a base that has none and
   * stands at `scratch`. The scalar is 32 bytes big-endian, below the order and not 0.
   */
  multiply(kind: TableKind, table: FixedBaseTable | undefined, out: number, scalar: Uint8Array): void;
}

export function secretMultiplier(mcl: MclModule, scratch: number): SecretMultiplier {
  // Drawing randomness is not ours. A chain over the secrets that pass through is as unpredictable as they are, and
  // differs from call to call for one and the same scalar.
  let chain: Uint8Array = new Uint8Array(64);

  /** (X, Y, Z) to (l^2 X, l^3 Y, l Z) for the next l of the chain; coordinates may be in an extension of Fp. */
  function blind(kind: TableKind, point: number, scalar: Uint8Array, spare: number): void {
    chain = hmacSha512(chain, LABEL, scalar);
    const [l, square, cube] = [spare, spare + MCL_FP_BYTES, spare + 2 * MCL_FP_BYTES];
    mcl.HEAP8.set(chain.subarray(0, MCL_FP_BYTES), square);
    mcl._mclBnFp_setBigEndianMod(l, square, MCL_FP_BYTES);
    mcl._mclBnFp_sqr(square, l);
    mcl._mclBnFp_mul(cube, square, l);
    const coordinate = kind.bytes / 3;
    [square, cube, l].forEach((factor, i) => {
      const from = point + i * coordinate;
      for (let at = from; at < from + coordinate; at += MCL_FP_BYTES) mcl._mclBnFp_mul(at, at, factor);
    });
  }

  /**
   * Copies the entry that `window` names, with its sign, to `target`. `first` points at normalised entries, whose third
   * coordinate is 1 in all. `spare` has room for one element.
   */
  function select(kind: TableKind, first: number, window: number, target: number, spare: number): void {
    const heap = mcl.HEAP32;
    const words = kind.bytes >> 2;
    const affine = (words / 3) * 2;
    const to = target >> 2;
    const from = first >> 2;
    const wanted = entryOf(window, SECRET_WINDOW_BITS);
    heap.fill(0, to, to + affine);
    for (let j = 0; j < ENTRIES; j++) {
      const keep = ((j ^ wanted) - 1) >> 31;
      const entry = from + j * words;
      for (let i = 0; i < affine; i++) heap[to + i] |= heap[entry + i] & keep;
    }
    heap.copyWithin(to + affine, from + affine, from + words);
    kind.negate(spare, target);
    const minus = signOf(window, SECRET_WINDOW_BITS) - 1;
    const negative = spare >> 2;
    for (let i = 0; i < affine; i++) heap[to + i] ^= (heap[to + i] ^ heap[negative + i]) & minus;
  }

  return {
    multiply(kind, table, out, scalar) {
      const entry = scratch + ENTRIES * kind.bytes;
      const spare = entry + kind.bytes;
      if (table === undefined) {
        fillOdd(kind, scratch, ENTRIES, entry);
        kind.normalize(scratch, ENTRIES);
      }
      const windows = recode(scalar, SECRET_WINDOW_BITS);
      const top = windows.length - 1;
      const windowAt = (i: number): number =>
        table === undefined ? scratch : table.at + i * ENTRIES * kind.bytes;
      select(kind, windowAt(top), windows[top], out, spare);
      blind(kind, out, scalar, spare);
      for (let i = top - 1; i >= 0; i--) {
        if (table === undefined) for (let bit = 0; bit < SECRET_WINDOW_BITS; bit++) kind.double(out, out);
        select(kind, windowAt(i), windows[i], entry, spare);
        kind.add(out, out, entry);
      }
      windows.fill(0);
      mcl.HEAP8.fill(0, entry, spare + kind.bytes);
    },
  };
}
