/** Covers and dates against arithmetic done another way. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attributeLeaves,
  compilePolicy,
  dateOfDays,
  daysOfDate,
  type Policy,
  policyLeafCount,
  reconstruct,
} from '../../../src/abe/policy/index.ts';
import { heldSet, registry } from './fixtures.ts';

const DAY_MS = 86_400_000;

describe('dates are days since 1970-01-01', () => {
  test.each([
    ['1970-01-01', 0],
    ['1969-12-31', -1],
    ['2000-02-29', 11016],
    ['0001-01-01', -719162],
    ['9999-12-31', 2932896],
  ])('%s is %i', (text, days) => {
    expect(daysOfDate(text)).toBe(days);
    expect(dateOfDays(days)).toBe(text);
  });

  test('every day from 1880 to 2060 agrees with the calendar of the platform', () => {
    const wrong: string[] = [];
    for (let day = -32900; day < 33000; day++) {
      const text = new Date(day * DAY_MS).toISOString().slice(0, 10);
      if (daysOfDate(text) !== day || dateOfDays(day) !== text) wrong.push(text);
    }
    expect(wrong).toEqual([]);
  });

  test('random days of ten thousand years do too', () => {
    fc.assert(
      fc.property(fc.integer({ min: -719162, max: 2932896 }), (day) => {
        const text = dateOfDays(day);
        expect(daysOfDate(text)).toBe(day);
        expect(new Date(day * DAY_MS).toISOString().slice(0, 10)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test.each(['1900-02-29', '2026-04-31', '2026-00-01', '2026-01-00', '0000-01-01', '2026-1-1'])(
    'there is no %s',
    (text) => {
      expect(daysOfDate(text)).toBeUndefined();
    },
  );
});

describe('a range is the values that lie in it, and no others', () => {
  const opens = (policy: Policy, label: string, value: number): boolean => {
    const held = heldSet(attributeLeaves([{ issuer: 'mercy', label, value }], registry));
    return reconstruct(compilePolicy(policy, registry, {}), held) !== undefined;
  };
  const range = (label: string, low: number, high: number): Policy => ({
    kind: 'range',
    issuer: 'mercy',
    label,
    low: { type: 'int', value: low },
    high: { type: 'int', value: high },
  });

  test.each<[string, number, number]>([
    ['age', -32768, 32767],
    ['weight', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ])('at the ends of random ranges of %s, and one beyond', (label, min, max) => {
    fc.assert(
      fc.property(
        fc.integer({ min, max }),
        fc.integer({ min, max }),
        fc.integer({ min, max }),
        (a, b, other) => {
          const [low, high] = a < b ? [a, b] : [b, a];
          const policy = range(label, low, high);
          expect(policyLeafCount(policy, registry)).toBeLessThanOrEqual(label === 'age' ? 30 : 126);
          expect(opens(policy, label, low)).toBe(true);
          expect(opens(policy, label, high)).toBe(true);
          if (low > min) expect(opens(policy, label, low - 1)).toBe(false);
          if (high < max) expect(opens(policy, label, high + 1)).toBe(false);
          expect(opens(policy, label, other)).toBe(low <= other && other <= high);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('a single value is one leaf, a whole width is the root', () => {
    expect(policyLeafCount(range('age', 7, 7), registry)).toBe(1);
    expect(policyLeafCount(range('age', -32768, 32767), registry)).toBe(1);
    expect(opens(range('age', -32768, 32767), 'age', 0)).toBe(true);
  });

  test('members of a set that touch share their cover', () => {
    const set: Policy = {
      kind: 'set',
      issuer: 'mercy',
      label: 'age',
      members: [3, 0, 2, 1].map((value) => ({ type: 'int', value })),
    };
    expect(policyLeafCount(set, registry)).toBe(1);
  });
});
