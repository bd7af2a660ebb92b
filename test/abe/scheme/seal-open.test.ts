import { beforeAll, describe, expect, test } from 'vitest';
import {
  addKeyParts,
  attributeLeaves,
  combineKey,
  encodePolicy,
  extendKeyPart,
  type Group,
  gateLeaf,
  inspectHeader,
  openGroup,
  openHeader,
  parseAttribute,
  parsePolicy,
  sealHeader,
} from '../../../src/abe/index.ts';
import { type Consortium, consortium, id, issueRing, keyOf, REGISTRY, seeded } from '../fixtures.ts';

const leavesOf = (...attributes: string[]) => attributeLeaves(attributes.map(parseAttribute), REGISTRY);
const recordId = id('record');
const dataKey = id('data key');

describe.each(['mcl', 'noble'] as const)('a sealed header under %s', (backend) => {
  let group: Group;
  let all: Consortium;
  beforeAll(async () => {
    group = await openGroup(backend);
    all = consortium(group, 4, 3);
  });

  test('opens with attributes and the gate from different quorums, and not without the gate', () => {
    const policy = parsePolicy('st-mary/role:doctor and (st-mary/clearance >= 2 or st-mary/ward:icu)');
    const header = sealHeader({
      group,
      mpk: all.keys.mpk,
      recordId,
      version: 1,
      policy,
      registry: REGISTRY,
      gate: 'record',
      emergency: true,
      dataKey,
      random: seeded('seal'),
    });
    const ring = issueRing(all, leavesOf('st-mary/role:doctor', 'st-mary/clearance:3'));
    const expected = { recordId, version: 1, policyBytes: encodePolicy(policy) };
    const open = (key: ReturnType<typeof keyOf>) =>
      openHeader({ group, mpk: all.keys.mpk, key, header, registry: REGISTRY, expected });
    expect(() => open(keyOf(all, ring))).toThrow(expect.objectContaining({ code: 'abe.header_rejected' }));
    const gate = gateLeaf(recordId, 1);
    const gates = [1, 3, 4].map((point) =>
      extendKeyPart(all.authorities[point - 1], { keyId: ring.keyId, generation: 1, leaves: [gate] }),
    );
    const full = addKeyParts(ring, gates);
    const { key, quorum, rejected } = combineKey({
      group,
      keys: all.keys,
      ring: full,
      leaves: [...leavesOf('st-mary/role:doctor', 'st-mary/clearance:3'), gate].map((leaf) =>
        Buffer.from(leaf).toString('hex'),
      ),
      random: seeded('check'),
    });
    expect(quorum).toEqual([1, 3, 4]);
    expect(rejected).toEqual([]);
    expect(open(key)).toEqual(dataKey);
    expect(
      openHeader({ group, mpk: all.keys.mpk, key, header, registry: REGISTRY, expected, verify: 'full' }),
    ).toEqual(dataKey);
    expect(inspectHeader(header)).toMatchObject({
      version: 1,
      gate: 'record',
      emergency: true,
      rows: 5,
      tau: 1,
    });
  });
});
