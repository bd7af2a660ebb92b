/**
 * Runs a plan over the indexes of one or more custodians and combines the answers on the client. Sound and complete
 * over all record numbers that the manifests cover, minus the dead, or an error: never a shorter answer.
 * Units: `record` evaluates the formula for each record; `patient` first maps each keyword's records to patients, so
 * that two facts about one patient may stand in two records, also of two custodians.
 * Ranking: sum of the weight bytes of the hit's keywords that stand under no negation (of a patient: the largest of
 * its records for each keyword), then the higher record number, then the custodian's name.
 */
import { evaluateFormula, positiveKeywords } from './combine.ts';
import { searchError } from './errors.ts';
import { lookupLists, type SecretLookup, type SegmentLists } from './lookup.ts';
import { type Manifest, manifestEnd } from './manifest.ts';
import { allMembers, type Members, membersOfIds, NO_MEMBERS } from './members.ts';
import type { Plan } from './plan.ts';
import type { FetchCount, SegmentReader } from './reader.ts';
import type { SegmentMeta } from './segment.ts';
import { allBelow, EMPTY_SET, setOf, subtract, unite, within } from './sets.ts';

/** One custodian's index with what the ledger's verified state says about it. */
export interface CustodianIndex {
  /** Decoded with its hash from the state. */
  readonly manifest: Manifest;
  /** Records of the custodian on the ledger. */
  readonly records: number;
  /** Dead numbers (erased or superseded), strictly increasing. */
  readonly dead: Uint32Array;
  readonly secretOf: SecretLookup;
  readonly readerOf: (meta: SegmentMeta) => SegmentReader;
  /** Patient of a record number; undefined for records of no patient. Needed for unit `patient`. */
  readonly patientOf?: (indexNo: number) => string | undefined;
}

export interface RunInput {
  readonly plan: Plan;
  readonly unit: 'patient' | 'record';
  readonly custodians: readonly CustodianIndex[];
  /** 32 bytes that stay on the device; chooses decoy pages. */
  readonly clientKey: Uint8Array;
  /** Also rank and return the best so many. */
  readonly top?: number;
  /** Fail when an index is further behind its ledger than this many records. */
  readonly lagMax?: number;
}

/** Record numbers of one custodian, strictly increasing. */
export interface RecordHits {
  readonly custodian: string;
  readonly numbers: Uint32Array;
}

export interface RankedHit {
  readonly custodian: string;
  /** For a patient: its latest supporting record. */
  readonly indexNo: number;
  readonly patient?: string;
  readonly score: number;
}

export interface QueryResult {
  readonly unit: 'patient' | 'record';
  /** Unit record: the hits. Unit patient: records of the hits that hold a keyword asked for without negation. */
  readonly records: readonly RecordHits[];
  /** Sorted pseudonyms; empty in unit record. */
  readonly patients: readonly string[];
  /** Best first, when `top` was given. */
  readonly ranked: readonly RankedHit[];
  /** Records of each custodian that its index does not cover yet. */
  readonly lag: readonly { readonly custodian: string; readonly records: number }[];
  readonly cost: FetchCount;
}

/** Most hits that a ranking returns. */
export const TOP_MAX = 10_000;

/** See the head of this file. Throws the codes of lookup and reader, and `search.lag_exceeded`. */
export async function runQuery(input: RunInput): Promise<QueryResult> {
  const cost: FetchCount = { requests: 0, bytes: 0, proofBytes: 0 };
  const lag = input.custodians.map(({ manifest, records }) => ({
    custodian: manifest.custodian,
    records: records - manifestEnd(manifest),
  }));
  for (const one of lag) checkLag(one.custodian, one.records, input.lagMax);
  const found = await Promise.all(
    input.custodians.map((index) =>
      lookupLists({
        manifest: index.manifest,
        keywords: input.plan.keywords,
        secretOf: index.secretOf,
        readerOf: index.readerOf,
        clientKey: input.clientKey,
        cost,
      }),
    ),
  );
  const answer = input.unit === 'record' ? answerRecords(input, found) : answerPatients(input, found);
  return { unit: input.unit, ...answer, lag, cost };
}

function checkLag(custodian: string, records: number, lagMax: number | undefined): void {
  if (records < 0) {
    throw searchError(
      'search.manifest_ranges',
      `the index of ${custodian} covers records that the ledger has not`,
    );
  }
  if (lagMax !== undefined && records > lagMax) {
    throw searchError(
      'search.lag_exceeded',
      `the index of ${custodian} is ${records} records behind its ledger`,
      {
        details: { custodian, records, max: lagMax },
      },
    );
  }
}

type Answer = Pick<QueryResult, 'records' | 'patients' | 'ranked'>;

function answerRecords(input: RunInput, found: readonly SegmentLists[][]): Answer {
  const { plan } = input;
  const positive = positiveKeywords(plan.formula);
  const ranked: RankedHit[] = [];
  const records = input.custodians.map((index, i) => {
    const { custodian } = index.manifest;
    const parts: Uint32Array[] = [];
    for (const { meta, lists } of found[i]) {
      const hits = evaluateFormula(
        plan.formula,
        (at) => lists[at]?.members ?? NO_MEMBERS,
        () => allMembers(meta.hi - meta.lo),
      );
      const numbers = subtract(shifted(hits.ids, meta.lo), within(index.dead, meta.lo, meta.hi));
      parts.push(numbers);
      if (input.top !== undefined) pushScores(ranked, custodian, meta, numbers, lists, positive);
    }
    return { custodian, numbers: joined(parts) };
  });
  return { records, patients: [], ranked: best(ranked, input.top) };
}

function shifted(local: Uint32Array, by: number): Uint32Array {
  const out = new Uint32Array(local.length);
  for (let i = 0; i < local.length; i++) out[i] = local[i] + by;
  return out;
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  const out = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

function pushScores(
  ranked: RankedHit[],
  custodian: string,
  meta: SegmentMeta,
  numbers: Uint32Array,
  lists: SegmentLists['lists'],
  positive: ReadonlySet<number>,
): void {
  const scores = new Float64Array(numbers.length);
  lists.forEach((list, at) => {
    if (list === null || list.weights === null || !positive.has(at)) return;
    const { ids } = list.members;
    let j = 0;
    for (let i = 0; i < ids.length && j < numbers.length; i++) {
      const number = ids[i] + meta.lo;
      while (j < numbers.length && numbers[j] < number) j++;
      if (numbers[j] === number) scores[j] += list.weights[i];
    }
  });
  numbers.forEach((indexNo, i) => {
    ranked.push({ custodian, indexNo, score: scores[i] });
  });
}

function best(ranked: RankedHit[], top: number | undefined): RankedHit[] {
  if (top === undefined) return [];
  ranked.sort((a, b) => b.score - a.score || b.indexNo - a.indexNo || (a.custodian < b.custodian ? -1 : 1));
  return ranked.slice(0, Math.min(top, TOP_MAX));
}

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

interface LiveList {
  readonly numbers: Uint32Array;
  readonly weights: Uint8Array | null;
}

function answerPatients(input: RunInput, found: readonly SegmentLists[][]): Answer {
  const { plan } = input;
  const patients = new PatientNumbers();
  const maps = input.custodians.map((index) => patientMap(index, patients));
  const live = input.custodians.map((index, i) => liveLists(index, found[i], plan.keywords.length));
  const setAt = (at: number): Members =>
    membersOfIds(live.map((lists, i) => patientSet(lists[at].numbers, maps[i])).reduce(unite, EMPTY_SET));
  const universe = (): Members =>
    membersOfIds(
      input.custodians
        .map((index, i) => patientSet(subtract(allBelow(manifestEnd(index.manifest)), index.dead), maps[i]))
        .reduce(unite, EMPTY_SET),
    );
  const hits = evaluateFormula(plan.formula, setAt, universe).ids;
  const positive = [...positiveKeywords(plan.formula)];
  const isHit = new Set(hits);
  const records = input.custodians.map((index, i) => {
    const numbers = positive.map((at) => live[i][at].numbers).reduce(unite, EMPTY_SET);
    return { custodian: index.manifest.custodian, numbers: numbers.filter((one) => isHit.has(maps[i](one))) };
  });
  const ranked =
    input.top === undefined ? [] : scorePatients(input, live, maps, patients, positive, records, hits);
  const names = Array.from(hits, (number) => patients.names[number]).sort();
  return { records, patients: names, ranked: best(ranked, input.top) };
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

function scorePatients(
  input: RunInput,
  live: readonly LiveList[][],
  maps: readonly ((indexNo: number) => number)[],
  patients: PatientNumbers,
  positive: readonly number[],
  records: readonly RecordHits[],
  hits: Uint32Array,
): RankedHit[] {
  const score = new Map<number, number>();
  for (const at of positive) {
    const largest = new Map<number, number>();
    live.forEach((lists, i) => {
      const { numbers, weights } = lists[at];
      weights?.forEach((weight, j) => {
        const patient = maps[i](numbers[j]);
        largest.set(patient, Math.max(weight, largest.get(patient) ?? 0));
      });
    });
    for (const [patient, weight] of largest) score.set(patient, weight + (score.get(patient) ?? 0));
  }
  const latest = new Map<number, { custodian: string; indexNo: number }>();
  records.forEach(({ custodian, numbers }, i) => {
    for (const indexNo of numbers) {
      const patient = maps[i](indexNo);
      const before = latest.get(patient);
      const later = before === undefined || indexNo > before.indexNo;
      if (later) latest.set(patient, { custodian, indexNo });
    }
  });
  const fallback = { custodian: input.custodians[0].manifest.custodian, indexNo: 0 };
  return Array.from(hits, (patient) => ({
    ...(latest.get(patient) ?? fallback),
    patient: patients.names[patient],
    score: score.get(patient) ?? 0,
  }));
}
