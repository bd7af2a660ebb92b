/**
 * The indexer's private companion of a segment: which keywords it holds and their T_w, so that merges need neither
 * the records nor new evaluations. Sealed with AES-256-GCM under a key of its own (HKDF from the vault key and the
 * segment id), used once because an id is. It stays with the indexer: its length alone tells the number of
 * keywords. Lost companions are rebuilt from records.
 */
import { gcmOpen, gcmSeal } from '../codec/aead.ts';
import { concat, u32be } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { searchError } from './errors.ts';
import { joinMany } from './merkle.ts';
import { LISTS_A_STEP, runThrough, type Steps } from './steps.ts';

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
  return runThrough(sealSteps(vaultKey, segmentId, vocabulary));
}

/** `sealVocabulary` in steps. */
export function* sealSteps(
  vaultKey: Uint8Array,
  segmentId: Uint8Array,
  { words, dropped }: Vocabulary,
): Steps<Uint8Array> {
  // The canonical encoding of [FORMAT, words, dropped], written piece by piece.
  const parts: Uint8Array[] = [head(ARRAY, 3), encodeCbor(FORMAT), head(ARRAY, words.length)];
  for (const { keyword, t } of words) {
    parts.push(head(ARRAY, 2), head(BYTES, keyword.length), keyword, head(BYTES, t.length), t);
    if (parts.length % (5 * LISTS_A_STEP) < 5) yield;
  }
  parts.push(encodeCbor([...dropped]));
  return gcmSeal(vaultKeyOf(vaultKey, segmentId), ZERO_NONCE, segmentId, joinMany(parts));
}

/** Opens what `sealVocabulary` gave; throws `search.index_state` on anything else. */
export function openVocabulary(vaultKey: Uint8Array, segmentId: Uint8Array, sealed: Uint8Array): Vocabulary {
  return runThrough(openSteps(vaultKey, segmentId, sealed));
}

/** `openVocabulary` in steps. */
export function* openSteps(
  vaultKey: Uint8Array,
  segmentId: Uint8Array,
  sealed: Uint8Array,
): Steps<Vocabulary> {
  try {
    const reader = new Reader(gcmOpen(vaultKeyOf(vaultKey, segmentId), ZERO_NONCE, segmentId, sealed));
    if (reader.head(ARRAY) !== 3 || reader.head(NUMBER) !== FORMAT) throw new RangeError('another format');
    const words: Word[] = [];
    for (let left = reader.head(ARRAY); left > 0; left--) {
      if (left % LISTS_A_STEP === 0) yield;
      if (reader.head(ARRAY) !== 2) throw new RangeError('a word is a pair');
      const word = { keyword: reader.bytes(reader.head(BYTES)), t: reader.bytes(reader.head(BYTES)) };
      if (word.t.length !== 32) throw new RangeError('T_w has 32 bytes');
      words.push(word);
    }
    return { words, dropped: numbersOf(decodeCbor(reader.rest(), VOCABULARY_BYTES_MAX)) };
  } catch (cause) {
    throw searchError(
      'search.index_state',
      'a segment companion does not open: rebuild the index from records',
      { cause },
    );
  }
}

function numbersOf(value: unknown): number[] {
  if (!Array.isArray(value)) throw new RangeError('expected a list of numbers');
  return value.map((number: unknown) => {
    if (!Number.isSafeInteger(number)) throw new RangeError('expected record numbers');
    return Number(number);
  });
}

/** Major types of CBOR (RFC 8949, section 3.1). */
const NUMBER = 0;
const BYTES = 2;
const ARRAY = 4;

/** The shortest head of that type: the only canonical one. */
function head(major: number, value: number): Uint8Array {
  const type = major << 5;
  if (value < 24) return Uint8Array.of(type | value);
  if (value < 0x100) return Uint8Array.of(type | 24, value);
  if (value < 0x10000) return Uint8Array.of(type | 25, value >>> 8, value & 255);
  return concat(Uint8Array.of(type | 26), u32be(value));
}

/** Reads what was sealed here itself; what is no canonical CBOR of that shape throws. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  head(major: number): number {
    const first = this.bytes(1)[0];
    const length = first & 31;
    if (first >>> 5 !== major || length > 26) throw new RangeError('another type');
    let value = length;
    if (length >= 24) value = this.bytes(2 ** (length - 24)).reduce((sum, byte) => 256 * sum + byte, 0);
    if (head(major, value).length !== (length < 24 ? 1 : 1 + 2 ** (length - 24)))
      throw new RangeError('a longer head than needed');
    return value;
  }

  bytes(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('cut short');
    const bytes = this.#bytes.slice(this.#at, end);
    this.#at = end;
    return bytes;
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }
}
