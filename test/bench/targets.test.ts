import { describe, expect, it } from 'vitest';
import type { Row } from '../../bench/harness/row.ts';
import { checkTargets, formatChecks, parseTarget, withTarget } from '../../bench/harness/targets.ts';

const row = (suite: string, op: string, more: Record<string, string | number>): Row => ({
  suite,
  op,
  n: 1,
  p50_ms: 1,
  p95_ms: 1,
  ...more,
});

describe('a row with a target of its own', () => {
  it('is met when every term holds, at the limit itself too', () => {
    const measured = { requests_per_s: 1000, loop_delay_p99_ms: 49.9 };
    const target = 'requests_per_s >= 1000 and loop_delay_p99_ms < 50';
    expect(withTarget(measured, target)).toEqual({ ...measured, target, met: true });
    expect(withTarget({ ...measured, loop_delay_p99_ms: 50 }, target).met).toBe(false);
    expect(withTarget({ ...measured, requests_per_s: 999 }, target).met).toBe(false);
  });

  it('is missed when the figure is absent', () => {
    expect(withTarget({ p95_ms: 1 }, 'p50_ms <= 60').met).toBe(false);
  });

  it('is read back as one check for each term', () => {
    const measured = row('main', 'reads', { requests_per_s: 900, loop_delay_p99_ms: 20 });
    const checks = checkTargets([
      withTarget(measured, 'requests_per_s >= 1000 and loop_delay_p99_ms < 50') as Row,
    ]);
    expect(checks.map(({ measured: figure, limit, met }) => [figure, limit, met])).toEqual([
      [900, 1000, false],
      [20, 50, true],
    ]);
    expect(new Set(checks.map(({ what }) => what)).size).toBe(2);
  });

  it.each(['p50_ms', 'p50_ms = 3', 'p50_ms <= x', 'a <= 1 or b <= 2', ''])(
    'does not take "%s" for a target',
    (text) => {
      expect(() => parseTarget(text)).toThrow(SyntaxError);
    },
  );
});

describe('targets against peers are ratios of rows of one run', () => {
  const abe = (op: string, backend: string, p50: number, bytes = 1): Row => ({
    ...row('abe', op, { backend, bytes, runs: 5 }),
    n: 10,
    p50_ms: p50,
  });

  it('holds speed and size against CIRCL, and mcl against noble', () => {
    const checks = checkTargets([
      abe('encrypt', 'mcl', 2, 1000),
      abe('encrypt', 'circl', 40, 5400),
      abe('decrypt', 'mcl', 4),
      abe('decrypt', 'noble', 40),
      abe('decrypt', 'circl', 5),
    ]);
    expect(checks.map(({ what, measured, met }) => [what, measured, met])).toEqual([
      ['encrypt, 10 attributes, against CIRCL', 20, true],
      ['ciphertext, 10 attributes, against CIRCL', 5.4, false],
      ['decrypt, 10 attributes, against CIRCL', 1.25, false],
      ['decrypt, 10 attributes, mcl against noble', 10, true],
    ]);
  });

  it('says nothing where the peer did not run', () => {
    expect(checkTargets([abe('encrypt', 'mcl', 2, 1000)])).toEqual([]);
  });

  it('takes the worst query of a size, and only on the corpus that the target names', () => {
    const search = (postings: number): Row[] => [
      { ...row('search', 'build', { postings_per_s: 800_000, bytes_per_posting: 9 }), n: postings },
      row('search', 'and 2 terms, 1000 candidates', { ratio_to_fts5: 2 }),
      row('search', 'and 3 terms, 1000 candidates', { ratio_to_fts5: 4 }),
    ];
    expect(checkTargets(search(2_000_000)).map(({ measured, met }) => [measured, met])).toEqual([
      [4, false],
      [800_000, true],
      [9, false],
    ]);
    expect(checkTargets(search(200_000))).toEqual([]);
  });

  it('counts what was met in words', () => {
    const [text] = [formatChecks(checkTargets([withTarget(row('main', 'open', {}), 'p50_ms <= 30') as Row]))];
    expect(text).toContain('targets: 1 of 1 met');
    expect(text).toContain('1 p50_ms, target <= 30');
    expect(formatChecks([])).toBe('');
  });
});
