/** What a gateway tells of a search, by who asks: the choice of custodians and the number itself. */
import { describe, expect, it } from 'vitest';
import type { CodedError } from '../../src/codec/errors.ts';
import { memberId } from '../../src/codec/ids.ts';
import { countOf, tellingsOf, whomToAsk } from '../../src/node/search-answers.ts';

const [ALDER, BIRCH, CEDAR] = ['alder', 'birch', 'cedar'].map(memberId);
const to = (answer: 'hits' | 'count', ...tellings: readonly ('hits' | 'count' | 'nothing')[]) =>
  whomToAsk(
    tellingsOf(
      [ALDER, BIRCH, CEDAR].slice(0, tellings.length),
      (id) => tellings[[ALDER, BIRCH, CEDAR].indexOf(id)],
    ),
    answer,
  );
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return 'answered';
  } catch (error) {
    return (error as CodedError).code;
  }
};

describe('whom a query is put to', () => {
  it('for hits: who shows them; the others are named, and nobody is asked where all only let count', () => {
    const { asked, missing } = to('hits', 'hits', 'count', 'nothing');
    expect(asked).toEqual([ALDER]);
    expect(missing.map(({ custodian, code }) => [custodian, code])).toEqual([
      [CEDAR, 'search.policy'],
      [BIRCH, 'search.counts_only'],
    ]);
    expect(codeOf(() => to('hits', 'count', 'nothing'))).toBe('search.counts_only');
  });

  it('for a count: all of one kind, never both', () => {
    expect(to('count', 'count', 'nothing', 'count').asked).toEqual([ALDER, CEDAR]);
    expect(to('count', 'hits', 'hits').asked).toEqual([ALDER, BIRCH]);
    expect(codeOf(() => to('count', 'hits', 'count', 'nothing'))).toBe('search.counts_mixed');
  });

  it('all of them where nobody grants anything, so that the refusal is committed', () => {
    for (const answer of ['hits', 'count'] as const)
      expect(to(answer, 'nothing', 'nothing')).toEqual({ asked: [ALDER, BIRCH], missing: [] });
  });
});

describe('the number', () => {
  const numbers = (count: number) => Uint32Array.from({ length: count }, (_, i) => i);
  const inRecords = (count: number) => ({
    unit: 'record' as const,
    patients: [],
    records: [{ custodian: ALDER, numbers: numbers(count) }],
  });

  it('is exact with the hits’ right, and of patients in unit patient', () => {
    expect(countOf(inRecords(3), true, () => 'p')).toEqual({ count: 3, exact: true });
    const patients = { unit: 'patient' as const, patients: ['a', 'b'], records: inRecords(9).records };
    expect(countOf(patients, true, () => 'a')).toEqual({ count: 2, exact: true });
  });

  it('is hidden when few people stand behind many records, and a record without a patient stands for itself', () => {
    const of = (people: number) =>
      countOf(inRecords(200), false, (_, indexNo) => `p${indexNo % people}`).count;
    expect([of(1), of(9), of(10), of(200)]).toEqual([null, null, 200, 200]);
    expect(countOf(inRecords(9), false, () => null).count).toBeNull();
    expect(countOf(inRecords(12), false, () => null).count).toBe(10);
  });

  it('of patients is hidden below ten', () => {
    const of = (count: number) =>
      countOf(
        { unit: 'patient', patients: Array(count).fill('p') as string[], records: [] },
        false,
        () => 'p',
      );
    expect([0, 9, 10, 13].map((count) => of(count).count)).toEqual([null, null, 10, 15]);
  });
});
