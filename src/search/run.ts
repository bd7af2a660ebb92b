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
import { allMembers, NO_MEMBERS } from './members.ts';
import { answerPatients, type PatientMap } from './patients.ts';
import type { Plan } from './plan.ts';
import { type RankedHit, TopHits } from './rank.ts';
import type { FetchCount, SegmentReader } from './reader.ts';
import type { SegmentMeta } from './segment.ts';
import { joined, shifted, subtract, within } from './sets.ts';

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
  /** Patients of the record numbers, numbered alike for all custodians. Needed for unit `patient`. */
  readonly patients?: PatientMap;
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

/** What a unit's evaluation gives. */
export type Answer = Pick<QueryResult, 'records' | 'patients' | 'ranked'>;

function answerRecords(input: RunInput, found: readonly (readonly SegmentLists[])[]): Answer {
  const { plan } = input;
  const positive = positiveKeywords(plan.formula);
  const best = new TopHits(input.top ?? 0);
  const records = input.custodians.map((index, i) => {
    const { custodian } = index.manifest;
    const parts = found[i].map(({ meta, lists }) => {
      const hits = evaluateFormula(
        plan.formula,
        (at) => lists[at]?.members ?? NO_MEMBERS,
        () => allMembers(meta.hi - meta.lo),
      );
      return subtract(shifted(hits.ids, meta.lo), within(index.dead, meta.lo, meta.hi));
    });
    if (input.top !== undefined) {
      for (let at = parts.length - 1; at >= 0; at--)
        offerAll(best, custodian, found[i][at], parts[at], positive);
    }
    return { custodian, numbers: joined(parts) };
  });
  return { records, patients: [], ranked: best.list };
}

function offerAll(
  best: TopHits,
  custodian: string,
  { meta, lists }: SegmentLists,
  numbers: Uint32Array,
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
  for (let i = numbers.length - 1; i >= 0; i--) {
    best.offer({ custodian, indexNo: numbers[i], score: scores[i] });
  }
}
