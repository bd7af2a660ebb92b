import { expect, test } from 'vitest';
import { openGroup } from '../../../src/abe/index.ts';
import { fuzzAbe } from './run.ts';

// FUZZ_SEED and FUZZ_CASES explore further; a finding names its target and case, and the same seed repeats it.
const seed = process.env.FUZZ_SEED ?? 'abe';
const cases = Number(process.env.FUZZ_CASES ?? 120);

test.each([
  ['mcl', cases],
  ['noble', Math.ceil(cases / 4)],
] as const)(
  'damaged bytes of any kind give a typed error, never another result, under %s (%i a target)',
  async (backend, cases) => {
    const group = await openGroup(backend);
    fuzzAbe({ group, seed: `${seed} warm-up`, cases: 20 });
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    const report = fuzzAbe({ group, seed, cases });
    expect(report.findings).toEqual([]);
    expect(report.cases).toBe(cases * 10);
    expect(report.codes.accepted).toBeGreaterThanOrEqual(10);
    expect(Object.keys(report.codes)).toEqual(
      expect.arrayContaining([
        'abe.header_malformed',
        'abe.header_rejected',
        'abe.part_malformed',
        'abe.payload_rejected',
      ]),
    );
    // A hang or a leak would show as seconds a case or as memory; both bounds are far from the usual.
    expect(report.slowestMs).toBeLessThan(10_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(256 * 2 ** 20);
  },
  // A minute for a thousand cases on a slow machine.
  Math.max(300_000, cases * 600),
);
