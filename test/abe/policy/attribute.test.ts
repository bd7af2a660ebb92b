import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attributeLeaf,
  attributeLeaves,
  compilePolicy,
  evaluatePolicy,
  explainPolicy,
  levelLeaf,
  needsNewGeneration,
  notEqualLeaf,
  parseAttribute,
  parsePolicy,
  printAttribute,
  reconstruct,
  withLabel,
} from '../../../src/abe/policy/index.ts';
import { compareBytes, toHex } from '../../../src/codec/bytes.ts';
import { thrownBy } from './errors.ts';
import { heldSet, policies, registry, subjects } from './fixtures.ts';

const read = (...texts: string[]) => texts.map(parseAttribute);
const leaves = (...texts: string[]): string[] => attributeLeaves(read(...texts), registry).map(toHex);

describe('attribute texts', () => {
  test.each([
    ['mercy/role:doctor', { issuer: 'mercy', label: 'role', value: 'doctor' }],
    ['mercy/role = doctor', { issuer: 'mercy', label: 'role', value: 'doctor' }],
    ['mercy/role:"chief doctor"', { issuer: 'mercy', label: 'role', value: 'chief doctor' }],
    ['mercy/age:-4', { issuer: 'mercy', label: 'age', value: -4 }],
    ['mercy/project:"12"', { issuer: 'mercy', label: 'project', value: '12' }],
    ['mercy/born:1969-12-31', { issuer: 'mercy', label: 'born', value: -1 }],
    [
      'patient:01234567890123456789012345678901',
      { issuer: '', label: 'patient', value: '01234567890123456789012345678901' },
    ],
  ])('%s', (text, attribute) => {
    expect(parseAttribute(text)).toEqual(attribute);
    expect(parseAttribute(printAttribute(attribute))).toEqual(attribute);
  });

  test('round trip, with dates where the registry knows them', () => {
    expect(printAttribute({ issuer: 'mercy', label: 'born', value: -1 }, registry)).toBe(
      'mercy/born:1969-12-31',
    );
    expect(printAttribute({ issuer: 'mercy', label: 'age', value: -1 }, registry)).toBe('mercy/age:-1');
    fc.assert(
      fc.property(subjects, (attributes) => {
        for (const attribute of attributes) {
          expect(parseAttribute(printAttribute(attribute, registry))).toEqual(attribute);
          expect(parseAttribute(printAttribute(attribute))).toEqual(attribute);
        }
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    ['mercy/role', 11],
    ['mercy/role != doctor', 12],
    ['mercy/role:doctor and mercy/role:nurse', 19],
    ['mercy/role:', 12],
    ['Mercy/role:x', 1],
  ])('%s is refused at column %i', (text, column) => {
    expect(thrownBy(() => parseAttribute(text))).toMatchObject({
      code: 'policy.syntax',
      details: { line: 1, column },
    });
  });
});

describe('the leaves of a key', () => {
  test('a text has its leaf; a finite one also "not equal" for every value it lacks', () => {
    expect(leaves('mercy/project:alpha')).toEqual([toHex(attributeLeaf('mercy', 'project', 'alpha'))]);
    expect(leaves('mercy/role:doctor', 'mercy/role:lab')).toEqual([
      toHex(attributeLeaf('mercy', 'role', 'lab')),
      toHex(attributeLeaf('mercy', 'role', 'doctor')),
      toHex(notEqualLeaf('mercy', 'role', 'nurse')),
      toHex(notEqualLeaf('mercy', 'role', 'chief doctor')),
    ]);
  });

  test('a level has "at least" for each level up to it', () => {
    expect(leaves('mercy/clearance:2')).toEqual(
      [0, 1, 2].map((k) => toHex(levelLeaf('mercy', 'clearance', 4, k))),
    );
  });

  test('a number has its path from the root: width + 1 nodes', () => {
    expect(leaves('mercy/age:5')).toHaveLength(17);
    expect(leaves('mercy/until:2026-01-01')).toHaveLength(33);
    expect(leaves('mercy/weight:70')).toHaveLength(65);
  });

  test('are sorted, distinct, and do not depend on order or repetition of attributes', () => {
    fc.assert(
      fc.property(subjects, (attributes) => {
        const made = attributeLeaves(attributes, registry);
        for (let i = 1; i < made.length; i++) expect(compareBytes(made[i - 1], made[i])).toBeLessThan(0);
        expect(attributeLeaves([...attributes, ...attributes].reverse(), registry)).toEqual(made);
      }),
      { numRuns: 200 },
    );
  });

  test.each([
    ['mercy/nothing:x', 'policy.unknown_label'],
    ['mercy/role:king', 'policy.attribute'],
    ['role:doctor', 'policy.attribute'],
    ['mercy/country:pt', 'policy.attribute'],
    ['mercy/age:x', 'policy.attribute'],
    ['mercy/age:32768', 'policy.attribute'],
    ['mercy/clearance:16', 'policy.attribute'],
    ['mercy/clearance:-1', 'policy.attribute'],
    ['mercy/project:12', 'policy.attribute'],
    ['consent:me', 'policy.attribute'],
  ])('%s is refused (%s)', (text, code) => {
    expect(thrownBy(() => leaves(text)).code).toBe(code);
  });

  test('two numbers under one name are refused: their paths together would satisfy what neither does', () => {
    expect(thrownBy(() => leaves('mercy/age:5', 'mercy/age:6')).code).toBe('policy.attribute');
    expect(thrownBy(() => leaves('mercy/clearance:1', 'mercy/clearance:2')).code).toBe('policy.attribute');
    expect(leaves('mercy/age:5', 'stjude/age:6')).toHaveLength(34);
  });

  test("another issuer's number satisfies nothing, although the value is the same", () => {
    const policy = compilePolicy(parsePolicy('mercy/age in [4, 6] or mercy/clearance >= 1'), registry, {});
    expect(reconstruct(policy, new Set(leaves('stjude/age:5', 'stjude/clearance:9')))).toBeUndefined();
    expect(reconstruct(policy, new Set(leaves('mercy/age:5')))).toBeDefined();
  });
});

describe('what a key leaves out does not read as "has it not"', () => {
  const notNurse = parsePolicy('mercy/role != nurse');
  const asked = read('mercy/role:doctor');
  const others = read('mercy/role:doctor', 'mercy/role:nurse', 'mercy/age:3', 'mercy/unknown:x');

  test('a doctor and nurse who asks for a key as doctor alone gets no "is no nurse"', () => {
    const made = attributeLeaves(asked, registry, others).map(toHex);
    expect(made).not.toContain(toHex(notEqualLeaf('mercy', 'role', 'nurse')));
    expect(made).toContain(toHex(notEqualLeaf('mercy', 'role', 'lab')));
    expect(evaluatePolicy(notNurse, asked, registry)).toBe(true);
    expect(evaluatePolicy(notNurse, asked, registry, { others })).toBe(false);
    expect(explainPolicy(notNurse, asked, registry, { others }).text).toBe(
      'mercy/role != nurse fails: you have mercy/role:doctor, mercy/role:nurse',
    );
  });

  test('what is held beside satisfies nothing by itself', () => {
    expect(evaluatePolicy(parsePolicy('mercy/role:nurse'), asked, registry, { others })).toBe(false);
    expect(evaluatePolicy(parsePolicy('mercy/age:3'), asked, registry, { others })).toBe(false);
    expect(evaluatePolicy(parsePolicy('mercy/role != lab'), [], registry, { others })).toBe(false);
    expect(evaluatePolicy(parsePolicy('not mercy/role != nurse'), asked, registry, { others })).toBe(false);
  });

  test('verdict and matrix agree, and a key for a part never opens more than one for all', () => {
    fc.assert(
      fc.property(
        subjects,
        fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
        policies,
        (all, keep, policy) => {
          const part = all.filter((_, i) => keep[i % keep.length]);
          const compiled = compilePolicy(policy, registry, {});
          const opens = reconstruct(compiled, heldSet(attributeLeaves(part, registry, all))) !== undefined;
          expect(evaluatePolicy(policy, part, registry, { others: all })).toBe(opens);
          expect(explainPolicy(policy, part, registry, { others: all }).holds).toBe(opens);
          if (opens) expect(evaluatePolicy(policy, all, registry)).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('generations', () => {
  test.each<[string, string[], string[], boolean]>([
    ['a new label', ['mercy/project:a'], ['mercy/project:a', 'mercy/age:1'], false],
    ['a second value of an open label', ['mercy/project:a'], ['mercy/project:a', 'mercy/project:b'], false],
    ['the first value of a finite label', [], ['mercy/role:lab'], false],
    ['a second value of a finite label', ['mercy/role:lab'], ['mercy/role:lab', 'mercy/role:nurse'], true],
    ['a changed number', ['mercy/age:1'], ['mercy/age:2'], true],
    ['a changed date', ['mercy/born:2001-01-01'], ['mercy/born:2001-01-02'], true],
    ['a changed level', ['mercy/clearance:1'], ['mercy/clearance:2'], true],
    ['something taken away', ['mercy/project:a', 'mercy/age:1'], ['mercy/age:1'], true],
    ['the same by another issuer', ['mercy/age:1'], ['stjude/age:1'], true],
    ['nothing', ['mercy/age:1'], ['mercy/age:1'], false],
  ])('%s', (_, before, after, expected) => {
    expect(needsNewGeneration(read(...before), read(...after), registry)).toBe(expected);
  });

  test('within one, old and new leaves together hold no more than the new attributes', () => {
    // What was held before: all of some labels, none of others.
    const earlier = subjects.chain((after) => {
      const names = [...new Set(after.map(({ issuer, label }) => `${issuer}/${label}`))];
      return fc.record({ after: fc.constant(after), kept: fc.subarray(names) });
    });
    fc.assert(
      fc.property(earlier, policies, ({ after, kept }, policy) => {
        const before = after.filter(({ issuer, label }) => kept.includes(`${issuer}/${label}`));
        expect(needsNewGeneration(before, after, registry)).toBe(false);
        const both = heldSet([...attributeLeaves(before, registry), ...attributeLeaves(after, registry)]);
        expect(reconstruct(compilePolicy(policy, registry, {}), both) !== undefined).toBe(
          evaluatePolicy(policy, after, registry),
        );
      }),
      { numRuns: 300 },
    );
  });

  test('without one, a doctor who becomes a nurse keeps role != nurse: the reason for the rule', () => {
    const before = attributeLeaves(read('mercy/role:doctor'), registry);
    const after = attributeLeaves(read('mercy/role:doctor', 'mercy/role:nurse'), registry);
    const policy = parsePolicy('mercy/role != nurse and mercy/role:nurse');
    const compiled = compilePolicy(policy, registry, {});
    expect(reconstruct(compiled, heldSet(after))).toBeUndefined();
    expect(reconstruct(compiled, heldSet([...before, ...after]))).toBeDefined();
  });

  test('a value added to the registry fails closed for keys issued before', () => {
    const roles = registry.get('role');
    if (roles?.values === undefined) throw new Error('the fixture has a finite role');
    const later = withLabel(registry, { ...roles, values: [...roles.values, 'porter'] });
    const held = read('mercy/role:doctor');
    const compiled = compilePolicy(parsePolicy('mercy/role != porter'), later, {});
    expect(reconstruct(compiled, heldSet(attributeLeaves(held, registry)))).toBeUndefined();
    expect(reconstruct(compiled, heldSet(attributeLeaves(held, later)))).toBeDefined();
  });
});
