/**
 * The access decision: the one function that says who may open or search what, from the state and a time
 * alone. Access, BreakGlass and Search entries record its verdict; the authorities ask it again before they
 * release a part; the gateway asks it for `can-i` and `explain`. There is no second one.
 *
 * It protects order and revocation as far as the state does: with more corrupt validators than f, two states may
 * exist (abe-security 2.4).
 */

import { toHex } from '../../codec/bytes.ts';
import { FIELD_EPOCH_OVERLAP_MS, RELEASE_MS_MAX } from '../entries/bounds.ts';
import type { Leaf } from '../entries/leaf.ts';
import type { AccessResult, DecisionReason, Verdict } from '../entries/results.ts';
import type { Transaction } from '../entries/transaction.ts';
import { heldAttributes, holds, inForce, standingAgainst } from './holding.ts';
import type { Meter } from './meter.ts';
import { policyName, policyOf, registered, registryOf, satisfies } from './policies.ts';
import { hasRight, isRightToCount } from './rights.ts';
import { type FieldState, type RecordState, STATE, type StateView } from './state.ts';

/** Milliseconds of one budget day. */
const DAY_MS = 24 * 60 * 60 * 1000;

/** A subject asks with one of its keys. Ids are lower-case hexadecimal. */
export interface KeyUse {
  readonly subject: string;
  readonly keyId: string;
  readonly generation: number;
}

export interface RecordUse {
  readonly record: string;
  readonly version: number;
}

export interface SearchUse {
  readonly subject: string;
  readonly custodian: string;
  readonly field: string;
  readonly epoch: number;
  /** Evaluations that the budgets must still allow; 0 asks about the grant alone. */
  readonly count: number;
}

const GRANTED: Verdict = Object.freeze({ granted: true, reason: 'ok' });

function denied(reason: DecisionReason): Verdict {
  return { granted: false, reason };
}

/** What is wrong with a key, and otherwise which of its attributes are in force. */
export type KeyVerdict =
  | { readonly granted: false; readonly reason: DecisionReason }
  | {
      readonly granted: true;
      readonly reason: 'ok';
      /** Listed and in force: what the key may show. */
      readonly attributes: readonly string[];
      /**
       * Other values of finite labels that the subject holds or has held in this generation. They satisfy nothing,
       * and stand against `!=` and `not`: no not-equal leaf is released for them.
       */
      readonly against: readonly string[];
    };

/**
 * Whether `use` names a current key of an active subject, and the attributes for which authorities may release
 * parts at `time`.
 */
export function decideKey(view: StateView, use: KeyUse, time: number, meter?: Meter): KeyVerdict {
  const refused = (reason: DecisionReason): KeyVerdict => ({ granted: false, reason });
  const subject = view.get(STATE.subject(use.subject));
  if (subject === undefined || subject.revoked) return refused('subject_revoked');
  const key = view.get(STATE.key(use.keyId));
  if (key === undefined) return refused('key_unknown');
  if (toHex(key.subject) !== use.subject) return refused('key_not_yours');
  if (key.generation !== subject.generation || use.generation !== subject.generation)
    return refused('key_stale');
  if (key.shareEpoch !== view.get(STATE.chain)?.shareEpoch) return refused('share_epoch');
  meter?.spend(key.attributes.length + (view.get(STATE.held(use.subject))?.length ?? 0));
  const attributes = key.attributes.filter((attribute) => holds(view, use.subject, attribute, time));
  return { granted: true, reason: 'ok', attributes, against: standingAgainst(view, use.subject, attributes) };
}

/** Whether each record may be opened with the key at `time`; one verdict for each of `records`, in order. */
export function decideAccesses(
  view: StateView,
  use: KeyUse,
  records: readonly RecordUse[],
  time: number,
  meter?: Meter,
): readonly Verdict[] {
  const key = decideKey(view, use, time, meter);
  if (!key.granted) return records.map(() => denied(key.reason));
  const registry = registryOf(view);
  const attributes = registered(key.attributes, registry);
  const against = registered(key.against, registry);
  // Records of one batch mostly share a few policies; each is evaluated, and paid for, once. By bytes: what a
  // node happens to remember must not change what a block costs.
  const known = new Map<string, boolean>();
  const isSatisfied = (bytes: Uint8Array): boolean => {
    const name = policyName(bytes);
    const before = known.get(name);
    if (before !== undefined) return before;
    meter?.spendPolicy(bytes);
    const satisfied = satisfies(policyOf(bytes), attributes, against, registry);
    known.set(name, satisfied);
    return satisfied;
  };
  return records.map((record) => decideRecord(view, record, isSatisfied, meter));
}

/** `decideAccesses` for one record. */
export function decideAccess(view: StateView, use: KeyUse & RecordUse, time: number): Verdict {
  return decideAccesses(view, use, [use], time)[0];
}

function decideRecord(
  view: StateView,
  use: RecordUse,
  isSatisfied: (policy: Uint8Array) => boolean,
  meter: Meter | undefined,
): Verdict {
  const record = view.get(STATE.record(use.record));
  meter?.spendRead(record?.policy);
  const reason = recordReason(record, use.version);
  if (reason !== undefined || record === undefined) return denied(reason ?? 'record_unknown');
  return isSatisfied(record.policy) ? GRANTED : denied('policy');
}

function recordReason(record: RecordState | undefined, version: number): DecisionReason | undefined {
  if (record === undefined) return 'record_unknown';
  if (record.erased) return 'record_erased';
  return record.version === version ? undefined : 'version_stale';
}

/**
 * Whether the emergency leaf and the gate of one record may be released: the subject holds its member's emergency
 * right. The record's policy is not asked. Field keys are not opened this way: one would open a whole index.
 */
export function decideBreakGlass(
  view: StateView,
  use: KeyUse & RecordUse,
  time: number,
  meter?: Meter,
): Verdict {
  const key = decideKey(view, use, time, meter);
  if (!key.granted) return denied(key.reason);
  if (!hasRight(view, use.subject, 'emergency', time)) return denied('right');
  const record = view.get(STATE.record(use.record));
  meter?.spendRead(record?.policy);
  const reason = recordReason(record, use.version);
  if (reason !== undefined) return denied(reason);
  return record?.cid === null ? denied('policy') : GRANTED;
}

/** Whether the subject may have `count` keywords of a field evaluated at `time`. Changes no budget. */
export function decideSearch(view: StateView, use: SearchUse, time: number, meter?: Meter): Verdict {
  const subject = view.get(STATE.subject(use.subject));
  if (subject === undefined || subject.revoked) return denied('subject_revoked');
  const field = view.get(STATE.field(use.custodian, use.field));
  if (field === undefined) return denied('field_unknown');
  if (!servesEpoch(field, use.epoch, time)) return denied('epoch_stale');
  meter?.spendPolicy(field.policy);
  meter?.spend(view.get(STATE.held(use.subject))?.length ?? 0);
  if (!admits(view, field, use.subject, heldAttributes(view, use.subject, time))) return denied('policy');
  const { used, usedEpoch } = budgetOf(view, use, field, time);
  const isWithin = used + use.count <= field.budgetDay && usedEpoch + use.count <= field.budgetEpoch;
  return isWithin ? GRANTED : denied('budget');
}

/**
 * Whether what `decideSearch` grants shows hits. Who is granted a search by a right to count alone is told how many there
 * are; the gateway that holds such a subject's keys keeps to it.
 */
export function decideHits(
  view: StateView,
  use: Pick<SearchUse, 'subject' | 'custodian' | 'field'>,
  time: number,
): boolean {
  const field = view.get(STATE.field(use.custodian, use.field));
  if (field === undefined) return false;
  const held = heldAttributes(view, use.subject, time).filter((attribute) => !isRightToCount(attribute));
  return admits(view, field, use.subject, held);
}

/** Whether a field's search policy is satisfied by these attributes of the subject. */
function admits(view: StateView, field: FieldState, subject: string, held: readonly string[]): boolean {
  const registry = registryOf(view);
  const against = registered(standingAgainst(view, subject, held), registry);
  return satisfies(policyOf(field.policy), registered(held, registry), against, registry);
}

/**
 * Whether a subject that was revoked could have searched the field but for that: its attributes satisfy the search policy
 * still, or it had keywords evaluated in the current epoch. Then the field needs a new one.
 */
export function couldSearch(
  view: StateView,
  use: Pick<SearchUse, 'subject' | 'custodian' | 'field'>,
  time: number,
): boolean {
  const field = view.get(STATE.field(use.custodian, use.field));
  if (field === undefined) return false;
  if (budgetOf(view, use, field, time).usedEpoch > 0) return true;
  const registry = registryOf(view);
  const held = (view.get(STATE.held(use.subject)) ?? []).filter((attribute) =>
    inForce(view.get(STATE.attribute(use.subject, attribute)), time),
  );
  return satisfies(policyOf(field.policy), registered(held, registry), [], registry);
}

/**
 * Whether a subject had keywords evaluated in the field's current epoch and may not search it any more: what earned it the
 * search was taken away, or its time came. Then it holds secrets that it should not have for what is indexed from now on.
 */
export function outlivesGrant(
  view: StateView,
  use: Pick<SearchUse, 'subject' | 'custodian' | 'field'>,
  time: number,
): boolean {
  const field = view.get(STATE.field(use.custodian, use.field));
  if (field === undefined || budgetOf(view, use, field, time).usedEpoch === 0) return false;
  return !admits(view, field, use.subject, heldAttributes(view, use.subject, time));
}

/** The current epoch, and the one before it while its segments are rebuilt. */
function servesEpoch(field: FieldState, epoch: number, time: number): boolean {
  return epoch === field.epoch || (epoch === field.epoch - 1 && time < field.time + FIELD_EPOCH_OVERLAP_MS);
}

/** What the subject has used of a field's budgets on the day of `time` and in the field's current epoch. */
export function budgetOf(
  view: StateView,
  use: Pick<SearchUse, 'subject' | 'custodian' | 'field'>,
  field: FieldState,
  time: number,
): { readonly day: number; readonly used: number; readonly epoch: number; readonly usedEpoch: number } {
  const budget = view.get(STATE.budget(use.subject, use.custodian, use.field));
  const day = Math.floor(time / DAY_MS);
  return {
    day,
    used: budget?.day === day ? budget.used : 0,
    epoch: field.epoch,
    usedEpoch: budget?.epoch === field.epoch ? budget.usedEpoch : 0,
  };
}

/** One committed Access, BreakGlass or Search: its leaf, and the transaction that item 0 of its list carries. */
export interface DecidedEntry {
  readonly leaf: Leaf;
  readonly transaction: Transaction;
}

/** Why a committed grant is not served (any more). */
export type ReleaseReason = DecisionReason | 'not_granted' | 'too_late' | 'not_a_grant';

export interface ReleaseVerdict {
  readonly granted: boolean;
  readonly reason: ReleaseReason;
}

/**
 * Whether a committed grant is still to be served, judged in `tip`, the state that this node applied last
 * (ledger-security 24): granted in the leaf, at most 10 minutes of block time ago, and in force in the tip. One
 * verdict for each record of an Access, one for a BreakGlass or Search. The caller checks that its tip is fresh
 * and its own.
 */
export function stillInForce(tip: StateView, entry: DecidedEntry): readonly ReleaseVerdict[] {
  const time = tip.get(STATE.chain)?.time ?? 0;
  const isLate = time > entry.leaf.time + RELEASE_MS_MAX;
  return grantsOf(tip, entry, time).map(({ recorded, now }): ReleaseVerdict => {
    if (!recorded) return { granted: false, reason: 'not_granted' };
    return isLate && now.granted ? { granted: false, reason: 'too_late' } : now;
  });
}

/** What the leaf says and what the tip says, for each thing that the entry asks for. */
function grantsOf(
  tip: StateView,
  { leaf, transaction }: DecidedEntry,
  time: number,
): readonly { readonly recorded: boolean; readonly now: ReleaseVerdict }[] {
  const subject = toHex(transaction.subject);
  const recorded = (leaf.result as Partial<Verdict>).granted === true;
  switch (transaction.type) {
    case 'Access': {
      const body = transaction.bodies[leaf.item];
      const use = { subject, keyId: toHex(body.keyId), generation: body.generation };
      const records = body.records.map(({ record, version }) => ({ record: toHex(record), version }));
      const { verdicts } = leaf.result as Partial<AccessResult>;
      return decideAccesses(tip, use, records, time).map((now, i) => ({
        recorded: verdicts?.[i]?.granted === true,
        now,
      }));
    }
    case 'BreakGlass': {
      const { keyId, generation, record, version } = transaction.bodies[leaf.item];
      const use = { subject, keyId: toHex(keyId), generation, record: toHex(record), version };
      return [{ recorded, now: decideBreakGlass(tip, use, time) }];
    }
    case 'Search': {
      const { custodian, field, epoch } = transaction.bodies[leaf.item];
      return [{ recorded, now: decideSearch(tip, { subject, custodian, field, epoch, count: 0 }, time) }];
    }
    default:
      return [{ recorded: true, now: { granted: false, reason: 'not_a_grant' } }];
  }
}
