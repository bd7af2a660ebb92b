/**
 * The indexer's private companion of a segment: which keywords it holds and their T_w, so that merges need neither
 * the records nor new evaluations. Sealed with AES-256-GCM under a key of its own (HKDF from the vault key and the
 * segment id), used once because an id is. It stays with the indexer: its length alone tells the number of
 * keywords. Lost companions are rebuilt from records.
 */
import { gcmOpen, gcmSeal } from '../codec/aead.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { searchError } from './errors.ts';

/** One keyword of a segment and its T_w under the segment's epoch of its field. */
export interface Word {
  readonly keyword: Uint8Array;
  readonly t: Uint8Array;
}

/** A segment's words, and the local numbers that merges have dropped from its lists as dead. */
export interface Vocabulary {
  readonly words: readonly Word[];
  readonly dropped: readonly number[];
}

const FORMAT = 1;
const ZERO_NONCE = new Uint8Array(12);
const VOCABULARY_BYTES_MAX = 512 * 1024 * 1024;

const vaultKeyOf = (vaultKey: Uint8Array, segmentId: Uint8Array): Uint8Array =>
  hkdfSha256(vaultKey, segmentId, 'sli/1/vault', 32);

/** Sealed companion bytes of the segment with that id. */
export function sealVocabulary(
  vaultKey: Uint8Array,
  segmentId: Uint8Array,
  vocabulary: Vocabulary,
): Uint8Array {
  const words = vocabulary.words.map(({ keyword, t }) => [keyword, t]);
  const plain = encodeCbor([FORMAT, words, [...vocabulary.dropped]]);
  return gcmSeal(vaultKeyOf(vaultKey, segmentId), ZERO_NONCE, segmentId, plain);
}

/** Opens what `sealVocabulary` gave; throws `search.index_state` on anything else. */
export function openVocabulary(vaultKey: Uint8Array, segmentId: Uint8Array, sealed: Uint8Array): Vocabulary {
  const lost = (cause?: unknown) =>
    searchError('search.index_state', 'a segment companion does not open: rebuild the index from records', {
      cause,
    });
  let parsed: unknown;
  try {
    const plain = gcmOpen(vaultKeyOf(vaultKey, segmentId), ZERO_NONCE, segmentId, sealed);
    parsed = decodeCbor(plain, VOCABULARY_BYTES_MAX);
  } catch (cause) {
    throw lost(cause);
  }
  const [version, words, dropped] = Array.isArray(parsed) && parsed.length === 3 ? parsed : [];
  if (version !== FORMAT || !Array.isArray(words) || !Array.isArray(dropped)) throw lost();
  return {
    words: words.map((word: unknown): Word => {
      const [keyword, t] = Array.isArray(word) && word.length === 2 ? word : [];
      if (!(keyword instanceof Uint8Array) || !(t instanceof Uint8Array) || t.length !== 32) throw lost();
      return { keyword, t };
    }),
    dropped: dropped.map((number: unknown) => {
      if (!Number.isSafeInteger(number)) throw lost();
      return Number(number);
    }),
  };
}
