/** What earlier versions wrote stays readable: everything here begins with the stored bytes alone. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  canOpen,
  combineKey,
  dataKeyCommitment,
  decodeAuthorityKeys,
  decodeAuthorityShare,
  decodeHeader,
  decodeKeyRing,
  decodeMpk,
  decodePart,
  decodePolicy,
  extendKeyPart,
  gateLeaf,
  heldLeaves,
  inspectHeader,
  issueKeyPart,
  openAuthority,
  openGroup,
  openHeader,
  openPayloadBytes,
  printPolicy,
} from '../../../src/abe/index.ts';
import { fromHex, fromUtf8, toHex } from '../../../src/codec/bytes.ts';
import { id, REGISTRY, seeded } from '../fixtures.ts';

const golden = JSON.parse(
  readFileSync(new URL('../../golden/abe/suite1.json', import.meta.url), 'utf8'),
) as Record<string, string>;
const bytes = (name: string): Uint8Array => fromHex(golden[name]);

describe.each(['mcl', 'noble'] as const)('suite 1, as it was written, under %s', (backend) => {
  test('a header opens with the stored ring, and the payload with what was in it', async () => {
    const group = await openGroup(backend);
    const keys = decodeAuthorityKeys(group, bytes('authority keys'));
    expect(decodeMpk(group, bytes('mpk')).hash).toEqual(keys.mpk.hash);
    expect(toHex(keys.mpk.hash)).toBe(golden['mpk hash']);
    const ring = decodeKeyRing(bytes('key ring'));
    const { key } = combineKey({ group, keys, ring, random: seeded('reading') });
    const { recordId, version, policyBytes } = decodeHeader(bytes('header'));
    const open = { group, mpk: keys.mpk, key, header: bytes('header'), registry: REGISTRY };
    const dataKey = openHeader({ ...open, expected: { recordId, version, policyBytes }, verify: 'full' });
    expect(dataKey).toEqual(id('golden data key'));
    const payloadId = id('golden payload').subarray(0, 16);
    expect(toHex(dataKeyCommitment(dataKey, payloadId))).toBe(golden['data key commitment']);
    expect(fromUtf8(openPayloadBytes(dataKey, { recordId, payloadId }, bytes('payload')))).toBe(
      '{"resourceType":"Basic"}',
    );
    expect(canOpen(bytes('offline header'), REGISTRY, heldLeaves(key))).toBe(false);
    expect(inspectHeader(bytes('offline header'))).toMatchObject({ gate: 'none', epoch: 7 });
    expect(printPolicy(decodePolicy(policyBytes))).toBe(
      'mercy/role:doctor and (mercy/ward:icu or mercy/clearance >= 3)',
    );
  });

  test('a stored share issues the stored parts', async () => {
    const group = await openGroup(backend);
    const authority = openAuthority(group, decodeAuthorityShare(bytes('authority share')));
    const { keyId, generation, leaves } = decodePart(bytes('first part'));
    const request = { keyId, generation, leaves: leaves.map(({ leaf }) => leaf) };
    expect(toHex(issueKeyPart(authority, request))).toBe(golden['first part']);
    const gate = gateLeaf(id('golden record'), 1);
    expect(toHex(extendKeyPart(authority, { keyId, generation, leaves: [gate] }))).toBe(golden.extension);
  });
});
