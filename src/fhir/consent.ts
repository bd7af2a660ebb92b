/**
 * A grant on the ledger as a FHIR R4 Consent, and back. The ledger can say: this patient lets this subject read,
 * until then, for that purpose. A Consent can say far more; whatever it says beyond that (a denial, exceptions, classes
 * of data, several actors) is refused rather than dropped, because dropping a restriction would widen the grant.
 */
import { CodedError } from '../codec/errors.ts';
import { asList, isObject, type JsonObject, type JsonValue } from './json.ts';
import {
  ACT_REASON,
  byIdentifier,
  type Coding,
  type Concept,
  concept,
  type IdentifierReference,
  type Purpose,
  purposeCoding,
  purposeOfCode,
  SYSTEM,
} from './systems.ts';

export type ConsentState = 'requested' | 'accepted' | 'rejected' | 'revoked';

/** What the ledger knows of a consent. */
export interface ConsentView {
  /** Entry id of the ConsentRequest, 64 hexadecimal digits. */
  readonly id: string;
  /** Pseudonyms, 32 hexadecimal digits each. */
  readonly patient: string;
  readonly grantee: string;
  /** Milliseconds; the grant ends then. */
  readonly until: number;
  readonly purpose: Purpose;
  readonly state: ConsentState;
  /** Block time of the last change. */
  readonly time: number;
}

/** What a Consent asks for: the body of a ConsentRequest with its grantee, and the state it wants. */
export interface ConsentWish {
  readonly patient: string;
  readonly grantee: string;
  readonly until: number;
  readonly purpose: Purpose;
  readonly state: ConsentState;
}

/** The Consent (FHIR R4) that we write. */
export interface FhirConsent {
  readonly resourceType: 'Consent';
  readonly id: string;
  readonly identifier: readonly { readonly system: string; readonly value: string }[];
  readonly status: 'proposed' | 'active' | 'rejected' | 'inactive';
  readonly scope: Concept;
  readonly category: readonly Concept[];
  readonly patient: IdentifierReference;
  readonly dateTime: string;
  readonly policyRule: Concept;
  readonly provision: {
    readonly type: 'permit';
    readonly period: { readonly end: string };
    readonly actor: readonly { readonly role: Concept; readonly reference: IdentifierReference }[];
    readonly action: readonly Concept[];
    readonly purpose: readonly Coding[];
  };
}

const STATUS = {
  requested: 'proposed',
  accepted: 'active',
  rejected: 'rejected',
  revoked: 'inactive',
} as const;
const HL7 = 'http://terminology.hl7.org/CodeSystem';
const SCOPE = { system: `${HL7}/consentscope`, code: 'patient-privacy', display: 'Privacy Consent' };
const CATEGORY = { system: 'http://loinc.org', code: '59284-0', display: 'Consent Document' };
const OPT_IN = { system: `${HL7}/v3-ActCode`, code: 'OPTIN', display: 'opt-in' };
const RECIPIENT = { system: `${HL7}/v3-ParticipationType`, code: 'IRCP', display: 'information recipient' };
const ACCESS = { system: `${HL7}/consentaction`, code: 'access', display: 'Access' };

/** The Consent that says what the ledger says. */
export function consentToFhir(consent: ConsentView): FhirConsent {
  return {
    resourceType: 'Consent',
    id: consent.id,
    identifier: [{ system: SYSTEM.consent, value: consent.id }],
    status: STATUS[consent.state],
    scope: concept(SCOPE),
    category: [concept(CATEGORY)],
    patient: byIdentifier(SYSTEM.subject, consent.patient, 'Patient'),
    dateTime: new Date(consent.time).toISOString(),
    policyRule: concept(OPT_IN),
    provision: {
      type: 'permit',
      period: { end: new Date(consent.until).toISOString() },
      actor: [{ role: concept(RECIPIENT), reference: byIdentifier(SYSTEM.subject, consent.grantee) }],
      action: [concept(ACCESS)],
      purpose: [purposeCoding(consent.purpose)],
    },
  };
}

const refuse = (path: string, expected: string): never => {
  throw new CodedError('fhir.consent_shape', `Consent.${path}: expected ${expected}`, { details: { path } });
};

/** Elements of a Consent that change nothing about the grant, and those that are read. */
const KNOWN = new Set(
  'resourceType id meta text language identifier status scope category patient dateTime policyRule provision'.split(
    ' ',
  ),
);
const KNOWN_PROVISION = new Set(['id', 'type', 'period', 'actor', 'action', 'purpose']);
const KNOWN_ACTOR = new Set(['id', 'role', 'reference']);

/**
 * What `json` asks for. Throws `fhir.consent_shape` with the element's path (`details.path`) when it is no Consent, lacks
 * what a grant needs, or says something that the ledger could not hold to.
 */
export function consentFromFhir(json: JsonObject): ConsentWish {
  if (json.resourceType !== 'Consent') refuse('resourceType', '"Consent"');
  onlyKnown(json, KNOWN, '');
  const provision = object(json.provision, 'provision', 'one provision that permits');
  onlyKnown(provision, KNOWN_PROVISION, 'provision.');
  if ((provision.type ?? 'permit') !== 'permit')
    refuse('provision.type', '"permit": the ledger has no denials');
  checkCode(json.scope, 'scope', SCOPE);
  if (json.policyRule !== undefined) checkCode(json.policyRule, 'policyRule', OPT_IN);
  for (const action of asList(provision.action)) checkCode(action, 'provision.action', ACCESS);
  return {
    state: stateOf(json.status),
    patient: pseudonym(json.patient, 'patient'),
    grantee: granteeOf(provision),
    until: endOf(provision.period),
    purpose: purposeIn(provision.purpose),
  };
}

function onlyKnown(json: JsonObject, known: ReadonlySet<string>, prefix: string): void {
  for (const name of Object.keys(json)) {
    if (!known.has(name)) refuse(`${prefix}${name}`, 'no element beyond who, whom, until when and what for');
  }
}

function object(value: JsonValue | undefined, path: string, expected: string): JsonObject {
  return isObject(value) ? value : refuse(path, expected);
}

function stateOf(status: JsonValue | undefined): ConsentState {
  for (const state of ['requested', 'accepted', 'rejected', 'revoked'] as const) {
    if (STATUS[state] === status) return state;
  }
  return refuse('status', 'proposed, active, rejected or inactive');
}

function pseudonym(value: JsonValue | undefined, path: string): string {
  const identifier = isObject(value) ? value.identifier : undefined;
  const ok = isObject(identifier) && identifier.system === SYSTEM.subject;
  const found = ok ? identifier.value : undefined;
  if (typeof found !== 'string' || !/^[0-9a-f]{32}$/.test(found)) {
    return refuse(path, `a reference by identifier, system "${SYSTEM.subject}", value a pseudonym`);
  }
  return found;
}

function granteeOf(provision: JsonObject): string {
  const actors = asList(provision.actor);
  const [actor] = actors;
  if (actors.length !== 1 || !isObject(actor)) return refuse('provision.actor', 'one actor, who may read');
  onlyKnown(actor, KNOWN_ACTOR, 'provision.actor.');
  checkCode(actor.role, 'provision.actor.role', RECIPIENT);
  return pseudonym(actor.reference, 'provision.actor.reference');
}

/** A time with its offset; a date alone leaves open when the grant ends. */
const INSTANT_FORM = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

function endOf(period: JsonValue | undefined): number {
  const { start, end } = object(period, 'provision.period', 'a period with an end');
  if (start !== undefined) refuse('provision.period.start', 'no start: a grant holds from its acceptance');
  const time = typeof end === 'string' && INSTANT_FORM.test(end) ? Date.parse(end) : Number.NaN;
  return Number.isNaN(time) ? refuse('provision.period.end', 'a time with seconds and offset') : time;
}

function purposeIn(value: JsonValue | undefined): Purpose {
  const purposes = asList(value);
  const [coding] = purposes;
  if (
    purposes.length !== 1 ||
    !isObject(coding) ||
    coding.system !== ACT_REASON ||
    typeof coding.code !== 'string'
  ) {
    return refuse('provision.purpose', `one purpose, system "${ACT_REASON}"`);
  }
  return (
    purposeOfCode(coding.code) ?? refuse('provision.purpose', 'a purpose of the ledger (docs/format/fhir.md)')
  );
}

function checkCode(value: JsonValue | undefined, path: string, { system, code }: Coding): void {
  const codings = isObject(value) ? asList(value.coding) : [];
  const fits = codings.some((coding) => isObject(coding) && coding.system === system && coding.code === code);
  if (!fits) refuse(path, `the code "${code}" of ${system}`);
}
