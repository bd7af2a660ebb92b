/** Many seeds, one line for each that fails. */
import { Simulation } from './simulation.ts';
import type { SimWeakening } from './weakening.ts';

export interface RunOptions {
  /** How many seeds, from `firstSeed` on. */
  readonly seeds: number;
  readonly firstSeed?: number;
  /** Numbers of members to draw from, by seed; default 4, 5, 6, 7, 9, 10, 12, 13. */
  readonly members?: readonly number[];
  readonly safetyMs?: number;
  readonly byzantine?: number;
  readonly weaken?: SimWeakening;
  /** Called after each seed; return false to stop. */
  readonly onSeed?: (seed: number, violations: readonly string[]) => boolean | undefined;
}

export interface Violation {
  readonly seed: number;
  readonly members: number;
  readonly text: string;
  /** Replays the seed. */
  readonly replay: string;
}

export interface RunResult {
  readonly seeds: number;
  /** Events over all seeds. */
  readonly steps: number;
  readonly violations: readonly Violation[];
  readonly failingSeeds: readonly number[];
}

const MEMBERS: readonly number[] = [4, 5, 6, 7, 9, 10, 12, 13];

/** Runs the simulator; the same options give the same result. */
export function runSimulation(options: RunOptions): RunResult {
  const members = options.members ?? MEMBERS;
  const first = options.firstSeed ?? 1;
  const violations: Violation[] = [];
  const failingSeeds: number[] = [];
  let steps = 0;
  let seeds = 0;
  for (let seed = first; seed < first + options.seeds; seed++) {
    const n = members[seed % members.length];
    const simulation = new Simulation({
      seed,
      members: n,
      ...(options.weaken && { weaken: options.weaken }),
      ...(options.byzantine !== undefined && { byzantine: options.byzantine }),
    });
    const result = simulation.run(options.safetyMs);
    steps += result.steps;
    seeds += 1;
    if (result.violations.length > 0) {
      failingSeeds.push(seed);
      const replay = `sim --seed ${seed} --members ${n}`;
      for (const text of result.violations) violations.push({ seed, members: n, text, replay });
    }
    if (options.onSeed?.(seed, result.violations) === false) break;
  }
  return { seeds, steps, violations, failingSeeds };
}
