/**
 * From a record's values to its keywords, by the field's declaration. Whoever opened a record can run this again
 * and check the index: the mapping has no secrets and no randomness.
 */
import { calendarNodes, parseDate } from './calendar.ts';
import { searchError } from './errors.ts';
import { type FieldRegistry, type FieldSpec, fieldOf, type PrefixLengths } from './fields.ts';
import { gridNodes } from './grid.ts';
import { encodeKeyword, type Keyword, keywordKey, sentinel } from './keyword.ts';
import { RECORD_KEYWORDS_MAX } from './parameters.ts';
import { foldedWords, foldText, stemWord } from './words.ts';

/** One value of one field of a record, as its source has it. */
export type FieldValue =
  /** `ancestors`: codes above this one, for fields with that hierarchy; empty or absent otherwise. */
  | {
      readonly field: string;
      readonly kind: 'code';
      readonly system: string | null;
      readonly code: string;
      readonly ancestors?: readonly string[];
    }
  | { readonly field: string; readonly kind: 'text'; readonly text: string }
  /** FHIR date or dateTime. */
  | { readonly field: string; readonly kind: 'date'; readonly date: string }
  /** A decimal text in the field's unit. */
  | { readonly field: string; readonly kind: 'number'; readonly value: string; readonly unit: string }
  | { readonly field: string; readonly kind: 'reference'; readonly id: string }
  | { readonly field: string; readonly kind: 'type'; readonly resourceType: string };

/** The keywords of one record: encoded, distinct, sorted; `weights[i]` is 1..255 for words, 0 for all else. */
export interface RecordKeywords {
  readonly keywords: readonly Uint8Array[];
  readonly weights: Uint8Array;
}

/**
 * All keywords of `value` under `spec`, sentinel first; a repeated word is repeated. Throws
 * `search.value_malformed` when the value is not of the field's type or unit.
 */
export function keywordsOf(spec: FieldSpec, value: FieldValue): Keyword[] {
  const field = spec.name;
  const { index } = spec;
  const out: Keyword[] = [sentinel(field)];
  if (index.type === 'code' && value.kind === 'code') {
    out.push({ field, type: 'code', system: null, value: value.code });
    if (value.system !== null) out.push({ field, type: 'code', system: value.system, value: value.code });
    if (index.hierarchy === 'ancestors') {
      for (const code of new Set([value.code, ...(value.ancestors ?? [])])) {
        out.push({ field, type: 'prefix', value: code });
      }
    }
    pushPrefixes(out, field, foldText(value.code), index.prefix);
  } else if (index.type === 'text' && value.kind === 'text') {
    for (const word of foldedWords(value.text)) {
      out.push({ field, type: 'text', value: stemWord(word) });
      pushPrefixes(out, field, word, index.prefix);
    }
  } else if (index.type === 'date' && value.kind === 'date') {
    for (const node of calendarNodes(parseDate(value.date))) out.push({ field, type: 'date', value: node });
  } else if (index.type === 'number' && value.kind === 'number') {
    if (value.unit !== index.grid.unit) {
      throw searchError('search.value_malformed', `field "${field}" is indexed in "${index.grid.unit}" only`);
    }
    for (const node of gridNodes(index.grid, value.value)) out.push({ field, type: 'number', value: node });
  } else if (index.type === 'reference' && value.kind === 'reference') {
    out.push({ field, type: 'reference', value: value.id });
  } else if (index.type === 'type' && value.kind === 'type') {
    out.push({ field, type: 'type', value: value.resourceType });
  } else {
    throw searchError('search.value_malformed', `field "${field}" holds ${index.type}, not ${value.kind}`);
  }
  return out;
}

function pushPrefixes(out: Keyword[], field: string, folded: string, lengths: PrefixLengths | null): void {
  if (lengths === null) return;
  const characters = [...folded];
  for (let length = lengths.min; length <= Math.min(lengths.max, characters.length); length++) {
    out.push({ field, type: 'prefix', value: characters.slice(0, length).join('') });
  }
}

/** Everything one record is found by; the input of `Indexer.add`. Throws `search.too_large` above 4,096. */
export function recordKeywords(registry: FieldRegistry, values: readonly FieldValue[]): RecordKeywords {
  const counts = new Map<string, { bytes: Uint8Array; weight: number }>();
  for (const value of values) {
    const spec = fieldOf(registry, value.field);
    const weighted = spec.index.type === 'text' && spec.index.weights;
    for (const keyword of keywordsOf(spec, value)) {
      const bytes = encodeKeyword(keyword);
      const key = keywordKey(bytes);
      const known = counts.get(key) ?? { bytes, weight: 0 };
      if (weighted && keyword.type === 'text') known.weight = Math.min(known.weight + 1, 255);
      counts.set(key, known);
    }
  }
  if (counts.size > RECORD_KEYWORDS_MAX) {
    throw searchError(
      'search.too_large',
      `a record has ${counts.size} keywords; at most ${RECORD_KEYWORDS_MAX}`,
    );
  }
  const sorted = [...counts.keys()].sort().map((key) => counts.get(key));
  const entries = sorted.filter((entry) => entry !== undefined);
  return {
    keywords: entries.map((entry) => entry.bytes),
    weights: Uint8Array.from(entries, (entry) => entry.weight),
  };
}
