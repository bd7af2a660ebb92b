/**
 * Evidence of equivocation as bytes that prove themselves (ledger-security rule 17): two statements of one key with
 * equal kind, epoch, height, view and sender and different digests. No state, clock or execution is needed to check
 * it. Whether the key was that validator in that epoch is the ledger's to look up.
 */

import type { Evidence } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import { verifyEd25519 } from '../node/keys.ts';
import { type Hash, Reader, SIGNATURE_BYTES, Writer } from './bytes.ts';
import { type Signed, VOTE_TAG, type VoteKind, voteKind } from './messages.ts';
import { voteBytes } from './signing.ts';

/** What a checked evidence says. */
export interface CheckedEvidence {
  /** The equivocator's raw Ed25519 key. */
  readonly key: Uint8Array;
  readonly kind: VoteKind;
  readonly epoch: number;
  readonly height: number;
  readonly view: number;
  readonly sender: number;
}

export function encodeEvidence(evidence: Evidence): Uint8Array {
  const { first, second } = evidence;
  const writer = new Writer(256).u8(1).u8(VOTE_TAG[evidence.kind]).fixed(evidence.key);
  writer.u32(first.epoch).u64(first.height).u32(first.view).u16(first.sender);
  for (const statement of [first, second]) writer.hash(statement.digest).fixed(statement.signature);
  return writer.finish();
}

/** What `bytes` prove about `chainId`; throws `consensus.malformed` when they prove nothing. */
export function checkEvidence(bytes: Uint8Array, chainId: Uint8Array): CheckedEvidence {
  const reader = new Reader(bytes);
  const version = reader.u8();
  const tag = reader.u8();
  const kind = voteKind(tag);
  const key = reader.fixed(32).slice();
  const position: Omit<Signed, 'digest' | 'signature'> = {
    epoch: reader.u32(),
    height: reader.u64(),
    view: reader.u32(),
    sender: reader.u16(),
  };
  const statements: { digest: Hash; signature: Uint8Array }[] = [];
  for (let i = 0; i < 2; i++)
    statements.push({ digest: reader.hash(), signature: reader.fixed(SIGNATURE_BYTES) });
  reader.end();
  if (version !== 1 || kind === undefined || statements[0].digest === statements[1].digest) {
    throw new ConsensusError(
      'consensus.malformed',
      'expected two different statements of one kind and place',
    );
  }
  for (const { digest, signature } of statements) {
    if (!verifyEd25519(key, voteBytes(kind, chainId, position, digest), signature)) {
      throw new ConsensusError('consensus.malformed', 'expected two valid signatures of one key');
    }
  }
  return { key, kind, ...position };
}
