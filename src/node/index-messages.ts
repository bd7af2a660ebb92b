/** Messages between gateway, sealer and indexer: evaluations on channel `oprf`, and the keywords that a sealer seals for the indexer. */
import { fromHex } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { EntryId } from '../codec/ids.ts';
import { decodeKeyword, type Evaluation, RECORD_KEYWORDS_MAX } from '../search/index.ts';

/** Keywords of a record as a sealer sends them: dag-cbor `[keywords, weights or null]`, each keyword decodable. */
export function decodeKeywords(bytes: Uint8Array): { keywords: readonly Uint8Array[]; weights?: Uint8Array } {
  const value = decodeCbor(bytes);
  const [keywords, weights] = (Array.isArray(value) && value.length === 2 ? value : []) as readonly unknown[];
  const good =
    Array.isArray(keywords) &&
    keywords.length <= RECORD_KEYWORDS_MAX &&
    keywords.every((one): one is Uint8Array => one instanceof Uint8Array) &&
    (weights === null || (weights instanceof Uint8Array && weights.length === keywords.length));
  if (!good)
    throw new CodedError('search.keywords_malformed', 'expected a list of keywords with their weights');
  for (const keyword of keywords as Uint8Array[]) decodeKeyword(keyword);
  return {
    keywords: keywords as Uint8Array[],
    ...(weights === null ? {} : { weights: weights as Uint8Array }),
  };
}

/** Request on channel `oprf`, operation `evaluate`: dag-cbor `{ blinded, entry }`. */
export function encodeEvaluateRequest(entry: EntryId, blinded: readonly Uint8Array[]): Uint8Array {
  return encodeCbor({ entry: fromHex(entry), blinded });
}

/** The request; throws `link.malformed`. */
export function decodeEvaluateRequest(bytes: Uint8Array): {
  entry: Uint8Array;
  blinded: readonly Uint8Array[];
} {
  const { entry, blinded } = (decodeCbor(bytes, 4096) ?? {}) as { entry?: unknown; blinded?: unknown };
  if (
    entry instanceof Uint8Array &&
    entry.length === 32 &&
    Array.isArray(blinded) &&
    blinded.length <= 32 &&
    blinded.every((one): one is Uint8Array => one instanceof Uint8Array && one.length === 32)
  ) {
    return { entry, blinded };
  }
  throw new CodedError('link.malformed', 'expected an entry id and at most 32 blinded elements');
}

/** The answer: dag-cbor `{ elements, proof }`. */
export function decodeEvaluation(bytes: Uint8Array): Evaluation {
  const { elements, proof } = (decodeCbor(bytes, 8192) ?? {}) as { elements?: unknown; proof?: unknown };
  if (
    proof instanceof Uint8Array &&
    Array.isArray(elements) &&
    elements.every((one): one is Uint8Array => one instanceof Uint8Array)
  ) {
    return { elements, proof };
  }
  throw new CodedError('link.malformed', 'expected evaluated elements and a proof');
}
