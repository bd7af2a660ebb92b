import { describe, expect, test } from 'vitest';
import {
  attributeLeaves,
  compilePolicy,
  evaluatePolicy,
  explainPolicy,
  reconstruct,
} from '../../../src/abe/policy/index.ts';
import { heldSet } from './fixtures.ts';
import { tkn20Cases } from './shared-vectors.ts';

const cases = tkn20Cases();

describe.skipIf(cases === undefined)(
  "CIRCL's tkn20 policy cases (skipped without the shared vectors)",
  () => {
    test('all nine cases are there', () => {
      expect(cases).toHaveLength(9);
    });

    test.each(cases ?? [])('$text -> $expected', ({ policy, attributes, registry, expected }) => {
      expect(evaluatePolicy(policy, attributes, registry)).toBe(expected);
      expect(explainPolicy(policy, attributes, registry).holds).toBe(expected);
      const held = heldSet(attributeLeaves(attributes, registry));
      expect(reconstruct(compilePolicy(policy, registry, {}), held) !== undefined).toBe(expected);
    });
  },
);
