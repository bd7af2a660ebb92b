/**
 * c1 and c2 are decoded without a subgroup test, because FO-K's check compares them with powers of g2. These headers try
 * to slip a point of another order past that: everything else about them is as an honest sealer would make it.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import {
  combineKey,
  type DecryptionKey,
  decodeAuthorityKeys,
  decodeHeader,
  encodeAuthorityKeys,
  encodePolicy,
  type G1,
  type G2,
  GROUP_ORDER,
  type Group,
  gateLeaf,
  openDataKey,
  openGroup,
  openHeader,
  parsePolicy,
  sealHeader,
} from '../../../src/abe/index.ts';
import {
  compileHeader,
  contextHash,
  deriveKek,
  deriveRandomness,
  encodeCore,
  encodeHeader,
  encryptRaw,
  maskWithH1,
  wrapDataKey,
} from '../../../src/abe/internal.ts';
import { concat, equalBytes } from '../../../src/codec/bytes.ts';
import { id, issueRing, REGISTRY, seeded } from '../fixtures.ts';
import { type Desk, dataKey, leavesOf, openDesk, recordId } from './desk.ts';

const rejected = expect.objectContaining({ code: 'abe.header_rejected' });
/** Order of the twist over r; divisible by 13^2. */
const COFACTOR =
  0x5d543a95414e7f1091d50792876a202cd91de4547085abaa68a205b2e5a7ddfa628f1cb4d9e82ef21537e293a6691ae1616ec6e786f0c70cf1c38e31c7238e5n;
/** The nurse uses row 0 alone, so c2_2, which belongs to its second row, enters no pairing. */
const POLICY = parsePolicy('st-mary/role:nurse or st-mary/ward:icu and st-mary/role:nurse');
const expected = { recordId, version: 1, policyBytes: encodePolicy(POLICY) };

describe('a header with points that FO-K has to find', () => {
  let desk: Desk;
  let group: Group;
  let small: G2;
  let nurse: DecryptionKey;
  let opens: readonly ((header: Uint8Array, verify?: 'full') => Uint8Array)[];

  const multiple = (start: G2, k: bigint): G2 => {
    let sum = start;
    for (const bit of k.toString(2).slice(1)) sum = group.sumG2([sum, sum, ...(bit === '1' ? [start] : [])]);
    return sum;
  };

  beforeAll(async () => {
    desk = await openDesk();
    ({ group } = desk);
    const stray = Array.from({ length: 40 }, (_, x) =>
      concat(Uint8Array.of(0x80), new Uint8Array(94), Uint8Array.of(x)),
    ).flatMap((bytes) => {
      try {
        return [group.decodeG2(bytes, 'curve')];
      } catch {
        return [];
      }
    });
    small = multiple(stray[0], (GROUP_ORDER * COFACTOR) / 169n);
    expect(group.isIdentityG2(small)).toBe(false);
    expect(group.isIdentityG2(multiple(small, 169n))).toBe(true);
    nurse = desk.keyWith('st-mary/role:nurse');
    const noble = await openGroup('noble');
    const keys = decodeAuthorityKeys(noble, encodeAuthorityKeys(group, desk.all.keys));
    const ring = issueRing(desk.all, [...leavesOf('st-mary/role:nurse'), gateLeaf(recordId, 1)]);
    const { key } = combineKey({ group: noble, keys, ring, random: seeded('check'), check: 'none' });
    opens = [
      { group, mpk: desk.all.keys.mpk, key: nurse },
      { group: noble, mpk: keys.mpk, key },
    ].map(
      (opener) => (header, verify) =>
        openHeader({ ...opener, header, registry: REGISTRY, expected, ...(verify && { verify }) }),
    );
  });

  /** An honest header for `POLICY`, but that c1 and c2 go through `change`, rows through `changeRow`, before anything is hashed. */
  function header(
    change: (points: readonly G2[]) => readonly G2[],
    changeRow: (point: G1, index: number) => G1 = (point) => point,
  ): Uint8Array {
    const { mpk } = desk.all.keys;
    const context = {
      mpk,
      recordId,
      version: 1,
      gate: 'record' as const,
      emergency: false,
      epoch: undefined,
      policyBytes: expected.policyBytes,
    };
    const compiled = compileHeader(POLICY, REGISTRY, context);
    expect(compiled.tau).toBe(2);
    const m = id('m');
    const randomness = deriveRandomness(m, contextHash(context), compiled.tau, compiled.columns);
    const sealed = encryptRaw(group, compiled, randomness);
    const [c1, ...c2] = change([sealed.c1, ...sealed.c2]).map((point) => group.encodeG2(point));
    const K = group.encodeGT(group.powGT(mpk.E, randomness.s));
    const c3 = concat(...sealed.c3.map((point, i) => group.encodeG1(changeRow(point, i))));
    const core = encodeCore({ ...context, c1, c2: concat(...c2), c3, w: maskWithH1(m, K) });
    const { commitment, wrapped } = wrapDataKey(deriveKek(K, m, core), core, dataKey);
    return encodeHeader(core, commitment, wrapped);
  }
  const replacing = (at: number, by: (point: G2) => G2) => (points: readonly G2[]) =>
    points.map((point, i) => (i === at ? by(point) : point));

  test('is what an honest sealer makes, without the change', () => {
    const honest = header((points) => points);
    expect(equalBytes(decodeHeader(honest).policyBytes, expected.policyBytes)).toBe(true);
    for (const open of opens) expect(open(honest)).toEqual(dataKey);
    expect(() => sealHeader(desk.options({ policy: POLICY }))).not.toThrow();
  });

  test.each([
    ['c1', 0],
    ['the c2 in use', 1],
    ['the c2 that no used row has', 2],
  ] as const)(
    'is refused when %s has a part of small order, by both backends and at both levels',
    (_, at) => {
      const shifted = header(replacing(at, (point) => group.sumG2([point, small])));
      const alone = header(replacing(at, () => small));
      for (const bytes of [shifted, alone]) {
        for (const open of opens) {
          expect(() => open(bytes)).toThrow(rejected);
          expect(() => open(bytes, 'full')).toThrow(rejected);
        }
      }
    },
  );

  test('is refused too when the unused c2 is another point of G2: equality says more than a subgroup test', () => {
    const other = header(replacing(2, (point) => group.sumG2([point, group.g2])));
    for (const open of opens) expect(() => open(other)).toThrow(rejected);
  });

  test('a row that this reader does not use is noticed when the data key is asked for with every row verified', () => {
    const bad = header(
      (points) => points,
      (point, i) => (i === 2 ? group.sumG1([point, group.g1]) : point),
    );
    const ring = issueRing(desk.all, [...leavesOf('st-mary/role:nurse'), gateLeaf(recordId, 1)]);
    const options = {
      group,
      keys: desk.all.keys,
      ring,
      registry: REGISTRY,
      header: bad,
      expected,
      random: seeded('r'),
    };
    expect(openDataKey(options)).toEqual(dataKey);
    expect(() => openDataKey({ ...options, verify: 'full' })).toThrow(rejected);
  });
});
