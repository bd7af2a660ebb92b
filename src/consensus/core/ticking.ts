/** What time does (ledger-security rules 13, 14, 16): everything is asked again on each tick, nothing is scheduled. */
import { HEARTBEAT_MS } from '../limits.ts';
import { catchUp, ownStatus, resend } from './following.ts';
import { tryPropose } from './proposing.ts';
import { broadcastDeadline, broadcastLate, sweepPool } from './requests.ts';
import { askOn, begin } from './starting.ts';
import type { ReplicaState } from './state.ts';
import { viewDeadline } from './timers.ts';
import { startViewChange } from './view-change.ts';

/** Monotone time of the next timer. */
export function nextDeadline(r: ReplicaState): number {
  const times = [r.nextStatus, r.nextResend];
  if (r.boot.asking) times.push(r.helloDeadline);
  const view = givesUpAt(r);
  if (view !== undefined) times.push(view);
  const half = broadcastDeadline(r);
  if (half !== undefined) times.push(half);
  const beat = r.chain.time + HEARTBEAT_MS - r.clock;
  if (beat > 0) times.push(r.now + beat);
  return Math.min(...times);
}

/** `now` is monotone, `clock` wall time. */
export function onTick(r: ReplicaState, now: number, clock: number): void {
  r.now = Math.max(now, r.now);
  r.clock = clock;
  if (!r.started) begin(r);
  askOn(r);
  noteHeartbeat(r);
  if (r.now >= r.nextStatus) {
    r.nextStatus = r.now + r.options.timing.statusMs;
    r.send('all', ownStatus(r));
    sweepPool(r);
  }
  if (r.now >= r.nextResend) {
    r.nextResend = r.now + r.options.timing.resendMs;
    resend(r, 'all');
  }
  catchUp(r);
  broadcastLate(r);
  if (overdue(r)) {
    // Not for the sake of a request that has become invalid (rule 16).
    sweepPool(r);
    if (overdue(r)) startViewChange(r, r.open.view + 1);
  }
  tryPropose(r);
}

/** Notes since when the empty block of an idle chain is due. */
export function noteHeartbeat(r: ReplicaState): void {
  const { open } = r;
  if (open.heartbeatSince === undefined && r.clock >= r.chain.time + HEARTBEAT_MS)
    open.heartbeatSince = r.now;
}

function givesUpAt(r: ReplicaState): number | undefined {
  if (!r.mayVote() || r.open.decided !== undefined) return undefined;
  return viewDeadline(r.open, r.pool.oldest(), r.options.timing.viewTimeoutMs);
}

function overdue(r: ReplicaState): boolean {
  const deadline = givesUpAt(r);
  return deadline !== undefined && r.now >= deadline;
}
