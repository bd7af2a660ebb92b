/** Messages that new keys sign, and ids that are derived rather than drawn. */
import { concat, utf8 } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { taggedHash } from '../../codec/hash.ts';
import type { PublicKey } from '../../codec/signature.ts';
import type { GenesisOperator, Member } from './members.ts';

/** Domain of the genesis signatures; used by the ledger alone, so it stands beside its one use. */
const GENESIS_TAG = 'hippocrypt/genesis/1';
/** Domain of a newcomer's signature over its own admission. */
const ADMISSION_TAG = 'hippocrypt/admission/1';

function tagged(tag: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = utf8(tag);
  return concat(Uint8Array.of(bytes.length), bytes, ...parts);
}

/** What a subject's new key signs, so that nobody enrols a key that its owner does not hold. */
export function subjectProofMessage(
  chainId: string,
  subject: Uint8Array,
  member: string,
  key: PublicKey,
): Uint8Array {
  return tagged(DOMAIN.subjectProof, encodeCbor([chainId, subject, member, key.alg, key.key]));
}

/** Id of the record that holds the field key of (custodian, field, epoch). */
export function fieldRecordId(custodian: string, field: string, epoch: number): Uint8Array {
  return taggedHash(DOMAIN.fieldRecord, encodeCbor([custodian, field, epoch]));
}

/** What each member's validator key signs over the bytes of the genesis document. */
export function genesisMessage(document: Uint8Array): Uint8Array {
  return tagged(GENESIS_TAG, document);
}

/** What a new member's validator key signs: the chain it joins, its record and its first operator. */
export function admissionMessage(chainId: string, member: Member, operator: GenesisOperator): Uint8Array {
  return tagged(ADMISSION_TAG, encodeCbor([chainId, member, operator]));
}
