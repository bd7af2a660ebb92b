import { beforeAll, describe, expect, test } from 'vitest';
import {
  canOpen,
  type DecryptionKey,
  decodeHeader,
  decodeMpk,
  emergencyLeaf,
  encodeMpk,
  epochLeaf,
  type Group,
  gateLeaf,
  headerHash,
  heldLeaves,
  inspectHeader,
  openGroup,
  openHeader,
  parsePolicy,
  type SealOptions,
  sealHeader,
} from '../../../src/abe/index.ts';
import { concat, equalBytes, fromHex, toHex } from '../../../src/codec/bytes.ts';
import { type Consortium, consortium, id, issueRing, keyOf, REGISTRY, seeded } from '../fixtures.ts';

import { type Desk, dataKey, expected, leavesOf, openDesk, recordId } from './desk.ts';

const rejected = expect.objectContaining({
  code: 'abe.header_rejected',
  message: 'the header does not open with this key',
});

describe('a record header', () => {
  let other: Consortium;
  let desk: Desk;
  let group: Group;
  let all: Consortium;
  let doctor: DecryptionKey;
  beforeAll(async () => {
    desk = await openDesk();
    ({ group, all, doctor } = desk);
    other = consortium(group, 1, 1, 'another consortium');
  });
  const options = (change: Partial<SealOptions> = {}) => desk.options(change);
  const open = (header: Uint8Array, key = doctor, verify?: 'full') => desk.open(header, key, verify);

  test('has the same bytes from both backends and opens under the other', async () => {
    const noble = await openGroup('noble');
    const mpk = decodeMpk(noble, encodeMpk(all.keys.mpk));
    const header = sealHeader(options());
    expect(toHex(sealHeader({ ...options(), group: noble, mpk }))).toBe(toHex(header));
    expect(open(header)).toEqual(dataKey);
  });

  test('depends on its randomness, and a fresh m gives fresh c1 and rows', () => {
    const [a, b] = [sealHeader(options()), sealHeader(options({ random: seeded('m2') }))].map(decodeHeader);
    expect(equalBytes(a.c1, b.c1) || equalBytes(a.c2, b.c2) || equalBytes(a.w, b.w)).toBe(false);
    expect(open(sealHeader(options({ random: seeded('m2') })))).toEqual(dataKey);
  });

  test('with one m under two contexts shares neither s nor s prime', () => {
    const [a, b] = [sealHeader(options()), sealHeader(options({ version: 2 }))].map(decodeHeader);
    expect(equalBytes(a.c1, b.c1)).toBe(false);
    expect(equalBytes(a.c2, b.c2)).toBe(false);
  });

  test('opens by its emergency leaf and gate alone', () => {
    const header = sealHeader(options({ emergency: true }));
    const ring = issueRing(all, [emergencyLeaf(recordId, 1), gateLeaf(recordId, 1)]);
    expect(open(header, keyOf(all, ring))).toEqual(dataKey);
    expect(() => open(header, keyOf(all, issueRing(all, [emergencyLeaf(recordId, 1)])))).toThrow(rejected);
    expect(() => open(sealHeader(options()), keyOf(all, ring))).toThrow(rejected);
  });

  test('without a gate opens offline, with the epoch if it names one', () => {
    const header = sealHeader(options({ gate: 'none', epoch: 7 }));
    const key = keyOf(all, issueRing(all, [...leavesOf('st-mary/role:nurse'), epochLeaf(7)]));
    const offline = (epoch?: number) =>
      openHeader({
        group,
        mpk: all.keys.mpk,
        key,
        header,
        registry: REGISTRY,
        expected: { ...expected, gate: 'none', ...(epoch === undefined ? {} : { epoch }) },
      });
    expect(offline()).toEqual(dataKey);
    expect(offline(7)).toEqual(dataKey);
    expect(() => offline(8)).toThrow(expect.objectContaining({ code: 'abe.header_mismatch' }));
    expect(() => open(header, key)).toThrow(expect.objectContaining({ code: 'abe.header_mismatch' }));
    const stale = keyOf(all, issueRing(all, [...leavesOf('st-mary/role:nurse'), epochLeaf(6)]));
    expect(canOpen(header, REGISTRY, heldLeaves(stale))).toBe(false);
  });

  test('takes no not, no consent and no emergency without a gate', () => {
    for (const text of ['st-mary/role:doctor and not st-mary/role:nurse', 'st-mary/role != nurse']) {
      expect(() => sealHeader(options({ gate: 'none', policy: parsePolicy(text) }))).toThrow(
        expect.objectContaining({ code: 'policy.offline' }),
      );
    }
    const argument = expect.objectContaining({ code: 'abe.argument' });
    expect(() => sealHeader(options({ gate: 'none', emergency: true }))).toThrow(argument);
    expect(() => sealHeader(options({ epoch: 1 }))).toThrow(argument);
    expect(() => sealHeader(options({ recordId: recordId.subarray(1) }))).toThrow(argument);
    expect(() => sealHeader(options({ version: 1.5 }))).toThrow(argument);
    expect(() => sealHeader(options({ dataKey: dataKey.subarray(1) }))).toThrow(argument);
  });

  test('is told by canOpen, without a secret, to be within reach or not', () => {
    const header = sealHeader(options());
    expect(canOpen(header, REGISTRY, heldLeaves(doctor))).toBe(true);
    const noGate = keyOf(all, issueRing(all, leavesOf('st-mary/role:doctor', 'st-mary/ward:icu')));
    expect(canOpen(header, REGISTRY, heldLeaves(noGate))).toBe(false);
    expect(() => open(header, noGate)).toThrow(rejected);
  });

  test('that is not the one on the ledger is refused before the key is used', () => {
    const mismatch = expect.objectContaining({ code: 'abe.header_mismatch' });
    for (const change of [
      { recordId: id('another') },
      { version: 2 },
      { policy: parsePolicy('st-mary/role:nurse') },
      { gate: 'none' as const },
    ]) {
      expect(() => open(sealHeader(options(change)))).toThrow(mismatch);
    }
    const foreign = keyOf(other, issueRing(other, leavesOf('st-mary/role:nurse')));
    expect(() => open(sealHeader(options()), foreign)).toThrow(mismatch);
  });

  test('tells about itself without a key', () => {
    const header = sealHeader(options({ emergency: true }));
    expect(inspectHeader(header)).toEqual({
      format: 1,
      suite: 1,
      recordId,
      version: 1,
      gate: 'record',
      emergency: true,
      epoch: undefined,
      policyBytes: expected.policyBytes,
      rows: 6,
      tau: 1,
      bytes: header.length,
      hash: headerHash(header),
    });
  });
});

describe('a master public key', () => {
  test('is read back from its bytes, with the membership test', async () => {
    const group = await openGroup('mcl');
    const { mpk } = consortium(group, 1, 1).keys;
    const bytes = encodeMpk(mpk);
    expect(decodeMpk(group, bytes).hash).toEqual(mpk.hash);
    const malformed = expect.objectContaining({ code: 'abe.parameters_malformed' });
    const damaged = bytes.slice();
    damaged[damaged.length - 1] ^= 1;
    expect(() => decodeMpk(group, damaged)).toThrow(malformed);
    expect(() => decodeMpk(group, bytes.subarray(1))).toThrow(malformed);
    expect(() => decodeMpk(group, fromHex('83010100'))).toThrow(malformed);
    const identity = concat(bytes.subarray(0, bytes.length - 576), group.encodeGT(group.powGT(group.gt, 0n)));
    expect(() => decodeMpk(group, identity)).toThrow(malformed);
  });
});
