/**
 * The guards whose absence the simulator must notice: each switch of `SimWeakening`, and how soon a run
 * of seeds notices. The same rows stand in docs/consensus.md.
 */
import { runSimulation } from './run.ts';
import type { SimWeakening } from './weakening.ts';

/** Every switch. */
export const GUARDS = [
  'dropLock',
  'rebuildHeader',
  'anyCertificate',
  'certificatesUnchecked',
  'newViewUnderived',
  'secondPrePrepare',
  'voteAfterViewChange',
  'leaderCountedTwice',
  'prepareQuorumLess',
  'commitQuorumLess',
  'viewChangeQuorumLess',
  'prepareAnyView',
  'commitAnyView',
  'viewChangeAnyHeight',
  'viewsOutliveHeights',
  'joinAnyone',
  'forgetAccepted',
  'forgetLock',
  'forgetPromise',
  'rejoinAtOnce',
  'rejoinEarly',
  'answersOfFew',
  'sendBeforeDurable',
  'skipExecution',
  'decideUnexecuted',
  'clockOnReproposal',
  'anyTime',
  'emptyAnytime',
  'requestsUnchecked',
  'invalidRequestsTimed',
  'nonceUnchecked',
  'releaseUnbounded',
] as const satisfies readonly (keyof SimWeakening)[];

export type Guard = (typeof GUARDS)[number];

export interface Found {
  /** Seeds run until the breach, or all of them. */
  readonly seeds: number;
  /** What was seen; absent when nothing was. */
  readonly text: string | undefined;
}

/** Runs seeds from `firstSeed` on without `guard` until a breach is seen, at most `seedsMax`. */
export function seedsToFind(guard: Guard, firstSeed: number, seedsMax: number): Found {
  const result = runSimulation({
    seeds: seedsMax,
    firstSeed,
    members: [4, 5, 6, 7],
    weaken: { [guard]: true },
    onSeed: (_seed, violations) => violations.length === 0,
  });
  return { seeds: result.seeds, text: result.violations[0]?.text };
}
