/**
 * Payloads as whole buffers, and single chunks. STREAM (Hoang, Reyhanitabar, Rogaway, Vizar, eprint 2015/189)
 * over AES-256-GCM: the counter orders the chunks, the last-chunk byte detects a cut, and nothing is released
 * from a chunk before its tag is checked.
 */
import { GCM_TAG_BYTES, gcmOpen, gcmSeal } from '../../codec/aead.ts';
import { concat } from '../../codec/bytes.ts';
import { requireArgument } from '../errors.ts';
import {
  CHUNK_BYTES,
  chunkNonce,
  DATA_KEY_BYTES,
  dataKeyCommitment,
  encodePreamble,
  NONCE_PREFIX_BYTES,
  openPreamble,
  type PayloadName,
  PREAMBLE_BYTES,
  type Preamble,
  payloadAad,
  payloadKey,
  payloadRejected,
} from './preamble.ts';

/** Sealed bytes of a full chunk. */
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + GCM_TAG_BYTES;
/** Chunks of one payload: the counter has 32 bits. 256 TiB. */
export const CHUNKS_MAX = 2 ** 32;

export interface SealPayloadOptions extends PayloadName {
  /** Uniform bytes; 7 are drawn. */
  readonly random: (n: number) => Uint8Array;
}

/** Seals chunks one by one. A payload of no bytes has one empty chunk. */
export interface ChunkSealer {
  readonly preamble: Uint8Array;
  /** The sealed form of the next chunk; only the last may be shorter than 64 KiB. */
  seal(chunk: Uint8Array, isLast: boolean): Uint8Array;
}

export function chunkSealer(dataKey: Uint8Array, options: SealPayloadOptions): ChunkSealer {
  const { payloadId, random } = options;
  requireArgument(dataKey.length === DATA_KEY_BYTES, `a data key has ${DATA_KEY_BYTES} bytes`);
  const commitment = dataKeyCommitment(dataKey, payloadId);
  const noncePrefix = random(NONCE_PREFIX_BYTES);
  const key = payloadKey(dataKey, payloadId);
  const aad = payloadAad(options);
  let index = 0;
  return {
    preamble: encodePreamble({ payloadId, noncePrefix, commitment }),
    seal(chunk, isLast) {
      requireArgument(index < CHUNKS_MAX, 'a payload of at most 2^32 chunks');
      return gcmSeal(key, chunkNonce(noncePrefix, index++, isLast), aad, chunk);
    },
  };
}

/** Opens chunks in any order, for ranges; whoever wants the whole must ask for every index up to the last. */
export interface ChunkOpener {
  open(sealed: Uint8Array, index: number, isLast: boolean): Uint8Array;
}

/** `preamble` is the first 61 bytes of the payload; throws `abe.payload_rejected` for a wrong one or key. */
export function chunkOpener(dataKey: Uint8Array, name: PayloadName, preamble: Uint8Array): ChunkOpener {
  requireArgument(dataKey.length === DATA_KEY_BYTES, `a data key has ${DATA_KEY_BYTES} bytes`);
  const { noncePrefix }: Preamble = openPreamble(preamble, dataKey, name);
  const key = payloadKey(dataKey, name.payloadId);
  const aad = payloadAad(name);
  return {
    open(sealed, index, isLast) {
      try {
        return gcmOpen(key, chunkNonce(noncePrefix, index, isLast), aad, sealed);
      } catch (cause) {
        return payloadRejected(cause);
      }
    },
  };
}

/** Bytes of a sealed payload of `length` plaintext bytes. */
export function sealedSize(length: number): number {
  requireArgument(Number.isSafeInteger(length) && length >= 0, 'a length that is a whole number');
  const chunks = Math.max(1, Math.ceil(length / CHUNK_BYTES));
  return PREAMBLE_BYTES + length + chunks * GCM_TAG_BYTES;
}

/** Where chunk `index` of a sealed payload of `sealedLength` bytes lies, and whether it is the last. */
export function chunkRange(
  sealedLength: number,
  index: number,
): { readonly start: number; readonly end: number; readonly isLast: boolean } {
  const start = PREAMBLE_BYTES + index * SEALED_CHUNK_BYTES;
  if (!Number.isInteger(index) || index < 0 || start + GCM_TAG_BYTES > sealedLength) payloadRejected();
  const end = Math.min(start + SEALED_CHUNK_BYTES, sealedLength);
  return { start, end, isLast: end === sealedLength };
}

/** A whole payload in memory, synchronously. */
export function sealPayloadBytes(
  dataKey: Uint8Array,
  options: SealPayloadOptions,
  plaintext: Uint8Array,
): Uint8Array {
  const sealer = chunkSealer(dataKey, options);
  const parts = [sealer.preamble];
  let offset = 0;
  do {
    const end = Math.min(offset + CHUNK_BYTES, plaintext.length);
    parts.push(sealer.seal(plaintext.subarray(offset, end), end === plaintext.length));
    offset = end;
  } while (offset < plaintext.length);
  return concat(...parts);
}

/** The plaintext; throws `abe.payload_rejected` when one bit differs from what was sealed under this name and key. */
export function openPayloadBytes(dataKey: Uint8Array, name: PayloadName, sealed: Uint8Array): Uint8Array {
  const opener = chunkOpener(dataKey, name, sealed.subarray(0, PREAMBLE_BYTES));
  const parts: Uint8Array[] = [];
  for (let index = 0, isDone = false; !isDone; index++) {
    const { start, end, isLast } = chunkRange(sealed.length, index);
    parts.push(opener.open(sealed.subarray(start, end), index, isLast));
    isDone = isLast;
  }
  return concat(...parts);
}
