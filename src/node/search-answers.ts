/**
 * What a gateway tells of a search to whom. Who may see the hits may have them, or their exact number; who is granted the
 * search by a right to count alone is told a suppressed number and nothing of the hits (docs/search.md, "Counts").
 */
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import { decideHits, decideSearch, STATE, type StateView } from '../ledger/index.ts';
import { type FederatedResult, suppressedCount } from '../search/index.ts';

/** What a subject may be told of a search over certain fields of one custodian. */
export type Telling = 'hits' | 'count' | 'nothing';

/** The least that any of `fields` grants; a field that the custodian has not registered hides nothing. */
export function tellingOf(
  view: StateView,
  subject: string,
  custodian: MemberId,
  fields: readonly string[],
  time: number,
): Telling {
  let telling: Telling = 'hits';
  for (const field of fields) {
    const use = { subject, custodian, field };
    const state = view.get(STATE.field(custodian, field));
    if (state === undefined) continue;
    const { granted, reason } = decideSearch(view, { ...use, epoch: state.epoch, count: 0 }, time);
    if (!granted && reason !== 'budget') return 'nothing';
    if (!decideHits(view, use, time)) telling = 'count';
  }
  return telling;
}

/** Custodians of one query by what they let the caller be told. */
export interface Tellings {
  readonly hits: readonly MemberId[];
  readonly count: readonly MemberId[];
  readonly nothing: readonly MemberId[];
}

export function tellingsOf(custodians: readonly MemberId[], of: (custodian: MemberId) => Telling): Tellings {
  const tellings: Record<Telling, MemberId[]> = { hits: [], count: [], nothing: [] };
  for (const custodian of custodians) tellings[of(custodian)].push(custodian);
  return tellings;
}

/**
 * Whom to ask for an answer of this kind, and whom to name as missing. Custodians that grant nothing are left out, unless
 * nobody grants anything: then they are asked, and their refusal stands on the ledger.
 *
 * Throws `search.counts_only` when hits are asked for and nobody grants more than a count, and `search.counts_mixed` for a
 * count over custodians of which some would show the hits: the difference to those would be the exact number of the others.
 */
export function whomToAsk(
  { hits, count, nothing }: Tellings,
  answer: 'hits' | 'count',
): { readonly asked: readonly MemberId[]; readonly missing: FederatedResult['missing'] } {
  const named = (custodians: readonly MemberId[], code: string, message: string) =>
    custodians.map((custodian) => ({ custodian, code, message }));
  const without = named(nothing, 'search.policy', 'you may not search all fields of this query there');
  if (hits.length === 0 && count.length === 0) return { asked: nothing, missing: [] };
  if (answer === 'count') {
    if (hits.length > 0 && count.length > 0) {
      throw new CodedError(
        'search.counts_mixed',
        'you may see the hits at some of these custodians and only how many there are at others: ask the two groups apart',
        { details: { hits: hits.join(' '), counts: count.join(' ') } },
      );
    }
    return { asked: [...hits, ...count], missing: without };
  }
  if (hits.length === 0) throw countsOnly();
  return { asked: hits, missing: [...without, ...named(count, 'search.counts_only', COUNTS_ONLY)] };
}

const COUNTS_ONLY = 'your right is to the number of hits, not to the hits: ask for a count';

export function countsOnly(): CodedError {
  return new CodedError('search.counts_only', COUNTS_ONLY);
}

/** The number of a result's hits: exact for who may see them, else suppressed. `patientOf` names whose record a hit is. */
export function countOf(
  { unit, patients, records }: Pick<FederatedResult, 'unit' | 'patients' | 'records'>,
  isExact: boolean,
  patientOf: (custodian: string, indexNo: number) => string | null | undefined,
): { readonly count: number | null; readonly exact: boolean } {
  const hits = records.reduce((sum, { numbers }) => sum + numbers.length, 0);
  const count = unit === 'patient' ? patients.length : hits;
  if (isExact) return { count, exact: true };
  if (unit === 'patient') return { count: suppressedCount(count), exact: false };
  const people = new Set<string>();
  for (const { custodian, numbers } of records) {
    // A record without a patient stands for itself.
    for (const indexNo of numbers) people.add(patientOf(custodian, indexNo) ?? `${custodian}/${indexNo}`);
  }
  return { count: suppressedCount(count, people.size), exact: false };
}
