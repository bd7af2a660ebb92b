/**
 * The keyword: what a record is found by, and the private input of the VOPRF. Encoded as canonical dag-cbor
 * [1, field, type, value] (DESIGN section 6), so no text that a user chooses can collide with another kind.
 * Value forms by type:
 *   code       [system or null, code]   each code is indexed twice, with its system and with null
 *   text       one folded, stemmed word
 *   date       a calendar node: T201, Y2014, Q2014-1, M2014-03, D2014-03-05
 *   number     a grid node [level, index]
 *   reference  the referenced id (a patient pseudonym)
 *   prefix     first characters of a folded word or code, or the ancestor code of a hierarchy
 *   type       a resource type
 *   any        null: the sentinel `field:*`, in every record that has the field
 */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { searchError } from './errors.ts';
import { KEYWORD_BYTES_MAX } from './parameters.ts';

/** One keyword in normal form. Values come from `keywordsOf` or `planQuery`; build one by hand in tests only. */
export type Keyword =
  | { readonly field: string; readonly type: 'code'; readonly system: string | null; readonly value: string }
  | {
      readonly field: string;
      readonly type: 'text' | 'date' | 'reference' | 'prefix' | 'type';
      readonly value: string;
    }
  | { readonly field: string; readonly type: 'number'; readonly value: readonly [number, number] }
  | { readonly field: string; readonly type: 'any' };

export type KeywordType = Keyword['type'];

const FORMAT = 1;
const FIELD_FORM = /^[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*$/;
export const FIELD_NAME_MAX = 64;

/** Whether `name` may name a field: letters, digits, `_`, `-`, dots between parts; at most 64 characters. */
export function isFieldName(name: string): boolean {
  return name.length <= FIELD_NAME_MAX && FIELD_FORM.test(name);
}

function valueForm(keyword: Keyword): unknown {
  switch (keyword.type) {
    case 'code':
      return [keyword.system, keyword.value];
    case 'number':
      return [keyword.value[0], keyword.value[1]];
    case 'any':
      return null;
    default:
      return keyword.value;
  }
}

/** Canonical bytes of `keyword`; throws `search.too_large` above 512 bytes. */
export function encodeKeyword(keyword: Keyword): Uint8Array {
  if (!isFieldName(keyword.field)) {
    throw searchError(
      'search.keyword_malformed',
      'expected a field name: letters, digits, _, -, parts by dots',
    );
  }
  const bytes = encodeCbor([FORMAT, keyword.field, keyword.type, valueForm(keyword)]);
  if (bytes.length > KEYWORD_BYTES_MAX) {
    throw searchError(
      'search.too_large',
      `a keyword of a field has ${bytes.length} bytes; at most ${KEYWORD_BYTES_MAX}`,
    );
  }
  return bytes;
}

/** The keyword of `bytes`; throws `search.keyword_malformed` on anything but one canonical keyword. */
export function decodeKeyword(bytes: Uint8Array): Keyword {
  const malformed = (cause?: unknown) =>
    searchError('search.keyword_malformed', 'expected an encoded keyword [1, field, type, value]', { cause });
  let parsed: unknown;
  try {
    parsed = decodeCbor(bytes, KEYWORD_BYTES_MAX);
  } catch (cause) {
    throw malformed(cause);
  }
  if (!Array.isArray(parsed) || parsed.length !== 4 || parsed[0] !== FORMAT) throw malformed();
  const [, field, type, value] = parsed as [number, unknown, unknown, unknown];
  if (typeof field !== 'string' || !isFieldName(field)) throw malformed();
  switch (type) {
    case 'code': {
      const [system, code] = Array.isArray(value) && value.length === 2 ? value : [undefined, undefined];
      if ((system !== null && typeof system !== 'string') || typeof code !== 'string') throw malformed();
      return { field, type, system, value: code };
    }
    case 'number': {
      const [level, index] = Array.isArray(value) && value.length === 2 ? value : [undefined, undefined];
      if (!isCount(level) || !isCount(index)) throw malformed();
      return { field, type, value: [level, index] };
    }
    case 'any':
      if (value !== null) throw malformed();
      return { field, type };
    case 'text':
    case 'date':
    case 'reference':
    case 'prefix':
    case 'type':
      if (typeof value !== 'string') throw malformed();
      return { field, type, value };
    default:
      throw malformed();
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

/** The sentinel of `field`: a canary for wrong keys, the universe of `:missing`. */
export function sentinel(field: string): Keyword {
  return { field, type: 'any' };
}

/** A text key of keyword bytes for maps: one character a byte. */
export function keywordKey(bytes: Uint8Array): string {
  return Reflect.apply(String.fromCharCode, null, bytes);
}
