import { beforeAll, describe, expect, test } from 'vitest';
import { bytesToBigint, mod } from '../../../src/abe/group/scalar.ts';
import { type Group, openAuthority, openGroup } from '../../../src/abe/index.ts';
import { lagrangeScalars } from '../../../src/abe/threshold/lagrange.ts';
import { issueRing, keyOf } from '../fixtures.ts';
import { runCeremony } from './harness.ts';

describe('key generation without a dealer', () => {
  let group: Group;
  beforeAll(async () => {
    group = await openGroup('mcl');
  });

  test.each([
    [1, 1],
    [4, 3],
    [5, 4],
  ])('%i honest participants with threshold %i agree on one key that any quorum can issue under', (n, t) => {
    const { results, failed, blames } = runCeremony(group, n, t);
    expect(failed.size).toBe(0);
    expect(blames.size).toBe(0);
    const all = [...results.values()];
    expect(all).toHaveLength(n);
    const [{ keys }] = all;
    for (const result of all) {
      expect(result.keys.mpk.bytes).toEqual(keys.mpk.bytes);
      expect(result.keys.E.map((E) => group.encodeGT(E))).toEqual(keys.E.map((E) => group.encodeGT(E)));
    }
    const authorities = all.map(({ share }) => openAuthority(group, share));
    const ring = issueRing({ group, keys, authorities }, [], {
      points: Array.from({ length: t }, (_, i) => n - i),
    });
    expect(keyOf({ group, keys, authorities }, ring).mpkHash).toEqual(keys.mpk.hash);
  });

  test('the shares interpolate to the discrete logarithm of E, and t - 1 of them do not', () => {
    const { results } = runCeremony(group, 4, 3);
    const all = [...results.values()];
    const alphaOf = (points: readonly number[]): bigint => {
      const weights = lagrangeScalars(points);
      return mod(points.reduce((sum, p, i) => sum + weights[i] * bytesToBigint(all[p - 1].share.alpha), 0n));
    };
    const [{ keys }] = all;
    expect(group.equalGT(group.powGT(group.gt, alphaOf([2, 3, 4])), keys.mpk.E)).toBe(true);
    expect(group.equalGT(group.powGT(group.gt, alphaOf([1, 2])), keys.mpk.E)).toBe(false);
  });
});
