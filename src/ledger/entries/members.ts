/** Genesis and MemberPut: who the hospitals are. */
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import type { PublicKey } from '../../codec/signature.ts';
import { CHAIN_ID_CHARS_MAX, LABELS_MAX, MEMBERS_MAX, MEMBERS_MIN } from './bounds.ts';
import { bytes16, bytes32, bytes64, member, publicKey, time, urlText } from './common.ts';
import { bytesBetween, type Decode, integer, list, map, oneOf, text } from './fields.ts';
import { type LabelEntry, labelEntry } from './labels.ts';

/** One hospital. `linkKey` is the Ed25519 public key of its link certificate. */
export interface Member {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly validatorKey: Uint8Array;
  readonly linkKey: Uint8Array;
  readonly hpkeKey: Uint8Array;
  readonly indexerKey: Uint8Array;
}

/** The first operator of a member; enrols everybody else. */
export interface GenesisOperator {
  readonly subject: Uint8Array;
  readonly member: string;
  readonly key: PublicKey;
  readonly hpkeKey: Uint8Array;
}

/** The document that all members sign before the first block. */
export interface GenesisDocument {
  readonly v: 1;
  readonly chainId: string;
  readonly time: number;
  readonly members: readonly Member[];
  readonly threshold: number;
  readonly labels: readonly LabelEntry[];
  readonly operators: readonly GenesisOperator[];
}

/** The genesis document with one Ed25519 signature by each member's validator key, in the members' order. */
export interface SignedGenesis {
  readonly document: Uint8Array;
  readonly signatures: readonly Uint8Array[];
}

export interface MemberPut {
  readonly member: string;
  readonly url: string;
  readonly linkKey: Uint8Array;
  readonly hpkeKey: Uint8Array;
  readonly indexerKey: Uint8Array;
}

/** Hospital names are public; 1 to 128 printable characters. */
const memberName = text(1, 128);
export const chainIdText = text(1, CHAIN_ID_CHARS_MAX, /^[a-z0-9][a-z0-9._-]*$/);

export const memberRecord: Decode<Member> = map<Member>({
  id: member,
  name: memberName,
  url: urlText,
  validatorKey: bytes32,
  linkKey: bytes32,
  hpkeKey: bytes32,
  indexerKey: bytes32,
});

export const genesisOperator: Decode<GenesisOperator> = map<GenesisOperator>({
  subject: bytes16,
  member,
  key: publicKey,
  hpkeKey: bytes32,
});

export const genesisDocument: Decode<GenesisDocument> = map<GenesisDocument>({
  v: oneOf(1),
  chainId: chainIdText,
  time,
  members: list(memberRecord, MEMBERS_MIN, MEMBERS_MAX),
  threshold: integer(1, MEMBERS_MAX),
  labels: list(labelEntry, 0, LABELS_MAX),
  operators: list(genesisOperator, MEMBERS_MIN, MEMBERS_MAX),
});

/** Most bytes of a genesis document. */
const GENESIS_BYTES_MAX = 1024 * 1024;

const signedGenesisFields: Decode<SignedGenesis> = map<SignedGenesis>({
  document: bytesBetween(1, GENESIS_BYTES_MAX),
  signatures: list(bytes64, MEMBERS_MIN, MEMBERS_MAX),
});

/** Canonical bytes of a signed genesis: what stands in `tx` of the first leaf. */
export function encodeGenesis(genesis: SignedGenesis): Uint8Array {
  return encodeCbor({ document: genesis.document, signatures: genesis.signatures });
}

/** The signed genesis and the document inside; says nothing about the signatures. Throws `entry.malformed`. */
export function decodeGenesis(bytes: Uint8Array): SignedGenesis & { readonly decoded: GenesisDocument } {
  const { document, signatures } = signedGenesisFields(decodeCbor(bytes), 'genesis');
  return { document, signatures, decoded: genesisDocument(decodeCbor(document), 'genesis.document') };
}

export const memberPut: Decode<MemberPut> = map<MemberPut>({
  member,
  url: urlText,
  linkKey: bytes32,
  hpkeKey: bytes32,
  indexerKey: bytes32,
});
