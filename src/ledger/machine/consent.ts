/** ConsentRequest, ConsentAnswer, ConsentRevoke: an attribute with an end, given by the patient alone. */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { CONSENT_MS_MAX } from '../entries/bounds.ts';
import { activeSubject, generationOf, setConsent } from './holding.ts';
import { refuse } from './refusal.ts';
import type { Rule, RuleContext } from './rule.ts';
import { type ConsentState, STATE, type StateKey } from './state.ts';

/** Most consents of one pair in force at once. */
export const PAIR_CONSENTS_MAX = 16;

export const consentRequest: Rule<'ConsentRequest'> = ({ state, signer, time }, body) => {
  const patient = activeSubject(state, toHex(body.patient));
  if (patient.kind !== 'patient') refuse('subject.kind');
  if (body.until <= time || body.until > time + CONSENT_MS_MAX) refuse('consent.period');
  return {
    result: {},
    withId: (_, id) =>
      state.set(STATE.consent(id), {
        patient: body.patient,
        grantee: signer.bytes,
        until: body.until,
        purpose: body.purpose,
        state: 'requested',
      }),
  };
};

/** The consent that the signer, its patient, speaks of. */
function ownConsent(
  { state, signer }: RuleContext,
  id: Uint8Array,
  expected: ConsentState['state'],
): readonly [StateKey<ConsentState>, ConsentState] {
  const key = STATE.consent(toHex(id));
  const consent = state.get(key);
  if (consent === undefined) refuse('consent.unknown');
  if (toHex(consent.patient) !== signer.id) refuse('consent.not_yours');
  if (consent.state !== expected) refuse('consent.state', { state: consent.state });
  return [key, consent];
}

/** Sets what the pair's consents give: the latest end of those that still run. */
function settle(
  { state, time }: RuleContext,
  { patient, grantee }: ConsentState,
  ids: readonly Uint8Array[],
): void {
  const pair = STATE.consents(toHex(patient), toHex(grantee));
  let latest: number | undefined;
  const running: Uint8Array[] = [];
  for (const id of ids) {
    const until = state.get(STATE.consent(toHex(id)))?.until ?? 0;
    if (until <= time) continue;
    running.push(id);
    latest = Math.max(latest ?? 0, until);
  }
  if (running.length > PAIR_CONSENTS_MAX) refuse('consent.too_many', { max: PAIR_CONSENTS_MAX });
  if (running.length === 0) state.remove(pair);
  else state.set(pair, running);
  setConsent(state, toHex(grantee), patient, latest, time);
}

export const consentAnswer: Rule<'ConsentAnswer'> = (context, body) => {
  const { state, time } = context;
  const [key, consent] = ownConsent(context, body.consent, 'requested');
  const grantee = toHex(consent.grantee);
  if (body.answer === 'reject') {
    state.set(key, { ...consent, state: 'rejected' });
    return { result: { generation: generationOf(state, grantee) } };
  }
  activeSubject(state, grantee);
  const until = Math.min(consent.until, body.until ?? consent.until);
  if (until <= time) refuse('consent.period');
  state.set(key, { ...consent, until, state: 'accepted' });
  const pair = STATE.consents(toHex(consent.patient), grantee);
  settle(context, consent, [...(state.get(pair) ?? []), body.consent]);
  return { result: { generation: generationOf(state, grantee) } };
};

export const consentRevoke: Rule<'ConsentRevoke'> = (context, body) => {
  const { state } = context;
  const [key, consent] = ownConsent(context, body.consent, 'accepted');
  const grantee = toHex(consent.grantee);
  state.set(key, { ...consent, state: 'revoked' });
  const others = state.get(STATE.consents(toHex(consent.patient), grantee)) ?? [];
  settle(
    context,
    consent,
    others.filter((id) => !equalBytes(id, body.consent)),
  );
  return { result: { generation: generationOf(state, grantee) } };
};
