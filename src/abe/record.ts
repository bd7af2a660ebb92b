/**
 * One record whole: header, payload and what the ledger is told of both. Sealing draws a data key for this record
 * alone; opening takes a key ring with its gates, the header and payload from anywhere, and what the ledger says.
 */
import { equalBytes, toHex } from '../codec/bytes.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { ABE_ERROR } from './errors.ts';
import type { Group } from './group/types.ts';
import { openPayloadBytes, sealPayloadBytes } from './payload/bytes.ts';
import { dataKeyCommitment, PAYLOAD_ID_BYTES, PREAMBLE_BYTES, payloadRejected } from './payload/preamble.ts';
import { decodePolicy, encodePolicy, type Policy, type Registry, reconstruct } from './policy/index.ts';
import { decodeHeader, headerHash } from './scheme/header.ts';
import type { MasterPublicKey } from './scheme/mpk.ts';
import { type ExpectedHeader, openHeader } from './scheme/open.ts';
import { compileHeader, sealHeader } from './scheme/seal.ts';
import { combineKey } from './threshold/combine.ts';
import type { AuthorityKeys } from './threshold/keys.ts';
import type { KeyRing } from './threshold/ring.ts';

type Random = (n: number) => Uint8Array;

export interface SealRecordOptions {
  readonly group: Group;
  readonly mpk: MasterPublicKey;
  readonly registry: Registry;
  /** 32 random bytes of a new record. */
  readonly recordId: Uint8Array;
  readonly version: number;
  readonly policy: Policy;
  readonly gate: 'record' | 'none';
  readonly plaintext: Uint8Array;
  readonly random: Random;
}

/** What a sealer stores and what it commits. */
export interface SealedRecord {
  readonly header: Uint8Array;
  readonly headerHash: Uint8Array;
  readonly policyBytes: Uint8Array;
  readonly payload: Uint8Array;
  /** Commitment to the data key, for the ledger. */
  readonly commitment: Uint8Array;
}

/** Seals a whole record in memory. Break-glass can open it exactly when it is gated. */
export function sealRecord(options: SealRecordOptions): SealedRecord {
  const { recordId, plaintext, policy, random } = options;
  const dataKey = random(32);
  const payloadId = random(PAYLOAD_ID_BYTES);
  const payload = sealPayloadBytes(dataKey, { recordId, payloadId, random }, plaintext);
  const header = wrapRecord({ ...options, dataKey });
  const commitment = dataKeyCommitment(dataKey, payloadId);
  dataKey.fill(0);
  return { header, headerHash: headerHash(header), policyBytes: encodePolicy(policy), payload, commitment };
}

/** A header for a data key that exists: the policy change that leaves the payload as it is. */
export function wrapRecord(
  options: Omit<SealRecordOptions, 'plaintext'> & { readonly dataKey: Uint8Array },
): Uint8Array {
  return sealHeader({ ...options, emergency: options.gate === 'record' });
}

export interface OpenRecordOptions {
  readonly group: Group;
  readonly keys: AuthorityKeys;
  readonly ring: KeyRing;
  readonly registry: Registry;
  readonly header: Uint8Array;
  readonly expected: ExpectedHeader;
  readonly random: Random;
  /** Complete re-encryption: see `OpenOptions`. */
  readonly verify?: 'full';
}

/** Leaves that at least `t` authorities of the ring have given. */
function commonLeaves(ring: KeyRing, t: number): Set<string> {
  const counts = new Map<string, number>();
  for (const part of ring.parts.values()) {
    for (const leaf of part.leaves.keys()) counts.set(leaf, (counts.get(leaf) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= t).map(([leaf]) => leaf));
}

/**
 * The data key of a header, from the parts of any t authorities that hold the leaves it needs. When it does not open
 * with the first quorum, the parts are checked, the wrong ones left out, and it is tried once more.
 * Throws `abe.policy_unsatisfied` when the ring lacks leaves, and what `openHeader` and `combineKey` throw.
 */
export function openDataKey(options: OpenRecordOptions): Uint8Array {
  const { group, keys, ring, registry, header, expected, random, verify } = options;
  const decoded = decodeHeader(header);
  const compiled = compileHeader(decodePolicy(decoded.policyBytes), registry, decoded);
  const used = reconstruct(compiled, commonLeaves(ring, keys.t));
  if (used === undefined) {
    throw new CodedError(
      'abe.policy_unsatisfied',
      'the key lacks attributes or the gate that this header asks for: ask for access first',
    );
  }
  const leaves = new Set(used.rows.map(({ index }) => toHex(compiled.rows[index].leaf)));
  const attempt = (check: 'combined' | 'none'): Uint8Array => {
    const { key } = combineKey({ group, keys, ring, leaves, random, check });
    return openHeader({ group, mpk: keys.mpk, key, header, registry, expected, ...(verify && { verify }) });
  };
  try {
    return attempt('none');
  } catch (error) {
    if (!hasCode(error, ABE_ERROR.headerRejected)) throw error;
    return attempt('combined');
  }
}

/**
 * The plaintext of a payload under its data key. `commitment` is the ledger's: a payload under another key, or
 * one that was swapped, is refused with `abe.payload_rejected`.
 */
export function openRecordPayload(
  dataKey: Uint8Array,
  recordId: Uint8Array,
  payload: Uint8Array,
  commitment: Uint8Array,
): Uint8Array {
  if (payload.length < PREAMBLE_BYTES) payloadRejected();
  // The preamble is checked in full when it is opened; here only its id is needed, to check the commitment first.
  const payloadId = payload.slice(2, 2 + PAYLOAD_ID_BYTES);
  if (!equalBytes(dataKeyCommitment(dataKey, payloadId), commitment)) {
    throw new CodedError(
      ABE_ERROR.payloadRejected,
      'the payload does not belong to this data key and ledger entry',
    );
  }
  return openPayloadBytes(dataKey, { recordId, payloadId }, payload);
}
