import { beforeAll, describe, expect, test } from 'vitest';
import {
  addKeyParts,
  attributeLeaf,
  combineKey,
  decodeAuthorityKeys,
  decodeAuthorityShare,
  decodeKeyRing,
  decodePart,
  dropAuthority,
  emergencyLeaf,
  emptyKeyRing,
  encodeAuthorityKeys,
  encodeAuthorityShare,
  encodeKeyRing,
  extendKeyPart,
  filterLeaves,
  type Group,
  gateLeaf,
  issueKeyPart,
  type KeyPart,
  type KeyRing,
  openAuthority,
  openGroup,
  verifyGate,
  verifyPart,
} from '../../../src/abe/index.ts';
import { encodePart, lagrangeAtZero, lagrangeScalars, mod } from '../../../src/abe/internal.ts';
import { onOnePolynomial } from '../../../src/abe/threshold/keys.ts';
import { PART_LEAVES_MAX } from '../../../src/abe/threshold/part.ts';
import { RING_LEAVES_MAX } from '../../../src/abe/threshold/ring.ts';
import { concat, toHex, u32be } from '../../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../../src/codec/cbor.ts';
import { type Consortium, consortium, id, issueRing, keyOf, seeded } from '../fixtures.ts';

const leaf = (name: string): Uint8Array => attributeLeaf('h', 'x', name);
const A = leaf('A');
const B = leaf('B');
const gate = gateLeaf(id('record'), 1);
const keyId = id('alice');

describe('threshold issue', () => {
  let group: Group;
  let all: Consortium;
  beforeAll(async () => {
    group = await openGroup('mcl');
    all = consortium(group, 4, 3);
  });
  const combine = (ring: KeyRing, change: Partial<Parameters<typeof combineKey>[0]> = {}) =>
    combineKey({ group, keys: all.keys, ring, random: seeded('check'), ...change });
  /** `ring` with one authority's part changed as a corrupt authority might. */
  const corrupt = (
    ring: KeyRing,
    authority: number,
    change: (part: KeyPart) => Partial<KeyPart>,
  ): KeyRing => {
    const { keyId, mpkHash, shareEpoch, generation } = ring;
    const present = ring.parts.get(authority);
    if (present === undefined) throw new Error('no such part');
    const leaves = [...present.leaves].map(([hex, point]) => ({
      leaf: Uint8Array.from(Buffer.from(hex, 'hex')),
      point,
    }));
    const part: KeyPart = { keyId, mpkHash, shareEpoch, generation, authority, base: present, leaves };
    return addKeyParts(dropAuthority(ring, authority), [encodePart({ ...part, ...change(part) })]);
  };

  test.each([
    [[1, 2, 3], 1n],
    [[1, 2, 4], 3n],
    [[1, 3, 4], 1n],
    [[2, 3, 4], 1n],
  ])('any three of four authorities make a key under the one master key: %j', (points, denominator) => {
    const ring = issueRing(all, [A, B], { points });
    const { key, quorum, rejected } = combine(ring);
    expect(quorum).toEqual(points);
    expect(rejected).toEqual([]);
    expect([...key.leaves.keys()].sort()).toEqual([toHex(A), toHex(B)].sort());
    expect(lagrangeAtZero(points).denominator).toBe(denominator);
  });

  test('fewer than t authorities make none', () => {
    expect(() => combine(issueRing(all, [A], { points: [1, 2] }))).toThrow(
      expect.objectContaining({ code: 'abe.parts_insufficient' }),
    );
  });

  test('asking again gives the same bytes; another key, generation, authority or epoch another randomness', () => {
    const [authority] = all.authorities;
    const request = { keyId, generation: 1, leaves: [A] };
    const part = issueKeyPart(authority, request);
    expect(issueKeyPart(authority, { ...request, leaves: [A, A] })).toEqual(part);
    const epoch = openAuthority(group, { ...authority.share, shareEpoch: 1 });
    const mpk = openAuthority(group, { ...authority.share, mpkHash: id('other mpk') });
    const k3s = [
      part,
      issueKeyPart(authority, { ...request, keyId: id('bob') }),
      issueKeyPart(authority, { ...request, generation: 2 }),
      issueKeyPart(all.authorities[1], request),
      issueKeyPart(epoch, request),
      issueKeyPart(mpk, request),
    ].map((bytes) => toHex(decodePart(bytes).base?.k3 ?? new Uint8Array()));
    expect(new Set(k3s).size).toBe(6);
    // The attribute set is no input: two requests with different sets cannot be played against each other.
    expect(decodePart(issueKeyPart(authority, { ...request, leaves: [B] })).base).toEqual(
      decodePart(part).base,
    );
  });

  test('an extended key equals one issued at once for the union', () => {
    const grown = addKeyParts(
      issueRing(all, [A]),
      all.authorities.map((a) => extendKeyPart(a, { keyId, generation: 1, leaves: [gate, B] })),
    );
    const atOnce = issueRing(all, [A, B, gate]);
    expect(encodeKeyRing(grown)).toEqual(encodeKeyRing(atOnce));
  });

  test('a key needs all its leaves from one quorum: a gate of a fourth authority does not help the first three', () => {
    const ring = addKeyParts(
      issueRing(all, [A]),
      [1, 2, 4].map((p) => extendKeyPart(all.authorities[p - 1], { keyId, generation: 1, leaves: [gate] })),
    );
    expect(combine(ring, { leaves: [toHex(A), toHex(gate)] }).quorum).toEqual([1, 2, 4]);
    expect(combine(ring, { leaves: [toHex(A)] }).quorum).toEqual([1, 2, 3]);
    const two = addKeyParts(
      issueRing(all, [A]),
      [1, 2].map((p) => extendKeyPart(all.authorities[p - 1], { keyId, generation: 1, leaves: [gate] })),
    );
    expect(() => combine(two, { leaves: [toHex(A), toHex(gate)] })).toThrow(
      expect.objectContaining({ code: 'abe.parts_insufficient' }),
    );
  });

  test.each([
    ['a wrong k1', (p: KeyPart) => ({ base: p.base && { k1: p.leaves[0].point, k3: p.base.k3 } })],
    ['a wrong k3', (p: KeyPart) => ({ base: p.base && { k1: p.base.k1, k3: id2(p.base.k3) } })],
    ['a leaf of another attribute', (p: KeyPart) => ({ leaves: swapPoints(p.leaves) })],
    [
      'a leaf that is no point',
      (p: KeyPart) => ({ leaves: p.leaves.map((l) => ({ ...l, point: new Uint8Array(48) })) }),
    ],
    ['the identity as k1', (p: KeyPart) => ({ base: p.base && { k1: infinity(48), k3: p.base.k3 } })],
    ['the identity as k3', (p: KeyPart) => ({ base: p.base && { k1: p.base.k1, k3: infinity(96) } })],
  ] as const)('an authority that gives %s is named, and another is taken', (_, change) => {
    const ring = corrupt(issueRing(all, [A, B]), 2, change as (part: KeyPart) => Partial<KeyPart>);
    const { quorum, rejected } = combine(ring);
    expect(quorum).toEqual([1, 3, 4]);
    expect(rejected).toEqual([2]);
    expect(verifyPart({ group, keys: all.keys, ring, random: seeded('v') }, 2)).toBe(false);
    expect(verifyPart({ group, keys: all.keys, ring, random: seeded('v') }, 1)).toBe(true);
    const three = dropAuthority(ring, 4);
    expect(() => combine(three)).toThrow(
      expect.objectContaining({ code: 'abe.parts_insufficient', details: { needed: 3, rejected: '2' } }),
    );
  });
  const infinity = (length: number): Uint8Array => concat(Uint8Array.of(0xc0), new Uint8Array(length - 1));
  const id2 = (k3: Uint8Array): Uint8Array => {
    const doubled = group.sumG2([group.decodeG2(k3, 'subgroup'), group.g2]);
    return group.encodeG2(doubled);
  };
  const swapPoints = (leaves: KeyPart['leaves']): KeyPart['leaves'] =>
    leaves.map(({ leaf }, i) => ({ leaf, point: leaves[leaves.length - 1 - i].point }));

  test('parts under another subject, generation, share or authority do not verify in place of the right ones', () => {
    const right = issueRing(all, [A]);
    const replaced = (part: Uint8Array): KeyRing => {
      const decoded = decodePart(part);
      return corrupt(right, 1, () => ({ base: decoded.base, leaves: decoded.leaves }));
    };
    const [one, two] = all.authorities;
    const request = { keyId, generation: 1, leaves: [A] };
    const holds = (ring: KeyRing): boolean =>
      verifyPart({ group, keys: all.keys, ring, random: seeded('v') }, 1);
    expect(holds(replaced(issueKeyPart(one, request)))).toBe(true);
    expect(holds(replaced(issueKeyPart(two, request)))).toBe(false);
    // k1 of one r with leaves of another.
    const otherR = decodePart(issueKeyPart(one, { ...request, generation: 2 }));
    expect(holds(corrupt(right, 1, () => ({ leaves: otherR.leaves })))).toBe(false);
  });

  test('errors of two rogue parts that cancel leave a correct key for that quorum, and another quorum is checked anew', () => {
    const ring = issueRing(all, [A]);
    // Weights for 1, 2, 3 are 3, -3, 1: adding X to both of the first two changes nothing.
    const X = group.mulG1(group.g1, 5n);
    const plusX = (p: KeyPart): Partial<KeyPart> => ({
      base: p.base && {
        k1: group.encodeG1(group.sumG1([group.decodeG1(p.base.k1, 'subgroup'), X])),
        k3: p.base.k3,
      },
    });
    const rogue = corrupt(corrupt(ring, 1, plusX), 2, plusX);
    const { key } = combine(rogue);
    expect(group.encodeG1(key.k1)).toEqual(group.encodeG1(combine(ring).key.k1));
    expect(() => combine(dropAuthority(rogue, 3))).toThrow(
      expect.objectContaining({ code: 'abe.parts_insufficient', details: { needed: 3, rejected: '1,2' } }),
    );
  });

  test('a wrong gate is named by its own equation', () => {
    const gates = all.authorities.map((a) => extendKeyPart(a, { keyId, generation: 1, leaves: [gate] }));
    const stale = extendKeyPart(all.authorities[2], { keyId, generation: 2, leaves: [gate] });
    const good = addKeyParts(issueRing(all, [A]), gates);
    const bad = corrupt(good, 3, (p) => ({
      leaves: p.leaves.map((l) => (toHex(l.leaf) === toHex(gate) ? decodePart(stale).leaves[0] : l)),
    }));
    expect([1, 2, 3, 4].map((i) => verifyGate(group, bad, i, gate))).toEqual([true, true, false, true]);
    expect(verifyGate(group, bad, 3, A)).toBe(true);
    expect(verifyGate(group, bad, 5, gate)).toBe(false);
    expect(verifyGate(group, bad, 1, B)).toBe(false);
    // Unchecked combining takes it; the check refuses it and names it.
    expect(combine(bad, { leaves: [toHex(A), toHex(gate)], check: 'none' }).quorum).toEqual([1, 2, 3]);
    expect(combine(bad, { leaves: [toHex(A), toHex(gate)] })).toMatchObject({
      quorum: [1, 2, 4],
      rejected: [3],
    });
  });

  test('an authority raises no reserved or unknown leaf', () => {
    const [authority] = all.authorities;
    const forbidden = expect.objectContaining({ code: 'abe.leaf_forbidden' });
    for (const bytes of [[0], [0, 0, 0], [9], [255, 1], []]) {
      expect(() =>
        issueKeyPart(authority, { keyId, generation: 1, leaves: [Uint8Array.from(bytes)] }),
      ).toThrow(forbidden);
      expect(() =>
        extendKeyPart(authority, { keyId, generation: 1, leaves: [Uint8Array.from(bytes)] }),
      ).toThrow(forbidden);
    }
    const long = concat(Uint8Array.of(1), new Uint8Array(512));
    expect(() => issueKeyPart(authority, { keyId, generation: 1, leaves: [long] })).toThrow(forbidden);
    expect(
      issueKeyPart(authority, { keyId, generation: 1, leaves: [long.subarray(1 - 1, 512)] }).length,
    ).toBeGreaterThan(0);
    const argument = expect.objectContaining({ code: 'abe.argument' });
    expect(() => issueKeyPart(authority, { keyId: A, generation: 1, leaves: [] })).toThrow(argument);
    expect(() => issueKeyPart(authority, { keyId, generation: -1, leaves: [] })).toThrow(argument);
    const many = new Array<Uint8Array>(PART_LEAVES_MAX + 1).fill(A);
    expect(() => issueKeyPart(authority, { keyId, generation: 1, leaves: many })).toThrow(argument);
    expect(issueKeyPart(authority, { keyId, generation: 1, leaves: many.slice(1) }).length).toBeGreaterThan(
      0,
    );
  });

  test('a part that belongs elsewhere is refused by the ring', () => {
    const ring = emptyKeyRing(all.keys, keyId, 1);
    const [authority] = all.authorities;
    const mismatch = expect.objectContaining({ code: 'abe.part_mismatch' });
    const part = (change: Partial<Parameters<typeof issueKeyPart>[1]>, from = authority) =>
      issueKeyPart(from, { keyId, generation: 1, leaves: [A], ...change });
    expect(() => addKeyParts(ring, [part({ keyId: id('bob') })])).toThrow(mismatch);
    expect(() => addKeyParts(ring, [part({ generation: 2 })])).toThrow(mismatch);
    expect(() =>
      addKeyParts(ring, [part({}, openAuthority(group, { ...authority.share, shareEpoch: 1 }))]),
    ).toThrow(mismatch);
    expect(() =>
      addKeyParts(ring, [part({}, openAuthority(group, { ...authority.share, mpkHash: id('x') }))]),
    ).toThrow(mismatch);
    expect(() =>
      addKeyParts(ring, [extendKeyPart(authority, { keyId, generation: 1, leaves: [A] })]),
    ).toThrow(mismatch);
    const foreign = consortium(group, 4, 3, 'foreign').keys;
    expect(() => combine(issueRing(all, [A]), { keys: foreign })).toThrow(mismatch);
    const later = { ...all.keys, shareEpoch: 1 };
    expect(() => combine(issueRing(all, [A]), { keys: later })).toThrow(mismatch);
  });

  test('a ring only changes by making another, and forgets what it is told to', () => {
    const ring = issueRing(all, [A, gate]);
    const before = encodeKeyRing(ring);
    addKeyParts(ring, [extendKeyPart(all.authorities[0], { keyId, generation: 1, leaves: [B] })]);
    dropAuthority(ring, 1);
    const lean = filterLeaves(ring, (hex) => hex !== toHex(gate));
    expect(encodeKeyRing(ring)).toEqual(before);
    expect([...combine(lean).key.leaves.keys()]).toEqual([toHex(A)]);
  });

  test('a ring keeps as many leaves of an authority as it says, and no more', () => {
    const ring = emptyKeyRing(all.keys, keyId, 1);
    const [authority] = all.authorities;
    const first = decodePart(issueKeyPart(authority, { keyId, generation: 1, leaves: [] }));
    const point = group.encodeG1(group.g1);
    const extension = (from: number, count: number): Uint8Array =>
      encodePart({
        ...first,
        base: undefined,
        leaves: Array.from({ length: count }, (_, i) => ({
          leaf: concat(Uint8Array.of(7), u32be(from + i)),
          point,
        })),
      });
    const many = Array.from({ length: 12 }, (_, i) => extension(i * 8192, 8192));
    const rest = RING_LEAVES_MAX - 12 * 8192;
    const full = addKeyParts(ring, [encodePart(first), ...many, extension(12 * 8192, rest)]);
    expect(full.parts.get(1)?.leaves.size).toBe(RING_LEAVES_MAX);
    expect(() => addKeyParts(full, [extension(13 * 8192, 1)])).toThrow(
      expect.objectContaining({ code: 'abe.ring_full' }),
    );
    expect(
      addKeyParts(
        filterLeaves(full, () => false),
        [extension(13 * 8192, 1)],
      ).parts.get(1)?.leaves.size,
    ).toBe(1);
  });

  test('rings, parts, shares and keys are read back from their bytes, and from nothing else', () => {
    const ring = issueRing(all, [A, B, gate, emergencyLeaf(id('record'), 1)]);
    expect(encodeKeyRing(decodeKeyRing(encodeKeyRing(ring)))).toEqual(encodeKeyRing(ring));
    expect(keyOf(all, decodeKeyRing(encodeKeyRing(ring))).leaves.size).toBe(4);
    const [{ share }] = all.authorities;
    expect(decodeAuthorityShare(encodeAuthorityShare(share))).toEqual(share);
    const keys = decodeAuthorityKeys(group, encodeAuthorityKeys(group, all.keys));
    expect(encodeAuthorityKeys(group, keys)).toEqual(encodeAuthorityKeys(group, all.keys));

    const malformed = expect.objectContaining({ code: 'abe.part_malformed' });
    const part = issueKeyPart(all.authorities[0], { keyId, generation: 1, leaves: [A, B] });
    const fields = decodeCbor(part) as unknown[];
    const changed = (index: number, value: unknown) =>
      encodeCbor(fields.map((f, i) => (i === index ? value : f)));
    expect(decodePart(changed(0, 1)).authority).toBe(1);
    for (const [index, value] of [
      [0, 2],
      [1, 2],
      [2, A],
      [3, -1],
      [4, A],
      [5, 0.5],
      [6, 'x'],
      [7, A],
      [8, [B, A]],
      [8, [A, A]],
      [8, [A]],
      [8, [new Uint8Array(), A]],
      [8, [A, new Uint8Array(513).fill(255)]],
      [9, A],
    ] as const) {
      expect(() => decodePart(changed(index, value)), `field ${index}`).toThrow(malformed);
    }
    expect(() => decodePart(concat(part, A))).toThrow(malformed);
    expect(() => decodePart(encodeCbor(fields.slice(1)))).toThrow(malformed);
    expect(() => decodeKeyRing(part)).toThrow(malformed);
    expect(() => decodeKeyRing(A)).toThrow(malformed);
    expect(() => decodeAuthorityShare(A)).toThrow(malformed);
    expect(() =>
      decodeAuthorityShare(encodeCbor([1, 1, 0, 0, share.mpkHash, share.alpha, share.seed])),
    ).toThrow(malformed);
    const over = new Uint8Array(32).fill(255);
    expect(() => decodeAuthorityShare(encodeCbor([1, 1, 1, 0, share.mpkHash, over, share.seed]))).toThrow(
      malformed,
    );
  });

  test('a ring has one encoding: one first part an authority, in their order', () => {
    const malformed = expect.objectContaining({ code: 'abe.part_malformed' });
    const ring = issueRing(all, [A, gate]);
    const fields = decodeCbor(encodeKeyRing(ring)) as unknown[];
    const parts = fields[5] as Uint8Array[];
    const withParts = (changed: readonly Uint8Array[]) => encodeCbor([...fields.slice(0, 5), changed]);
    expect(decodeKeyRing(withParts(parts))).toEqual(ring);
    const [authority] = all.authorities;
    const extension = extendKeyPart(authority, { keyId, generation: 1, leaves: [B] });
    for (const changed of [
      parts.toReversed(),
      [parts[0], ...parts],
      [parts[0], extension, ...parts.slice(1)],
      [parts[1], parts[0], ...parts.slice(2)],
    ]) {
      expect(() => decodeKeyRing(withParts(changed))).toThrow(malformed);
    }
  });

  test('public keys that lie on no one polynomial are refused', () => {
    const malformed = expect.objectContaining({ code: 'abe.parameters_malformed' });
    const { E, mpk, t } = all.keys;
    expect(onOnePolynomial(group, mpk.E, E, t)).toBe(true);
    expect(onOnePolynomial(group, mpk.E, E, t + 1)).toBe(true);
    expect(onOnePolynomial(group, mpk.E, E, t - 1)).toBe(false);
    const wrong = E.map((value, i) => (i === 2 ? group.mulGT(value, group.gt) : value));
    expect(onOnePolynomial(group, mpk.E, wrong, t)).toBe(false);
    const bytes = (shares: typeof E, change: { t?: unknown } = {}) =>
      encodeCbor([1, 1, change.t ?? t, 0, mpk.bytes, shares.map((value) => group.encodeGT(value))]);
    expect(decodeAuthorityKeys(group, bytes(E)).n).toBe(4);
    expect(() => decodeAuthorityKeys(group, bytes(wrong))).toThrow(malformed);
    expect(() => decodeAuthorityKeys(group, bytes(E, { t: 5 }))).toThrow(malformed);
    expect(() => decodeAuthorityKeys(group, bytes(E, { t: 0 }))).toThrow(malformed);
    expect(() => decodeAuthorityKeys(group, bytes([]))).toThrow(malformed);
    expect(() => decodeAuthorityKeys(group, bytes(new Array(65).fill(E[0])))).toThrow(malformed);
  });
});

describe('Lagrange weights', () => {
  test('interpolate at 0, and are small whole numbers for small quorums', () => {
    expect(lagrangeAtZero([1, 2, 3])).toEqual({ numerators: [3n, -3n, 1n], denominator: 1n });
    expect(lagrangeAtZero([1, 2, 4])).toEqual({ numerators: [8n, -6n, 1n], denominator: 3n });
    for (const points of [[1], [2, 5], [1, 3, 4, 9], [7, 11, 13, 17, 64]]) {
      const f = (x: bigint): bigint =>
        points.reduce((sum, _, k) => sum + BigInt(k * k + 1) * x ** BigInt(k), 0n);
      const value = lagrangeScalars(points).reduce((sum, w, i) => sum + w * f(BigInt(points[i])), 0n);
      expect(mod(value)).toBe(f(0n));
    }
    expect(() => lagrangeAtZero([1, 1])).toThrow(expect.objectContaining({ code: 'abe.argument' }));
  });
});
