import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attributeLeaves,
  compilePolicy,
  emergencyLeaf,
  evaluatePolicy,
  explainPolicy,
  GROUP_ORDER,
  gateLeaf,
  parseAttribute,
  parsePolicy,
  reconstruct,
} from '../../../src/abe/policy/index.ts';
import { combination, heldSet, policies, registry, subjects } from './fixtures.ts';

const gate = { recordId: new Uint8Array(32).fill(7), version: 3 };
const gateBytes = gateLeaf(gate.recordId, gate.version);
const emergencyBytes = emergencyLeaf(gate.recordId, gate.version);

const verdict = (text: string, ...attributes: string[]): boolean =>
  evaluatePolicy(parsePolicy(text), attributes.map(parseAttribute), registry);

describe('the verdict by meaning', () => {
  test.each([
    ['mercy/role:doctor', ['mercy/role:doctor'], true],
    ['mercy/role:doctor', ['stjude/role:doctor'], false],
    ['mercy/role != doctor', ['mercy/role:nurse'], true],
    ['mercy/role != doctor', [], false],
    ['mercy/role != doctor', ['stjude/role:nurse'], false],
    ['mercy/role != doctor', ['mercy/role:nurse', 'mercy/role:doctor'], false],
    ['not mercy/role != doctor', ['mercy/role:nurse', 'mercy/role:doctor'], true],
    ['not mercy/role:doctor', [], false],
    ['not mercy/role in {doctor, nurse}', ['mercy/role:lab'], true],
    ['not mercy/role in {doctor, nurse}', ['mercy/role:lab', 'mercy/role:nurse'], false],
    ['not (mercy/role:doctor and mercy/age < 3)', ['mercy/role:doctor', 'mercy/age:3'], true],
    ['not (mercy/role:doctor or mercy/age < 3)', ['mercy/role:nurse'], false],
    ['not 2 of (mercy/role:doctor, mercy/age < 3, mercy/age > 1)', ['mercy/age:2'], false],
    ['mercy/age in [2, 4]', ['mercy/age:4'], true],
    ['mercy/age in [2, 4]', ['mercy/age:5'], false],
    ['mercy/age in {-2, 4}', ['mercy/age:-2'], true],
    ['mercy/age != 4', ['mercy/age:5'], true],
    ['mercy/age != 4', [], false],
    ['mercy/born < 1970-01-01', ['mercy/born:1945-03-02'], true],
    ['mercy/clearance > 3', ['mercy/clearance:3'], false],
    ['mercy/clearance > 3', ['mercy/clearance:4'], true],
    ['mercy/clearance >= 0', [], false],
  ])('%s with %j is %s', (text, attributes, expected) => {
    expect(verdict(text, ...attributes)).toBe(expected);
  });

  test('an emergency stands beside the whole policy', () => {
    const policy = parsePolicy('mercy/role:doctor');
    expect(evaluatePolicy(policy, [], registry, { emergency: true })).toBe(true);
    expect(evaluatePolicy(policy, [], registry, { emergency: false })).toBe(false);
  });

  test('a condition without meaning is an error whatever the rest says', () => {
    const policy = parsePolicy('mercy/role:doctor or mercy/nothing:x');
    expect(() => evaluatePolicy(policy, [parseAttribute('mercy/role:doctor')], registry)).toThrow(
      /no label "nothing"/,
    );
  });
});

describe('verdict by meaning and verdict of the matrix', () => {
  test('agree on random policies and subjects, and the rows sum to the target', () => {
    let opened = 0;
    fc.assert(
      fc.property(
        policies,
        subjects,
        fc.boolean(),
        fc.boolean(),
        (policy, attributes, hasGate, hasEmergency) => {
          const compiled = compilePolicy(policy, registry, { gate, emergency: gate });
          const leaves = attributeLeaves(attributes, registry);
          if (hasGate) leaves.push(gateBytes);
          if (hasEmergency) leaves.push(emergencyBytes);
          const use = reconstruct(compiled, heldSet(leaves));
          const expected =
            hasGate && evaluatePolicy(policy, attributes, registry, { emergency: hasEmergency });
          expect(use !== undefined).toBe(expected);
          if (use === undefined) return;
          opened++;
          expect(combination(compiled, use.rows, GROUP_ORDER)).toEqual({ 0: 1n });
          for (const { index, coefficient } of use.rows) {
            expect(heldSet(leaves).has(compiled.rows[index].leafHex)).toBe(true);
            expect(coefficient).not.toBe(0n);
          }
        },
      ),
      { numRuns: 2000 },
    );
    // Both verdicts are well represented, or the property would say little.
    expect(opened).toBeGreaterThan(300);
  });

  test('leaves that are added never close what was open', () => {
    fc.assert(
      fc.property(policies, subjects, subjects, (policy, some, more) => {
        const compiled = compilePolicy(policy, registry, {});
        const leaves = [...attributeLeaves(some, registry), ...attributeLeaves(more, registry)];
        if (reconstruct(compiled, heldSet(attributeLeaves(some, registry))) !== undefined) {
          expect(reconstruct(compiled, heldSet(leaves))).toBeDefined();
        }
      }),
      { numRuns: 500 },
    );
  });

  test('the explanation has the same verdict and its reasons carry it', () => {
    fc.assert(
      fc.property(policies, subjects, (policy, attributes) => {
        const explanation = explainPolicy(policy, attributes, registry);
        expect(explanation.holds).toBe(evaluatePolicy(policy, attributes, registry));
        const word = explanation.holds ? ' holds: ' : ' fails: ';
        for (const line of explanation.text.split('\n')) expect(line).toContain(word);
      }),
      { numRuns: 500 },
    );
  });
});

describe('explanations', () => {
  const explain = (text: string, ...attributes: string[]) =>
    explainPolicy(parsePolicy(text), attributes.map(parseAttribute), registry);

  test('name the clause that fails and what the asker has', () => {
    const { text, root } = explain('mercy/role:doctor and mercy/born < 2000-01-01', 'mercy/born:2001-05-06');
    expect(text).toBe(
      'mercy/role:doctor fails: you have no mercy/role\n' +
        'mercy/born < 2000-01-01 fails: you have mercy/born:2001-05-06',
    );
    expect(root.reason).toBe('needs all 2 clauses, none hold');
    expect(root.members.map((member) => member.holds)).toEqual([false, false]);
  });

  test('say what not asks for', () => {
    const { text, root } = explain(
      'not (mercy/role:nurse or mercy/age < 3)',
      'mercy/role:nurse',
      'mercy/age:7',
    );
    expect(text).toBe('not mercy/role:nurse fails: you have mercy/role:nurse');
    expect(root.clause).toBe('not (mercy/role:nurse or mercy/age < 3)');
    expect(root.reason).toBe('needs all 2 clauses, 1 holds');
  });
});
