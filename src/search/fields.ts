/**
 * What a field of the index is and can be asked. A registry is part of the ledger's state, so its encoding is
 * canonical: custodians index by it, clients plan by it, and both must read the same bytes.
 */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { searchError } from './errors.ts';
import { checkGrid, type Grid } from './grid.ts';
import { isFieldName } from './keyword.ts';
import { FIELDS_MAX } from './parameters.ts';

/** First characters of a value that are indexed, from `min` to `max`. */
export interface PrefixLengths {
  readonly min: number;
  readonly max: number;
}

/** What values a field has and how they are indexed. */
export type FieldIndex =
  /** `hierarchy` says what `code*` means: first characters, or a code and its descendants (values bring ancestors). */
  | {
      readonly type: 'code';
      readonly hierarchy: 'none' | 'prefix' | 'ancestors';
      readonly prefix: PrefixLengths | null;
    }
  /** `weights` keeps one byte a posting for ranking: how often the word occurs in the record. */
  | { readonly type: 'text'; readonly weights: boolean; readonly prefix: PrefixLengths | null }
  /** Open-ended comparisons reach to the first day of `fromYear` and the last of `toYear`. */
  | { readonly type: 'date'; readonly fromYear: number; readonly toYear: number }
  | { readonly type: 'number'; readonly grid: Grid }
  | { readonly type: 'reference' }
  | { readonly type: 'type' };

/** One searchable field. */
export interface FieldSpec {
  readonly name: string;
  readonly index: FieldIndex;
  /** Slots are fetched in groups of 8, which hides more of what a page-wise client asks. */
  readonly sensitive: boolean;
  /** New keywords that one subject may have evaluated, a day and a key epoch. Slows enumeration, no more. */
  readonly budget: { readonly perDay: number; readonly perEpoch: number };
}

/** The fields by name. */
export type FieldRegistry = ReadonlyMap<string, FieldSpec>;

/** Defaults of the security notes, section 7. */
export const DEFAULT_BUDGET = { perDay: 200, perEpoch: 2000 } as const;
export const PREFIX_CHARS_MAX = 16;

/** Checks `spec`; throws `search.field_malformed` with what is wrong. */
export function checkField(spec: FieldSpec): FieldSpec {
  const bad = (what: string) => searchError('search.field_malformed', `field "${spec.name}": ${what}`);
  if (!isFieldName(spec.name)) throw bad('expected letters, digits, _ and -, parts separated by dots');
  const { index } = spec;
  if (index.type === 'code' || index.type === 'text') {
    const lengths = index.prefix;
    if (
      lengths !== null &&
      !(lengths.min >= 1 && lengths.min <= lengths.max && lengths.max <= PREFIX_CHARS_MAX)
    ) {
      throw bad(`expected prefix lengths 1 <= min <= max <= ${PREFIX_CHARS_MAX}`);
    }
    if (index.type === 'code' && (index.hierarchy === 'prefix') !== (lengths !== null)) {
      throw bad('prefix lengths go with hierarchy "prefix" and only with it');
    }
  }
  if (
    index.type === 'date' &&
    !(index.fromYear >= 1 && index.fromYear <= index.toYear && index.toYear <= 9999)
  ) {
    throw bad('expected years 1 <= fromYear <= toYear <= 9999');
  }
  if (index.type === 'number') checkGrid(index.grid);
  if (!(spec.budget.perDay >= 1 && spec.budget.perDay <= spec.budget.perEpoch)) {
    throw bad('expected a budget 1 <= perDay <= perEpoch');
  }
  return spec;
}

/** The checked fields as a registry; throws on two fields of one name. */
export function fieldRegistry(specs: readonly FieldSpec[]): FieldRegistry {
  if (specs.length > FIELDS_MAX)
    throw searchError('search.too_large', `expected at most ${FIELDS_MAX} fields`);
  const registry = new Map<string, FieldSpec>();
  for (const spec of specs) {
    if (registry.has(spec.name)) {
      throw searchError('search.field_malformed', `field "${spec.name}" is declared twice`);
    }
    registry.set(spec.name, checkField(spec));
  }
  return registry;
}

/** The field of that name; throws `search.field_unknown`. */
export function fieldOf(registry: FieldRegistry, name: string): FieldSpec {
  const spec = registry.get(name);
  if (spec === undefined) throw searchError('search.field_unknown', `no field "${name}" is indexed`);
  return spec;
}

const FORMAT = 1;

/** Canonical bytes of one field: dag-cbor map {v, name, index, sensitive, budget}. */
export function encodeFieldSpec(spec: FieldSpec): Uint8Array {
  return encodeCbor(fieldForm(checkField(spec)));
}

function fieldForm(spec: FieldSpec): unknown {
  return {
    v: FORMAT,
    name: spec.name,
    index: { ...spec.index },
    sensitive: spec.sensitive,
    budget: { perDay: spec.budget.perDay, perEpoch: spec.budget.perEpoch },
  };
}

/** The field of `bytes`; throws `search.field_malformed` on unknown keys, wrong types or bad values. */
export function decodeFieldSpec(bytes: Uint8Array): FieldSpec {
  return parseField(decodeCbor(bytes, 4096));
}

/** Canonical bytes of a registry: the list of its fields, sorted by name. */
export function encodeFieldRegistry(registry: FieldRegistry): Uint8Array {
  const names = [...registry.keys()].sort();
  return encodeCbor(names.map((name) => fieldForm(checkField(fieldOf(registry, name)))));
}

/** The registry of `bytes`; refuses unsorted or repeated names. */
export function decodeFieldRegistry(bytes: Uint8Array): FieldRegistry {
  const parsed = decodeCbor(bytes);
  if (!Array.isArray(parsed)) throw searchError('search.field_malformed', 'expected a list of fields');
  const specs = parsed.map(parseField);
  for (let i = 1; i < specs.length; i++) {
    if (specs[i - 1].name >= specs[i].name) {
      throw searchError('search.field_malformed', 'expected fields sorted by name, each once');
    }
  }
  return fieldRegistry(specs);
}

type Form = Readonly<Record<string, unknown>>;

function parseField(value: unknown): FieldSpec {
  const form = record(value, ['v', 'name', 'index', 'sensitive', 'budget']);
  const budget = record(form.budget, ['perDay', 'perEpoch']);
  if (form.v !== FORMAT) throw searchError('search.field_malformed', `expected field version ${FORMAT}`);
  return checkField({
    name: text(form.name),
    index: parseIndex(form.index),
    sensitive: flag(form.sensitive),
    budget: { perDay: count(budget.perDay), perEpoch: count(budget.perEpoch) },
  });
}

function parseIndex(value: unknown): FieldIndex {
  const type = value !== null && typeof value === 'object' ? (value as Form).type : undefined;
  switch (type) {
    case 'code': {
      const form = record(value, ['type', 'hierarchy', 'prefix']);
      const { hierarchy } = form;
      if (hierarchy !== 'none' && hierarchy !== 'prefix' && hierarchy !== 'ancestors') throw malformed();
      return { type, hierarchy, prefix: parsePrefix(form.prefix) };
    }
    case 'text': {
      const form = record(value, ['type', 'weights', 'prefix']);
      return { type, weights: flag(form.weights), prefix: parsePrefix(form.prefix) };
    }
    case 'date': {
      const form = record(value, ['type', 'fromYear', 'toYear']);
      return { type, fromYear: count(form.fromYear), toYear: count(form.toYear) };
    }
    case 'number': {
      const grid = record(record(value, ['type', 'grid']).grid, ['min', 'step', 'bits', 'unit']);
      const { min, step, bits, unit } = grid;
      return { type, grid: { min: text(min), step: text(step), bits: count(bits), unit: text(unit) } };
    }
    case 'reference':
    case 'type':
      record(value, ['type']);
      return { type };
    default:
      throw malformed();
  }
}

function parsePrefix(value: unknown): PrefixLengths | null {
  if (value === null) return null;
  const form = record(value, ['min', 'max']);
  return { min: count(form.min), max: count(form.max) };
}

const malformed = () => searchError('search.field_malformed', 'expected a field declaration');

function record(value: unknown, keys: readonly string[]): Form {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw malformed();
  const form = value as Form;
  const found = Object.keys(form);
  if (found.length !== keys.length || !keys.every((key) => Object.hasOwn(form, key))) throw malformed();
  return form;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw malformed();
  return value;
}

function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw malformed();
  return value;
}

function count(value: unknown): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw malformed();
  return Number(value);
}
