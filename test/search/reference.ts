/**
 * The plain reference: evaluates a query by walking the values of every live record, with normal forms of its own
 * wherever that is possible (date comparison, decimal comparison) instead of covers and nodes.
 */

import { stemmer } from 'stemmer';
import {
  type FieldRegistry,
  type FieldValue,
  fieldOf,
  type Match,
  type Query,
} from '../../src/search/index.ts';
import { dateInside } from './dates.ts';

export interface PlainRecord {
  readonly custodian: string;
  readonly indexNo: number;
  readonly patient: string | undefined;
  readonly values: readonly FieldValue[];
}

/** Numbers of the live `records` of one custodian that satisfy `query`. */
export function plainRecords(
  query: Query,
  registry: FieldRegistry,
  records: readonly PlainRecord[],
): number[] {
  return records
    .filter((record) => holds(query, (field, match) => matches(registry, field, match, [record])))
    .map(({ indexNo }) => indexNo);
}

/** Patients of whom, over all `records`, the formula holds; sorted. */
export function plainPatients(
  query: Query,
  registry: FieldRegistry,
  records: readonly PlainRecord[],
): string[] {
  const byPatient = new Map<string, PlainRecord[]>();
  for (const record of records) {
    if (record.patient === undefined) continue;
    byPatient.set(record.patient, [...(byPatient.get(record.patient) ?? []), record]);
  }
  return [...byPatient]
    .filter(([, own]) => holds(query, (field, match) => matches(registry, field, match, own)))
    .map(([patient]) => patient)
    .sort();
}

function holds(query: Query, term: (field: string, match: Match) => boolean): boolean {
  switch (query.op) {
    case 'and':
      return query.args.every((arg) => holds(arg, term));
    case 'or':
      return query.args.some((arg) => holds(arg, term));
    case 'not':
      return !holds(query.arg, term);
    default:
      return term(query.term.field, query.term.match);
  }
}

/** A term holds of some records when one keyword set of one of them has it; words may lie in different records. */
function matches(
  registry: FieldRegistry,
  field: string,
  match: Match,
  records: readonly PlainRecord[],
): boolean {
  const values = records.flatMap((record) => record.values).filter((value) => value.field === field);
  const spec = fieldOf(registry, field);
  switch (match.kind) {
    case 'present':
      return values.length > 0;
    case 'missing':
      return values.length === 0;
    case 'set':
      return match.values.some((one) => equals(values, one.value, one.system));
    case 'equals':
      return equals(values, match.value, match.system);
    case 'prefix':
      return values.some((value) => hasPrefix(value, match.value));
    default: {
      if (spec.index.type !== 'date' && spec.index.type !== 'number') return false;
      return values.some((value) => inRange(value, match));
    }
  }
}

const wordsOf = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word.length >= 2);
const stem = (word: string): string => (/^[a-z]+$/.test(word) ? stemmer(word) : word);

function equals(values: readonly FieldValue[], wanted: string, system: string | undefined): boolean {
  const text = values.find((value) => value.kind === 'text');
  if (text !== undefined) {
    const have = new Set(
      values.flatMap((value) => (value.kind === 'text' ? wordsOf(value.text).map(stem) : [])),
    );
    return wordsOf(wanted).every((word) => have.has(stem(word)));
  }
  return values.some((value) => {
    switch (value.kind) {
      case 'code':
        return value.code === wanted && (system === undefined || system === value.system);
      case 'date':
        return value.date.startsWith(wanted);
      case 'number':
        return Math.round(Number(value.value) * 10) === Math.round(Number(wanted) * 10);
      case 'reference':
        return value.id === wanted;
      case 'type':
        return value.resourceType === wanted;
      default:
        return false;
    }
  });
}

function hasPrefix(value: FieldValue, prefix: string): boolean {
  if (value.kind === 'code' && value.ancestors !== undefined) {
    return value.code === prefix || value.ancestors.includes(prefix);
  }
  if (value.kind === 'code') return value.code.toLowerCase().startsWith(prefix.toLowerCase());
  return value.kind === 'text' && wordsOf(value.text).some((word) => word.startsWith(prefix.toLowerCase()));
}

type Range = Extract<Match, { kind: 'range' }>;

/** Dates compare as text once a month or year is filled up to its first or last day. */
function inRange(value: FieldValue, range: Range): boolean {
  const { low, high } = range;
  if (value.kind === 'number') {
    const at = Math.round(Number(value.value) * 10);
    const bound = (text: string) => Math.round(Number(text) * 10);
    return (
      (low === undefined || (low.inclusive ? at >= bound(low.value) : at > bound(low.value))) &&
      (high === undefined || (high.inclusive ? at <= bound(high.value) : at < bound(high.value)))
    );
  }
  if (value.kind !== 'date') return false;
  return dateInside(value.date, range);
}
