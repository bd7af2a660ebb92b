/** Names of code systems and of our own identifiers in FHIR documents that we write. */
import { PURPOSES } from './registry.ts';

export type Purpose = (typeof PURPOSES)[number];

/** Identifier systems for what stands on the ledger; an experimental URN namespace, resolvable nowhere. */
export const SYSTEM = {
  subject: 'urn:x-hippocrypt:subject',
  record: 'urn:x-hippocrypt:record',
  entry: 'urn:x-hippocrypt:entry',
  consent: 'urn:x-hippocrypt:consent',
  member: 'urn:x-hippocrypt:member',
} as const;

export const ACT_REASON = 'http://terminology.hl7.org/CodeSystem/v3-ActReason';

/** v3-ActReason code and display of each purpose of the ledger. */
export const PURPOSE_CODES: Readonly<Record<Purpose, readonly [code: string, display: string]>> = {
  treatment: ['TREAT', 'treatment'],
  payment: ['HPAYMT', 'healthcare payment'],
  operations: ['HOPERAT', 'healthcare operations'],
  research: ['HRESCH', 'healthcare research'],
  patient: ['PATRQT', 'patient requested'],
  audit: ['HCOMPL', 'health compliance'],
};

/** The purpose whose code is `code`, if the ledger has one. */
export function purposeOfCode(code: string): Purpose | undefined {
  return PURPOSES.find((purpose) => PURPOSE_CODES[purpose][0] === code);
}

/** FHIR Coding. */
export interface Coding {
  readonly system: string;
  readonly code: string;
  readonly display?: string;
}

/** FHIR CodeableConcept with codings only. */
export interface Concept {
  readonly coding: readonly Coding[];
}

/** A Reference by identifier: nothing on the ledger has a URL. */
export interface IdentifierReference {
  readonly type?: string;
  readonly identifier: { readonly system: string; readonly value: string };
}

export const concept = (coding: Coding): Concept => ({ coding: [coding] });

export const purposeConcept = (purpose: Purpose): Concept => concept(purposeCoding(purpose));

export function purposeCoding(purpose: Purpose): Coding {
  const [code, display] = PURPOSE_CODES[purpose];
  return { system: ACT_REASON, code, display };
}

export function byIdentifier(system: string, value: string, type?: string): IdentifierReference {
  return { ...(type !== undefined && { type }), identifier: { system, value } };
}
