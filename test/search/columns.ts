/**
 * The plain reference for many queries over many records: values in columns by field, one pass for each distinct term,
 * sets as flags. It shares parser and declarations with the code under test and nothing of keywords, covers, stems of lists or
 * segments: dates are compared as text, numbers as exact decimals, words by their published normal form.
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

/** A live record. */
export interface Row {
  readonly custodian: string;
  readonly indexNo: number;
  readonly patient: string | undefined;
  readonly values: readonly FieldValue[];
}

interface Cell {
  readonly row: number;
  readonly value: FieldValue;
}

/** Rows or patients, one flag each. */
type Flags = Uint8Array;

const folded = new Map<string, readonly string[]>();

/** Docs: NFKC, lower case, marks dropped, letters and digits, 2 to 40 characters. */
export function wordsOf(text: string): readonly string[] {
  const known = folded.get(text);
  if (known !== undefined) return known;
  const plain = text.normalize('NFKC').toLowerCase().normalize('NFD').replace(/\p{M}/gu, '').normalize('NFC');
  const words = plain
    .split(/[^\p{L}\p{N}]+/u)
    .map((word) => [...word])
    .filter((word) => word.length >= 2)
    .map((word) => word.slice(0, 40).join(''));
  folded.set(text, words);
  return words;
}

const stem = (word: string): string => (/^[a-z]+$/.test(word) ? stemmer(word) : word);
const stems = new Map<string, ReadonlySet<string>>();
function stemsOf(text: string): ReadonlySet<string> {
  const known = stems.get(text) ?? new Set(wordsOf(text).map(stem));
  stems.set(text, known);
  return known;
}

export class Columns {
  readonly #registry: FieldRegistry;
  readonly #rows: readonly Row[];
  readonly #cells = new Map<string, Cell[]>();
  readonly #patientOf: Int32Array;
  readonly #patients: string[] = [];
  readonly #atoms = new Map<string, Flags>();

  constructor(registry: FieldRegistry, rows: readonly Row[]) {
    this.#registry = registry;
    this.#rows = rows;
    this.#patientOf = new Int32Array(rows.length).fill(-1);
    const numbers = new Map<string, number>();
    rows.forEach(({ patient, values }, row) => {
      for (const value of values) {
        const column = this.#cells.get(value.field) ?? [];
        this.#cells.set(value.field, column);
        column.push({ row, value });
      }
      if (patient === undefined) return;
      const number = numbers.get(patient) ?? numbers.size;
      if (!numbers.has(patient)) this.#patients.push(patient);
      numbers.set(patient, number);
      this.#patientOf[row] = number;
    });
  }

  /** Numbers of each custodian's matching records, increasing. */
  records(query: Query): ReadonlyMap<string, number[]> {
    const hits = this.#holds(query, this.#rows.length, (flags) => flags);
    const found = new Map<string, number[]>();
    this.#rows.forEach(({ custodian, indexNo }, row) => {
      if (hits[row] !== 1) return;
      const numbers = found.get(custodian) ?? [];
      found.set(custodian, numbers);
      numbers.push(indexNo);
    });
    for (const numbers of found.values()) numbers.sort((a, b) => a - b);
    return found;
  }

  /** Matching patients, sorted. */
  patients(query: Query): string[] {
    const hits = this.#holds(query, this.#patients.length, (flags) => {
      const of = new Uint8Array(this.#patients.length);
      flags.forEach((flag, row) => {
        const patient = this.#patientOf[row];
        if (flag === 1 && patient >= 0) of[patient] = 1;
      });
      return of;
    });
    return this.#patients.filter((_, i) => hits[i] === 1).sort();
  }

  #holds(query: Query, size: number, lift: (flags: Flags) => Flags): Flags {
    switch (query.op) {
      case 'and':
        return query.args
          .map((arg) => this.#holds(arg, size, lift))
          .reduce((a, b) => a.map((flag, i) => flag & b[i]));
      case 'or':
        return query.args
          .map((arg) => this.#holds(arg, size, lift))
          .reduce((a, b) => a.map((flag, i) => flag | b[i]));
      case 'not':
        return this.#holds(query.arg, size, lift).map((flag) => 1 - flag);
      default:
        return this.#term(query.term.field, query.term.match, lift);
    }
  }

  #term(field: string, match: Match, lift: (flags: Flags) => Flags): Flags {
    switch (match.kind) {
      case 'present':
        return lift(this.#atom(`${field} *`, field, () => true));
      case 'missing':
        return lift(this.#atom(`${field} *`, field, () => true)).map((flag) => 1 - flag);
      case 'set':
        return match.values
          .map(({ value, system }) => this.#equals(field, value, system, lift))
          .reduce((a, b) => a.map((flag, i) => flag | b[i]));
      case 'equals':
        return this.#equals(field, match.value, match.system, lift);
      case 'prefix':
        return lift(this.#atom(`${field} ^ ${match.value}`, field, (value) => begins(value, match.value)));
      default: {
        const { index } = fieldOf(this.#registry, field);
        const test = (value: FieldValue): boolean => {
          if (value.kind === 'date') return dateInside(value.date, match);
          return (
            value.kind === 'number' && index.type === 'number' && numberInside(value.value, match, index.grid)
          );
        };
        return lift(this.#atom(`${field} ${JSON.stringify(match)}`, field, test));
      }
    }
  }

  /** Words of a text may stand in any order, and of a patient in different records. */
  #equals(field: string, wanted: string, system: string | undefined, lift: (flags: Flags) => Flags): Flags {
    const { index } = fieldOf(this.#registry, field);
    if (index.type === 'text') {
      return [...stemsOf(wanted)]
        .map((word) =>
          lift(
            this.#atom(
              `${field} ~ ${word}`,
              field,
              (value) => value.kind === 'text' && stemsOf(value.text).has(word),
            ),
          ),
        )
        .reduce((a, b) => a.map((flag, i) => flag & b[i]));
    }
    const test = (value: FieldValue): boolean => {
      switch (value.kind) {
        case 'code':
          return value.code === wanted && (system === undefined || system === value.system);
        case 'date':
          return value.date.startsWith(wanted);
        case 'number':
          return index.type === 'number' && cellOf(value.value, index.grid) === cellOf(wanted, index.grid);
        case 'reference':
          return value.id === wanted;
        case 'type':
          return value.resourceType === wanted;
        default:
          return false;
      }
    };
    return lift(this.#atom(`${field} = ${system ?? ''} ${wanted}`, field, test));
  }

  #atom(key: string, field: string, test: (value: FieldValue) => boolean): Flags {
    const known = this.#atoms.get(key);
    if (known !== undefined) return known;
    const flags = new Uint8Array(this.#rows.length);
    for (const { row, value } of this.#cells.get(field) ?? [])
      if (flags[row] === 0 && test(value)) flags[row] = 1;
    this.#atoms.set(key, flags);
    return flags;
  }
}

function begins(value: FieldValue, prefix: string): boolean {
  if (value.kind === 'code' && value.ancestors !== undefined)
    return value.code === prefix || value.ancestors.includes(prefix);
  if (value.kind === 'code') return value.code.toLowerCase().startsWith(prefix.toLowerCase());
  return value.kind === 'text' && wordsOf(value.text).some((word) => word.startsWith(prefix.toLowerCase()));
}

type Range = Extract<Match, { kind: 'range' }>;
type Grid = { readonly min: string; readonly step: string; readonly bits: number };

/** Decimal text as a whole number of 10^-20. */
function exact(text: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (match === null) throw new Error(`no plain decimal: ${text}`);
  const digits = BigInt(match[2] + (match[3] ?? '').padEnd(20, '0').slice(0, 20));
  return match[1] === '-' ? -digits : digits;
}

function cellOf(text: string, { min, step, bits }: Grid): number {
  const offset = exact(text) - exact(min);
  const width = exact(step);
  const cell = offset < 0n ? -1 : Number(offset / width);
  return Math.min(Math.max(cell, 0), 2 ** bits - 1);
}

/** The lower end of the cell of a value: what equality may ask for. */
export function onGrid(text: string, grid: Grid): string {
  const at = exact(grid.min) + BigInt(cellOf(text, grid)) * exact(grid.step);
  const [whole, rest] = [at / 10n ** 20n, at % 10n ** 20n];
  const fraction = rest.toString().padStart(20, '0').replace(/0+$/, '');
  return fraction === '' ? whole.toString() : `${whole}.${fraction}`;
}

/** A value counts as the lower end of its cell. */
function numberInside(text: string, { low, high }: Range, grid: Grid): boolean {
  const at = exact(grid.min) + BigInt(cellOf(text, grid)) * exact(grid.step);
  return (
    (low === undefined || (low.inclusive ? at >= exact(low.value) : at > exact(low.value))) &&
    (high === undefined || (high.inclusive ? at <= exact(high.value) : at < exact(high.value)))
  );
}
