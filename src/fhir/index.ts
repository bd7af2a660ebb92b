/**
 * The FHIR edge: reading Bundles and ndjson as exact bytes, deciding custody, default policies, what records are
 * found by, and the standard shapes of audit and consent. Pure, shared with browsers; FHIR stays at the edge and the
 * rest of Hippocrypt sees bytes, policy texts and field values. Formats: docs/format/fhir.md.
 */
export type { AuditEntryView, AuditedRecord, BalpAuditEvent, Verdict } from './audit-event.ts';
export { toBalpAuditEvents } from './balp.ts';
export { codeAncestors } from './code-hierarchy.ts';
export {
  type ConsentState,
  type ConsentView,
  type ConsentWish,
  consentFromFhir,
  consentToFhir,
  type FhirConsent,
} from './consent.ts';
export {
  DEPARTMENT_RULES,
  DEPARTMENTS,
  type DepartmentRule,
  departmentOf,
  GENERAL_DEPARTMENT,
} from './departments.ts';
export { FHIR_ERRORS, type FhirErrorCode } from './errors.ts';
export {
  type AncestorLookup,
  DEFAULT_FIELDS,
  type ExtractOptions,
  extractKeywords,
  toKeywords,
} from './extract.ts';
export { fieldSpecs, quasiIdentifierSpecs } from './fields.ts';
export { identifiersOf, type JsonObject, type JsonValue } from './json.ts';
export {
  KEYWORD_MAP,
  type KeywordMap,
  type KeywordRule,
  type NumberRule,
  type RuleKind,
  type TypeRules,
} from './keyword-map.ts';
export { BUNDLE_ENTRIES_MAX, RESOURCE_BYTES_MAX, VALUE_BYTES_MAX } from './limits.ts';
export {
  CUSTODIAN_DOMAIN,
  custodianOf,
  type ImportBatch,
  type ImportSurvey,
  type PlannedResource,
  planImport,
  serviceProviderOf,
  surveyImport,
} from './plan.ts';
export { defaultPolicy, defaultSearchPolicy, type PolicyContext, policyGroupOf } from './policies.ts';
export {
  DEFAULT_COUNT_POLICY,
  DEFAULT_POLICIES,
  DEFAULT_SEARCH_POLICY,
  type PolicyGroup,
  type PolicyMap,
} from './policy-map.ts';
export {
  type BundleContext,
  type BundleTarget,
  isRefusal,
  type Position,
  type Refusal,
  readDocument,
  readResources,
  type SourceItem,
  type SourceResource,
} from './read.ts';
export {
  parseReference,
  patientKeyOf,
  type Reference,
  resolveInBundle,
} from './references.ts';
export { defaultRegistry, PURPOSES, ROLES } from './registry.ts';
export { PURPOSE_CODES, type Purpose, purposeOfCode, SYSTEM } from './systems.ts';
