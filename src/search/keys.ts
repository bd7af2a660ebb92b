/**
 * From a keyword's VOPRF output and its field key to everything that opens its lists (search-security.md,
 * section 2). None of these values ever goes to a server: T_w opens every segment of its epoch.
 */
import { concat, readU32be, utf8 } from '../codec/bytes.ts';
import { hkdfSha256, hmacSha256, hmacSha512 } from '../codec/hash.ts';

/** What a holder of both locks has for one keyword in one epoch: T_w, and the bucket position u_w from it. */
export interface KeywordSecret {
  readonly t: Uint8Array;
  /** u_w, 32 bits; its top b bits name the page in a segment with 2^b pages. */
  readonly u: number;
}

/** What opens one keyword's list in one segment. */
export interface ListKeys {
  readonly tag: Uint8Array;
  readonly mask: Uint8Array;
  readonly key: Uint8Array;
}

const T_INFO = 'sli/1/T';
const BUCKET_LABEL = utf8('sli/1/bucket');
const SEGMENT_LABEL = utf8('sli/1/seg');

/** T_w = HKDF-SHA256(y_w, salt F, "sli/1/T"); `y` is the 64-byte VOPRF output, `fieldKey` F of 32 bytes. */
export function keywordSecret(y: Uint8Array, fieldKey: Uint8Array): KeywordSecret {
  return secretFromT(hkdfSha256(y, fieldKey, T_INFO, 32));
}

/** The secret that a stored T_w stands for. */
export function secretFromT(t: Uint8Array): KeywordSecret {
  return { t, u: readU32be(hmacSha256(t, BUCKET_LABEL), 0) };
}

/** HMAC-SHA512(T_w, "sli/1/seg" || segment id) = tag 8 | mask 8 | list key 32 | unused 16. */
export function listKeys(t: Uint8Array, segmentId: Uint8Array): ListKeys {
  const bytes = hmacSha512(t, concat(SEGMENT_LABEL, segmentId));
  return { tag: bytes.subarray(0, 8), mask: bytes.subarray(8, 16), key: bytes.subarray(16, 48) };
}

/** The page of `u` in a segment with `bits` bucket bits: the same prefix in every segment. */
export function bucketOf(u: number, bits: number): number {
  return bits === 0 ? 0 : u >>> (32 - bits);
}
