/** Random policies against random keys through the whole scheme, and keys forged from parts of several subjects. */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type Attribute,
  addKeyParts,
  attributeLeaves,
  canOpen,
  combineKey,
  type DecryptionKey,
  decodeHeader,
  decodePolicy,
  encodePolicy,
  evaluatePolicy,
  extendKeyPart,
  type Group,
  gateLeaf,
  heldLeaves,
  type KeyRing,
  openGroup,
  openHeader,
  type Policy,
  parseAttribute,
  parsePolicy,
  reconstruct,
  sealHeader,
} from '../../../src/abe/index.ts';
import { compileHeader, decapsulate, lagrangeScalars } from '../../../src/abe/internal.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { type Consortium, consortium, id, issueRing, REGISTRY, seeded } from '../fixtures.ts';

const recordId = id('record');
const dataKey = id('data key');
const rejected = expect.objectContaining({ code: 'abe.header_rejected' });

const CONDITIONS = [
  'h/role:doctor',
  'h/role:nurse',
  'h/role != lab',
  'not h/role:doctor',
  'h/ward:icu',
  'h/clearance >= 2',
  'h/clearance >= 3',
  'h/age in [18, 64]',
  'h/age > 40',
  'h/expires >= 2026-01-01',
  'i/role:doctor',
];
const ATTRIBUTES = [
  'h/role:doctor',
  'h/role:nurse',
  'h/role:lab',
  'h/ward:icu',
  'h/ward:er',
  'h/clearance:1',
  'h/clearance:3',
  'h/age:17',
  'h/age:50',
  'h/expires:2026-06-30',
  'i/role:doctor',
];

const policyText: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    fc.constantFrom(...CONDITIONS),
    fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' and ')})`),
    fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' or ')})`),
    fc.array(tie('node'), { minLength: 3, maxLength: 4 }).map((of) => `2 of (${of.join(', ')})`),
  ),
})).node;
/** One value a label, as one generation of a key may hold. */
const attributes: fc.Arbitrary<Attribute[]> = fc
  .shuffledSubarray(ATTRIBUTES, { minLength: 1 })
  .map((texts) => texts.map(parseAttribute))
  .map((all) =>
    all.filter((a, i) => all.findIndex((b) => b.issuer === a.issuer && b.label === a.label) === i),
  );

describe('sealing and opening', () => {
  let group: Group;
  let all: Consortium;
  beforeAll(async () => {
    group = await openGroup('mcl');
    all = consortium(group, 4, 3);
  });
  const seal = (policy: Policy, seed: string): Uint8Array =>
    sealHeader({
      group,
      mpk: all.keys.mpk,
      recordId,
      version: 1,
      policy,
      registry: REGISTRY,
      gate: 'record',
      emergency: true,
      dataKey,
      random: seeded(seed),
    });
  const gate = gateLeaf(recordId, 1);
  /** A ring with `leaves`, extended by the gate from every authority. */
  const gated = (leaves: readonly Uint8Array[], subject = 'alice', generation = 1): KeyRing => {
    const ring = issueRing(all, leaves, { subject, generation });
    const extend = { keyId: ring.keyId, generation, leaves: [gate] };
    return addKeyParts(
      ring,
      all.authorities.map((authority) => extendKeyPart(authority, extend)),
    );
  };

  test('a header opens iff the policy holds for the attributes by its meaning, with every row verified', () => {
    let opened = 0;
    let closed = 0;
    fc.assert(
      fc.property(policyText, attributes, (text, held) => {
        const policy = parsePolicy(text);
        const header = seal(policy, text);
        const ring = gated(attributeLeaves(held, REGISTRY));
        const { key } = combineKey({ group, keys: all.keys, ring, random: seeded('check'), check: 'none' });
        const means = evaluatePolicy(policy, held, REGISTRY);
        expect(canOpen(header, REGISTRY, heldLeaves(key))).toBe(means);
        const open = () =>
          openHeader({
            group,
            mpk: all.keys.mpk,
            key,
            header,
            registry: REGISTRY,
            expected: { recordId, version: 1, policyBytes: encodePolicy(policy) },
            verify: 'full',
          });
        if (means) expect(open()).toEqual(dataKey);
        else expect(open).toThrow(rejected);
        if (means) opened++;
        else closed++;
      }),
      { numRuns: 40 },
    );
    expect(Math.min(opened, closed)).toBeGreaterThan(5);
  });

  /** A key put together from chosen parts, with weights for the points given, past every check of ours. */
  function forge(
    points: readonly number[],
    base: (point: number) => KeyRing,
    leafFrom: (point: number, hex: string) => KeyRing,
    leaves: readonly string[],
  ): DecryptionKey {
    const weights = lagrangeScalars(points);
    const part = (ring: KeyRing, point: number) => {
      const present = ring.parts.get(point);
      if (present === undefined) throw new Error('no such part');
      return present;
    };
    const leaf = (point: number, hex: string, i: number) => {
      const bytes = part(leafFrom(point, hex), point).leaves.get(hex);
      if (bytes === undefined) throw new Error('no such leaf');
      return group.mulG1(group.decodeG1(bytes, 'subgroup'), weights[i]);
    };
    const k1 = points.map((p, i) => group.mulG1(group.decodeG1(part(base(p), p).k1, 'subgroup'), weights[i]));
    const k3 = points.map((p, i) => group.mulG2(group.decodeG2(part(base(p), p).k3, 'subgroup'), weights[i]));
    return {
      mpkHash: all.keys.mpk.hash,
      keyId: id('forged'),
      generation: 1,
      shareEpoch: 0,
      k1: group.sumG1(k1),
      k3: group.sumG2(k3),
      leaves: new Map(leaves.map((hex) => [hex, group.sumG1(points.map((p, i) => leaf(p, hex, i)))])),
    };
  }
  function openForged(header: Uint8Array, key: DecryptionKey): Uint8Array {
    const decoded = decodeHeader(header);
    const compiled = compileHeader(decodePolicy(decoded.policyBytes), REGISTRY, decoded);
    const used = reconstruct(compiled, heldLeaves(key));
    if (used === undefined) throw new Error('the forged key claims every leaf that is needed');
    return decapsulate(group, { mpk: all.keys.mpk, ...decoded }, compiled, used.rows, key, decoded);
  }

  test('real parts of several subjects, generations and quorums forged into one key do not open', () => {
    const leavesOf = (...texts: string[]) => attributeLeaves(texts.map(parseAttribute), REGISTRY);
    const [icu, er] = leavesOf('h/ward:icu').concat(leavesOf('h/ward:er'));
    const [icuHex, erHex, gateHex] = [icu, er, gate].map(toHex);
    const header = seal(parsePolicy('h/ward:icu and h/ward:er'), 'forge');
    const need = [icuHex, erHex, gateHex];
    const alice = gated([icu]);
    const bob = gated([er], 'bob');
    const old = gated([icu, er], 'alice', 0);
    const whole = gated([icu, er], 'carol');
    const quorum = [1, 2, 3];

    expect(
      openForged(
        header,
        forge(
          quorum,
          () => whole,
          () => whole,
          need,
        ),
      ),
    ).toEqual(dataKey);
    const attempts: Record<string, DecryptionKey> = {
      'collusion: leaves of two subjects': forge(
        quorum,
        () => alice,
        (_, hex) => (hex === erHex ? bob : alice),
        need,
      ),
      'the same with the other base': forge(
        quorum,
        () => bob,
        (_, hex) => (hex === erHex ? bob : alice),
        need,
      ),
      'a gate given to another subject': forge(
        quorum,
        () => whole,
        (_, hex) => (hex === gateHex ? bob : whole),
        need,
      ),
      'attributes of generation 0 with the gate of generation 1': forge(
        quorum,
        () => old,
        (_, hex) => (hex === gateHex ? alice : old),
        need,
      ),
      'the reverse': forge(
        quorum,
        () => alice,
        (_, hex) => (hex === gateHex ? alice : old),
        need,
      ),
      't - 1 authorities': forge(
        [1, 2],
        () => whole,
        () => whole,
        need,
      ),
      'one authority': forge(
        [4],
        () => whole,
        () => whole,
        need,
      ),
      'one authority where alice stands in for bob': forge(
        quorum,
        (point) => (point === 3 ? alice : whole),
        (point, hex) => (point === 3 && hex === erHex ? bob : point === 3 ? alice : whole),
        need,
      ),
    };
    for (const [name, key] of Object.entries(attempts)) {
      expect(() => openForged(header, key), name).toThrow(rejected);
    }
    // Base of one quorum, leaves of another: each is a right key by itself.
    const first = forge(
      quorum,
      () => whole,
      () => whole,
      need,
    );
    const second = forge(
      [2, 3, 4],
      () => whole,
      () => whole,
      need,
    );
    expect(openForged(header, second)).toEqual(dataKey);
    expect(() => openForged(header, { ...first, leaves: second.leaves })).toThrow(rejected);
    const gateOfSecond = second.leaves.get(gateHex);
    if (gateOfSecond === undefined) throw new Error('unreachable');
    expect(() =>
      openForged(header, { ...first, leaves: new Map(first.leaves).set(gateHex, gateOfSecond) }),
    ).toThrow(rejected);
  });
});
