import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  codeAncestors,
  DEFAULT_FIELDS,
  DEPARTMENTS,
  departmentOf,
  extractKeywords,
  fieldSpecs,
  type JsonObject,
  KEYWORD_MAP,
  patientKeyOf,
  quasiIdentifierSpecs,
  toKeywords,
} from '../../src/fhir/index.ts';
import { decodeKeyword, fieldRegistry, keywordsOf, RECORD_KEYWORDS_MAX } from '../../src/search/index.ts';
import { PATIENT } from './shared.ts';

const ICD10 = 'http://hl7.org/fhir/sid/icd-10-cm';
const LOINC = 'http://loinc.org';
const DOCUMENT = readFileSync(new URL('../../docs/keyword-map.md', import.meta.url), 'utf8');

const base64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const fieldsOf = (json: JsonObject) => extractKeywords(json).map(({ field }) => field);
const valuesOf = (json: JsonObject, field: string) =>
  extractKeywords(json).filter((value) => value.field === field);

describe('what a Condition is found by', () => {
  const CONDITION = {
    resourceType: 'Condition',
    code: { coding: [{ system: ICD10, code: 'E11.65', display: 'Type 2 diabetes' }], text: 'Diabetes' },
    clinicalStatus: { coding: [{ code: 'active' }] },
    onsetDateTime: '2011-06',
    recordedDate: '2024-05-21T23:30:00-05:00',
    note: [{ text: 'Seen by the dietitian.' }],
    subject: { reference: 'Patient/1', display: 'Somebody' },
  };

  it('is its values as the source has them', () => {
    expect(extractKeywords(CONDITION, { patient: PATIENT })).toEqual([
      { field: 'type', kind: 'type', resourceType: 'Condition' },
      { field: 'patient', kind: 'reference', id: PATIENT },
      { field: 'condition', kind: 'code', system: ICD10, code: 'E11.65', ancestors: ['E11.6', 'E11'] },
      { field: 'text', kind: 'text', text: 'diabetes' },
      { field: 'text', kind: 'text', text: 'type diabetes' },
      { field: 'status', kind: 'code', system: null, code: 'active' },
      { field: 'onset', kind: 'date', date: '2011-06' },
      { field: 'date', kind: 'date', date: '2024-05-21T23:30:00-05:00' },
      { field: 'note', kind: 'text', text: 'seen by the dietitian' },
    ]);
  });

  it('becomes keywords that decode again, codes with and without their system', () => {
    const decoded = toKeywords(extractKeywords(CONDITION, { patient: PATIENT })).keywords.map(decodeKeyword);
    expect(decoded).toContainEqual({ field: 'condition', type: 'code', system: null, value: 'E11.65' });
    expect(decoded).toContainEqual({ field: 'condition', type: 'code', system: ICD10, value: 'E11.65' });
    expect(decoded).toContainEqual({ field: 'condition', type: 'prefix', value: 'E11' });
    expect(decoded).toContainEqual({ field: 'date', type: 'date', value: 'D2024-05-21' });
    expect(decoded).toContainEqual({ field: 'condition', type: 'any' });
  });

  it('takes ancestors from a lookup, and from the code where that has none', () => {
    const ancestors = (_: string | null, code: string) => (code === 'E11.65' ? ['endocrine'] : undefined);
    const found = extractKeywords(CONDITION, { ancestors }).find(({ field }) => field === 'condition');
    expect(found).toMatchObject({ ancestors: ['endocrine'] });
  });
});

describe('what is never indexed', () => {
  it('a claim in any respect', () => {
    const claim = { patient: { reference: 'Patient/1' }, created: '2024-01-01', status: 'active' };
    for (const resourceType of ['Claim', 'ExplanationOfBenefit', 'Coverage', 'Basic', 'RelatedPerson']) {
      expect(extractKeywords({ resourceType, ...claim }, { patient: PATIENT })).toEqual([]);
    }
  });

  const PERSON = {
    resourceType: 'Patient',
    name: [{ family: 'Test', given: ['Patient'] }],
    gender: 'female',
    birthDate: '1958-03-14',
    maritalStatus: { coding: [{ code: 'M' }] },
    address: [{ state: 'MA', postalCode: '01915', city: 'Beverly' }],
    telecom: [{ value: '555' }],
    identifier: [{ system: 'x', value: 'TP-01' }],
  };

  it('who somebody is', () => {
    expect(fieldsOf(PERSON)).toEqual(['type']);
  });

  it('unless the registry declares it, and then the birth date as its decade only', () => {
    const registry = fieldRegistry([...fieldSpecs(), ...quasiIdentifierSpecs()]);
    const values = extractKeywords(PERSON, { registry });
    expect(values.slice(1)).toEqual([
      { field: 'gender', kind: 'code', system: null, code: 'female' },
      { field: 'marital-status', kind: 'code', system: null, code: 'M' },
      { field: 'region', kind: 'code', system: null, code: 'MA' },
      { field: 'birth-decade', kind: 'date', date: '1950' },
    ]);
    const text = JSON.stringify(values);
    for (const secret of ['1958', '01915', 'Test', 'TP-01', 'Beverly', '555'])
      expect(text).not.toContain(secret);
  });

  it('fields that the registry left out', () => {
    const registry = fieldRegistry(fieldSpecs().filter(({ name }) => name === 'condition'));
    const values = extractKeywords(
      { resourceType: 'Condition', code: { coding: [{ code: 'x' }], text: 'x y' } },
      { registry, patient: PATIENT },
    );
    expect(values.map(({ field }) => field)).toEqual(['condition']);
  });
});

describe('notes are found by their words', () => {
  const note = (attachment: JsonObject) =>
    valuesOf({ resourceType: 'DocumentReference', content: [{ attachment }] }, 'note');
  it.each([['text/plain'], ['text/plain; charset=utf-8'], ['TEXT/PLAIN;charset="UTF-8"'], ['text/markdown']])(
    'of type %s',
    (contentType) => {
      expect(note({ contentType, data: base64('Über 37,5 °C: keine Grüße.') })).toEqual([
        { field: 'note', kind: 'text', text: 'uber 37 keine gruße' },
      ]);
    },
  );

  it('without the tags of HTML', () => {
    expect(
      note({ contentType: 'text/html', data: base64('<p class="secret">chest <b>pain</b></p>') }),
    ).toEqual([{ field: 'note', kind: 'text', text: 'chest pain' }]);
  });

  it.each([
    ['another charset', { contentType: 'text/plain; charset=iso-8859-1', data: base64('x yy') }],
    ['another medium', { contentType: 'application/pdf', data: base64('x yy') }],
    ['no base64', { contentType: 'text/plain', data: '*' }],
    ['no UTF-8', { contentType: 'text/plain', data: btoa('\xff\xfe words') }],
    ['a link', { contentType: 'text/plain', url: 'http://example.org/x' }],
    ['no type', { data: base64('words') }],
  ])('not from %s', (_, attachment) => {
    expect(note(attachment)).toEqual([]);
  });

  it('with repeats, which are their weight', () => {
    const values = note({ contentType: 'text/plain', data: base64('pain pain fever pain') });
    const { keywords, weights } = toKeywords(values);
    const weightOf = (word: string) =>
      weights[
        keywords.findIndex((bytes) => {
          const keyword = decodeKeyword(bytes);
          return keyword.type === 'text' && keyword.value === word;
        })
      ];
    expect([weightOf('pain'), weightOf('fever')]).toEqual([3, 1]);
  });

  it('up to 1,500 distinct ones', () => {
    const words = (n: number) => Array.from({ length: n }, (_, i) => `word${i}x`).join(' ');
    const count = (n: number): number => {
      const [value] = note({ contentType: 'text/plain', data: base64(words(n)) });
      return value.kind === 'text' ? value.text.split(' ').length : 0;
    };
    expect([count(1499), count(1500), count(1501)]).toEqual([1499, 1500, 1500]);
  });
});

describe('measurements', () => {
  const observation = (code: string, valueQuantity: JsonObject): JsonObject => ({
    resourceType: 'Observation',
    code: { coding: [{ system: LOINC, code }] },
    valueQuantity,
  });
  it.each([
    ['4548-4', { value: 7.1, code: '%' }, { field: 'hba1c', value: '7.1', unit: '%' }],
    ['29463-7', { value: 81, unit: 'kg' }, { field: 'weight', value: '81', unit: 'kg' }],
    ['29463-7', { value: 4000, code: 'g' }, { field: 'weight', value: '4', unit: 'kg' }],
    ['8302-2', { value: 1.75, code: 'm' }, { field: 'height', value: '175', unit: 'cm' }],
    ['718-7', { value: 0, code: 'g/dL' }, { field: 'hemoglobin', value: '0', unit: 'g/dL' }],
  ])('%s %j', (code, quantity, expected) => {
    const numbers = extractKeywords(observation(code, quantity)).filter(({ kind }) => kind === 'number');
    expect(numbers).toEqual([{ kind: 'number', ...expected }]);
  });

  it.each([
    ['an unknown unit', '29463-7', { value: 81, code: 'stone' }],
    ['a comparator', '4548-4', { value: 7, code: '%', comparator: '>' }],
    ['no number', '4548-4', { value: '7', code: '%' }],
    ['beyond all measure', '4548-4', { value: 1e300, code: '%' }],
    ['a code without a grid', '1-8', { value: 7, code: '%' }],
  ])('not with %s', (_, code, quantity) => {
    expect(extractKeywords(observation(code, quantity)).filter(({ kind }) => kind === 'number')).toEqual([]);
  });

  it('of components stay with what they measure', () => {
    const component = (code: string, value: number) => ({
      code: { coding: [{ system: LOINC, code }] },
      valueQuantity: { value, code: 'mm[Hg]' },
    });
    const panel = {
      resourceType: 'Observation',
      component: [component('8480-6', 146), component('8462-4', 88)],
    };
    expect(extractKeywords(panel).filter(({ kind }) => kind === 'number')).toEqual([
      { field: 'systolic', kind: 'number', value: '146', unit: 'mm[Hg]' },
      { field: 'diastolic', kind: 'number', value: '88', unit: 'mm[Hg]' },
    ]);
    expect(valuesOf(panel, 'observation').map((value) => value.kind === 'code' && value.code)).toEqual([
      '8480-6',
      '8462-4',
    ]);
  });
});

describe('a value that does not fit is left out', () => {
  it.each([['2024-02-30'], ['yesterday'], [''], ['20240101'], [20240101], [{ end: '2024-01-01' }], [null]])(
    'the date %j',
    (recordedDate) => {
      expect(fieldsOf({ resourceType: 'Condition', recordedDate: recordedDate as JsonObject })).toEqual([
        'type',
      ]);
    },
  );

  it.each([
    [{ text: 'only text' }],
    [{ coding: [{ code: '' }] }],
    [{ coding: [{ code: 7 }] }],
    [{ coding: 'x' }],
    [{ coding: [{ code: 'x'.repeat(129) }] }],
    [{ coding: [{ code: 'ü'.repeat(65) }] }],
    [{ coding: [{ code: 'x', system: 's'.repeat(257) }] }],
  ])('the code %j', (code) => {
    expect(valuesOf({ resourceType: 'Procedure', code: code as JsonObject }, 'procedure')).toEqual([]);
  });
});

describe('whatever a resource holds, its extraction and keywords never throw', () => {
  const registry = fieldRegistry([...fieldSpecs(), ...quasiIdentifierSpecs()]);
  const leaf = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constantFrom(
      '0005-01-01',
      '2024-02',
      'E11.65',
      'http://loinc.org',
      '4548-4',
      '%',
      'text/plain',
      'eA==',
      -0,
    ),
    fc.double(),
  );
  /** An element that looks like FHIR's until it does not. */
  const element: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.array(tie('node'), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          'coding',
          'code',
          'system',
          'display',
          'text',
          'start',
          'value',
          'data',
          'contentType',
          'attachment',
          'detail',
          'state',
        ),
        tie('node'),
        { maxKeys: 5 },
      ),
    ),
  })).node;

  it.each(
    KEYWORD_MAP.types
      .filter(({ rules }) => rules.length > 0)
      .map(({ types, rules }) => [types[0], rules] as const),
  )('%s', (resourceType, rules) => {
    const names = [
      ...new Set(rules.map(({ path }) => path.split('.')[0])),
      'component',
      'valueQuantity',
      'subject',
      'patient',
      'participant',
    ];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), element), (elements) => {
        const json = { ...elements, resourceType } as JsonObject;
        const { keywords } = toKeywords(extractKeywords(json, { registry, patient: PATIENT }), registry);
        expect(keywords.length).toBeGreaterThan(3);
        expect(DEPARTMENTS).toContain(departmentOf(json));
        expect(['string', 'undefined']).toContain(typeof patientKeyOf({ resourceType, json }));
      }),
      { seed: 5, numRuns: 150 },
    );
  });

  it('a measurement of any size', () => {
    fc.assert(
      fc.property(fc.double(), fc.constantFrom('kg', 'g', '[lb_av]'), (value, code) => {
        const json = {
          resourceType: 'Observation',
          code: { coding: [{ system: LOINC, code: '29463-7' }] },
          valueQuantity: { value, code },
        };
        expect(toKeywords(extractKeywords(json)).keywords.length).toBeGreaterThan(3);
      }),
      { seed: 6, numRuns: 2000 },
    );
  });
});

describe('codes above a code', () => {
  it.each([
    [ICD10, 'E11.65', ['E11.6', 'E11']],
    [ICD10, 'E11.9', ['E11']],
    [ICD10, 'I10', []],
    [ICD10, 'S72.001A', ['S72.001', 'S72.00', 'S72.0', 'S72']],
    ['http://www.whocc.no/atc', 'A10BA02', ['A10BA', 'A10B', 'A10', 'A']],
    ['http://snomed.info/sct', '44054006', []],
    [ICD10, 'not a code', []],
    [null, 'E11.9', []],
  ])('%s %s', (system, code, ancestors) => {
    expect(codeAncestors(system, code)).toEqual(ancestors);
  });
});

describe('the field registry', () => {
  it('is well formed, and every rule feeds one of its fields', () => {
    const all = fieldRegistry([...fieldSpecs(), ...quasiIdentifierSpecs()]);
    for (const { field } of [...KEYWORD_MAP.types.flatMap(({ rules }) => rules), ...KEYWORD_MAP.numbers]) {
      expect(all.has(field), field).toBe(true);
    }
  });

  it('names a resource type once', () => {
    const types = KEYWORD_MAP.types.flatMap((entry) => entry.types);
    expect(new Set(types).size).toBe(types.length);
  });

  it('keeps the fullest record below the bound of the index', () => {
    const words = Array.from({ length: 3000 }, (_, i) => `abcdefgh${i}`).join(' ');
    const monster = {
      resourceType: 'Condition',
      code: {
        text: words,
        coding: Array.from({ length: 3000 }, (_, i) => ({
          system: ICD10,
          code: `S72.${String(i % 1000).padStart(3, '0')}A`,
          display: `q${i}`,
        })),
      },
      category: Array.from({ length: 3000 }, (_, i) => ({ coding: [{ system: 's', code: `c${i}` }] })),
      note: [{ text: words }],
    };
    const values = extractKeywords(monster, { patient: PATIENT });
    const { keywords } = toKeywords(values);
    expect(keywords.length).toBeGreaterThan(2500);
    expect(keywords.length).toBeLessThanOrEqual(RECORD_KEYWORDS_MAX);
  });

  it('indexes every value it extracts', () => {
    for (const value of extractKeywords({
      resourceType: 'Encounter',
      class: { code: 'AMB' },
      period: { start: '2024' },
    })) {
      const spec = DEFAULT_FIELDS.get(value.field);
      expect(spec && keywordsOf(spec, value).length).toBeGreaterThan(1);
    }
  });
});

describe('docs/keyword-map.md', () => {
  it('lists every field with its kind and sources', () => {
    for (const { name, index } of [...fieldSpecs(), ...quasiIdentifierSpecs()]) {
      const row = DOCUMENT.split('\n').find((line) => line.startsWith(`| ${name} |`));
      expect(row, name).toBeDefined();
      if (index.type === 'number') expect(row).toContain(`| ${index.grid.unit} |`);
      for (const { types, rules } of KEYWORD_MAP.types) {
        for (const rule of rules.filter(({ field }) => field === name)) {
          expect(row).toContain(`\`${rule.path}\` of`);
          for (const type of types) expect(row).toContain(type);
        }
      }
    }
  });
});
