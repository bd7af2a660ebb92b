/**
 * Answers by patient: each keyword's live records are mapped to patients, over all custodians, and the formula
 * combines those sets. Records of no patient take no part.
 */
import { evaluateFormula, positiveKeywords } from './combine.ts';
import type { SegmentLists } from './lookup.ts';
import { manifestEnd } from './manifest.ts';
import { type Members, membersOfIds } from './members.ts';
import { TopHits } from './rank.ts';
import type { Answer, CustodianIndex, RunInput } from './run.ts';
import { allBelow, EMPTY_SET, joined, setOf, shifted, subtract, unite, within } from './sets.ts';

/** Patients as small numbers, so that sets of them are sets like any other. */
class PatientNumbers {
  readonly names: string[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#numbers.set(name, this.names.length);
    this.names.push(name);
    return this.names.length - 1;
  }
}

/** A keyword's live records of one custodian. */
interface LiveList {
  readonly numbers: Uint32Array;
  readonly weights: Uint8Array | null;
}

/** One custodian with its records' patients and the lists of the plan's keywords. */
interface Source {
  readonly custodian: string;
  readonly patientOf: (indexNo: number) => number;
  readonly lists: readonly LiveList[];
  readonly everyone: () => Uint32Array;
}

/** See the head of this file; `found` holds the lists of each custodian's segments. */
export function answerPatients(input: RunInput, found: readonly (readonly SegmentLists[])[]): Answer {
  const { formula, keywords } = input.plan;
  const patients = new PatientNumbers();
  const sources = input.custodians.map(
    (index, i): Source => ({
      custodian: index.manifest.custodian,
      patientOf: patientMap(index, patients),
      lists: liveLists(index, found[i], keywords.length),
      everyone: () => subtract(allBelow(manifestEnd(index.manifest)), index.dead),
    }),
  );
  const patientsOf = (numbersOf: (source: Source) => Uint32Array): Members =>
    membersOfIds(
      sources.map((source) => patientSet(numbersOf(source), source.patientOf)).reduce(unite, EMPTY_SET),
    );
  const hits = evaluateFormula(
    formula,
    (at) => patientsOf((source) => source.lists[at].numbers),
    () => patientsOf((source) => source.everyone()),
  ).ids;
  const positive = [...positiveKeywords(formula)];
  const isHit = new Set(hits);
  const supporting = sources.map(({ lists, patientOf }) =>
    positive
      .map((at) => lists[at].numbers)
      .reduce(unite, EMPTY_SET)
      .filter((one) => isHit.has(patientOf(one))),
  );
  return {
    records: sources.map(({ custodian }, i) => ({ custodian, numbers: supporting[i] })),
    patients: Array.from(hits, (number) => patients.names[number]).sort(),
    ranked:
      input.top === undefined ? [] : rank(input.top, sources, supporting, positive, patients.names, hits),
  };
}

const NO_PATIENT = -1;
const NOT_LOOKED_UP = -2;

function patientMap(index: CustodianIndex, patients: PatientNumbers): (indexNo: number) => number {
  const { patientOf } = index;
  if (patientOf === undefined) throw new TypeError('unit patient needs patientOf');
  const known = new Int32Array(manifestEnd(index.manifest)).fill(NOT_LOOKED_UP);
  return (indexNo) => {
    if (known[indexNo] === NOT_LOOKED_UP) {
      const name = patientOf(indexNo);
      known[indexNo] = name === undefined ? NO_PATIENT : patients.numberOf(name);
    }
    return known[indexNo];
  };
}

function patientSet(numbers: Uint32Array, patientOf: (indexNo: number) => number): Uint32Array {
  const found: number[] = [];
  for (const number of numbers) {
    const patient = patientOf(number);
    if (patient !== NO_PATIENT) found.push(patient);
  }
  return setOf(found);
}

/** Each keyword's live records over all segments, with their weights. */
function liveLists(index: CustodianIndex, found: readonly SegmentLists[], keywords: number): LiveList[] {
  const dead = found.map(({ meta }) => within(index.dead, meta.lo, meta.hi));
  return Array.from({ length: keywords }, (_, at) => {
    const numbers: Uint32Array[] = [];
    const weights = new Map<number, number>();
    found.forEach(({ meta, lists }, i) => {
      const list = lists[at];
      if (list === null) return;
      const all = shifted(list.members.ids, meta.lo);
      numbers.push(subtract(all, dead[i]));
      list.weights?.forEach((weight, j) => {
        weights.set(all[j], weight);
      });
    });
    const live = joined(numbers);
    if (weights.size === 0) return { numbers: live, weights: null };
    return { numbers: live, weights: Uint8Array.from(live, (number) => weights.get(number) ?? 0) };
  });
}

function rank(
  top: number,
  sources: readonly Source[],
  supporting: readonly Uint32Array[],
  positive: readonly number[],
  names: readonly string[],
  hits: Uint32Array,
): Answer['ranked'] {
  const scores = patientScores(sources, positive);
  const latest = latestRecords(sources, (_, i) => supporting[i]);
  // A patient that only negations speak for has no supporting record: then the latest of all.
  const anyLatest = hits.every((patient) => latest.has(patient))
    ? latest
    : latestRecords(sources, (source) => source.everyone());
  const best = new TopHits(top);
  for (const patient of hits) {
    const at = latest.get(patient) ?? anyLatest.get(patient);
    if (at !== undefined) best.offer({ ...at, patient: names[patient], score: scores.get(patient) ?? 0 });
  }
  return best.list;
}

/** Of each patient the sum over `positive` keywords of the largest weight among its records. */
function patientScores(sources: readonly Source[], positive: readonly number[]): Map<number, number> {
  const scores = new Map<number, number>();
  for (const at of positive) {
    const largest = new Map<number, number>();
    for (const { lists, patientOf } of sources) {
      const { numbers, weights } = lists[at];
      weights?.forEach((weight, j) => {
        const patient = patientOf(numbers[j]);
        largest.set(patient, Math.max(weight, largest.get(patient) ?? 0));
      });
    }
    for (const [patient, weight] of largest) scores.set(patient, weight + (scores.get(patient) ?? 0));
  }
  return scores;
}

function latestRecords(
  sources: readonly Source[],
  numbersOf: (source: Source, at: number) => Uint32Array,
): Map<number, { custodian: string; indexNo: number }> {
  const latest = new Map<number, { custodian: string; indexNo: number }>();
  sources.forEach((source, i) => {
    for (const indexNo of numbersOf(source, i)) {
      const patient = source.patientOf(indexNo);
      const known = latest.get(patient);
      if (known === undefined || indexNo > known.indexNo) {
        latest.set(patient, { custodian: source.custodian, indexNo });
      }
    }
  });
  return latest;
}
