/**
 * The default policies as data: which group a resource type is in, and who may open a group's records. A member that
 * wants other rules passes a map of its own; `version` goes with the map so that both can be told apart later.
 *
 * `{member}`, `{department}` and `{patient}` are replaced; an alternative that names `{patient}` falls away for records
 * about no patient. Documented in docs/default-policies.md, which a test compares with this table.
 */

/** A policy template: alternatives, any of which opens the record. */
export interface PolicyGroup {
  readonly name: string;
  readonly types: readonly string[];
  readonly anyOf: readonly string[];
}

export interface PolicyMap {
  readonly version: number;
  readonly groups: readonly PolicyGroup[];
  /** For resource types that no group names. */
  readonly otherwise: PolicyGroup;
}

const CARE_TEAM = '{member}/dept:{department} and ({member}/role:doctor or {member}/role:nurse)';
const ATTENDING = '{member}/role:attending';
/** The patient's own key, and whoever the patient consented to, until the consent ends. */
const PATIENT = ['patient:{patient}', 'consent:{patient}'] as const;

export const DEFAULT_POLICIES: PolicyMap = {
  version: 1,
  groups: [
    {
      name: 'clinical',
      types: [
        'AllergyIntolerance',
        'CarePlan',
        'CareTeam',
        'ClinicalImpression',
        'Communication',
        'Composition',
        'Condition',
        'DetectedIssue',
        'Device',
        'DeviceRequest',
        'DocumentManifest',
        'DocumentReference',
        'EpisodeOfCare',
        'FamilyMemberHistory',
        'Flag',
        'Goal',
        'Immunization',
        'List',
        'NutritionOrder',
        'Procedure',
        'QuestionnaireResponse',
        'RiskAssessment',
        'ServiceRequest',
        'Task',
      ],
      anyOf: [CARE_TEAM, ATTENDING, ...PATIENT],
    },
    {
      name: 'results',
      types: ['DiagnosticReport', 'ImagingStudy', 'Media', 'Observation', 'Specimen'],
      anyOf: [CARE_TEAM, '{member}/role:lab', ATTENDING, ...PATIENT],
    },
    {
      name: 'medication',
      types: ['MedicationAdministration', 'MedicationDispense', 'MedicationRequest', 'MedicationStatement'],
      anyOf: [CARE_TEAM, '{member}/role:pharmacist', ATTENDING, ...PATIENT],
    },
    {
      name: 'visit',
      types: ['Appointment', 'AppointmentResponse', 'Encounter'],
      anyOf: [CARE_TEAM, '{member}/role:admin', ATTENDING, ...PATIENT],
    },
    {
      name: 'identity',
      types: ['Patient', 'Person', 'RelatedPerson'],
      anyOf: ['{member}/role:admin', '{member}/role:doctor', '{member}/role:nurse', ATTENDING, ...PATIENT],
    },
    {
      name: 'billing',
      types: [
        'Account',
        'ChargeItem',
        'Claim',
        'ClaimResponse',
        'Contract',
        'Coverage',
        'ExplanationOfBenefit',
        'Invoice',
        'PaymentNotice',
      ],
      anyOf: ['{member}/role:billing', ...PATIENT],
    },
    {
      name: 'directory',
      types: [
        'Endpoint',
        'HealthcareService',
        'Location',
        'Medication',
        'Organization',
        'OrganizationAffiliation',
        'Practitioner',
        'PractitionerRole',
        'Schedule',
        'Slot',
        'Substance',
      ],
      anyOf: ['{member}/role:staff'],
    },
    {
      name: 'oversight',
      types: ['AuditEvent', 'Consent', 'Provenance'],
      anyOf: ['{member}/role:privacy', '{member}/role:auditor', 'patient:{patient}'],
    },
    {
      name: 'research',
      types: ['Group', 'ResearchStudy', 'ResearchSubject'],
      anyOf: ['{member}/role:researcher', ATTENDING, ...PATIENT],
    },
  ],
  otherwise: {
    name: 'other',
    types: [],
    anyOf: [ATTENDING, '{member}/role:privacy', ...PATIENT],
  },
};

/**
 * Who may search the fields of a member's index. A search tells, without opening anything, which pseudonym has a record
 * with a value; so this is a right of its own, wider for researchers than reading, and each member grants it by granting
 * `role:researcher`. What it discloses: docs/keyword-map.md.
 */
export const DEFAULT_SEARCH_POLICY = '{member}/role:researcher or {member}/role:attending';

/**
 * The same for fields that may also be counted over: whoever holds the right to count learns numbers, never hits. Not for
 * pseudonyms: nine people of whom the answer is known and one more would make each count an answer about that one.
 */
export const DEFAULT_COUNT_POLICY = `${DEFAULT_SEARCH_POLICY} or {member}/right:counts`;
