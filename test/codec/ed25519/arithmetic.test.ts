import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, test } from 'vitest';
import { Arithmetic, freeze } from '../../../src/codec/ed25519/arithmetic.ts';
import { FE_BYTES, LIMBS, limbBits } from '../../../src/codec/ed25519/field.ts';
import { POINT_BYTES, ROW_BYTES } from '../../../src/codec/ed25519/program.ts';
import { isReduced, reduce, signedDigits } from '../../../src/codec/ed25519/scalar.ts';
import { bytesOf, numberOf, seededBytes } from './seeded.ts';

const P = 2n ** 255n - 19n;
const L = ed25519.Point.Fn.ORDER;
const random = seededBytes('arithmetic');

describe('the field', () => {
  const arithmetic = new Arithmetic();
  const { program } = arithmetic;
  const [a, b, out] = [0n, 0n, 0n].map((value) => arithmetic.number(value));

  const setLimbs = (at: number, limbs: readonly number[]): bigint => {
    arithmetic.limbs(at).set(limbs);
    return residueOf(limbs);
  };
  const residueOf = (limbs: Iterable<number>): bigint => {
    let [sum, bit] = [0n, 0n];
    let i = 0;
    for (const limb of limbs) {
      sum += BigInt(limb) << bit;
      bit += BigInt(limbBits(i++));
    }
    return ((sum % P) + P) % P;
  };
  const result = (): bigint => {
    const limbs = [...arithmetic.limbs(out)];
    const frozen = Int32Array.from(limbs);
    freeze(frozen);
    for (const [i, limb] of frozen.entries()) expect(limb >= 0 && limb < 2 ** limbBits(i)).toBe(true);
    expect(residueOf(frozen)).toBe(residueOf(limbs));
    return residueOf(frozen);
  };
  /** Largest limbs of a product, by the bound that the sums of the point formulas rely on. */
  const most = (i: number): number => Math.floor(1.01 * 2 ** (limbBits(i) - 1));
  const signs = [1, -1, 0];

  /** Limbs of sums of three products at the bound, in every pattern of signs that repeats, and random ones. */
  const operands: readonly (readonly number[])[] = [
    ...signs.flatMap((even) =>
      signs.map((odd) => Array.from({ length: LIMBS }, (_, i) => 3 * most(i) * (i % 2 === 0 ? even : odd))),
    ),
    ...Array.from({ length: 40 }, () =>
      Array.from(
        { length: LIMBS },
        (_, i) => (Number(numberOf(random(4))) % (6 * most(i) + 1)) - 3 * most(i),
      ),
    ),
  ];

  test('products and squares of the largest limbs are those of integers, and small enough to go on with', () => {
    for (const left of operands) {
      const x = setLimbs(a, left);
      for (const right of operands) {
        const y = setLimbs(b, right);
        program.mul(out, a, b);
        for (const [i, limb] of arithmetic.limbs(out).entries())
          expect(Math.abs(limb)).toBeLessThanOrEqual(most(i));
        expect(result()).toBe((x * y) % P);
      }
      program.square(out, a, 1);
      for (const [i, limb] of arithmetic.limbs(out).entries())
        expect(Math.abs(limb)).toBeLessThanOrEqual(most(i));
      expect(result()).toBe((x * x) % P);
    }
  });

  test('sums, differences, repeated squares and in-place products', () => {
    for (let round = 0; round < 50; round++) {
      const [x, y] = [numberOf(random(32)) % P, numberOf(random(32)) % P];
      arithmetic.setNumber(a, x);
      arithmetic.setNumber(b, y);
      program.add(out, a, b);
      expect(result()).toBe((x + y) % P);
      program.sub(out, a, b);
      expect(result()).toBe((x - y + P) % P);
      program.square(out, a, 3);
      expect(result()).toBe(x ** 8n % P);
      arithmetic.setNumber(out, x);
      program.mul(out, out, out);
      expect(result()).toBe((x * x) % P);
    }
  });

  test.each([0n, 1n, 2n, P - 1n, P - 2n, 2n ** 254n])('the inverse of %s', (x) => {
    arithmetic.setNumber(a, x);
    arithmetic.invert(out, a);
    expect((result() * x) % P).toBe(x === 0n ? 0n : 1n);
  });

  test.each([0n, 1n, 18n, 19n, P - 1n, P, P + 1n, 2n ** 255n - 1n])('%s is frozen to its residue', (x) => {
    arithmetic.setNumber(out, x);
    expect(result()).toBe(x % P);
  });
});

describe('points', () => {
  const arithmetic = new Arithmetic();
  const { program } = arithmetic;
  const { Point } = ed25519;
  const [p, q, out] = [0, 0, 0].map(() => arithmetic.reserve(POINT_BYTES));
  const [inverse, x, y] = [0n, 0n, 0n].map((value) => arithmetic.number(value));
  const read = (at: number): bigint => {
    const limbs = arithmetic.limbs(at).slice();
    freeze(limbs);
    return limbs.reduceRight((sum, limb, i) => (sum << BigInt(limbBits(i))) + BigInt(limb), 0n);
  };
  const affine = (at: number): { x: bigint; y: bigint } => {
    arithmetic.invert(inverse, at + 2 * FE_BYTES);
    program.mul(x, at, inverse);
    program.mul(y, at + FE_BYTES, inverse);
    return { x: read(x), y: read(y) };
  };
  /** A point of order 8. */
  const torsion = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');
  const points = [
    Point.ZERO,
    Point.BASE,
    Point.BASE.negate(),
    torsion,
    torsion.double(),
    torsion.negate(),
    Point.BASE.add(torsion),
    Point.BASE.multiply(numberOf(random(32)) % L),
  ];

  test('one formula adds any two points, equal, opposite and of small order too', () => {
    for (const left of points) {
      for (const right of points) {
        arithmetic.setPoint(p, left.toAffine());
        arithmetic.setPoint(q, right.toAffine());
        arithmetic.addPoints(out, p, q);
        expect(affine(out)).toEqual(left.add(right).toAffine());
        arithmetic.addPoints(q, out, q);
        expect(affine(q)).toEqual(left.add(right).add(right).toAffine());
      }
    }
  });

  test('a table holds the multiples of its point, and a walk adds those that its digits name', () => {
    const [windows, rows] = [5, 4];
    const table = arithmetic.reserve(windows * rows * ROW_BYTES);
    const work = arithmetic.reserve(windows * rows * (POINT_BYTES + FE_BYTES));
    const digits = arithmetic.reserve(windows);
    for (const base of points.slice(1)) {
      arithmetic.writeTable(table, base.toAffine(), windows, rows, work);
      for (const chosen of [
        [0, 0, 0, 0, 0],
        [4, 4, 4, 4, 4],
        [-4, -4, -4, -4, -4],
        [1, -2, 0, 3, -1],
        [0, 0, 0, 0, -3],
      ]) {
        new Int8Array(program.memory.buffer, digits, windows).set(chosen);
        arithmetic.setPoint(p, Point.ZERO.toAffine());
        program.walk(p, table, digits, windows, rows * ROW_BYTES, arithmetic.scratch);
        const factor = chosen.reduceRight((sum, digit) => 8n * sum + BigInt(digit), 0n);
        const expected = base.multiplyUnsafe(((factor % (8n * L)) + 8n * L) % L);
        // Of a point with a torsion part the factor counts modulo 8 L.
        if (base.isTorsionFree()) expect(affine(p)).toEqual(expected.toAffine());
        else expect(affine(p)).toEqual(sumOf(base, factor).toAffine());
      }
    }
  });

  const sumOf = (base: typeof Point.BASE, factor: bigint): typeof Point.BASE => {
    let sum = Point.ZERO;
    const step = factor < 0n ? base.negate() : base;
    for (
      let left = factor < 0n ? -factor : factor, power = step;
      left > 0n;
      left >>= 1n, power = power.double()
    ) {
      if (left & 1n) sum = sum.add(power);
    }
    return sum;
  };
});

describe('scalars', () => {
  const edges = [
    0n,
    1n,
    L - 1n,
    L,
    L + 1n,
    2n * L,
    2n ** 252n,
    2n ** 253n,
    2n ** 512n - 1n,
    L * L,
    L * 2n ** 259n,
    2n ** 504n - 1n,
  ];

  test('512 bits modulo L are those of integers', () => {
    const out = new Uint8Array(32);
    for (const value of [...edges, ...Array.from({ length: 2000 }, () => numberOf(random(64)))]) {
      reduce(bytesOf(value % 2n ** 512n, 64), out);
      expect(numberOf(out)).toBe((value % 2n ** 512n) % L);
    }
  });

  test('only numbers below L are reduced', () => {
    for (const value of edges.filter((edge) => edge < 2n ** 256n)) {
      expect(isReduced(bytesOf(value, 32))).toBe(value < L);
    }
    expect(isReduced(bytesOf(2n ** 256n - 1n, 32))).toBe(false);
  });

  test.each([2, 5, 6, 7, 8])('digits of %s bits add up to the number', (width) => {
    for (const value of [
      0n,
      1n,
      L - 1n,
      2n ** 252n,
      ...Array.from({ length: 50 }, () => numberOf(random(32)) % L),
    ]) {
      const digits = new Int8Array(Math.ceil(255 / width));
      signedDigits(bytesOf(value, 32), width, digits);
      const half = 2 ** (width - 1);
      for (const digit of digits) expect(digit >= -half && digit < half).toBe(true);
      expect(digits.reduceRight((sum, digit) => (sum << BigInt(width)) + BigInt(digit), 0n)).toBe(value);
    }
  });
});
