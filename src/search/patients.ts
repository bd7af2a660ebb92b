/**
 * Answers by patient: each keyword's live records are mapped to patients, over all custodians, and the formula
 * combines those sets. Records of no patient take no part. Patients are small numbers that outlive a query, so that a
 * posting costs two reads and a write; sets of them are bitmaps.
 */
import { evaluateFormula, positiveKeywords } from './combine.ts';
import type { SegmentLists } from './lookup.ts';
import { manifestEnd } from './manifest.ts';
import { type Members, membersOfBits, NO_MEMBERS, uniteMembers, wordsFor } from './members.ts';
import { TopHits } from './rank.ts';
import type { Answer, CustodianIndex, RunInput } from './run.ts';
import { EMPTY_SET } from './sets.ts';

/** Pseudonyms as small numbers. One for all custodians that are searched together; it may live as long as they do. */
export class PatientNumbers {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();
  #sorted: readonly string[] = [];
  #places = new Uint32Array(0);

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

  /** Names of distinct `numbers`, sorted. Places in the order of all are sorted, not strings, in every query. */
  names(numbers: Uint32Array): string[] {
    if (this.#sorted.length < this.size) {
      this.#sorted = [...this.#names].sort();
      this.#places = new Uint32Array(this.size);
      this.#sorted.forEach((name, place) => {
        this.#places[this.numberOf(name)] = place;
      });
    }
    const places = inOrder(
      numbers.map((number) => this.#places[number]),
      this.size,
    );
    return Array.from(places, (place) => this.#sorted[place]);
  }

  nameOf(number: number): string {
    return this.#names[number];
  }
}

/** Share of all below which places are sorted; above it a walk over a flag for each of all is cheaper. */
const SORTED_SHARE = 1 / 32;

/** Distinct `places` below `size`, increasing. */
function inOrder(places: Uint32Array, size: number): Uint32Array {
  if (places.length < size * SORTED_SHARE) return places.sort();
  const isThere = new Uint8Array(size);
  for (let i = 0; i < places.length; i++) isThere[places[i]] = 1;
  const out = new Uint32Array(places.length + 1);
  let n = 0;
  for (let place = 0; place < size; place++) {
    out[n] = place;
    n += isThere[place];
  }
  return out.subarray(0, n);
}

/** Which patient each record number of one custodian is about. */
export interface PatientMap {
  readonly numbers: PatientNumbers;
  /** By record number: the patient's number plus one, 0 for records of no patient. */
  readonly of: Uint32Array;
}

/** `before`, a map of the first record numbers of a custodian, taken on by the pseudonym of each that follows. */
export function patientMap(
  numbers: PatientNumbers,
  patients: readonly (string | null | undefined)[],
  before?: PatientMap,
): PatientMap {
  const known = before?.of ?? EMPTY_SET;
  const of = new Uint32Array(known.length + patients.length);
  of.set(known);
  patients.forEach((name, i) => {
    of[known.length + i] = name == null ? 0 : numbers.numberOf(name) + 1;
  });
  return { numbers, of };
}

/** One custodian with its records' patients and its segments' lists. */
interface Source {
  readonly custodian: string;
  /** Patient of each record number that lives, plus one; 0 for the others. */
  readonly live: Uint32Array;
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
  const isHit = new Uint8Array(width + 1);
  for (const patient of hits.ids) isHit[patient + 1] = 1;
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
  return { custodian: manifest.custodian, live: livePatients(patients.of, dead, end), found };
}

/** Kept with the dead numbers, which are the same array from query to query until one more dies. */
const living = new WeakMap<Uint32Array, { readonly of: Uint32Array; readonly live: Uint32Array }>();

function livePatients(of: Uint32Array, dead: Uint32Array, end: number): Uint32Array {
  if (dead.length === 0) return of.subarray(0, end);
  const known = living.get(dead);
  if (known?.of === of && known.live.length === end) return known.live;
  const live = of.slice(0, end);
  for (const number of dead) if (number < end) live[number] = 0;
  living.set(dead, { of, live });
  return live;
}

function sharedNumbers(indexes: readonly CustodianIndex[]): PatientNumbers {
  const [first, ...others] = indexes.map((index) => index.patients?.numbers);
  if (others.some((one) => one !== first)) throw new TypeError('custodians must share their patient numbers');
  return first ?? new PatientNumbers();
}

/** Patients of whom a live record has keyword `at`. */
function patientsWith(sources: readonly Source[], at: number, width: number): Members {
  const flags = new Uint8Array(width + 1);
  for (const { found, live } of sources) {
    for (const { meta, lists } of found) {
      const list = lists[at];
      if (list !== null) mark(flags, list.members, live, meta.lo);
    }
  }
  return flagged(flags);
}

/** Flags the patient of every member: the loop that a query by patients spends its time in. */
function mark(flags: Uint8Array, members: Members, live: Uint32Array, lo: number): void {
  const { bits } = members;
  if (bits === null) {
    const { ids } = members;
    for (let i = 0; i < ids.length; i++) flags[live[lo + ids[i]]] = 1;
    return;
  }
  for (let i = 0; i < bits.length; i++) {
    const base = lo + 32 * i + 31;
    for (let word = bits[i] | 0; word !== 0; word &= word - 1) {
      flags[live[base - Math.clz32(word & -word)]] = 1;
    }
  }
}

/** Patients of any live record. */
function everyone(sources: readonly Source[], width: number): Members {
  const flags = new Uint8Array(width + 1);
  for (const { live } of sources)
    for (let number = 0; number < live.length; number++) flags[live[number]] = 1;
  return flagged(flags);
}

/** The set of the patients whose flag stands; the first flag is of no patient. */
function flagged(flags: Uint8Array): Members {
  const bits = new Uint32Array(wordsFor(flags.length - 1));
  let size = 0;
  for (let patient = 0; patient < flags.length - 1; patient++) {
    bits[patient >>> 5] |= flags[patient + 1] << (patient & 31);
    size += flags[patient + 1];
  }
  return membersOfBits(bits, size);
}

/** Live records of hits that have one of the `positive` keywords, in order. */
function supportingRecords(source: Source, positive: readonly number[], isHit: Uint8Array): Uint32Array {
  const unions = source.found.map(({ meta, lists }) => {
    const all = positive.flatMap((at) => lists[at]?.members ?? []);
    return { lo: meta.lo, members: union(all, meta.hi - meta.lo) };
  });
  // One more than there can be: every member is written, and stays only where it is of a hit.
  const out = scratchOf(source.live.length + 1);
  let n = 0;
  for (const { lo, members } of unions) n = takeHits(out, n, members, source.live, lo, isHit);
  return out.slice(0, n);
}

/** Room for record numbers between two answers: fresh pages for each would cost as much as filling them. */
let scratch = new Uint32Array(0);

function scratchOf(length: number): Uint32Array {
  if (scratch.length < length) scratch = new Uint32Array(length);
  return scratch;
}

/** All of several sets below `width`; as a bitmap when one of them is, whose members nobody needs counted. */
function union(all: readonly Members[], width: number): Pick<Members, 'bits' | 'ids'> {
  const [first = NO_MEMBERS, ...others] = all;
  if (others.length === 0) return first;
  if (all.every((one) => one.bits === null)) return others.reduce(uniteMembers, first);
  const bits = new Uint32Array(wordsFor(width));
  for (const one of all) {
    const held = one.bits;
    if (held !== null) for (let i = 0; i < bits.length; i++) bits[i] |= held[i];
    else for (const id of one.ids) bits[id >>> 5] |= 1 << (id & 31);
  }
  return { bits, ids: EMPTY_SET };
}

function takeHits(
  out: Uint32Array,
  from: number,
  members: Pick<Members, 'bits' | 'ids'>,
  live: Uint32Array,
  lo: number,
  isHit: Uint8Array,
): number {
  let n = from;
  const { bits } = members;
  if (bits === null) {
    const { ids } = members;
    for (let i = 0; i < ids.length; i++) {
      const number = lo + ids[i];
      out[n] = number;
      n += isHit[live[number]];
    }
    return n;
  }
  for (let i = 0; i < bits.length; i++) {
    const base = lo + 32 * i + 31;
    for (let word = bits[i] | 0; word !== 0; word &= word - 1) {
      const number = base - Math.clz32(word & -word);
      out[n] = number;
      n += isHit[live[number]];
    }
  }
  return n;
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

const liveRecords = ({ live }: Source): number[] =>
  Array.from(live, (_, number) => number).filter((number) => live[number] !== 0);

/** Of each patient the sum over `positive` keywords of the largest weight among its records. */
function patientScores(sources: readonly Source[], positive: readonly number[]): Map<number, number> {
  const scores = new Map<number, number>();
  for (const at of positive) {
    const largest = new Map<number, number>();
    for (const { found, live } of sources) {
      for (const { meta, lists } of found) {
        const list = lists[at];
        list?.weights?.forEach((weight, j) => {
          const patient = live[meta.lo + list.members.ids[j]] - 1;
          if (patient >= 0) largest.set(patient, Math.max(weight, largest.get(patient) ?? 0));
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
      const patient = source.live[indexNo] - 1;
      const known = latest.get(patient);
      if (known === undefined || indexNo > known.indexNo) {
        latest.set(patient, { custodian: source.custodian, indexNo });
      }
    }
  });
  return latest;
}
