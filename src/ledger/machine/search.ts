/** FieldKeyPut, Search, IndexCommit: who may have keywords evaluated, how many, and which index is in force. */
import { toHex } from '../../codec/bytes.ts';
import { fieldRecordId } from '../entries/proofs.ts';
import { budgetOf, decideSearch } from './decision.ts';
import { checkRecordPolicy, registryOf } from './policies.ts';
import { killIndexNo } from './records.ts';
import { refuse } from './refusal.ts';
import { requireRight } from './rights.ts';
import { NOTHING, type Rule } from './rule.ts';
import { STATE } from './state.ts';

/** Opens an epoch of a field: its VOPRF key, its search policy, and the record that seals its field key. */
export const fieldKeyPut: Rule<'FieldKeyPut'> = (context, body) => {
  const { state, signer, time, meter } = context;
  const custodian = requireRight(context, ['operator']);
  meter.spendPolicy(body.policy);
  const key = STATE.field(custodian, body.field);
  const before = state.get(key);
  const expected = before === undefined ? 0 : before.epoch + 1;
  if (body.epoch !== expected) refuse('field.epoch', { expected });
  checkRecordPolicy(body.policy, 'record', registryOf(state));
  const last = before === undefined ? null : { epoch: before.epoch, publicKey: before.publicKey };
  state.set(key, { ...body, time, before: last });
  const id = toHex(fieldRecordId(custodian, body.field, body.epoch));
  // The id is a hash that only this field leads to: whoever put a record there did it to be in the way.
  const squatter = state.get(STATE.record(id));
  if (squatter !== undefined) killIndexNo(state, squatter);
  state.set(STATE.record(id), {
    custodian,
    author: signer.bytes,
    version: 0,
    cid: null,
    bytes: 0,
    headerHash: body.headerHash,
    policy: body.policy,
    gate: 'record',
    patient: null,
    commitment: null,
    indexNo: null,
    indexed: false,
    erased: false,
    time,
  });
  return { result: NOTHING };
};

/** Counts a granted search against the budgets; a denied one costs nothing and stays on the ledger. */
export const search: Rule<'Search'> = ({ state, signer, time, meter }, body) => {
  const { custodian, field: name, epoch, count } = body;
  const use = { subject: signer.id, custodian, field: name, epoch, count };
  const field = state.get(STATE.field(custodian, name));
  const result = decideSearch(state, use, time, meter);
  if (result.granted && field !== undefined) {
    const { day, used, epoch: current, usedEpoch } = budgetOf(state, use, field, time);
    state.set(STATE.budget(signer.id, custodian, name), {
      day,
      used: used + count,
      epoch: current,
      usedEpoch: usedEpoch + count,
    });
  }
  return { result };
};

/** Names the manifest that searchers check an index copy against. */
export const indexCommit: Rule<'IndexCommit'> = (context, body) => {
  const { state, time } = context;
  const custodian = requireRight(context, ['indexer']);
  const key = STATE.index(custodian);
  const before = state.get(key);
  const expected = (before?.seq ?? 0) + 1;
  if (body.seq !== expected) refuse('index.seq', { expected });
  if (body.covered > (state.get(STATE.counter(custodian)) ?? 0)) refuse('index.covered');
  state.set(key, { ...body, time });
  return { result: NOTHING };
};
