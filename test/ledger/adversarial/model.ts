/**
 * The ledger's rules written down a second time, from docs/entries.md and docs/policies.md alone: who holds what, which
 * generation, and what an access is answered. Slow and plain, to be compared with the state machine.
 */

export interface Held {
  until: number | null;
  ended: boolean;
}

export interface ModelSubject {
  readonly name: string;
  readonly member: string;
  readonly isPatient: boolean;
  revoked: boolean;
  generation: number;
  readonly attributes: Map<string, Held>;
}

export interface ModelKey {
  readonly subject: string;
  readonly generation: number;
  readonly attributes: Set<string>;
}

export interface ModelRecord {
  version: number;
  policy: ModelPolicy;
  erased: boolean;
}

export interface ModelConsent {
  readonly patient: string;
  readonly grantee: string;
  until: number;
  state: 'requested' | 'accepted' | 'rejected' | 'revoked';
}

/** Text of a policy, and what it means: `has` is what a key shows, `also` all that its holder has or had within the generation. */
export interface ModelPolicy {
  readonly text: string;
  readonly holds: (has: ReadonlySet<string>, also: ReadonlySet<string>) => boolean;
}

const ONE_VALUE = ['age', 'clearance'];
const FINITE = ['role'];

const labelOf = (attribute: string): string => attribute.slice(0, attribute.lastIndexOf(':'));
const nameOf = (attribute: string): string =>
  labelOf(attribute).slice(labelOf(attribute).lastIndexOf('/') + 1);

const issuerOf = (attribute: string): string => attribute.slice(0, attribute.indexOf('/'));

export class Model {
  readonly subjects = new Map<string, ModelSubject>();
  readonly keys = new Map<string, ModelKey>();
  readonly records = new Map<string, ModelRecord>();
  readonly consents = new Map<string, ModelConsent>();

  enrol(name: string, member: string, isPatient: boolean): void {
    const attributes = new Map<string, Held>();
    if (isPatient) attributes.set(`patient:${name}`, { until: null, ended: false });
    this.subjects.set(name, { name, member, isPatient, revoked: false, generation: 0, attributes });
  }

  subject(name: string): ModelSubject {
    const subject = this.subjects.get(name);
    if (subject === undefined) throw new Error(`no subject ${name}`);
    return subject;
  }

  isHeld(name: string, attribute: string, time: number): boolean {
    const { revoked, attributes } = this.subject(name);
    const held = attributes.get(attribute);
    return !revoked && held !== undefined && !held.ended && (held.until === null || time < held.until);
  }

  /** The refusal, or nothing. */
  set(name: string, attribute: string, until: number | null, time: number): string | undefined {
    const subject = this.subject(name);
    if (subject.revoked) return 'subject.revoked';
    if (until !== null && until <= time) return 'attribute.until';
    const wasHeld = this.isHeld(name, attribute, time);
    const wasKnown = subject.attributes.has(attribute);
    const others = [...subject.attributes].filter(
      ([other, held]) => other !== attribute && labelOf(other) === labelOf(attribute) && !held.ended,
    );
    const hasOneValue = ONE_VALUE.includes(nameOf(attribute));
    const isSecond = !wasHeld && others.length > 0 && (hasOneValue || FINITE.includes(nameOf(attribute)));
    if (isSecond && issuerOf(attribute) !== subject.member) return 'attribute.second_value';
    subject.attributes.set(attribute, { until, ended: false });
    if (wasHeld) return undefined;
    if (isSecond && hasOneValue) for (const [, held] of others) held.ended = true;
    if (wasKnown || isSecond) subject.generation++;
    return undefined;
  }

  end(name: string, attribute: string, time: number): string | undefined {
    const subject = this.subject(name);
    if (subject.revoked) return 'subject.revoked';
    if (!this.isHeld(name, attribute, time)) return 'attribute.not_held';
    subject.attributes.set(attribute, { until: null, ended: true });
    subject.generation++;
    return undefined;
  }

  revoke(name: string): string | undefined {
    const subject = this.subject(name);
    if (subject.revoked) return 'subject.revoked';
    subject.revoked = true;
    subject.generation++;
    return undefined;
  }

  /** What a key for `attributes` is refused with. */
  keyRefusal(name: string, attributes: readonly string[], time: number): string | undefined {
    if (this.subject(name).revoked) return 'subject.revoked';
    return attributes.every((one) => this.isHeld(name, one, time)) ? undefined : 'attribute.not_held';
  }

  extend(name: string, keyId: string, attributes: readonly string[], time: number): string | undefined {
    const subject = this.subject(name);
    const key = this.keys.get(keyId);
    if (subject.revoked) return 'subject.revoked';
    if (key === undefined) return 'key.unknown';
    if (key.subject !== name) return 'key.not_yours';
    if (key.generation !== subject.generation) return 'key.stale';
    const refusal = this.keyRefusal(name, attributes, time);
    if (refusal === undefined) for (const one of attributes) key.attributes.add(one);
    return refusal;
  }

  answer(id: string, who: string, accept: boolean, until: number | null, time: number): string | undefined {
    const consent = this.consents.get(id);
    if (this.subject(who).revoked) return 'subject.revoked';
    if (consent === undefined) return 'consent.unknown';
    if (consent.patient !== who) return 'consent.not_yours';
    if (consent.state !== 'requested') return 'consent.state';
    if (!accept) {
      consent.state = 'rejected';
      return undefined;
    }
    if (this.subject(consent.grantee).revoked) return 'subject.revoked';
    const end = Math.min(consent.until, until ?? consent.until);
    if (end <= time) return 'consent.period';
    consent.until = end;
    consent.state = 'accepted';
    this.#settle(consent, time);
    return undefined;
  }

  withdraw(id: string, who: string, time: number): string | undefined {
    const consent = this.consents.get(id);
    if (this.subject(who).revoked) return 'subject.revoked';
    if (consent === undefined) return 'consent.unknown';
    if (consent.patient !== who) return 'consent.not_yours';
    if (consent.state !== 'accepted') return 'consent.state';
    consent.state = 'revoked';
    this.#settle(consent, time);
    return undefined;
  }

  /** The attribute of a pair lasts as long as the longest of its accepted consents. */
  #settle({ patient, grantee }: ModelConsent, time: number): void {
    const subject = this.subject(grantee);
    const attribute = `consent:${patient}`;
    const wasHeld = this.isHeld(grantee, attribute, time);
    const wasKnown = subject.attributes.has(attribute);
    const ends = [...this.consents.values()]
      .filter((one) => one.patient === patient && one.grantee === grantee && one.state === 'accepted')
      .map(({ until }) => until)
      .filter((until) => until > time);
    if (ends.length > 0) {
      subject.attributes.set(attribute, { until: Math.max(...ends), ended: false });
      if (wasKnown && !wasHeld) subject.generation++;
    } else if (wasHeld) {
      subject.attributes.set(attribute, { until: null, ended: true });
      subject.generation++;
    }
  }

  /** The reason that an access to one record is answered with. */
  reason(
    name: string,
    use: { keyId: string; generation: number; record: string; version: number },
    time: number,
  ): string {
    const subject = this.subject(name);
    const key = this.keys.get(use.keyId);
    if (key === undefined) return 'key_unknown';
    if (key.subject !== name) return 'key_not_yours';
    if (key.generation !== subject.generation || use.generation !== subject.generation) return 'key_stale';
    const record = this.records.get(use.record);
    if (record === undefined) return 'record_unknown';
    if (record.erased) return 'record_erased';
    if (record.version !== use.version) return 'version_stale';
    const has = new Set([...key.attributes].filter((one) => this.isHeld(name, one, time)));
    const also = new Set([...subject.attributes].filter(([, held]) => !held.ended).map(([one]) => one));
    return record.policy.holds(has, also) ? 'ok' : 'policy';
  }
}
