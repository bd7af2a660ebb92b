import { describe, expect, it } from 'vitest';
import {
  parseRows,
  percentiles,
  quantile,
  type Row,
  rowKey,
  SUITE_ROWS_MAX,
} from '../../bench/harness/row.ts';

const row: Row = { suite: 's', op: 'o', n: 3, p50_ms: 1, p95_ms: 2 };

describe('a quantile is a time that was measured', () => {
  it('takes the nearest rank, whatever the order of the samples', () => {
    const samples = [5, 1, 4, 2, 3];
    expect(quantile(samples, 0.5)).toBe(3);
    expect(quantile(samples, 0.95)).toBe(5);
    expect(quantile(samples, 0.2)).toBe(1);
    expect(quantile(samples, 0.21)).toBe(2);
    expect(samples).toEqual([5, 1, 4, 2, 3]);
  });

  it('answers the only sample for every share', () => {
    expect([0, 0.5, 0.95, 1].map((share) => quantile([7], share))).toEqual([7, 7, 7, 7]);
  });

  it('refuses no samples', () => {
    expect(() => quantile([], 0.5)).toThrow(RangeError);
  });

  it('rounds to microseconds', () => {
    expect(percentiles([0.123456, 0.123456])).toEqual({ p50_ms: 0.123, p95_ms: 0.123 });
  });
});

describe('rows are told apart between runs by what they measure', () => {
  it('does not count the number of runs', () => {
    expect(rowKey({ ...row, n: 7 })).toBe(rowKey({ ...row, n: 21 }));
  });

  it('counts the size, where the row names its runs', () => {
    expect(rowKey({ ...row, n: 1, runs: 5 })).not.toBe(rowKey({ ...row, n: 10, runs: 5 }));
    expect(rowKey({ ...row, n: 1, runs: 5 })).toBe(rowKey({ ...row, n: 1, runs: 50 }));
  });

  it('counts the backend', () => {
    expect(rowKey({ ...row, backend: 'mcl' })).not.toBe(rowKey({ ...row, backend: 'noble' }));
  });
});

describe('rows from a suite are checked before they are believed', () => {
  it('takes numbers, short texts and booleans, and leaves undefined out', () => {
    const given = { ...row, mb_per_s: 3.5, backend: 'mcl', met: true, left_out: undefined };
    expect(parseRows([given])).toEqual([{ ...row, mb_per_s: 3.5, backend: 'mcl', met: true }]);
  });

  it.each([
    ['no list', { rows: [] }],
    ['no object', [null]],
    ['no suite', [{ ...row, suite: 1 }]],
    ['no p50', [{ ...row, p50_ms: undefined }]],
    ['a negative time', [{ ...row, p95_ms: -1 }]],
    ['not a number', [{ ...row, rate: Number.NaN }]],
    ['an endless rate', [{ ...row, rate: Number.POSITIVE_INFINITY }]],
    ['a nested value', [{ ...row, deep: { a: 1 } }]],
    ['a long text', [{ ...row, text: 'x'.repeat(401) }]],
    [
      'too many keys',
      [{ ...row, ...Object.fromEntries(Array.from({ length: 36 }, (_, i) => [`k${i}`, i])) }],
    ],
  ])('refuses %s', (_, value) => {
    expect(() => parseRows(value)).toThrow(TypeError);
  });

  it('takes as many rows as its bound and no more', () => {
    const many = (count: number) => Array.from({ length: count }, () => row);
    expect(parseRows(many(SUITE_ROWS_MAX))).toHaveLength(SUITE_ROWS_MAX);
    expect(() => parseRows(many(SUITE_ROWS_MAX + 1))).toThrow(TypeError);
  });
});
