/**
 * Turns of the event loop for long work in small steps, such as building and merging index segments. All members of a process
 * share its one event loop, so they share what long work may take of a turn, one work after the other: votes and requests
 * never wait for more than that, however many indexes are merged at once.
 */
import { performance } from 'node:perf_hooks';

/** What long work may take of one turn, together. Its steps are a tenth of it. */
const SHARE_MS = 4;

const waiting: (() => void)[] = [];
let endsAt = 0;

/** To be awaited between steps: at once while this turn's share lasts, then in a later turn. */
export function giveWay(): Promise<void> {
  if (performance.now() < endsAt) return Promise.resolve();
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) setImmediate(nextTurn);
  });
}

function nextTurn(): void {
  endsAt = performance.now() + SHARE_MS;
  waiting.shift()?.();
  if (waiting.length > 0) setImmediate(nextTurn);
}
