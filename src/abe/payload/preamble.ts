/**
 * The preamble of a sealed payload and what every chunk is bound to. AAD is suite, record id and payload id only:
 * a policy change makes a new header and leaves the payload untouched. AES-GCM does not commit to its key, so the
 * preamble carries a commitment to the data key, which also stands on the ledger: readers of all versions get
 * the same bytes, and a false rewrap is attributable.
 */
import { concat, constantTimeEqual, equalBytes, readU32be, u32be, utf8 } from '../../codec/bytes.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { CodedError } from '../../codec/errors.ts';
import { hmacSha256, taggedHash } from '../../codec/hash.ts';
import { ABE_DOMAIN, SUITE } from '../domains.ts';
import { ABE_ERROR, requireArgument } from '../errors.ts';

export const PAYLOAD_FORMAT = 1;
/** Plaintext bytes of every chunk but the last. */
export const CHUNK_BYTES = 64 * 1024;
export const PAYLOAD_ID_BYTES = 16;
export const DATA_KEY_BYTES = 32;
export const NONCE_PREFIX_BYTES = 7;
/** Format 1, suite 1, payload id 16, chunk size 4, nonce prefix 7, commitment 32. */
export const PREAMBLE_BYTES = 1 + 1 + PAYLOAD_ID_BYTES + 4 + NONCE_PREFIX_BYTES + 32;
const RECORD_ID_BYTES = 32;

/** Which payload of which record: what the reader knows from the ledger. */
export interface PayloadName {
  /** 32 bytes. */
  readonly recordId: Uint8Array;
  /** 16 bytes, random for each payload. */
  readonly payloadId: Uint8Array;
}

export interface Preamble {
  readonly payloadId: Uint8Array;
  readonly noncePrefix: Uint8Array;
  readonly commitment: Uint8Array;
}

/** One text for every way in which a payload does not open. */
export function payloadRejected(cause?: unknown): never {
  throw new CodedError(ABE_ERROR.payloadRejected, 'the payload does not open: damaged, cut, or another key', {
    cause,
  });
}

/** 32 bytes that commit to a data key for one payload; stands in the preamble and on the ledger. */
export function dataKeyCommitment(dataKey: Uint8Array, payloadId: Uint8Array): Uint8Array {
  requireArgument(dataKey.length === DATA_KEY_BYTES, `a data key has ${DATA_KEY_BYTES} bytes`);
  requireArgument(payloadId.length === PAYLOAD_ID_BYTES, `a payload id has ${PAYLOAD_ID_BYTES} bytes`);
  return taggedHash(DOMAIN.payloadCommitment, dataKey, payloadId);
}

/** The AES key of one payload, so that payloads of one record under one data key never share a nonce space. */
export function payloadKey(dataKey: Uint8Array, payloadId: Uint8Array): Uint8Array {
  return hmacSha256(dataKey, utf8(ABE_DOMAIN.payloadKey), payloadId);
}

/** Bound to every chunk. */
export function payloadAad({ recordId, payloadId }: PayloadName): Uint8Array {
  requireArgument(recordId.length === RECORD_ID_BYTES, `a record id has ${RECORD_ID_BYTES} bytes`);
  return concat(Uint8Array.of(SUITE), recordId, payloadId);
}

export function encodePreamble(preamble: Preamble): Uint8Array {
  return concat(
    Uint8Array.of(PAYLOAD_FORMAT, SUITE),
    preamble.payloadId,
    u32be(CHUNK_BYTES),
    preamble.noncePrefix,
    preamble.commitment,
  );
}

/** The preamble at the start of `bytes`, checked against the name and the key; throws `abe.payload_rejected`. */
export function openPreamble(bytes: Uint8Array, dataKey: Uint8Array, name: PayloadName): Preamble {
  if (bytes.length < PREAMBLE_BYTES || bytes[0] !== PAYLOAD_FORMAT || bytes[1] !== SUITE) payloadRejected();
  const payloadId = bytes.slice(2, 2 + PAYLOAD_ID_BYTES);
  const chunkAt = 2 + PAYLOAD_ID_BYTES;
  if (readU32be(bytes, chunkAt) !== CHUNK_BYTES) payloadRejected();
  const noncePrefix = bytes.slice(chunkAt + 4, chunkAt + 4 + NONCE_PREFIX_BYTES);
  const commitment = bytes.slice(chunkAt + 4 + NONCE_PREFIX_BYTES, PREAMBLE_BYTES);
  if (!equalBytes(payloadId, name.payloadId)) payloadRejected();
  if (!constantTimeEqual(commitment, dataKeyCommitment(dataKey, payloadId))) payloadRejected();
  return { payloadId, noncePrefix, commitment };
}

/** The nonce of chunk `index`: 7 B prefix, 4 B counter, 1 B that is 1 for the last chunk. */
export function chunkNonce(noncePrefix: Uint8Array, index: number, isLast: boolean): Uint8Array {
  return concat(noncePrefix, u32be(index), Uint8Array.of(isLast ? 1 : 0));
}
