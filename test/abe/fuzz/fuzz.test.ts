import { openSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openGroup } from '../../../src/abe/index.ts';
import { type FuzzReport, fuzzAbe } from './run.ts';

// FUZZ_SEED and FUZZ_CASES explore further; a finding names its target and case, and the same seed repeats it.
// FUZZ_PROGRESS names a file that says which case runs: `npm run fuzz` watches it for one that hangs.
const seed = process.env.FUZZ_SEED ?? 'abe';
const cases = Number(process.env.FUZZ_CASES ?? 120);
/** `FUZZ_ONLY=ring` repeats one target. */
const only = process.env.FUZZ_ONLY;
const progress =
  process.env.FUZZ_PROGRESS === undefined ? undefined : openSync(process.env.FUZZ_PROGRESS, 'w');

const MIB = 2 ** 20;
/** Far above what tables and caches take (15 MiB of leaves' tables come with use), far below a leak of a byte a case in megabytes of input. */
const GROWTH_MAX = 256 * MIB;
const SLOWEST_MS_MAX = 10_000;

const inWords = (backend: string, { cases: count, findings, slowestMs, growth }: FuzzReport): string =>
  `${backend}: ${count} cases of seed "${seed}", ${findings.length} findings, slowest ${Math.round(slowestMs)} ms, ` +
  `resident memory ${(growth.at(-1) ?? 0) >= 0 ? '+' : ''}${Math.round((growth.at(-1) ?? 0) / MIB)} MiB since the first target`;

test.each([
  ['mcl', cases],
  // Six times as slow, and only the arithmetic differs.
  ['noble', Math.max(30, Math.ceil(cases / 20))],
] as const)(
  'damaged bytes of any kind give a typed error, never another result, under %s (%i a target)',
  async (backend, cases) => {
    const group = await openGroup(backend);
    fuzzAbe({ group, seed: `${seed} warm-up`, cases: 20 });
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    const onCase = (target: string, index: number): void => {
      if (progress !== undefined) writeSync(progress, `${backend}, ${target}, ${index}`.padEnd(60), 0);
    };
    const report = fuzzAbe({ group, seed, cases, onCase, ...(only !== undefined && { only }) });
    if (process.env.FUZZ_CASES !== undefined) console.log(inWords(backend, report));
    expect(report.findings).toEqual([]);
    if (only !== undefined) return;
    expect(report.cases).toBeGreaterThanOrEqual(cases * 10);
    expect(report.codes.accepted).toBeGreaterThanOrEqual(10);
    expect(Object.keys(report.codes)).toEqual(
      expect.arrayContaining([
        'abe.header_malformed',
        'abe.header_rejected',
        'abe.part_malformed',
        'abe.payload_rejected',
      ]),
    );
    expect(report.slowestMs).toBeLessThan(SLOWEST_MS_MAX);
    expect(process.memoryUsage().rss - before).toBeLessThan(GROWTH_MAX);
  },
  // A minute for a thousand cases on a slow machine.
  Math.max(300_000, cases * 600),
);
