/**
 * What a subject holds, and the rule of generations. Keys are bound to a generation: within one, a key only
 * gains, and only monotonely (abe-security 2.8). Whatever takes away or changes grows the generation, and every
 * key of the subject is then stale.
 */
import { toHex } from '../../codec/bytes.ts';
import { FOREIGN_ATTRIBUTES_MAX, ISSUER_ATTRIBUTES_MAX, OWN_ATTRIBUTES_MAX } from '../entries/bounds.ts';
import { attributeOf, registryOf } from './policies.ts';
import { refuse } from './refusal.ts';
import { type AttributeState, type Overlay, STATE, type StateView, type SubjectState } from './state.ts';

/** Whether the attribute is set, not ended and not expired at `time`. */
export function inForce(attribute: AttributeState | undefined, time: number): boolean {
  return attribute !== undefined && !attribute.ended && (attribute.until === null || time < attribute.until);
}

/** Whether `subject` (hexadecimal) holds `attribute` at `time`; a revoked subject holds nothing. */
export function holds(view: StateView, subject: string, attribute: string, time: number): boolean {
  if (!inForce(view.get(STATE.attribute(subject, attribute)), time)) return false;
  return view.get(STATE.subject(subject))?.revoked === false;
}

/**
 * Printed attributes that `subject` holds at `time`, sorted; none once it is revoked. Consents are left out: they
 * can be thousands, and count where a key lists them.
 */
export function heldAttributes(view: StateView, subject: string, time: number): readonly string[] {
  if (view.get(STATE.subject(subject))?.revoked !== false) return [];
  const held = view.get(STATE.held(subject)) ?? [];
  return held.filter((attribute) => inForce(view.get(STATE.attribute(subject, attribute)), time));
}

/**
 * Values of finite labels that `subject` has held in this generation, expired ones included, without those in
 * `listed`. What was ended is not among them: its end began a new generation.
 */
export function standingAgainst(
  view: StateView,
  subject: string,
  listed: readonly string[],
): readonly string[] {
  const registry = registryOf(view);
  const held = view.get(STATE.held(subject)) ?? [];
  return held.filter(
    (text) => !listed.includes(text) && registry.get(attributeOf(text).label)?.values !== undefined,
  );
}

/** The subject, or a refusal when there is none or it is revoked. */
export function activeSubject(view: StateView, id: string): SubjectState {
  const subject = view.get(STATE.subject(id));
  if (subject === undefined) refuse('subject.unknown');
  if (subject.revoked) refuse('subject.revoked');
  return subject;
}

/** The next generation of `subject`; every key of the last one is stale from here on. */
export function bumpGeneration(state: Overlay, id: string): void {
  const subject = state.get(STATE.subject(id));
  if (subject === undefined) refuse('subject.unknown');
  state.set(STATE.subject(id), { ...subject, generation: subject.generation + 1 });
}

export function generationOf(view: StateView, id: string): number {
  return view.get(STATE.subject(id))?.generation ?? 0;
}

/**
 * Sets `text` on a subject until `until`. Grows the generation when an ended or expired attribute returns and
 * when a label that is a number, date, level or finite gets another value; a number, date or level has one value,
 * so its old one ends. The issuer of another hospital gives no second value: it would make the subject's keys
 * stale at will.
 */
export function setAttribute(
  state: Overlay,
  subject: string,
  text: string,
  until: number | null,
  time: number,
): void {
  const key = STATE.attribute(subject, text);
  const before = state.get(key);
  state.set(key, { until, ended: false });
  if (inForce(before, time)) return;
  const room = makeRoom(state, subject, text, time);
  let { held } = room;
  let grows = before !== undefined || room.dropped;
  const attribute = attributeOf(text);
  const spec = registryOf(state).get(attribute.label);
  const hasOneValue = spec !== undefined && spec.type !== 'text';
  if (hasOneValue || spec?.values !== undefined) {
    for (const other of held) {
      if (other === text || !isOfLabel(other, attribute)) continue;
      if (isForeign(state, subject, attribute.issuer)) refuse('attribute.second_value');
      grows = true;
      if (hasOneValue) held = withdraw(state, subject, other, held);
    }
  }
  if (!held.includes(text)) held = [...held, text].sort();
  state.set(STATE.held(subject), held);
  if (grows) bumpGeneration(state, subject);
}

function isOfLabel(text: string, { issuer, label }: { issuer: string; label: string }): boolean {
  const attribute = attributeOf(text);
  return attribute.issuer === issuer && attribute.label === label;
}

/** Whether `issuer` is another hospital than the subject's own; shared attributes are nobody's. */
function isForeign(view: StateView, subject: string, issuer: string): boolean {
  return issuer !== '' && issuer !== view.get(STATE.subject(subject))?.member;
}

/**
 * What the subject holds, with room for `text` in the share of its issuer: own and shared attributes have theirs,
 * other hospitals together the rest, so that none of them uses up what another needs. Expired ones make room;
 * dropping them forgets a value of this generation, hence the next one.
 */
function makeRoom(
  state: Overlay,
  subject: string,
  text: string,
  time: number,
): { readonly held: readonly string[]; readonly dropped: boolean } {
  const held = state.get(STATE.held(subject)) ?? [];
  if (held.includes(text) || hasRoom(state, subject, text, held)) return { held, dropped: false };
  const kept = held.filter((one) => inForce(state.get(STATE.attribute(subject, one)), time));
  if (kept.length === held.length || !hasRoom(state, subject, text, kept)) refuse('attribute.too_many');
  return { held: kept, dropped: true };
}

function hasRoom(view: StateView, subject: string, text: string, held: readonly string[]): boolean {
  const { issuer } = attributeOf(text);
  const others = held.filter((one) => isForeign(view, subject, attributeOf(one).issuer));
  if (!isForeign(view, subject, issuer)) return held.length - others.length < OWN_ATTRIBUTES_MAX;
  const own = others.filter((one) => attributeOf(one).issuer === issuer);
  return others.length < FOREIGN_ATTRIBUTES_MAX && own.length < ISSUER_ATTRIBUTES_MAX;
}

function withdraw(state: Overlay, subject: string, text: string, held: readonly string[]): readonly string[] {
  const key = STATE.attribute(subject, text);
  state.set(key, { until: state.get(key)?.until ?? null, ended: true });
  return held.filter((one) => one !== text);
}

/** Ends an attribute that is held at `time`; the generation grows. */
export function endAttribute(state: Overlay, subject: string, text: string, time: number): void {
  if (!inForce(state.get(STATE.attribute(subject, text)), time)) refuse('attribute.not_held');
  state.set(STATE.held(subject), withdraw(state, subject, text, state.get(STATE.held(subject)) ?? []));
  bumpGeneration(state, subject);
}

/** The attribute that a consent of `patient` gives. */
export function consentAttribute(patient: Uint8Array): string {
  return `consent:${toHex(patient)}`;
}

/**
 * Sets or ends the consent attribute of a pair: until `until`, or not at all when it is undefined. Consents stand
 * outside the list of what a subject holds; each is a label value of its own, so no second value counts.
 */
export function setConsent(
  state: Overlay,
  grantee: string,
  patient: Uint8Array,
  until: number | undefined,
  time: number,
): void {
  const key = STATE.attribute(grantee, consentAttribute(patient));
  const before = state.get(key);
  const wasInForce = inForce(before, time);
  if (until !== undefined) {
    state.set(key, { until, ended: false });
    if (before !== undefined && !wasInForce) bumpGeneration(state, grantee);
  } else if (wasInForce) {
    state.set(key, { until: before?.until ?? null, ended: true });
    bumpGeneration(state, grantee);
  }
}
