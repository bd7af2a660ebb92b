/**
 * From a resource to the values it is found by, following the keyword map. Whoever opened a record can run this again
 * and check its custodian's index: no secrets, no randomness. A value that does not fit its field (a date that is
 * none, a unit the grid does not know) is left out rather than refused: the record is sealed and kept all the same.
 *
 * Words of notes may include names. A grant on `note` is a grant on everything the notes say.
 */
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import { hasCode } from '../codec/errors.ts';
import { parseDate } from '../search/calendar.ts';
import { type FieldValue, type RecordKeywords, recordKeywords } from '../search/extract.ts';
import { type FieldRegistry, fieldRegistry } from '../search/fields.ts';
import { GRID_BITS_MAX } from '../search/grid.ts';
import { foldedWords } from '../search/words.ts';
import { codeAncestors } from './code-hierarchy.ts';
import { fieldSpecs } from './fields.ts';
import { asList, isObject, type JsonObject, type JsonValue } from './json.ts';
import { KEYWORD_MAP, type KeywordMap, type KeywordRule, type NumberRule } from './keyword-map.ts';
import { NOTE_BYTES_MAX, NOTE_WORDS_MAX, TEXT_WORDS_MAX, VALUE_KEYWORDS_MAX } from './limits.ts';

/** Codes above a code in its system, nearest first; undefined leaves it to the built-in structure. */
export type AncestorLookup = (system: string | null, code: string) => readonly string[] | undefined;

export interface ExtractOptions {
  /** Patient pseudonym, 32 hexadecimal digits; absent for records about no patient. */
  readonly patient?: string;
  /** The fields in force; values of others are not extracted. Default: `fieldSpecs()`. */
  readonly registry?: FieldRegistry;
  readonly map?: KeywordMap;
  /** A hierarchy that the deployment brings, SNOMED CT's for example. */
  readonly ancestors?: AncestorLookup;
}

/** The registry of `fieldSpecs()`. */
export const DEFAULT_FIELDS: FieldRegistry = fieldRegistry(fieldSpecs());

/** With a field's name these stay below the 512 bytes of a keyword (KEYWORD_BYTES_MAX of src/search). */
const CODE_BYTES_MAX = 128;
const SYSTEM_BYTES_MAX = 256;
const LOINC = 'http://loinc.org';

/**
 * The values of one resource, in the map's order. Empty when the map names no rules for its type: such a record is
 * sealed but cannot be found (Claim, ExplanationOfBenefit).
 */
export function extractKeywords(json: JsonObject, options: ExtractOptions = {}): FieldValue[] {
  const { patient, registry = DEFAULT_FIELDS, map = KEYWORD_MAP, ancestors } = options;
  const { resourceType } = json;
  const own = map.types.find(({ types }) => types.some((type) => type === resourceType));
  if (own === undefined || typeof resourceType !== 'string') return [];
  const values: FieldValue[] = [{ field: 'type', kind: 'type', resourceType }];
  if (patient !== undefined) values.push({ field: 'patient', kind: 'reference', id: patient });
  const words = new WordBudget();
  for (const rule of own.rules) {
    if (!registry.has(rule.field)) continue;
    for (const element of elementsAt(json, rule.path.split('.'))) {
      values.push(...valuesOf(rule, element, words, ancestors));
    }
  }
  if (resourceType === 'Observation') values.push(...numbersOf(json, map.numbers));
  return withinBudget(values.filter(({ field }) => registry.has(field)));
}

/** The keywords of what `extractKeywords` gave: encoded, distinct, sorted, with their weights. */
export function toKeywords(
  values: readonly FieldValue[],
  registry: FieldRegistry = DEFAULT_FIELDS,
): RecordKeywords {
  return recordKeywords(registry, values);
}

/** Every element at `path`, through lists. */
function elementsAt(json: JsonValue, path: readonly string[]): JsonValue[] {
  const [name, ...rest] = path;
  if (name === undefined) return [json];
  if (!isObject(json)) return [];
  return asList(json[name]).flatMap((element) => elementsAt(element, rest));
}

function valuesOf(
  { field, kind }: KeywordRule,
  element: JsonValue,
  words: WordBudget,
  ancestors: AncestorLookup | undefined,
): FieldValue[] {
  switch (kind) {
    case 'code':
      return codesOf(field, element, ancestors);
    case 'date':
      return datesOf(field, element);
    case 'text':
      return textsOf(element).flatMap((text) => words.take(field, text));
    case 'attachment':
      return words.take(field, attachmentText(element));
  }
}

function codesOf(field: string, element: JsonValue, lookup: AncestorLookup | undefined): FieldValue[] {
  const isConcept = isObject(element) && element.coding !== undefined;
  const codings = isConcept ? asList(element.coding).filter(isObject) : [element];
  return codings.flatMap((coding) => {
    const code = isObject(coding) ? coding.code : coding;
    const system = isObject(coding) && typeof coding.system === 'string' ? coding.system : null;
    if (!isText(code, CODE_BYTES_MAX) || (system !== null && !isText(system, SYSTEM_BYTES_MAX))) return [];
    const above = lookup?.(system, code) ?? codeAncestors(system, code);
    const ancestors = above.filter((one) => isText(one, CODE_BYTES_MAX));
    return [{ field, kind: 'code', system, code, ...(ancestors.length > 0 && { ancestors }) } as const];
  });
}

function isText(value: JsonValue | undefined, bytesMax: number): value is string {
  return (
    typeof value === 'string' && value !== '' && value.length <= bytesMax && utf8(value).length <= bytesMax
  );
}

/** Dates as written: the calendar day of the source, whatever its offset. A birth date counts as its decade. */
function datesOf(field: string, element: JsonValue): FieldValue[] {
  const written = isObject(element) ? element.start : element;
  if (typeof written !== 'string' || !isDate(written)) return [];
  const date = field === 'birth-decade' ? `${written.slice(0, 3)}0` : written;
  return isDate(date) ? [{ field, kind: 'date', date }] : [];
}

function isDate(text: string): boolean {
  try {
    return parseDate(text).year > 0;
  } catch (error) {
    if (hasCode(error, 'search.value_malformed')) return false;
    throw error;
  }
}

/** A string, or the text and displays of a CodeableConcept, each text once. */
function textsOf(element: JsonValue): string[] {
  if (typeof element === 'string') return [element];
  if (!isObject(element)) return [];
  const displays = asList(element.coding).map((coding) => (isObject(coding) ? coding.display : undefined));
  return [...new Set([element.text, ...displays].filter((text) => typeof text === 'string'))];
}

/** Text of an Attachment that holds its data; empty for links, other media and what is not UTF-8. */
function attachmentText(element: JsonValue): string {
  if (!isObject(element) || typeof element.data !== 'string') return '';
  const { contentType } = element;
  if (typeof contentType !== 'string' || !/^text\/(?:plain|html|markdown)\b/i.test(contentType)) return '';
  if (!/(?:^[^;]*$|charset=["']?(?:utf-8|us-ascii)\b)/i.test(contentType)) return '';
  const text = decodeBase64Text(element.data);
  return /^text\/html\b/i.test(contentType) ? text.replace(/<[^>]{0,4096}>/g, ' ') : text;
}

function decodeBase64Text(data: string): string {
  // 4 characters a 3 bytes; cutting at a multiple of 4 keeps the rest decodable.
  const bounded = data.replace(/\s+/g, '').slice(0, Math.floor(NOTE_BYTES_MAX / 3) * 4);
  try {
    return fromUtf8(Uint8Array.from(atob(bounded), (char) => char.charCodeAt(0)));
  } catch {
    return '';
  }
}

/** Counts the distinct words of one record and stops at the bound; repeats stay, they are the weight. */
class WordBudget {
  readonly #seen = new Map<string, Set<string>>();

  take(field: string, text: string): FieldValue[] {
    const seen = this.#seen.get(field) ?? new Set();
    this.#seen.set(field, seen);
    const wordsMax = field === 'note' ? NOTE_WORDS_MAX : TEXT_WORDS_MAX;
    const kept = foldedWords(text).filter((word) => {
      if (seen.has(word)) return true;
      if (seen.size >= wordsMax) return false;
      seen.add(word);
      return true;
    });
    return kept.length === 0 ? [] : [{ field, kind: 'text', text: kept.join(' ') }];
  }
}

/** Drops values that would take the record over its keywords; words have a budget of their own. */
function withinBudget(values: readonly FieldValue[]): FieldValue[] {
  let left = VALUE_KEYWORDS_MAX;
  return values.filter((value) => {
    const cost = value.kind === 'text' ? 0 : costOf(value);
    if (cost > left) return false;
    left -= cost;
    return true;
  });
}

/** At most this many keywords come of one value besides the sentinel. */
function costOf(value: FieldValue): number {
  switch (value.kind) {
    case 'code':
      return 3 + (value.ancestors?.length ?? 0);
    case 'date':
      return 5;
    case 'number':
      return GRID_BITS_MAX;
    default:
      return 1;
  }
}

/** The Observation's own quantity and those of its components, where the map has a grid for their LOINC code. */
function numbersOf(json: JsonObject, rules: readonly NumberRule[]): FieldValue[] {
  return [json, ...asList(json.component)].flatMap((part) => {
    if (!isObject(part) || !isObject(part.code) || !isObject(part.valueQuantity)) return [];
    const codes = asList(part.code.coding).flatMap((coding) =>
      isObject(coding) && coding.system === LOINC ? [coding.code] : [],
    );
    const rule = rules.find(({ loinc }) => loinc.some((code) => codes.includes(code)));
    const value = rule === undefined ? undefined : quantityIn(rule, part.valueQuantity);
    return rule === undefined || value === undefined
      ? []
      : [{ field: rule.field, kind: 'number', value, unit: rule.unit } as const];
  });
}

/** No measurement of a patient is larger; and 15 digits are what a double holds. */
const NUMBER_MAX = 1e15;
/** Decimals kept: far below every grid's cell, far above the error of a conversion. */
const DECIMALS = 12;

/** The quantity in the grid's unit, as decimal text. A comparator (`<`, `>=`) leaves it out: it is no value. */
function quantityIn(rule: NumberRule, quantity: JsonObject): string | undefined {
  const { value, comparator } = quantity;
  if (typeof value !== 'number' || comparator !== undefined) return undefined;
  const unit = quantity.code ?? quantity.unit;
  const factor = unit === rule.unit ? 1 : typeof unit === 'string' ? rule.also?.[unit] : undefined;
  if (factor === undefined) return undefined;
  const converted = value * factor;
  if (!(Math.abs(converted) < NUMBER_MAX)) return undefined;
  return converted.toFixed(DECIMALS).replace(/\.?0+$/, '');
}
