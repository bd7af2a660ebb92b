/**
 * Answers by patient: each keyword's live records are mapped to patients, over all custodians, and the formula
 * combines those sets. Records of no patient take no part. Patients are small numbers that outlive a query, so that a
 * posting costs two reads and a bit; sets of them are bitmaps.
 */
import { evaluateFormula, positiveKeywords } from './combine.ts';
import type { SegmentLists } from './lookup.ts';
import { manifestEnd } from './manifest.ts';
import { countBits, type Members, membersOfBits, NO_MEMBERS, uniteMembers } from './members.ts';
import { TopHits } from './rank.ts';
import type { Answer, CustodianIndex, RunInput } from './run.ts';

/** In a `PatientMap`: a record of no patient. */
const NO_PATIENT = -1;

/** Pseudonyms as small numbers. One for all custodians that are searched together; it may live as long as they do. */
export class PatientNumbers {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();

  get size(): number {
    return this.#names.length;
  }

  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#names.push(name) - 1;
    this.#numbers.set(name, number);
    return number;
  }

  /** Names of `numbers`, sorted. */
  names(numbers: Iterable<number>): string[] {
    return Array.from(numbers, (number) => this.#names[number]).sort();
  }

  nameOf(number: number): string {
    return this.#names[number];
  }
}

/** Which patient each record number of one custodian is about. */
export interface PatientMap {
  readonly numbers: PatientNumbers;
  /** By record number; -1 for records of no patient. */
  readonly of: Int32Array;
}

/** The map of a custodian's record numbers, from the pseudonym of each in order. */
export function patientMap(
  numbers: PatientNumbers,
  patients: readonly (string | null | undefined)[],
): PatientMap {
  const of = Int32Array.from(patients, (name) => (name == null ? NO_PATIENT : numbers.numberOf(name)));
  return { numbers, of };
}

/** One custodian with its records' patients and its segments' lists. */
interface Source {
  readonly custodian: string;
  readonly of: Int32Array;
  /** Record numbers that are dead, as a bitmap; null when none is. */
  readonly dead: Uint8Array | null;
  readonly end: number;
  readonly found: readonly SegmentLists[];
}

/** See the head of this file; `found` holds the lists of each custodian's segments. */
export function answerPatients(input: RunInput, found: readonly (readonly SegmentLists[])[]): Answer {
  const sources = input.custodians.map((index, i) => sourceOf(index, found[i]));
  const numbers = sharedNumbers(input.custodians);
  const width = numbers.size;
  const sets = new Map<number, Members>();
  const hits = evaluateFormula(
    input.plan.formula,
    (at) => {
      const set = sets.get(at) ?? patientsWith(sources, at, width);
      sets.set(at, set);
      return set;
    },
    () => everyone(sources, width),
  );
  const isHit = bitsOf(hits, width);
  const positive = [...positiveKeywords(input.plan.formula)];
  const supporting = sources.map((source) => supportingRecords(source, positive, isHit));
  return {
    records: sources.map(({ custodian }, i) => ({ custodian, numbers: supporting[i] })),
    patients: numbers.names(hits.ids),
    ranked: input.top === undefined ? [] : rank(input.top, sources, supporting, positive, numbers, hits.ids),
  };
}

function sourceOf(index: CustodianIndex, found: readonly SegmentLists[]): Source {
  const { manifest, dead, patients } = index;
  const end = manifestEnd(manifest);
  if (patients === undefined || patients.of.length < end)
    throw new TypeError('unit patient needs the patient of every record number');
  const bits = new Uint8Array(dead.length === 0 ? 0 : Math.ceil(end / 8));
  for (const number of dead) if (number < end) setBit(bits, number);
  return {
    custodian: manifest.custodian,
    of: patients.of,
    dead: dead.length === 0 ? null : bits,
    end,
    found,
  };
}

function sharedNumbers(indexes: readonly CustodianIndex[]): PatientNumbers {
  const [first, ...others] = indexes.map((index) => index.patients?.numbers);
  if (others.some((one) => one !== first)) throw new TypeError('custodians must share their patient numbers');
  return first ?? new PatientNumbers();
}

const setBit = (bits: Uint8Array, at: number): void => {
  bits[at >>> 3] |= 1 << (at & 7);
};
const hasBit = (bits: Uint8Array, at: number): boolean => ((bits[at >>> 3] >>> (at & 7)) & 1) === 1;

function bitsOf(members: Members, width: number): Uint8Array {
  if (members.bits !== null) return members.bits;
  const out = new Uint8Array(Math.ceil(width / 8));
  for (const id of members.ids) setBit(out, id);
  return out;
}

/** Patients of whom a live record has keyword `at`. */
function patientsWith(sources: readonly Source[], at: number, width: number): Members {
  const bits = new Uint8Array(Math.ceil(width / 8));
  for (const { found, of, dead } of sources) {
    for (const { meta, lists } of found) {
      const list = lists[at];
      if (list !== null) markPatients(list.members, meta.lo, dead, of, bits);
    }
  }
  return membersOfBits(bits, countBits(bits));
}

/** Sets the patient's bit of every live member of a segment's list. */
function markPatients(
  members: Members,
  lo: number,
  dead: Uint8Array | null,
  of: Int32Array,
  out: Uint8Array,
): void {
  const mark = (number: number): void => {
    if (dead !== null && hasBit(dead, number)) return;
    const patient = of[number];
    if (patient >= 0) setBit(out, patient);
  };
  eachMember(members, lo, mark);
}

/** Calls `visit` with each member moved by `lo`, in order; a bitmap is not turned into numbers for it. */
function eachMember(members: Members, lo: number, visit: (number: number) => void): void {
  const { bits } = members;
  if (bits === null) {
    const { ids } = members;
    for (let i = 0; i < ids.length; i++) visit(lo + ids[i]);
    return;
  }
  for (let i = 0; i < bits.length; i++) {
    for (let byte = bits[i]; byte !== 0; byte &= byte - 1) visit(lo + 8 * i + 31 - Math.clz32(byte & -byte));
  }
}

/** Patients of any live record. */
function everyone(sources: readonly Source[], width: number): Members {
  const bits = new Uint8Array(Math.ceil(width / 8));
  for (const { of, dead, end } of sources) {
    for (let number = 0; number < end; number++) {
      if (of[number] >= 0 && (dead === null || !hasBit(dead, number))) setBit(bits, of[number]);
    }
  }
  return membersOfBits(bits, countBits(bits));
}

/** Live records of hits that have one of the `positive` keywords, in order. */
function supportingRecords(source: Source, positive: readonly number[], isHit: Uint8Array): Uint32Array {
  const unions = source.found.map(({ meta, lists }) => ({
    lo: meta.lo,
    members: positive.map((at) => lists[at]?.members ?? NO_MEMBERS).reduce(uniteMembers, NO_MEMBERS),
  }));
  const out = new Uint32Array(unions.reduce((sum, { members }) => sum + members.size, 0));
  const { of, dead } = source;
  let n = 0;
  const take = (number: number): void => {
    const patient = of[number];
    if (patient >= 0 && hasBit(isHit, patient) && (dead === null || !hasBit(dead, number))) out[n++] = number;
  };
  for (const { lo, members } of unions) eachMember(members, lo, take);
  return out.slice(0, n);
}

function rank(
  top: number,
  sources: readonly Source[],
  supporting: readonly Uint32Array[],
  positive: readonly number[],
  names: PatientNumbers,
  hits: Uint32Array,
): Answer['ranked'] {
  const scores = patientScores(sources, positive);
  const latest = latestRecords(sources, (_, i) => supporting[i]);
  // A patient that only negations speak for has no supporting record: then the latest of all.
  const anyLatest = hits.every((patient) => latest.has(patient))
    ? latest
    : latestRecords(sources, liveRecords);
  const best = new TopHits(top);
  for (const patient of hits) {
    const at = latest.get(patient) ?? anyLatest.get(patient);
    if (at !== undefined)
      best.offer({ ...at, patient: names.nameOf(patient), score: scores.get(patient) ?? 0 });
  }
  return best.list;
}

const liveRecords = ({ dead, end }: Source): number[] =>
  Array.from({ length: end }, (_, number) => number).filter(
    (number) => dead === null || !hasBit(dead, number),
  );

/** Of each patient the sum over `positive` keywords of the largest weight among its records. */
function patientScores(sources: readonly Source[], positive: readonly number[]): Map<number, number> {
  const scores = new Map<number, number>();
  for (const at of positive) {
    const largest = new Map<number, number>();
    for (const { found, of, dead } of sources) {
      for (const { meta, lists } of found) {
        const list = lists[at];
        list?.weights?.forEach((weight, j) => {
          const number = meta.lo + list.members.ids[j];
          if (dead !== null && hasBit(dead, number)) return;
          largest.set(of[number], Math.max(weight, largest.get(of[number]) ?? 0));
        });
      }
    }
    for (const [patient, weight] of largest) scores.set(patient, weight + (scores.get(patient) ?? 0));
  }
  return scores;
}

function latestRecords(
  sources: readonly Source[],
  numbersOf: (source: Source, at: number) => Iterable<number>,
): Map<number, { custodian: string; indexNo: number }> {
  const latest = new Map<number, { custodian: string; indexNo: number }>();
  sources.forEach((source, i) => {
    for (const indexNo of numbersOf(source, i)) {
      const patient = source.of[indexNo];
      const known = latest.get(patient);
      if (known === undefined || indexNo > known.indexNo) {
        latest.set(patient, { custodian: source.custodian, indexNo });
      }
    }
  });
  return latest;
}
