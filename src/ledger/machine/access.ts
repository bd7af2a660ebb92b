/** Access, BreakGlass, BreakGlassReview: the decision function's verdicts as entries. */
import { toHex } from '../../codec/bytes.ts';
import { decideAccesses, decideBreakGlass } from './decision.ts';
import { refuse } from './refusal.ts';
import { requireRight } from './rights.ts';
import { NOTHING, type Rule } from './rule.ts';
import { STATE } from './state.ts';

export const access: Rule<'Access'> = ({ state, signer, time, meter }, body) => {
  const use = { subject: signer.id, keyId: toHex(body.keyId), generation: body.generation };
  const records = body.records.map(({ record, version }) => ({ record: toHex(record), version }));
  return { result: { verdicts: decideAccesses(state, use, records, time, meter) } };
};

/** A granted one stays open until a privacy officer of the record's custodian reviews it; a denied one is evidence. */
export const breakGlass: Rule<'BreakGlass'> = ({ state, signer, time, meter }, body) => {
  const { keyId, generation, record, version } = body;
  const use = { subject: signer.id, keyId: toHex(keyId), generation, record: toHex(record), version };
  const result = decideBreakGlass(state, use, time, meter);
  if (!result.granted) return { result };
  return {
    result,
    withId: (_, id) =>
      state.set(STATE.breakGlass(id), { subject: signer.bytes, record, version, state: 'open', time }),
  };
};

export const breakGlassReview: Rule<'BreakGlassReview'> = (context, body) => {
  const { state, signer } = context;
  const key = STATE.breakGlass(toHex(body.entry));
  const entry = state.get(key);
  if (entry === undefined) refuse('break_glass.unknown');
  const custodian = state.get(STATE.record(toHex(entry.record)))?.custodian;
  if (custodian === undefined) refuse('record.unknown');
  requireRight(context, ['privacy'], custodian);
  if (toHex(entry.subject) === signer.id) refuse('break_glass.own');
  if (entry.state !== 'open') refuse('break_glass.state');
  state.set(key, { ...entry, state: body.outcome });
  return { result: NOTHING };
};
