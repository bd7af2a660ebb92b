import { beforeAll, describe, expect, test } from 'vitest';
import { type G1, type G2, GROUP_ORDER, type Group, openGroup } from '../../../src/abe/index.ts';
import { concat, fromHex, toHex } from '../../../src/codec/bytes.ts';

const malformed = expect.objectContaining({ code: 'abe.element_malformed' });
const FIELD_PRIME =
  0x1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaabn;

const bytesOf = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(96, '0'));
const flagged = (bytes: Uint8Array, flags: number): Uint8Array => {
  const out = bytes.slice();
  out[0] |= flags;
  return out;
};

/** The first encodings from x = 1, 2, ... of points that lie outside the subgroup of prime order. */
function stray(group: Group, which: 'G1' | 'G2'): Uint8Array {
  for (let x = 1n; x < 1000n; x++) {
    const one = which === 'G1';
    const bytes = one ? flagged(bytesOf(x), 0x80) : concat(flagged(bytesOf(0n), 0x80), bytesOf(x));
    try {
      if (!one) group.decodeG2(bytes, 'curve');
      else if (group.inSubgroupG1(group.decodeG1(bytes, 'curve'))) continue;
      return bytes;
    } catch {
      // No point of the curve has this x.
    }
  }
  throw new Error('no point outside the subgroup found');
}

describe.each(['mcl', 'noble'] as const)('points from outside under %s', (backend) => {
  let group: Group;
  beforeAll(async () => {
    group = await openGroup(backend);
  });

  test('the identity is refused in both groups and never encoded', () => {
    const zero1 = group.mulG1(group.g1, 0n);
    const zero2 = group.mulG2(group.g2, 0n);
    expect(group.equalG1(zero1, group.sumG1([])) && group.isIdentityG2(zero2)).toBe(true);
    expect(() => group.encodeG1(zero1)).toThrow(malformed);
    expect(() => group.encodeG2(zero2)).toThrow(malformed);
    expect(() => group.decodeG1(flagged(new Uint8Array(48), 0xc0), 'curve')).toThrow(malformed);
    expect(() => group.decodeG2(flagged(new Uint8Array(96), 0xc0), 'curve')).toThrow(malformed);
  });

  test('points outside the subgroup are refused where the subgroup is asked for', () => {
    expect(() => group.decodeG1(stray(group, 'G1'), 'subgroup')).toThrow(malformed);
    expect(() => group.decodeG2(stray(group, 'G2'), 'subgroup')).toThrow(malformed);
    expect(group.inSubgroupG1(group.decodeG1(stray(group, 'G1'), 'curve'))).toBe(false);
  });

  test('torsion of G1 is invisible to the pairing, so that an unchecked row means the same to every reader', () => {
    const order = GROUP_ORDER;
    // r * stray has only torsion left.
    let t = group.decodeG1(stray(group, 'G1'), 'curve');
    const start = t;
    for (let bit = order.toString(2).length - 2; bit >= 0; bit--) {
      t = group.sumG1([t, t, ...(((order >> BigInt(bit)) & 1n) === 1n ? [start] : [])]);
    }
    expect(group.equalG1(t, group.sumG1([]))).toBe(false);
    const p = group.mulG1(group.g1, 12345n);
    const pair = (a: G1): string => toHex(group.encodeGT(group.pairingProduct([[a, group.g2]])));
    expect(pair(group.sumG1([p, t]))).toBe(pair(p));
    expect(pair(group.sumG1([t]))).toBe(toHex(group.encodeGT(group.powGT(group.gt, 0n))));
  });

  test('a point of small order on the twist gives a worthless value in a pairing or a typed error', async () => {
    // Noble does not even encode such a point.
    const mcl = await openGroup('mcl');
    // The cofactor of G2 is divisible by 13^2 (and by 23^2, 2713, ...).
    const cofactor =
      0x5d543a95414e7f1091d50792876a202cd91de4547085abaa68a205b2e5a7ddfa628f1cb4d9e82ef21537e293a6691ae1616ec6e786f0c70cf1c38e31c7238e5n;
    expect(cofactor % 169n).toBe(0n);
    const multiple = (start: G2, k: bigint): G2 => {
      let t = start;
      for (let bit = k.toString(2).length - 2; bit >= 0; bit--) {
        t = mcl.sumG2([t, t, ...(((k >> BigInt(bit)) & 1n) === 1n ? [start] : [])]);
      }
      return t;
    };
    const start = mcl.decodeG2(stray(mcl, 'G2'), 'curve');
    const small = multiple(start, (GROUP_ORDER * cofactor) / 169n);
    expect(mcl.isIdentityG2(small)).toBe(false);
    expect(mcl.isIdentityG2(multiple(small, 169n))).toBe(true);
    const encoded = mcl.encodeG2(small);
    expect(() => group.decodeG2(encoded, 'subgroup')).toThrow(malformed);
    const pair = () =>
      group.pairingProduct([
        [group.g1, group.decodeG2(encoded, 'curve')],
        [group.g1, group.g2],
      ]);
    if (backend === 'noble') expect(pair).toThrow(malformed);
    else expect(group.encodeGT(pair()).length).toBe(576);
  });

  test('non-canonical encodings are refused', () => {
    const g1 = group.encodeG1(group.g1);
    const g2 = group.encodeG2(group.g2);
    // x = 0 is on the curve (with y = 2, of order 3), and x = p would be a second encoding of it.
    expect(group.inSubgroupG1(group.decodeG1(flagged(bytesOf(0n), 0x80), 'curve'))).toBe(false);
    expect(() => group.decodeG1(flagged(bytesOf(FIELD_PRIME), 0x80), 'curve')).toThrow(malformed);
    expect(() => group.decodeG1(flagged(bytesOf(FIELD_PRIME + 4n), 0x80), 'curve')).toThrow(malformed);
    expect(() => group.decodeG1(g1.subarray(0, 47), 'curve')).toThrow(malformed);
    expect(() => group.decodeG1(concat(g1, Uint8Array.of(0)), 'curve')).toThrow(malformed);
    const uncompressed = g1.slice();
    uncompressed[0] &= 0x7f;
    expect(() => group.decodeG1(uncompressed, 'curve')).toThrow(malformed);
    const high = concat(g2.subarray(0, 48), bytesOf(FIELD_PRIME));
    expect(() => group.decodeG2(high, 'curve')).toThrow(malformed);
    expect(() =>
      group.decodeG2(concat(flagged(bytesOf(FIELD_PRIME), 0x80), g2.subarray(48)), 'curve'),
    ).toThrow(malformed);
    expect(() => group.decodeG2(g1, 'curve')).toThrow(malformed);
    expect(() => group.decodeG1(g2, 'curve')).toThrow(malformed);
  });

  test('x that is on no curve is refused', () => {
    let refused = 0;
    for (let x = 1n; x < 20n; x++) {
      try {
        group.decodeG1(flagged(bytesOf(x), 0x80), 'curve');
      } catch (error) {
        expect(error).toEqual(malformed);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(3);
  });

  test('GT is read with a membership test: arbitrary field elements, zero and large coordinates are refused', () => {
    const good = group.encodeGT(group.gt);
    expect(toHex(group.encodeGT(group.decodeGT(good)))).toBe(toHex(good));
    const other = good.slice();
    other[575] ^= 1;
    expect(() => group.decodeGT(other)).toThrow(malformed);
    expect(() => group.decodeGT(new Uint8Array(576))).toThrow(malformed);
    const two = new Uint8Array(576);
    two[47] = 2;
    expect(() => group.decodeGT(two)).toThrow(malformed);
    const minusOne = concat(bytesOf(FIELD_PRIME - 1n), new Uint8Array(528));
    expect(() => group.decodeGT(minusOne)).toThrow(malformed);
    expect(() => group.decodeGT(concat(bytesOf(FIELD_PRIME + 1n), new Uint8Array(528)))).toThrow(malformed);
    expect(() => group.decodeGT(good.subarray(0, 575))).toThrow(malformed);
  });
});

describe('points of two backends', () => {
  test('do not mix', async () => {
    const [mcl, noble] = [await openGroup('mcl'), await openGroup('noble')];
    expect(() => mcl.encodeG1(noble.g1)).toThrow(TypeError);
    expect(() => noble.encodeG1(mcl.g1)).toThrow(TypeError);
    expect(() => mcl.pairingProduct([[mcl.g1, noble.g2]])).toThrow(TypeError);
  });
});
