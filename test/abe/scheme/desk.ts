/** One record, one policy and a consortium of four: what the tests of headers seal and open. */
import {
  addKeyParts,
  attributeLeaves,
  type DecryptionKey,
  encodePolicy,
  extendKeyPart,
  type Group,
  gateLeaf,
  openGroup,
  openHeader,
  parseAttribute,
  parsePolicy,
  type SealOptions,
} from '../../../src/abe/index.ts';
import { type Consortium, consortium, id, issueRing, keyOf, REGISTRY, seeded } from '../fixtures.ts';

export const recordId = id('record');
export const dataKey = id('data key');
export const POLICY = parsePolicy(
  'st-mary/role:doctor and (st-mary/ward:icu or st-mary/ward:er) or st-mary/role:nurse',
);
/** What the ledger says about the record's header. */
export const expected = { recordId, version: 1, policyBytes: encodePolicy(POLICY) };

export const leavesOf = (...attributes: string[]): Uint8Array[] =>
  attributeLeaves(attributes.map(parseAttribute), REGISTRY);

export interface Desk {
  readonly group: Group;
  readonly all: Consortium;
  /** A key that opens the record. */
  readonly doctor: DecryptionKey;
  /** A key with attributes and the gate of the record's version 1. */
  keyWith(...attributes: string[]): DecryptionKey;
  /** How the record is sealed, with changes. */
  options(change?: Partial<SealOptions>): SealOptions;
  /** Opens as the ledger expects, with the doctor's key unless told. */
  open(header: Uint8Array, key?: DecryptionKey, verify?: 'full'): Uint8Array;
}

export async function openDesk(): Promise<Desk> {
  const group = await openGroup('mcl');
  const all = consortium(group, 4, 3);
  const keyWith = (...attributes: string[]): DecryptionKey => {
    const ring = issueRing(all, leavesOf(...attributes));
    const gates = all.authorities.map((authority) =>
      extendKeyPart(authority, { keyId: ring.keyId, generation: 1, leaves: [gateLeaf(recordId, 1)] }),
    );
    return keyOf(all, addKeyParts(ring, gates));
  };
  const doctor = keyWith('st-mary/role:doctor', 'st-mary/ward:icu');
  return {
    group,
    all,
    doctor,
    keyWith,
    options: (change = {}) => ({
      group,
      mpk: all.keys.mpk,
      recordId,
      version: 1,
      policy: POLICY,
      registry: REGISTRY,
      gate: 'record',
      emergency: false,
      dataKey,
      random: seeded('m'),
      ...change,
    }),
    open: (header, key = doctor, verify) =>
      openHeader({
        group,
        mpk: all.keys.mpk,
        key,
        header,
        registry: REGISTRY,
        expected,
        ...(verify && { verify }),
      }),
  };
}
