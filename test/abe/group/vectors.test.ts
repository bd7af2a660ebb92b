import { bls12_381 } from '@noble/curves/bls12-381.js';
import { beforeAll, describe, expect, test } from 'vitest';
import { instantiateMcl, type MclModule } from '../../../src/abe/group/mcl-module.ts';
import { type Group, openGroup } from '../../../src/abe/index.ts';
import { fromHex, toHex, utf8 } from '../../../src/codec/bytes.ts';
import { noVectors, vectorBytes, vectorJson } from '../shared.ts';

const skipped = noVectors === undefined ? '' : ` (${noVectors})`;

interface HashSuite {
  readonly dst: string;
  readonly vectors: readonly {
    readonly msg: string;
    readonly P: { readonly x: string; readonly y: string };
  }[];
}

describe.skipIf(noVectors !== undefined)(`RFC 9380 BLS12381G1_XMD:SHA-256_SSWU_RO_${skipped}`, () => {
  const suite = noVectors
    ? undefined
    : (vectorJson('rfc9380/BLS12381G1_XMD_SHA-256_SSWU_RO_.json') as HashSuite);
  const vectors = suite?.vectors ?? [];
  const dst = utf8(suite?.dst ?? '');
  let mcl: MclModule;
  beforeAll(async () => {
    mcl = await instantiateMcl();
  });
  const expected = (i: number): string =>
    bls12_381.G1.Point.fromAffine({ x: BigInt(vectors[i].P.x), y: BigInt(vectors[i].P.y) }).toHex();

  test.each(vectors.map((_, i) => i))(
    'vector %i through the raw mcl export that the mcl backend calls',
    (i) => {
      const message = utf8(vectors[i].msg);
      const at = mcl._malloc(4096);
      mcl.HEAP8.set(message, at + 512);
      mcl.HEAP8.set(dst, at + 2048);
      const status = mcl._mclBnG1_hashAndMapToWithDst(at, at + 512, message.length, at + 2048, dst.length);
      expect(status).toBe(0);
      mcl._mclBnG1_serialize(at + 256, 48, at);
      expect(toHex(new Uint8Array(mcl.HEAP8.slice(at + 256, at + 304)))).toBe(expected(i));
      mcl._free(at);
    },
  );

  test.each(vectors.map((_, i) => i))('vector %i through noble', (i) => {
    expect(bls12_381.G1.hashToCurve(utf8(vectors[i].msg), { DST: dst }).toHex()).toBe(expected(i));
  });
});

describe.each(['mcl', 'noble'] as const)(`published points and pairings under %s${skipped}`, (backend) => {
  let group: Group;
  beforeAll(async () => {
    group = await openGroup(backend);
  });

  test.skipIf(noVectors !== undefined)(
    'the first multiples of the generators have the published encodings',
    () => {
      const g1 = vectorBytes('bls12-381/g1_compressed_valid_test_vectors.dat');
      const g2 = vectorBytes('bls12-381/g2_compressed_valid_test_vectors.dat');
      const count = backend === 'mcl' ? 1000 : 40;
      for (let k = 1; k < count; k++) {
        const one = g1.subarray(48 * k, 48 * (k + 1));
        const two = g2.subarray(96 * k, 96 * (k + 1));
        expect(toHex(group.encodeG1(group.mulG1(group.g1, BigInt(k))))).toBe(toHex(one));
        expect(toHex(group.encodeG2(group.mulG2(group.g2, BigInt(k))))).toBe(toHex(two));
        expect(toHex(group.encodeG1(group.decodeG1(one, 'subgroup')))).toBe(toHex(one));
        expect(toHex(group.encodeG2(group.decodeG2(two, 'subgroup')))).toBe(toHex(two));
      }
      // The file begins with the identity, which no format of ours carries.
      const malformed = expect.objectContaining({ code: 'abe.element_malformed' });
      expect(() => group.decodeG1(g1.subarray(0, 48), 'curve')).toThrow(malformed);
      expect(() => group.decodeG2(g2.subarray(0, 96), 'curve')).toThrow(malformed);
    },
  );

  test.skipIf(noVectors !== undefined)('e(k g1, k g2) has the published coordinates, in our order', () => {
    const vectors = vectorJson('bls12-381/pairing.json.gz') as readonly string[];
    const count = backend === 'mcl' ? vectors.length : 5;
    for (let i = 0; i < Math.min(count, 100); i++) {
      const k = BigInt(i + 1);
      const value = group.encodeGT(
        group.pairingProduct([[group.mulG1(group.g1, k), group.mulG2(group.g2, k)]]),
      );
      const published = fromHex(vectors[i]);
      // The file writes the twelve coordinates from the highest to the lowest.
      for (let c = 0; c < 12; c++) {
        expect(toHex(value.subarray(48 * c, 48 * (c + 1)))).toBe(
          toHex(published.subarray(48 * (11 - c), 48 * (12 - c))),
        );
      }
    }
  });
});
