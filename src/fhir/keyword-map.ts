/**
 * What records are found by, as data: which element of which resource type feeds which field. The elements are
 * those of FHIR's own search parameters for the types (http://hl7.org/fhir/R4/searchparameter-registry.html) where there
 * are any. Documented in docs/keyword-map.md, which a test compares with these tables.
 *
 * Not indexed unless a registry declares the field: gender, decade of birth, marital status and region, which
 * enumerate in hours (docs/keyword-map.md). Never indexed: names, addresses, telecoms, identifiers, full birth dates,
 * Claim and ExplanationOfBenefit.
 */
/** How an element becomes values. Dots descend; a repeated element is taken each time. */
export type RuleKind =
  /** CodeableConcept, Coding, code or a list of them. */
  | 'code'
  /** date, dateTime, instant; of a Period its start. */
  | 'date'
  /** A string, or the text and displays of a CodeableConcept: word by word. */
  | 'text'
  /** An Attachment with base64 text in it. */
  | 'attachment';

export interface KeywordRule {
  readonly field: string;
  readonly kind: RuleKind;
  readonly path: string;
}

export interface TypeRules {
  readonly types: readonly string[];
  readonly rules: readonly KeywordRule[];
}

/** A number field: an Observation (or a component of one) with this LOINC code, in this unit. */
export interface NumberRule {
  readonly field: string;
  readonly loinc: readonly string[];
  /** UCUM unit of the grid, cell size and first cell; 2^bits cells. */
  readonly unit: string;
  readonly min: string;
  readonly step: string;
  readonly bits: number;
  /** Other UCUM units and what to multiply by. */
  readonly also?: Readonly<Record<string, number>>;
}

export interface KeywordMap {
  readonly version: number;
  readonly types: readonly TypeRules[];
  readonly numbers: readonly NumberRule[];
}

const code = (field: string, path: string): KeywordRule => ({ field, kind: 'code', path });
const date = (field: string, path: string): KeywordRule => ({ field, kind: 'date', path });
const text = (field: string, path: string): KeywordRule => ({ field, kind: 'text', path });
const attachment = (field: string, path: string): KeywordRule => ({ field, kind: 'attachment', path });

/** Clinical resources carry free remarks of one shape, Annotation. */
const REMARKS = text('note', 'note.text');

export const KEYWORD_MAP: KeywordMap = {
  version: 1,
  types: [
    {
      types: ['Condition'],
      rules: [
        code('condition', 'code'),
        text('text', 'code'),
        code('status', 'clinicalStatus'),
        code('verification', 'verificationStatus'),
        code('category', 'category'),
        code('severity', 'severity'),
        code('body-site', 'bodySite'),
        date('onset', 'onsetDateTime'),
        date('onset', 'onsetPeriod'),
        date('date', 'recordedDate'),
        REMARKS,
      ],
    },
    {
      types: ['MedicationRequest'],
      rules: [
        code('medication', 'medicationCodeableConcept'),
        text('text', 'medicationCodeableConcept'),
        code('status', 'status'),
        code('category', 'category'),
        code('reason', 'reasonCode'),
        date('date', 'authoredOn'),
        REMARKS,
      ],
    },
    {
      types: ['MedicationDispense'],
      rules: [
        code('medication', 'medicationCodeableConcept'),
        text('text', 'medicationCodeableConcept'),
        code('status', 'status'),
        code('category', 'category'),
        date('date', 'whenHandedOver'),
        REMARKS,
      ],
    },
    {
      types: ['MedicationStatement', 'MedicationAdministration'],
      rules: [
        code('medication', 'medicationCodeableConcept'),
        text('text', 'medicationCodeableConcept'),
        code('status', 'status'),
        code('category', 'category'),
        code('reason', 'reasonCode'),
        date('date', 'effectiveDateTime'),
        date('date', 'effectivePeriod'),
        REMARKS,
      ],
    },
    {
      types: ['Observation'],
      rules: [
        code('observation', 'code'),
        code('observation', 'component.code'),
        text('text', 'code'),
        code('result', 'valueCodeableConcept'),
        code('result', 'component.valueCodeableConcept'),
        code('interpretation', 'interpretation'),
        code('category', 'category'),
        code('status', 'status'),
        date('date', 'effectiveDateTime'),
        date('date', 'effectivePeriod'),
        text('note', 'valueString'),
        REMARKS,
      ],
    },
    {
      types: ['DiagnosticReport'],
      rules: [
        code('report', 'code'),
        text('text', 'code'),
        code('condition', 'conclusionCode'),
        code('category', 'category'),
        code('status', 'status'),
        date('date', 'effectiveDateTime'),
        date('date', 'effectivePeriod'),
        text('note', 'conclusion'),
        attachment('note', 'presentedForm'),
      ],
    },
    {
      types: ['DocumentReference'],
      rules: [
        code('document', 'type'),
        text('text', 'type'),
        code('category', 'category'),
        code('status', 'status'),
        date('date', 'date'),
        text('note', 'description'),
        attachment('note', 'content.attachment'),
      ],
    },
    {
      types: ['Procedure'],
      rules: [
        code('procedure', 'code'),
        text('text', 'code'),
        code('reason', 'reasonCode'),
        code('body-site', 'bodySite'),
        code('status', 'status'),
        code('category', 'category'),
        date('date', 'performedDateTime'),
        date('date', 'performedPeriod'),
        REMARKS,
      ],
    },
    {
      types: ['AllergyIntolerance'],
      rules: [
        code('allergy', 'code'),
        code('allergy', 'reaction.substance'),
        text('text', 'code'),
        code('reaction', 'reaction.manifestation'),
        code('status', 'clinicalStatus'),
        code('verification', 'verificationStatus'),
        code('category', 'category'),
        code('criticality', 'criticality'),
        date('onset', 'onsetDateTime'),
        date('date', 'recordedDate'),
        REMARKS,
      ],
    },
    {
      types: ['Immunization'],
      rules: [
        code('immunization', 'vaccineCode'),
        text('text', 'vaccineCode'),
        code('status', 'status'),
        date('date', 'occurrenceDateTime'),
        REMARKS,
      ],
    },
    {
      types: ['Encounter'],
      rules: [
        code('encounter-class', 'class'),
        code('encounter-type', 'type'),
        text('text', 'type'),
        code('reason', 'reasonCode'),
        code('status', 'status'),
        date('date', 'period'),
      ],
    },
    {
      types: ['ImagingStudy'],
      rules: [
        code('imaging', 'procedureCode'),
        code('imaging', 'series.modality'),
        code('body-site', 'series.bodySite'),
        code('status', 'status'),
        date('date', 'started'),
      ],
    },
    {
      types: ['CarePlan'],
      rules: [
        code('plan', 'category'),
        code('plan', 'activity.detail.code'),
        text('text', 'category'),
        text('note', 'description'),
        code('status', 'status'),
        date('date', 'period'),
        REMARKS,
      ],
    },
    {
      types: ['Goal'],
      rules: [
        code('plan', 'description'),
        text('text', 'description'),
        code('category', 'category'),
        code('status', 'lifecycleStatus'),
        date('date', 'startDate'),
        REMARKS,
      ],
    },
    {
      types: ['ServiceRequest'],
      rules: [
        code('plan', 'code'),
        text('text', 'code'),
        code('category', 'category'),
        code('reason', 'reasonCode'),
        code('body-site', 'bodySite'),
        code('status', 'status'),
        date('date', 'authoredOn'),
        REMARKS,
      ],
    },
    {
      types: ['Device'],
      rules: [code('device', 'type'), text('text', 'type'), code('status', 'status')],
    },
    {
      types: ['PractitionerRole'],
      rules: [code('specialty', 'specialty'), code('specialty', 'code')],
    },
    {
      types: ['Patient'],
      rules: [
        code('gender', 'gender'),
        code('marital-status', 'maritalStatus'),
        code('region', 'address.state'),
        date('birth-decade', 'birthDate'),
      ],
    },
    { types: ['Organization', 'Practitioner', 'Location'], rules: [] },
  ],
  numbers: [
    { field: 'systolic', loinc: ['8480-6'], unit: 'mm[Hg]', min: '0', step: '1', bits: 9 },
    { field: 'diastolic', loinc: ['8462-4'], unit: 'mm[Hg]', min: '0', step: '1', bits: 8 },
    {
      field: 'heart-rate',
      loinc: ['8867-4'],
      unit: '/min',
      min: '0',
      step: '1',
      bits: 9,
      also: { '{beats}/min': 1 },
    },
    {
      field: 'weight',
      loinc: ['29463-7'],
      unit: 'kg',
      min: '0',
      step: '0.5',
      bits: 10,
      also: { g: 0.001, '[lb_av]': 0.45359237 },
    },
    {
      field: 'height',
      loinc: ['8302-2'],
      unit: 'cm',
      min: '0',
      step: '1',
      bits: 8,
      also: { m: 100, '[in_i]': 2.54 },
    },
    { field: 'bmi', loinc: ['39156-5'], unit: 'kg/m2', min: '0', step: '0.5', bits: 8 },
    { field: 'hba1c', loinc: ['4548-4'], unit: '%', min: '0', step: '0.1', bits: 8 },
    {
      field: 'glucose',
      loinc: ['2339-0', '2345-7'],
      unit: 'mg/dL',
      min: '0',
      step: '5',
      bits: 8,
      also: { 'mmol/L': 18.016 },
    },
    {
      field: 'creatinine',
      loinc: ['38483-4', '2160-0'],
      unit: 'mg/dL',
      min: '0',
      step: '0.1',
      bits: 8,
      also: { 'umol/L': 0.01131 },
    },
    {
      field: 'egfr',
      loinc: ['33914-3'],
      unit: 'mL/min',
      min: '0',
      step: '5',
      bits: 6,
      also: { 'mL/min/{1.73_m2}': 1 },
    },
    {
      field: 'ldl',
      loinc: ['18262-6', '13457-7'],
      unit: 'mg/dL',
      min: '0',
      step: '5',
      bits: 7,
      also: { 'mmol/L': 38.67 },
    },
    {
      field: 'hemoglobin',
      loinc: ['718-7'],
      unit: 'g/dL',
      min: '0',
      step: '0.5',
      bits: 6,
      also: { 'g/L': 0.1 },
    },
  ],
};
