import { describe, expect, test } from 'vitest';
import { faultBound, quorumSize } from '../../src/consensus/quorum.ts';
import { runSimulation } from '../../src/consensus/sim/run.ts';

describe('simulator', () => {
  test.each([4, 5, 6, 7, 9, 10, 12, 13])('n = %i: no violation under the faults of these seeds', (n) => {
    const result = runSimulation({ seeds: n < 8 ? 6 : 2, firstSeed: 1000, members: [n], safetyMs: 6000 });
    expect(result.violations).toEqual([]);
    expect(result.steps).toBeGreaterThan(1000);
  });

  // Seeds that found a defect, with what it was; each has a scripted schedule of its own too.
  test.each([
    [10, 500_021, 'a leader whose log was damaged passed its own NEW-VIEW on before it might vote again'],
  ])('n = %i, seed %i: %s', (members, seed) => {
    expect(runSimulation({ seeds: 1, firstSeed: seed, members: [members] }).violations).toEqual([]);
  });

  test('a seed replays exactly', () => {
    const run = (): unknown => runSimulation({ seeds: 2, firstSeed: 77, members: [4], safetyMs: 5000 });
    expect(run()).toEqual(run());
  });

  test('more than f Byzantine members are noticed, so the checks can fail', () => {
    const result = runSimulation({
      seeds: 20,
      firstSeed: 19,
      members: [4],
      byzantine: 2,
      safetyMs: 6000,
      onSeed: (_seed, violations) => violations.length === 0,
    });
    expect(result.failingSeeds.length).toBeGreaterThan(0);
    expect(result.violations[0].replay).toMatch(/^sim --seed \d+ --members 4$/);
  });
});

describe('quorums', () => {
  test('any two meet in f + 1 members and n - f members make one, for every n that is allowed', () => {
    for (let n = 4; n <= 64; n++) {
      const f = faultBound(n);
      const q = quorumSize(n);
      expect(2 * q - n).toBeGreaterThanOrEqual(f + 1);
      expect(q).toBeLessThanOrEqual(n - f);
    }
    expect([4, 5, 6, 7, 8, 9, 10, 11, 12, 13].map(quorumSize)).toEqual([3, 4, 4, 5, 6, 6, 7, 8, 8, 9]);
  });
});
