/**
 * How old a state may be that is taken for the newest. An old state is no lie that a proof would show: only its time tells what
 * it leaves out. Judged by the clock of who asks: one that is slow by a minute takes a state that is a minute older.
 */
import { CodedError } from '../codec/errors.ts';

/**
 * 60 s, and 10 s that block times may be off. A ledger on which nothing happens makes an empty block every 30 s
 * (docs/consensus.md, "Time").
 */
export const FRESHNESS_MS = 70_000;

/** Throws `checkpoint.stale` for a block that was more than `maxAgeMs` old at `now`. */
export function requireFresh(
  { height, time }: { readonly height: number; readonly time: number },
  now: number,
  maxAgeMs: number,
): void {
  const age = now - time;
  if (age <= maxAgeMs) return;
  const seconds = (ms: number): number => Math.round(ms / 1000);
  throw new CodedError(
    'checkpoint.stale',
    `the newest block that was shown is ${seconds(age)} s old, and ${seconds(maxAgeMs)} s are allowed: ask again in a moment, compare ` +
      "the clocks, or ask another member's gateway; while the ledger stands still, only a longer bound helps " +
      '(freshnessMs of a client, maxAgeMs of a search)',
    { details: { height, time } },
  );
}
