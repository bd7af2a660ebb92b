import { beforeAll, describe, expect, it } from 'vitest';
import { welch } from '../../bench/constant-time/leak-test.ts';
import { operation } from '../../bench/constant-time/operation.ts';
import { secretOperations } from '../../bench/constant-time/operations.ts';
import { runConstantTimeBench } from '../../bench/constant-time.ts';
import { type G1, type Group, openGroup } from '../../src/abe/index.ts';
import { bytesToBigint, reduceWide, scalarToBytes } from '../../src/abe/internal.ts';

describe("Welch's t", () => {
  it('is what the formula says', () => {
    // Means 3 and 2, variances 2.5 and 1, five and three samples.
    expect(welch([1, 2, 3, 4, 5], [1, 2, 3])).toBeCloseTo(1 / Math.sqrt(2.5 / 5 + 1 / 3), 12);
    expect(welch([1, 2, 3], [1, 2, 3])).toBe(0);
    expect(welch([2, 2], [2, 2])).toBe(0);
  });
});

describe('the report on secrets', () => {
  let group: Group;
  let base: G1;
  beforeAll(async () => {
    group = await openGroup('mcl');
    base = group.hashToG1(Uint8Array.of(7));
    group.prepare(base);
  });
  const multiplication = (claim: 'constant' | 'varies' | 'control', run: (k: Uint8Array) => unknown) =>
    operation({
      op: 'multiply',
      claim,
      why: 'a test',
      make: (seed) => scalarToBytes(reduceWide(seed)),
      fixed: () => scalarToBytes(1n),
      run,
    });
  const variable = (k: Uint8Array) => group.mulG1(base, bytesToBigint(k));
  const constant = (k: Uint8Array) => group.mulSecretG1(base, k);

  it('fails when a variable-time multiplication takes the place of the constant-time one', async () => {
    const operations = [multiplication('constant', variable)];
    const [row] = await runConstantTimeBench({ quick: true, operations });
    expect(row).toMatchObject({ verdict: 'LEAKS', failed: true });
    expect(Math.abs(row.t)).toBeGreaterThan(100);
    expect(row.n).toBeGreaterThanOrEqual(1000);
  });

  it('fails when it does not see what is known to vary', async () => {
    const [row] = await runConstantTimeBench({
      quick: true,
      operations: [multiplication('control', constant)],
    });
    expect(row).toMatchObject({ verdict: 'BLIND: no difference seen', failed: true });
  });

  it('tells of what may vary without failing', async () => {
    const [row] = await runConstantTimeBench({
      quick: true,
      operations: [multiplication('varies', variable)],
    });
    expect(row.verdict).toBe('varies');
    expect(row).not.toHaveProperty('failed');
  });

  it('has something to see and something to hold: every kind of claim is there, each operation once', async () => {
    const operations = await secretOperations();
    for (const claim of ['constant', 'varies', 'control']) {
      expect(operations.filter((one) => one.claim === claim).length).toBeGreaterThanOrEqual(2);
    }
    expect(new Set(operations.map(({ op }) => op)).size).toBe(operations.length);
  });
});
