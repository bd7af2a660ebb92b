import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  bytesToBigint,
  invert,
  mod,
  reduceWide,
  scalarFromBytes,
  scalarToBytes,
} from '../../../src/abe/group/scalar.ts';
import { GROUP_ORDER, type Group, openGroup } from '../../../src/abe/index.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { seeded } from '../fixtures.ts';

/** The scalar whose windows of `w` bits all hold `digit`, up to 250 bits. */
const everyDigit = (w: bigint, digit: bigint): bigint =>
  Array.from({ length: Number(250n / w) }, (_, i) => digit << (w * BigInt(i))).reduce((a, b) => a + b);

const scalar = fc.oneof(
  fc.bigInt({ min: 0n, max: GROUP_ORDER - 1n }),
  fc.constantFrom(0n, 1n, 2n, 255n, 256n, 65535n, 65536n, GROUP_ORDER - 1n, GROUP_ORDER - 2n, 1n << 254n),
  // Digits at the edge of a signed window, and carries through all of them.
  fc.constantFrom(
    ...[5n, 9n, 10n].flatMap((w) => [0n, 1n, -1n].map((d) => everyDigit(w, (1n << (w - 1n)) + d))),
  ),
  fc.constantFrom((1n << 254n) - 1n, (1n << 250n) - 1n),
);

describe('the two backends', () => {
  let mcl: Group;
  let noble: Group;
  beforeAll(async () => {
    mcl = await openGroup('mcl');
    noble = await openGroup('noble');
  });
  const hex1 = (g: Group, p: Parameters<Group['encodeG1']>[0]): string =>
    g.equalG1(p, g.mulG1(g.g1, 0n)) ? 'identity' : toHex(g.encodeG1(p));
  const hex2 = (g: Group, p: Parameters<Group['encodeG2']>[0]): string =>
    g.isIdentityG2(p) ? 'identity' : toHex(g.encodeG2(p));

  test('multiply alike: with tables, without, small, negative and secret scalars', () => {
    fc.assert(
      fc.property(scalar, (k) => {
        const both = [mcl, noble].map((g) => {
          const base1 = g.mulG1(g.g1, 7n);
          const base2 = g.mulG2(g.g2, 7n);
          const secret = k === 0n ? [] : [hex1(g, g.mulSecretG1(base1, scalarToBytes(k)))];
          return [
            hex1(g, g.mulG1(g.g1, k)),
            hex1(g, g.mulG1(base1, k)),
            hex1(g, g.mulG1(base1, -k)),
            hex1(g, g.negG1(g.mulG1(base1, k))),
            hex2(g, g.mulG2(g.g2, k)),
            hex2(g, g.mulG2(base2, k)),
            ...secret,
          ];
        });
        expect(both[0]).toEqual(both[1]);
        expect(both[0][2]).toBe(both[0][3]);
      }),
      { numRuns: 60 },
    );
  });

  test('sum products alike, also more of them than fit at once', () => {
    for (const [count, bits] of [
      [0, 8],
      [1, 256],
      [7, 128],
      [20, 256],
    ] as const) {
      const sums = [mcl, noble].map((g) => {
        const random = seeded(`products ${count}`);
        const points = Array.from({ length: count }, (_, i) => g.hashToG1(Uint8Array.of(7, i)));
        const scalars = points.map(() => mod(bytesToBigint(random(bits / 8))));
        const sum = g.multiMulG1(points, scalars);
        expect(g.equalG1(sum, g.sumG1(points.map((p, i) => g.mulG1(p, scalars[i]))))).toBe(true);
        return hex1(g, sum);
      });
      expect(sums[0]).toBe(sums[1]);
    }
    const many = new Array(1100).fill(mcl.g1);
    const scalars = many.map((_, i) => BigInt(i));
    expect(hex1(mcl, mcl.multiMulG1(many, scalars))).toBe(hex1(mcl, mcl.mulG1(mcl.g1, (1099n * 1100n) / 2n)));
  });

  test('hash alike, whatever the length', () => {
    for (const length of [0, 1, 31, 200, 1023, 1024, 1025, 5000]) {
      const message = seeded('message')(length);
      expect(hex1(mcl, mcl.hashToG1(message))).toBe(hex1(noble, noble.hashToG1(message)));
    }
  });

  test('a hash has the same multiples before and after it became hot', () => {
    const h = mcl.hashToG1(seeded('hot')(20));
    const scalars = fc.sample(scalar, { numRuns: 40, seed: 1 });
    const first = scalars.map((k) => hex1(mcl, mcl.mulG1(h, k)));
    expect(scalars.map((k) => hex1(mcl, mcl.mulG1(h, k)))).toEqual(first);
    expect(first.slice(0, 5)).toEqual(
      scalars.slice(0, 5).map((k) => hex1(noble, noble.mulG1(noble.hashToG1(seeded('hot')(20)), k))),
    );
  });

  test('hashing more messages than are remembered, and heating more than have tables, changes no result', () => {
    const h = (i: number) => mcl.hashToG1(Uint8Array.of(9, i >> 8, i & 255));
    const k = reduceWide(seeded('scalar')(64));
    const first = hex1(mcl, mcl.mulG1(h(0), k));
    for (let i = 0; i < 160; i++) for (let use = 0; use < 26; use++) mcl.mulG1(h(i), k);
    for (let i = 0; i < 4200; i++) h(i);
    expect(hex1(mcl, mcl.mulG1(h(0), k))).toBe(first);
  });

  test('pair alike, bilinearly, and identities count as one', () => {
    const [a, b, c] = [3n, 11n, reduceWide(seeded('c')(64))];
    const values = [mcl, noble].map((g) => {
      const zero = g.mulG1(g.g1, 0n);
      const product = g.pairingProduct([
        [g.mulG1(g.g1, a), g.mulG2(g.g2, b)],
        [zero, g.g2],
        [g.g1, g.mulG2(g.g2, 0n)],
        [g.mulG1(g.g1, c), g.g2],
      ]);
      expect(g.equalGT(product, g.powGT(g.gt, a * b + c))).toBe(true);
      expect(g.equalGT(g.pairingProduct([[zero, g.g2]]), g.powGT(g.gt, 0n))).toBe(true);
      return toHex(g.encodeGT(product));
    });
    expect(values[0]).toBe(values[1]);
  });

  test('exponentiate in GT alike, with and without a table', () => {
    const k = reduceWide(seeded('k')(64));
    const values = [mcl, noble].map((g) => {
      const base = g.powGT(g.gt, 5n);
      const plain = toHex(g.encodeGT(g.powGT(base, k)));
      g.prepare(base);
      expect(toHex(g.encodeGT(g.powGT(base, k)))).toBe(plain);
      expect(g.equalGT(g.powGT(base, 0n), g.powGT(g.gt, 0n))).toBe(true);
      return plain;
    });
    expect(values[0]).toBe(values[1]);
  });

  test('preparing more GT bases than have tables changes no result', () => {
    const k = reduceWide(seeded('k')(64));
    const bases = [2n, 3n, 4n, 5n].map((e) => mcl.powGT(mcl.gt, e));
    const before = bases.map((base) => toHex(mcl.encodeGT(mcl.powGT(base, k))));
    for (const base of bases) mcl.prepare(base);
    expect(bases.map((base) => toHex(mcl.encodeGT(mcl.powGT(base, k))))).toEqual(before);
  });

  test('are opened once', async () => {
    expect(await openGroup('mcl')).toBe(mcl);
    expect(Object.isFrozen(mcl)).toBe(true);
  });
});

describe('scalars', () => {
  test('have one form of 32 bytes, and values of the order and above are refused', () => {
    fc.assert(
      fc.property(scalar, (k) => {
        expect(scalarFromBytes(scalarToBytes(k))).toBe(k);
        if (k !== 0n) expect(mod(k * invert(k))).toBe(1n);
      }),
      { numRuns: 50 },
    );
    const order = new Uint8Array(32).fill(255);
    expect(scalarFromBytes(order)).toBeUndefined();
    expect(scalarFromBytes(new Uint8Array(31))).toBeUndefined();
  });

  test('are reduced from 48 bytes or more, so that no bias shows', () => {
    expect(() => reduceWide(new Uint8Array(47))).toThrow(expect.objectContaining({ code: 'abe.argument' }));
    expect(reduceWide(new Uint8Array(48).fill(1))).toBeLessThan(GROUP_ORDER);
    // Reducing 32 bytes would put two of eight buckets near 1.4 times the others (chi-squared in the thousands).
    const random = seeded('bias');
    const buckets = new Array<number>(8).fill(0);
    const draws = 8000;
    for (let i = 0; i < draws; i++) buckets[Number((reduceWide(random(48)) * 8n) / GROUP_ORDER)]++;
    const chi = buckets.reduce((sum, count) => sum + (count - draws / 8) ** 2 / (draws / 8), 0);
    expect(chi).toBeLessThan(30);
  });
});
