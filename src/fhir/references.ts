/**
 * FHIR references (http://hl7.org/fhir/R4/references.html): which of the four forms a reference has, what it
 * points at inside its Bundle, and by which name a patient or an organisation is recognised across resources.
 */
import { asList, identifiersOf, identifierToken, isObject, type JsonObject, type JsonValue } from './json.ts';
import type { BundleContext, BundleTarget, SourceResource } from './read.ts';

/** A `Reference` by its form. */
export type Reference =
  /** `urn:uuid:...`, `urn:oid:...`: meaningful inside its Bundle only. */
  | { readonly kind: 'urn'; readonly url: string }
  /** `Patient/1`, or the same behind a server's base URL. */
  | { readonly kind: 'literal'; readonly resourceType: string; readonly id: string; readonly base?: string }
  /** `Practitioner?identifier=system|value`, or a Reference that has only an identifier. */
  | { readonly kind: 'identifier'; readonly resourceType?: string; readonly identifier: string }
  /** `#id`: a resource contained in this one. */
  | { readonly kind: 'contained' }
  /** Only a display text, or a form we do not know. */
  | { readonly kind: 'opaque' };

const LITERAL_FORM =
  /^(?:(https?:\/\/[^?#]+)\/)?([A-Z][A-Za-z]{1,63})\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;
const CONDITIONAL_FORM = /^([A-Z][A-Za-z]{1,63})\?identifier=([^&]+)$/;

/** The form of a Reference element. */
export function parseReference(value: JsonValue | undefined): Reference {
  if (!isObject(value)) return { kind: 'opaque' };
  if (typeof value.reference === 'string') return parseReferenceText(value.reference);
  const identifier = identifierToken(value.identifier);
  if (identifier === undefined) return { kind: 'opaque' };
  return {
    kind: 'identifier',
    identifier,
    ...(typeof value.type === 'string' && { resourceType: value.type }),
  };
}

function parseReferenceText(text: string): Reference {
  if (text.startsWith('#')) return { kind: 'contained' };
  if (/^urn:(?:uuid|oid):/.test(text)) return { kind: 'urn', url: text };
  const literal = LITERAL_FORM.exec(text);
  if (literal !== null) {
    const [, base, resourceType = '', id = ''] = literal;
    return { kind: 'literal', resourceType, id, ...(base !== undefined && { base }) };
  }
  const conditional = CONDITIONAL_FORM.exec(text);
  if (conditional !== null) {
    const [, resourceType = '', identifier = ''] = conditional;
    return { kind: 'identifier', resourceType, identifier: decodeToken(identifier) };
  }
  return { kind: 'opaque' };
}

/** A conditional reference is part of a URL; one that is not well escaped is taken as it stands. */
function decodeToken(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A reference by identifier that leaves its type open, where the element allows one type only. */
export function typed(reference: Reference, resourceType: string): Reference {
  return reference.kind === 'identifier' ? { resourceType, ...reference } : reference;
}

/** What `reference` points at inside `bundle`, if that is there. */
export function resolveInBundle(
  reference: Reference,
  bundle: BundleContext | undefined,
): BundleTarget | undefined {
  if (bundle === undefined) return undefined;
  switch (reference.kind) {
    case 'urn':
      return bundle.targets.get(reference.url);
    case 'literal': {
      const local = `${reference.resourceType}/${reference.id}`;
      return bundle.targets.get(reference.base === undefined ? local : `${reference.base}/${local}`);
    }
    case 'identifier':
      if (reference.resourceType === undefined) return undefined;
      return bundle.targets.get(`${reference.resourceType}?identifier=${reference.identifier}`);
    case 'contained':
    case 'opaque':
      return undefined;
  }
}

/** Elements that name the patient a resource is about, in the order in which they are tried. */
const PATIENT_ELEMENTS = ['patient', 'subject', 'beneficiary', 'individual', 'for'] as const;
/** Those of them that can point at nothing but a patient, so that an unresolved one still names a patient. */
const PATIENT_ONLY = new Set<string>(['patient', 'beneficiary', 'individual']);

/**
 * The name by which one patient is recognised across the resources of one source system: `Patient/<id>`, else the
 * Bundle's `fullUrl`, else `Patient?identifier=<system>|<value>`. Undefined when a resource is about no patient
 * (an Organization, a Group as subject). Ids are local to the system that exported them: who imports from several
 * systems keys its identifier map by (system, this name).
 */
export function patientKeyOf(
  resource: Pick<SourceResource, 'resourceType' | 'id' | 'json' | 'fullUrl' | 'bundle'>,
): string | undefined {
  if (resource.resourceType === 'Patient') {
    return resource.id !== undefined
      ? `Patient/${resource.id}`
      : (resource.fullUrl ?? byIdentifier(resource.json));
  }
  for (const element of PATIENT_ELEMENTS) {
    for (const value of asList(resource.json[element])) {
      const key = keyOfReference(parseReference(value), PATIENT_ONLY.has(element), resource.bundle);
      if (key !== undefined) return key;
    }
  }
  for (const participant of asList(resource.json.participant)) {
    if (!isObject(participant)) continue;
    const key = keyOfReference(parseReference(participant.actor), false, resource.bundle);
    if (key !== undefined) return key;
  }
  return undefined;
}

function byIdentifier(json: JsonObject): string | undefined {
  const [identifier] = identifiersOf(json);
  return identifier === undefined ? undefined : `Patient?identifier=${identifier}`;
}

function keyOfReference(
  written: Reference,
  patientOnly: boolean,
  bundle: BundleContext | undefined,
): string | undefined {
  const reference = patientOnly ? typed(written, 'Patient') : written;
  const target = resolveInBundle(reference, bundle);
  if (target !== undefined) {
    if (target.resourceType !== 'Patient') return undefined;
    if (target.id !== undefined) return `Patient/${target.id}`;
    return reference.kind === 'urn' ? reference.url : byIdentifier(target.json);
  }
  switch (reference.kind) {
    case 'literal': {
      if (reference.resourceType !== 'Patient') return undefined;
      return reference.base === undefined
        ? `Patient/${reference.id}`
        : `${reference.base}/Patient/${reference.id}`;
    }
    case 'identifier': {
      const isPatient =
        reference.resourceType === undefined ? patientOnly : reference.resourceType === 'Patient';
      return isPatient ? `Patient?identifier=${reference.identifier}` : undefined;
    }
    case 'urn':
      return patientOnly ? reference.url : undefined;
    case 'contained':
    case 'opaque':
      return undefined;
  }
}
