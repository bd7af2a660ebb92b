/**
 * CP-ABE for Hippocrypt: policies, sealing and opening of record headers, threshold issue of keys, the key
 * generation ceremony, and the sealing of payloads. Pure: bytes in, bytes out; randomness is an argument.
 * Formats: docs/format/abe.md and docs/format/policy.md. What holds under which assumptions: SECURITY.md.
 */

export { startDkg, stepDkg } from './dkg/ceremony.ts';
export { isShareOf, proveShare, verifyShareProof } from './dkg/holding.ts';
export { type DkgBroadcast, type DkgPrivate, decodeDkg, encodeDkg } from './dkg/messages.ts';
export type {
  DkgBlame,
  DkgConfig,
  DkgEffect,
  DkgInput,
  DkgPhase,
  DkgResult,
  DkgState,
  DkgStep,
} from './dkg/types.ts';
export { ABE_ERROR, type AbeErrorCode } from './errors.ts';
export { openGroup } from './group/index.ts';
export type { BackendName, G1, G2, Group, GT, SecretScalar } from './group/types.ts';
export {
  CHUNKS_MAX,
  type ChunkOpener,
  chunkOpener,
  chunkRange,
  openPayloadBytes,
  SEALED_CHUNK_BYTES,
  type SealPayloadOptions,
  sealedSize,
  sealPayloadBytes,
} from './payload/bytes.ts';
export {
  CHUNK_BYTES,
  dataKeyCommitment,
  PAYLOAD_ID_BYTES,
  type PayloadName,
  PREAMBLE_BYTES,
} from './payload/preamble.ts';
export { openPayload, sealPayload } from './payload/stream.ts';
export * from './policy/index.ts';
export {
  type OpenRecordOptions,
  openDataKey,
  openRecordPayload,
  type SealedRecord,
  type SealRecordOptions,
  sealRecord,
  wrapRecord,
} from './record.ts';
export {
  decodeHeader,
  HEADER_BYTES_MAX,
  type Header,
  type HeaderInspection,
  headerHash,
  inspectHeader,
} from './scheme/header.ts';
export { type DecryptionKey, heldLeaves } from './scheme/key.ts';
export { decodeMpk, encodeMpk, type MasterPublicKey } from './scheme/mpk.ts';
export { canOpen, type ExpectedHeader, type OpenOptions, openHeader } from './scheme/open.ts';
export { type SealOptions, sealHeader } from './scheme/seal.ts';
export {
  type Authority,
  type AuthorityShare,
  decodeAuthorityShare,
  encodeAuthorityShare,
  extendKeyPart,
  type IssueOptions,
  issueKeyPart,
  openAuthority,
} from './threshold/authority.ts';
export {
  type CombinedKey,
  type CombineOptions,
  combineKey,
  verifyGate,
  verifyPart,
} from './threshold/combine.ts';
export { dealAuthorities } from './threshold/dealer.ts';
export {
  AUTHORITIES_MAX,
  type AuthorityKeys,
  decodeAuthorityKeys,
  encodeAuthorityKeys,
} from './threshold/keys.ts';
export { decodePart, type KeyPart } from './threshold/part.ts';
export {
  addKeyParts,
  decodeKeyRing,
  dropAuthority,
  emptyKeyRing,
  encodeKeyRing,
  filterLeaves,
  type KeyRing,
  type RingPart,
} from './threshold/ring.ts';
