/** When a replica gives up on a view (ledger-security rules 14, 16). Monotone milliseconds. */
import { CENSOR_TIMEOUTS, TIMEOUT_CAP_MS } from '../limits.ts';
import type { OpenHeight } from './open-height.ts';
import type { Waiting } from './pool.ts';

/** Time-out of `view`: doubles with it, up to the cap. */
export function viewTimeout(baseMs: number, view: number): number {
  return Math.min(baseMs * 2 ** Math.min(view, 16), TIMEOUT_CAP_MS);
}

/**
 * When the current view of `open` is given up; undefined while nothing is waited for. In a view change the timer
 * runs only once q VIEW-CHANGEs are held. At view 0 it runs for a proposal in progress, for the oldest valid request
 * that was forwarded, and for the empty block when it is due.
 */
export function viewDeadline(
  open: OpenHeight,
  oldest: Waiting | undefined,
  baseMs: number,
): number | undefined {
  const timeout = viewTimeout(baseMs, open.view);
  if (open.changing) return open.quorumSince === undefined ? undefined : open.quorumSince + timeout;
  const inProgress = open.view > 0 || open.accepted !== undefined || open.candidate !== undefined;
  if (inProgress) return open.viewSince + timeout;
  const deadlines: number[] = [];
  if (oldest !== undefined) {
    // No progress at all; or others are decided and this one is left out.
    deadlines.push(Math.max(oldest.since, open.viewSince) + timeout);
    deadlines.push(Math.max(oldest.since + CENSOR_TIMEOUTS * timeout, open.openedAt + timeout / 4));
  }
  if (open.heartbeatSince !== undefined) deadlines.push(open.heartbeatSince + timeout);
  return deadlines.length === 0 ? undefined : Math.min(...deadlines);
}
