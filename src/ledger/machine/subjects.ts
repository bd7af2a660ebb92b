/** SubjectPut, SubjectKeyPut, AttributeSet, AttributeEnd, SubjectRevoke. */

import { printAttribute } from '../../abe/policy/index.ts';
import { toHex } from '../../codec/bytes.ts';
import type { PublicKey } from '../../codec/signature.ts';
import { SUBJECT_KEYS_MAX } from '../entries/bounds.ts';
import { subjectProofMessage } from '../entries/proofs.ts';
import type { AttributeSet } from '../entries/subjects.ts';
import {
  activeSubject,
  bumpGeneration,
  endAttribute,
  generationOf,
  heldAttributes,
  holds,
  setAttribute,
} from './holding.ts';
import { KEY_PROOF_COST } from './meter.ts';
import { type Attribute, attributeOf, checkAttribute, registryOf } from './policies.ts';
import { checkNewKey } from './public-keys.ts';
import { refuse } from './refusal.ts';
import { isRightToCount, RIGHT_LABEL, RIGHTS, type Right, requireRight, rightAttribute } from './rights.ts';
import { NOTHING, type Rule, type RuleContext } from './rule.ts';
import { STATE } from './state.ts';

/** Labels whose attributes come from the ledger's rules: enrolment, consent, access, break-glass, time. */
const RESERVED: ReadonlySet<string> = new Set(['patient', 'consent', 'gate', 'emergency', 'epoch']);

/** Rights that only an operator gives and takes: a registrar must not make itself more than it is. */
const OPERATORS_OWN: ReadonlySet<string> = new Set<Right>(['operator', 'registrar']);

function checkProof(
  { chain, host, meter }: RuleContext,
  subject: Uint8Array,
  member: string,
  key: PublicKey,
  proof: Uint8Array,
): void {
  meter.spend(KEY_PROOF_COST);
  checkNewKey(key);
  if (!host.verifies(key, subjectProofMessage(chain.chainId, subject, member, key), proof))
    refuse('subject.proof');
}

/** Enrols a subject of the registrar's own member. */
export const subjectPut: Rule<'SubjectPut'> = (context, body) => {
  const { state, time } = context;
  requireRight(context, ['registrar'], body.member);
  const id = toHex(body.subject);
  if (state.get(STATE.subject(id)) !== undefined) refuse('subject.exists');
  checkProof(context, body.subject, body.member, body.key, body.proof);
  const { member, kind, custody, hpkeKey } = body;
  state.set(STATE.subject(id), {
    member,
    kind,
    custody,
    keys: [{ alg: body.key.alg, key: body.key.key, retired: false }],
    hpkeKey,
    generation: 0,
    revoked: false,
  });
  if (kind === 'patient') setAttribute(state, id, `patient:${id}`, null, time);
  return { result: NOTHING };
};

/**
 * Who may speak for a subject's keys and its end: a registrar of its member; over a subject that is itself registrar or
 * operator, an operator only, since its new key would be theirs.
 */
function requireGuardian(context: RuleContext, id: string, member: string): void {
  const { state, time } = context;
  const isProtected = (['operator', 'registrar'] as const).some((right) =>
    holds(state, id, rightAttribute(member, right), time),
  );
  requireRight(context, [isProtected ? 'operator' : 'registrar'], member);
}

/** Appends a key and retires others. */
export const subjectKeyPut: Rule<'SubjectKeyPut'> = (context, body) => {
  const { state, time } = context;
  const id = toHex(body.subject);
  const subject = activeSubject(state, id);
  requireGuardian(context, id, subject.member);
  if (heldAttributes(state, id, time).some(isRightToCount)) refuse('right.custody');
  checkProof(context, body.subject, subject.member, body.key, body.proof);
  if (subject.keys.length >= SUBJECT_KEYS_MAX || body.retire.some((ix) => ix >= subject.keys.length)) {
    refuse('subject.keys', { max: SUBJECT_KEYS_MAX });
  }
  const kept = subject.keys.map((key, ix) => (body.retire.includes(ix) ? { ...key, retired: true } : key));
  const added = { alg: body.key.alg, key: body.key.key, retired: false };
  state.set(STATE.subject(id), { ...subject, keys: [...kept, added], hpkeKey: body.hpkeKey });
  return { result: NOTHING };
};

/** Throws unless `text` is an attribute that may be granted, printed in its canonical form. */
function checkGrantable(context: RuleContext, text: string): Attribute {
  const attribute = attributeOf(text);
  if (RESERVED.has(attribute.label)) refuse('attribute.reserved', { label: attribute.label });
  if (attribute.label === RIGHT_LABEL) {
    if (!RIGHTS.some((right) => right === attribute.value))
      refuse('attribute.reserved', { label: RIGHT_LABEL });
    if (text !== printAttribute(attribute)) refuse('attribute.not_canonical');
    return attribute;
  }
  const registry = registryOf(context.state);
  checkAttribute(attribute, registry);
  if (text !== printAttribute(attribute, registry)) refuse('attribute.not_canonical');
  return attribute;
}

/** The issuer's registrar grants and ends; of rights over the registrar's own, an operator. */
function requireIssuer(context: RuleContext, { issuer, label, value }: Attribute): void {
  if (issuer === '') refuse('attribute.issuer', { label });
  const needsOperator = label === RIGHT_LABEL && OPERATORS_OWN.has(String(value));
  requireRight(context, [needsOperator ? 'operator' : 'registrar'], issuer);
}

function grant(context: RuleContext, body: AttributeSet): number {
  const { state, time, meter } = context;
  const id = toHex(body.subject);
  meter.spend(state.get(STATE.held(id))?.length ?? 0);
  const { custody, keys } = activeSubject(state, id);
  if (isRightToCount(body.attribute) && (custody !== 'gateway' || keys.length > 1)) refuse('right.custody');
  if (body.until !== null && body.until <= time) refuse('attribute.until');
  setAttribute(state, id, body.attribute, body.until, time);
  return generationOf(state, id);
}

export const attributeSet: Rule<'AttributeSet'> = (context, body) => {
  requireIssuer(context, checkGrantable(context, body.attribute));
  return { result: { generation: grant(context, body) } };
};

/** Grants a shared attribute that a majority of members approved; one with an issuer is not theirs to grant. */
export function grantShared(context: RuleContext, body: AttributeSet): void {
  const attribute = checkGrantable(context, body.attribute);
  if (attribute.issuer !== '') refuse('attribute.issuer', { label: attribute.label });
  grant(context, body);
}

/** Throws as `grantShared` would for the attribute itself; asked when the proposal is made. */
export function checkShared(context: RuleContext, body: AttributeSet): void {
  const attribute = checkGrantable(context, body.attribute);
  if (attribute.issuer !== '') refuse('attribute.issuer', { label: attribute.label });
}

/** A shared attribute is ended by the registrar of the subject's own member: taking away needs no majority. */
export const attributeEnd: Rule<'AttributeEnd'> = (context, body) => {
  const { state, time, meter } = context;
  const id = toHex(body.subject);
  meter.spend(state.get(STATE.held(id))?.length ?? 0);
  const subject = activeSubject(state, id);
  const attribute = checkGrantable(context, body.attribute);
  requireIssuer(context, attribute.issuer === '' ? { ...attribute, issuer: subject.member } : attribute);
  endAttribute(state, id, body.attribute, time);
  return { result: { generation: generationOf(state, id) } };
};

/** Nothing is held and nothing is signed afterwards. */
export const subjectRevoke: Rule<'SubjectRevoke'> = (context, body) => {
  const { state } = context;
  const id = toHex(body.subject);
  const subject = activeSubject(state, id);
  requireGuardian(context, id, subject.member);
  bumpGeneration(state, id);
  const bumped = activeSubject(state, id);
  state.set(STATE.subject(id), { ...bumped, revoked: true });
  return { result: { generation: bumped.generation } };
};
