/** Every code that the FHIR edge refuses or throws with, and what the reader of it is to know. */
export const FHIR_ERRORS = {
  'fhir.gzip': 'The file begins like gzip but is damaged or cut short.',
  'fhir.json_syntax': 'Not JSON (RFC 8259).',
  'fhir.json_utf8': 'Not well-formed UTF-8.',
  'fhir.json_text': 'A string holds half a surrogate pair.',
  'fhir.json_duplicate_name':
    'An object holds the same name twice, so readers would disagree on its meaning.',
  'fhir.json_depth': 'Objects and arrays are nested too deep.',
  'fhir.too_large': 'A JSON text or a resource is larger than allowed.',
  'fhir.too_many_entries': 'A Bundle has too many entries.',
  'fhir.shape': 'Neither a Bundle nor a resource.',
  'fhir.no_resource': 'A Bundle entry without a resource.',
  'fhir.no_type': 'A resource without a resourceType.',
  'fhir.id': 'A resource whose id is no FHIR id.',
  'fhir.no_members': 'Custody cannot be decided without members.',
  'fhir.survey_too_large': 'The file set names more patients and organisations than the first pass keeps.',
  'fhir.policy_input': 'A member, department or pseudonym that cannot stand in a policy.',
  'fhir.consent_shape': 'A Consent that does not say what a grant must say.',
} as const;

export type FhirErrorCode = keyof typeof FHIR_ERRORS;
