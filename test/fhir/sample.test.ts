import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  DEFAULT_FIELDS,
  extractKeywords,
  type ImportBatch,
  isRefusal,
  type JsonValue,
  parseReference,
  planImport,
  resolveInBundle,
  type SourceResource,
  toKeywords,
} from '../../src/fhir/index.ts';
import { type Formula, keywordKey, parseQuery, planQuery } from '../../src/search/index.ts';
import { collect, MEMBERS, readFiles, sampleFiles, text } from './shared.ts';

const files = sampleFiles();
const items = await collect(readFiles(files));
const resources = items.filter((item): item is SourceResource => !isRefusal(item));

/** Required elements and value sets of FHIR R4 for the types of the sample, closed against misspelt elements. */
const reference = z.strictObject({
  reference: z.string().startsWith('urn:uuid:'),
  display: z.string().optional(),
});
const coding = z.strictObject({ system: z.url(), code: z.string().min(1), display: z.string().optional() });
const concept = z.strictObject({ coding: z.array(coding).min(1).optional(), text: z.string().optional() });
const quantity = z.strictObject({
  value: z.number(),
  unit: z.string(),
  system: z.literal('http://unitsofmeasure.org').optional(),
  code: z.string().optional(),
});
const instant = z.string().regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?[+-]\d{2}:\d{2}$/);
const date = z.string().regex(/^\d{4}(-\d{2}(-\d{2})?)?$/);
const identifier = z.array(z.strictObject({ system: z.url(), value: z.string() })).min(1);
const resource = <T extends string>(type: T, shape: z.ZodRawShape) =>
  z.strictObject({ resourceType: z.literal(type), id: z.uuid(), ...shape });
const name = z.array(
  z.strictObject({
    use: z.literal('official').optional(),
    text: z.string(),
    family: z.string(),
    given: z.array(z.string()),
    prefix: z.array(z.string()).optional(),
  }),
);
const SCHEMA = z.discriminatedUnion('resourceType', [
  resource('Patient', {
    identifier,
    active: z.boolean(),
    name,
    gender: z.enum(['male', 'female', 'other', 'unknown']),
    birthDate: date,
  }),
  resource('Organization', { identifier, active: z.boolean(), type: z.array(concept), name: z.string() }),
  resource('Practitioner', { identifier, active: z.boolean(), name }),
  resource('Encounter', {
    status: z.enum(['planned', 'arrived', 'in-progress', 'finished', 'cancelled']),
    class: coding,
    type: z.array(concept),
    subject: reference,
    participant: z.array(z.strictObject({ individual: reference })),
    period: z.strictObject({ start: instant, end: instant }),
    reasonCode: z.array(concept),
    serviceProvider: reference,
  }),
  resource('Condition', {
    clinicalStatus: concept,
    verificationStatus: concept,
    category: z.array(concept),
    code: concept,
    subject: reference,
    encounter: reference,
    onsetDateTime: date,
    recordedDate: date,
  }),
  resource('Observation', {
    status: z.enum(['registered', 'preliminary', 'final', 'amended']),
    category: z.array(concept),
    code: concept,
    subject: reference,
    encounter: reference,
    effectiveDateTime: instant,
    valueQuantity: quantity.optional(),
    component: z.array(z.strictObject({ code: concept, valueQuantity: quantity })).optional(),
  }),
  resource('MedicationRequest', {
    status: z.enum(['active', 'completed', 'stopped']),
    intent: z.enum(['order', 'plan', 'proposal']),
    medicationCodeableConcept: concept,
    subject: reference,
    encounter: reference,
    authoredOn: date,
    requester: reference,
    dosageInstruction: z.array(
      z.strictObject({
        sequence: z.number().int(),
        text: z.string(),
        doseAndRate: z.array(z.strictObject({ doseQuantity: quantity })),
      }),
    ),
  }),
  resource('AllergyIntolerance', {
    clinicalStatus: concept,
    verificationStatus: concept,
    category: z.array(z.enum(['food', 'medication', 'environment', 'biologic'])),
    criticality: z.enum(['low', 'high', 'unable-to-assess']),
    code: concept,
    patient: reference,
    recordedDate: date,
  }),
  resource('DiagnosticReport', {
    status: z.literal('final'),
    category: z.array(concept),
    code: concept,
    subject: reference,
    encounter: reference,
    effectiveDateTime: instant,
    issued: instant,
    result: z.array(reference).min(1),
    conclusion: z.string(),
  }),
  resource('DocumentReference', {
    status: z.literal('current'),
    docStatus: z.literal('final'),
    type: concept,
    category: z.array(concept),
    subject: reference,
    date: instant,
    author: z.array(reference),
    custodian: reference,
    content: z
      .array(
        z.strictObject({
          attachment: z.strictObject({
            contentType: z.string(),
            language: z.literal('en'),
            data: z.base64(),
          }),
        }),
      )
      .length(1),
    context: z.strictObject({ encounter: z.array(reference) }),
  }),
]);

/** Every Reference element inside a value. */
function* referencesIn(value: JsonValue | undefined): Generator<JsonValue> {
  if (Array.isArray(value)) for (const one of value) yield* referencesIn(one);
  else if (typeof value === 'object' && value !== null) {
    if ('reference' in value) yield value;
    else for (const one of Object.values(value)) yield* referencesIn(one);
  }
}

describe('the sample', () => {
  it('reads without a refusal', () => {
    expect(items.filter(isRefusal)).toEqual([]);
    expect(files).toHaveLength(13);
  });

  it('holds all ten types, each valid in its required elements and codes', () => {
    for (const { json } of resources) expect(() => SCHEMA.parse(json)).not.toThrow();
    expect(new Set(resources.map(({ resourceType }) => resourceType)).size).toBe(SCHEMA.options.length);
  });

  it('resolves every reference inside its Bundle, and posts every entry by its type', () => {
    for (const { json, bundle } of resources) {
      for (const value of referencesIn(json))
        expect(resolveInBundle(parseReference(value), bundle)).toBeDefined();
    }
    for (const file of files) {
      for (const entry of JSON.parse(readFileSync(file, 'utf8')).entry) {
        expect(entry.fullUrl).toBe(`urn:uuid:${entry.resource.id}`);
        expect(entry.request).toEqual({ method: 'POST', url: entry.resource.resourceType });
      }
    }
  });

  it('would be changed by any copy that parses and prints it', () => {
    const slices = resources.map(({ bytes }) => text(bytes));
    for (const kept of ['"value": 37.50', '"value": 1.0', '\\u00bd', 'Pätient', '°C']) {
      expect(
        slices.some((slice) => slice.includes(kept)),
        kept,
      ).toBe(true);
    }
    for (const slice of slices) expect(slice).not.toBe(JSON.stringify(JSON.parse(slice)));
  });

  it('names nobody', () => {
    for (const { resourceType, json } of resources) {
      if (resourceType !== 'Patient' && resourceType !== 'Practitioner') continue;
      expect(JSON.stringify(json.name)).toMatch(/T[eë]st P[aä]tient \d\d|Sample Practitioner \d\d/);
    }
  });

  it('is what scripts/make-sample.mjs writes', () => {
    const before = files.map((file) => readFileSync(file, 'utf8'));
    const script = fileURLToPath(new URL('../../scripts/make-sample.mjs', import.meta.url));
    const printed = execFileSync(process.execPath, [script, '--print'], {
      encoding: 'utf8',
      maxBuffer: 1 << 24,
    });
    expect(printed).toBe(before.join(''));
  });
});

describe('the sample answers queries of src/search, evaluated here on plain keywords by patient', () => {
  /** Keyword -> numbers of the patients (their files) that have it. */
  const patientsOf = new Map<string, Set<number>>();
  for (const { json, position } of resources) {
    const patient = Number(position.source.slice('patient-'.length, -'.json'.length));
    for (const bytes of toKeywords(extractKeywords(json)).keywords) {
      const key = keywordKey(bytes);
      patientsOf.set(key, (patientsOf.get(key) ?? new Set()).add(patient));
    }
  }
  const answers = (query: string): number[] => {
    const { formula, keywords } = planQuery(parseQuery(query), DEFAULT_FIELDS);
    const holds = (part: Formula, patient: number): boolean => {
      switch (part.op) {
        case 'keyword':
          return patientsOf.get(keywordKey(keywords[part.at].bytes))?.has(patient) ?? false;
        case 'not':
          return !holds(part.arg, patient);
        case 'and':
          return part.args.every((arg) => holds(arg, patient));
        case 'or':
          return part.args.some((arg) => holds(arg, patient));
      }
    };
    return Array.from({ length: 13 }, (_, i) => i + 1).filter((patient) => holds(formula, patient));
  };

  it.each([
    ['condition:E11* and condition:I10 and medication:860975', [1, 2, 5]],
    ['condition:"http://hl7.org/fhir/sid/icd-10-cm"|I10 and not condition:E11*', [4, 12]],
    ['condition:E11.22', [2]],
    ['hba1c >= 7.0', [1, 2, 11]],
    ['hba1c in [6.5, 7.0]', [5, 8]],
    ['systolic > 145', [1, 2, 12]],
    ['diastolic > 145', []],
    ['note:metformin and note:dietitian', [1]],
    ['note:DIZZY or note:palpitation', [1, 4]],
    ['text:diab*', [1, 2, 5, 8, 11]],
    ['allergy:7980', [1, 6, 9]],
    ['date >= 2025-01-01 and type:Encounter', [3, 4, 8, 9, 13]],
    ['type:Claim', []],
  ])('%s', (query, patients) => {
    expect(answers(query)).toEqual(patients);
  });
});

describe('the sample over four hospitals', async () => {
  const batches = (await collect(planImport(readFiles(files), MEMBERS))).filter(
    (one): one is ImportBatch => !isRefusal(one),
  );

  it('gives each at least two patients', () => {
    for (const member of MEMBERS) {
      expect(batches.filter(({ custodian }) => custodian === member).length).toBeGreaterThanOrEqual(2);
    }
  });

  it('answers diabetes and hypertension and metformin at two hospitals, not at all', () => {
    const codesOf = (batch: ImportBatch): Set<string> =>
      new Set(
        batch.resources.flatMap(({ resource: { json } }) =>
          extractKeywords(json).flatMap((value) =>
            value.kind === 'code' ? [`${value.field}:${value.code}`] : [],
          ),
        ),
      );
    const found = batches.filter((batch) =>
      ['condition:E11.9', 'condition:I10', 'medication:860975'].every((code) => codesOf(batch).has(code)),
    );
    expect(found.map(({ custodian }) => custodian)).toEqual(['mercy', 'mercy', 'university']);
    for (const member of MEMBERS) {
      const here = batches
        .filter(({ custodian }) => custodian === member)
        .flatMap((batch) => [...codesOf(batch)]);
      expect(here).toContain('condition:I10');
    }
  });
});
