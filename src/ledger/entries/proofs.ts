/** Messages that new keys sign, ids that are derived rather than drawn, and digests that a client can extend. */
import { concat, u64be, utf8 } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { sha256, taggedHash } from '../../codec/hash.ts';
import type { PublicKey } from '../../codec/signature.ts';
import type { GenesisOperator, Member } from './members.ts';

/** Domain of the genesis signatures; used by the ledger alone, so it stands beside its one use. */
const GENESIS_TAG = 'hippocrypt/genesis/1';
/** Domain of the names of key ceremonies. */
const CEREMONY_TAG = 'hippocrypt/share-ceremony/1';
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

/** The digest of no numbers, and of no dead ones: state `numbers/<member>` and `dead/<member>` begin with it. */
export const EMPTY_CHAIN: Uint8Array = new Uint8Array(32);

/** `digest` of a custodian's numbers, taken on by the next one: its record, and its patient (16 bytes) if it has one. */
export function nextNumbersDigest(
  digest: Uint8Array,
  record: Uint8Array,
  patient: Uint8Array | null,
): Uint8Array {
  return patient === null
    ? sha256(digest, record, Uint8Array.of(0))
    : sha256(digest, record, Uint8Array.of(1), patient);
}

/** `digest` of a custodian's dead numbers, taken on by the one that died next. */
export function nextDeadDigest(digest: Uint8Array, indexNo: number): Uint8Array {
  return sha256(digest, u64be(indexNo));
}

/** What each member's validator key signs over the bytes of the genesis document. */
export function genesisMessage(document: Uint8Array): Uint8Array {
  return tagged(GENESIS_TAG, document);
}

/** What a new member's validator key signs: the chain it joins, its record, its first operator, and how far it has come. */
export function admissionMessage(
  chainId: string,
  member: Member,
  operator: GenesisOperator,
  checkpoint: string,
): Uint8Array {
  return tagged(ADMISSION_TAG, encodeCbor([chainId, member, operator, checkpoint]));
}

/** Name of attempt `attempt` of all at a key ceremony on a chain: no two ceremonies share one. */
export function ceremonyId(chainId: string, attempt: number): Uint8Array {
  return taggedHash(CEREMONY_TAG, encodeCbor([chainId, attempt]));
}
