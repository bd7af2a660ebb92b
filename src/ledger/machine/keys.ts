/** KeyIssue and KeyExtend: what the authorities may put into a decryption key. They release parts after commit. */
import { toHex } from '../../codec/bytes.ts';
import { ATTRIBUTES_MAX } from '../entries/bounds.ts';
import { activeSubject, holds } from './holding.ts';
import { attributeOf, checkAttribute, registryOf } from './policies.ts';
import { refuse } from './refusal.ts';
import type { Rule, RuleContext } from './rule.ts';
import { STATE } from './state.ts';

/** Every attribute is one of the registry, and held now. */
function checkHeld({ state, signer, time, meter }: RuleContext, attributes: readonly string[]): void {
  meter.spend(attributes.length);
  const registry = registryOf(state);
  for (const attribute of attributes) {
    if (!holds(state, signer.id, attribute, time)) refuse('attribute.not_held');
    checkAttribute(attributeOf(attribute), registry);
  }
}

export const keyIssue: Rule<'KeyIssue'> = (context, body) => {
  const { state, signer } = context;
  const shareEpoch = state.get(STATE.chain)?.shareEpoch ?? null;
  if (shareEpoch === null) refuse('share.none');
  const { generation } = activeSubject(state, signer.id);
  checkHeld(context, body.attributes);
  const attributes = [...body.attributes].sort();
  return {
    result: { generation, shareEpoch },
    withId: (_, keyId) =>
      state.set(STATE.key(keyId), { subject: signer.bytes, generation, shareEpoch, attributes }),
  };
};

export const keyExtend: Rule<'KeyExtend'> = (context, body) => {
  const { state, signer } = context;
  const stateKey = STATE.key(toHex(body.keyId));
  const key = state.get(stateKey);
  if (key === undefined) refuse('key.unknown');
  if (toHex(key.subject) !== signer.id) refuse('key.not_yours');
  const { generation } = activeSubject(state, signer.id);
  if (key.generation !== generation) refuse('key.stale');
  if (key.shareEpoch !== state.get(STATE.chain)?.shareEpoch) refuse('share.epoch');
  context.meter.spend(key.attributes.length);
  checkHeld(context, body.attributes);
  const attributes = [...new Set([...key.attributes, ...body.attributes])].sort();
  if (attributes.length > ATTRIBUTES_MAX) refuse('attribute.too_many', { max: ATTRIBUTES_MAX });
  state.set(stateKey, { ...key, attributes });
  return { result: { generation } };
};
