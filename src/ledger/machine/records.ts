/** RecordPut, PolicyChange, Erase, Stored, Destroyed; and the numbers of a custodian's index. */
import { toHex } from '../../codec/bytes.ts';
import { EMPTY_CHAIN, nextDeadDigest, nextNumbersDigest } from '../entries/proofs.ts';
import type { RecordItem } from '../entries/records.ts';
import { RECORD_PUT_COST } from './meter.ts';
import { checkRecordPolicy, registryOf } from './policies.ts';
import { refuse } from './refusal.ts';
import { requireRight } from './rights.ts';
import { NOTHING, type Rule, type RuleContext } from './rule.ts';
import { type Overlay, type RecordState, STATE } from './state.ts';

const EMPTY = { count: 0, digest: EMPTY_CHAIN };

/**
 * Takes the custodian's next number for `record`, and folds it into the digest of numbers, from which a searcher learns
 * that it was told the right record and patient of each.
 */
function takeIndexNo(state: Overlay, custodian: string, { record, patient }: RecordItem): number {
  const indexNo = state.get(STATE.counter(custodian)) ?? 0;
  state.set(STATE.counter(custodian), indexNo + 1);
  state.set(STATE.indexNo(custodian, indexNo), { record, patient, dead: null });
  const { count, digest } = state.get(STATE.numbers(custodian)) ?? EMPTY;
  state.set(STATE.numbers(custodian), {
    count: count + 1,
    digest: nextNumbersDigest(digest, record, patient),
  });
  return indexNo;
}

/**
 * Marks a number dead and folds it into the custodian's digest of dead numbers, from which a searcher learns that
 * it was told all of them.
 */
export function killIndexNo(state: Overlay, { custodian, indexNo }: RecordState): void {
  if (indexNo === null) return;
  const key = STATE.indexNo(custodian, indexNo);
  const number = state.get(key);
  if (number === undefined || number.dead !== null) return;
  const { count, digest } = state.get(STATE.dead(custodian)) ?? EMPTY;
  state.set(key, { ...number, dead: count });
  state.set(STATE.dead(custodian), { count: count + 1, digest: nextDeadDigest(digest, indexNo) });
}

/** A live record of `custodian` that is no field key, or a refusal. */
function ownRecord(state: Overlay, id: string, custodian: string): RecordState {
  const record = state.get(STATE.record(id));
  if (record === undefined) refuse('record.unknown');
  if (record.custodian !== custodian) refuse('record.custodian');
  if (record.erased) refuse('record.erased');
  if (record.cid === null) refuse('record.field_key');
  return record;
}

function putOne(context: RuleContext, custodian: string, item: RecordItem): number {
  const { state, signer, time, meter } = context;
  const id = toHex(item.record);
  meter.spend(RECORD_PUT_COST);
  meter.spendPolicy(item.policy);
  checkRecordPolicy(item.policy, item.gate, registryOf(state));
  if (state.get(STATE.record(id)) !== undefined) {
    const before = ownRecord(state, id, custodian);
    if (item.version !== before.version + 1) refuse('record.version', { expected: before.version + 1 });
    killIndexNo(state, before);
  } else if (item.version !== 0) refuse('record.version', { expected: 0 });
  const indexNo = takeIndexNo(state, custodian, item);
  const { version, cid, bytes, headerHash, policy, gate, patient, commitment, indexed } = item;
  state.set(STATE.record(id), {
    custodian,
    author: signer.bytes,
    version,
    cid,
    bytes,
    headerHash,
    policy,
    gate,
    patient,
    commitment,
    indexNo,
    indexed,
    erased: false,
    time,
  });
  return indexNo;
}

/** New records and new versions; each takes the custodian's next number, in list order. */
export const recordPut: Rule<'RecordPut'> = (context, body) => {
  const custodian = requireRight(context, ['author']);
  return { result: { indexNos: body.records.map((item) => putOne(context, custodian, item)) } };
};

/** A new header under another policy, with the payload as it is or re-encrypted; the index number stays. */
export const policyChange: Rule<'PolicyChange'> = (context, body) => {
  const { state, meter } = context;
  const custodian = requireRight(context, ['author']);
  const id = toHex(body.record);
  meter.spendPolicy(body.policy);
  const before = ownRecord(state, id, custodian);
  if (body.version !== before.version + 1) refuse('record.version', { expected: before.version + 1 });
  checkRecordPolicy(body.policy, body.gate, registryOf(state));
  const { version, headerHash, policy, gate } = body;
  state.set(STATE.record(id), {
    ...before,
    version,
    headerHash,
    policy,
    gate,
    cid: body.cid ?? before.cid,
    bytes: body.bytes ?? before.bytes,
    commitment: body.commitment ?? before.commitment,
  });
  return { result: NOTHING };
};

/** The record becomes a tombstone and its number dies; nodes delete what they hold and answer with Destroyed. */
export const erase: Rule<'Erase'> = (context, body) => {
  const { state } = context;
  const custodian = requireRight(context, ['author', 'privacy']);
  const id = toHex(body.record);
  const before = ownRecord(state, id, custodian);
  killIndexNo(state, before);
  state.set(STATE.record(id), { ...before, erased: true });
  return { result: NOTHING };
};

/** A member's receipt for what it keeps; it changes no state. */
export const stored: Rule<'Stored'> = (context) => {
  requireRight(context, ['operator']);
  return { result: NOTHING };
};

/** A member's receipt for what it destroyed of an erased record; it changes no state. */
export const destroyed: Rule<'Destroyed'> = (context, body) => {
  requireRight(context, ['operator']);
  const record = context.state.get(STATE.record(toHex(body.record)));
  if (record === undefined) refuse('record.unknown');
  if (!record.erased) refuse('record.not_erased');
  return { result: NOTHING };
};
