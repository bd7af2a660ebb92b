import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compare, type Results, readResults } from '../../bench/harness/baseline.ts';
import type { Environment } from '../../bench/harness/environment.ts';
import { type Row, rowKey } from '../../bench/harness/row.ts';
import { formatRatio, formatTable } from '../../bench/harness/table.ts';

const environment: Environment = {
  version: '0.1.0',
  commit: '0123456789ab',
  date: '2026-01-02T03:04:05.000Z',
  node: '20.20.0',
  os: 'Linux 6',
  arch: 'x64',
  cpu: 'A processor',
  cores: 2,
  memory_mib: 4096,
  load_average: [0.1, 0.1, 0.1],
  core_share: 0.98,
  disk_flush: { n: 60, p50_ms: 1, p95_ms: 2 },
  quick: false,
  suites: [],
};
const row = (op: string, p50: number): Row => ({ suite: 's', op, n: 5, p50_ms: p50, p95_ms: p50 });
const results = (rows: readonly Row[], changes: Partial<Environment> = {}): Results => ({
  environment: { ...environment, ...changes },
  rows,
});

describe('a run beside its baseline', () => {
  it('is a ratio for each row of both, 2 being twice as slow', () => {
    const { ratios, warnings } = compare(
      results([row('a', 4), row('b', 1), row('new', 9)]),
      results([row('a', 2), row('b', 4), row('gone', 1)]),
    );
    expect([...ratios]).toEqual([
      [rowKey(row('a', 0)), 2],
      [rowKey(row('b', 0)), 0.25],
    ]);
    expect(warnings).toEqual([]);
  });

  it('leaves a row out whose baseline is below what a clock sees', () => {
    expect(compare(results([row('a', 1)]), results([row('a', 0)])).ratios.size).toBe(0);
  });

  it.each([
    ['another machine', { cpu: 'Another' }, /another machine/],
    ['another Node', { node: '22.1.0' }, /Node 20\.20\.0/],
    ['a quick run', { quick: true }, /quick/],
    ['a busy machine', { load_average: [7, 6, 5] }, /busy/],
  ])('warns of %s', (_, changes, expected) => {
    const { warnings } = compare(results([], changes), results([]));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(expected);
  });

  it('is shown in words only where it says something', () => {
    expect([formatRatio(1.02), formatRatio(1.5), formatRatio(0.5)]).toEqual([
      '1.02x',
      '1.50x slower',
      '0.50x faster',
    ]);
    const table = formatTable([row('a', 4), row('new', 1)], new Map([[rowKey(row('a', 0)), 2]]));
    expect(table).toMatch(/a\s+5\s+4\s+4\s+2\.00x slower/);
    expect(table).toMatch(/new\s+5\s+1\s+1\s+new/);
  });
});

describe('a baseline file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hippocrypt-test-bench-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is what a run writes', () => {
    const path = join(folder, 'baseline.json');
    const written = results([row('a', 4)]);
    writeFileSync(path, JSON.stringify(written));
    expect(readResults(path)).toEqual(written);
  });

  it.each(['null', '[]', '{"rows":[]}', '{"environment":{},"rows":[{"suite":"s"}]}'])(
    'is refused as %s',
    (text) => {
      const path = join(folder, 'baseline.json');
      writeFileSync(path, text);
      expect(() => readResults(path)).toThrow(TypeError);
    },
  );
});
