import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  checkPolicy,
  evaluatePolicy,
  makeRegistry,
  parseAttribute,
  parsePolicy,
} from '../../src/abe/index.ts';
import { memberId } from '../../src/codec/ids.ts';
import {
  DEFAULT_POLICIES,
  DEPARTMENT_RULES,
  DEPARTMENTS,
  defaultPolicy,
  defaultRegistry,
  defaultSearchPolicy,
  departmentOf,
  fieldSpecs,
  policyGroupOf,
} from '../../src/fhir/index.ts';
import { PATIENT } from './shared.ts';

const member = memberId('mercy');
const DOCUMENT = readFileSync(new URL('../../docs/default-policies.md', import.meta.url), 'utf8');

describe('default policies', () => {
  it('name doctors and nurses of the department, the attending role, the patient and consents', () => {
    expect(defaultPolicy('Condition', { member, patient: PATIENT, department: 'cardiology' })).toBe(
      'mercy/dept:cardiology and (mercy/role:doctor or mercy/role:nurse) or mercy/role:attending' +
        ` or patient:${PATIENT} or consent:${PATIENT}`,
    );
  });

  it.each([
    ['a doctor of the department', ['mercy/role:doctor', 'mercy/dept:cardiology'], true],
    ['a doctor of another department', ['mercy/role:doctor', 'mercy/dept:oncology'], false],
    [
      'a doctor of another member',
      ['st-luke/role:doctor', 'st-luke/dept:cardiology', 'st-luke/role:attending'],
      false,
    ],
    ['an attending', ['mercy/role:attending'], true],
    ['billing', ['mercy/role:billing', 'mercy/dept:cardiology', 'mercy/role:staff'], false],
    ['the patient', [`patient:${PATIENT}`], true],
    ['another patient', ['patient:ffeeddccbbaa99887766554433221100'], false],
    ['who has the consent', [`consent:${PATIENT}`], true],
  ])('of a Condition let in %s: %s -> %s', (_, attributes, opens) => {
    const policy = parsePolicy(
      defaultPolicy('Condition', { member, patient: PATIENT, department: 'cardiology' }),
    );
    expect(evaluatePolicy(policy, attributes.map(parseAttribute), makeRegistry(defaultRegistry()))).toBe(
      opens,
    );
  });

  it('leave the patient out of records about nobody', () => {
    expect(defaultPolicy('Organization', { member })).toBe('mercy/role:staff');
    expect(defaultPolicy('Device', { member })).not.toContain('patient:');
  });

  it('keep claims to billing', () => {
    for (const type of ['Claim', 'ExplanationOfBenefit']) {
      expect(defaultPolicy(type, { member, patient: PATIENT })).toBe(
        `mercy/role:billing or patient:${PATIENT} or consent:${PATIENT}`,
      );
    }
  });

  it('are narrow for types that no group names', () => {
    expect(policyGroupOf('Basic').name).toBe('other');
    expect(defaultPolicy('Basic', { member })).toBe('mercy/role:attending or mercy/role:privacy');
  });

  it('name a type in one group only', () => {
    const types = DEFAULT_POLICIES.groups.flatMap((group) => group.types);
    expect(new Set(types).size).toBe(types.length);
  });

  it('parse under the default registry and repeat no attribute', () => {
    const registry = makeRegistry(defaultRegistry());
    const groups = [...DEFAULT_POLICIES.groups, DEFAULT_POLICIES.otherwise];
    for (const type of groups.map((group) => group.types[0] ?? 'Basic')) {
      for (const patient of [PATIENT, undefined]) {
        const text = defaultPolicy(type, { member, department: 'cardiology', ...(patient && { patient }) });
        expect(() => checkPolicy(parsePolicy(text), registry)).not.toThrow();
        const attributes = text.match(/[a-z/]+:[a-z0-9]+/g) ?? [];
        expect(new Set(attributes).size).toBe(attributes.length);
      }
    }
    for (const spec of fieldSpecs()) {
      const text = defaultSearchPolicy(member, spec);
      expect(() => checkPolicy(parsePolicy(text), registry)).not.toThrow();
      expect([spec.name, text.includes('right:counts')]).toEqual([spec.name, spec.name !== 'patient']);
    }
  });

  it.each(['0011', `${PATIENT}0`, `${PATIENT} or role:x`.slice(0, 40), PATIENT.toUpperCase()])(
    'refuse the pseudonym "%s"',
    (patient) => {
      expect(() => defaultPolicy('Condition', { member, patient })).toThrowError(
        expect.objectContaining({ code: 'fhir.policy_input' }),
      );
    },
  );

  it('refuse a department that could carry policy text', () => {
    expect(() =>
      defaultPolicy('Condition', { member, patient: PATIENT, department: 'x or patient:y' }),
    ).toThrowError(expect.objectContaining({ code: 'fhir.policy_input' }));
  });
});

describe('the department of a resource', () => {
  const condition = (text: string) => departmentOf({ resourceType: 'Condition', code: { text } });
  it.each([
    ['Atrial Fibrillation', 'cardiology'],
    ['Non-small cell lung cancer (disorder)', 'oncology'],
    ['Auscultation of the fetal heart', 'obstetrics'],
    ['Diabetic renal disease (disorder)', 'nephrology'],
    ['Prediabetes', 'endocrinology'],
    ['Childhood asthma', 'pulmonology'],
    ['Fracture of ankle', 'orthopedics'],
    ['Viral sinusitis (disorder)', 'general'],
    ['', 'general'],
  ])('%s -> %s', (text, department) => {
    expect(condition(text)).toBe(department);
  });

  it('reads displays and medication concepts too', () => {
    const coding = [
      { system: 'http://www.nlm.nih.gov/research/umls/rxnorm', display: 'Warfarin Sodium 5 MG' },
    ];
    expect(departmentOf({ resourceType: 'MedicationRequest', medicationCodeableConcept: { coding } })).toBe(
      'cardiology',
    );
  });

  it('leaves vital signs to whoever treats the patient', () => {
    const category = [{ coding: [{ code: 'vital-signs' }] }];
    expect(departmentOf({ resourceType: 'Observation', code: { text: 'Heart rate' }, category })).toBe(
      'general',
    );
    expect(departmentOf({ resourceType: 'Observation', code: { text: 'Heart rate' } })).toBe('cardiology');
  });
});

describe('docs/default-policies.md', () => {
  it('lists every group with its types and alternatives', () => {
    for (const group of [...DEFAULT_POLICIES.groups, DEFAULT_POLICIES.otherwise]) {
      const row = DOCUMENT.split('\n').find((line) => line.startsWith(`| ${group.name} |`));
      expect(row, group.name).toBeDefined();
      for (const type of group.types) expect(row).toContain(type);
      for (const alternative of group.anyOf) expect(row).toContain(`\`${alternative}\``);
    }
  });

  it('lists every department with its stems', () => {
    expect(DEPARTMENTS.at(-1)).toBe('general');
    for (const { department, stems } of DEPARTMENT_RULES)
      expect(DOCUMENT).toContain(`| ${department} | ${stems.join(' ')} |`);
  });

  it('shows a policy that this code makes', () => {
    const example = defaultPolicy('Condition', { member, patient: PATIENT, department: 'cardiology' });
    expect(DOCUMENT.replace(/\s+/g, ' ')).toContain(example);
  });
});
