/** Requests on their way to a leader (ledger-security rules 16, 18): at once to it, to all after half a time-out. */
import type { Admission } from './pool.ts';
import type { ReplicaState } from './state.ts';
import type { DropReason, PooledRequest } from './types.ts';

/** What would become of this request now. */
export function admissionOf(r: ReplicaState, request: PooledRequest): Admission | 'expired' {
  // While a block is being applied its requests are in the pool and already used in committed state.
  if (r.pool.has(request.id)) return 'known';
  const time = r.nextTime();
  if (request.info.expiresAt <= time) return 'expired';
  return r.options.stillValid(request.info, time) ? r.pool.admission(request) : 'nonce-used';
}

/** Pools a request that the application admitted; it goes to the leader at once. Whether it was added. */
export function takeRequest(r: ReplicaState, request: PooledRequest): boolean {
  const admission = admissionOf(r, request);
  if (admission === 'known') return false;
  if (admission !== 'added') {
    r.emit({ t: 'dropped', id: request.id, reason: admission });
    return false;
  }
  r.pool.add(request, r.now);
  if (r.leader !== r.index)
    r.send(r.chain.validators.ids[r.leader], { type: 'request', request: request.bytes });
  return true;
}

export function drop(r: ReplicaState, id: string, reason: DropReason): void {
  if (r.pool.remove(id)) r.emit({ t: 'dropped', id, reason });
}

/** Drops requests that became invalid: nobody is to be deposed for leaving them out. */
export function sweepPool(r: ReplicaState): void {
  if (r.open.handedOver || r.weaken.invalidRequestsTimed) return;
  const time = r.nextTime();
  const gone: PooledRequest[] = [];
  for (const { request } of r.pool.entries()) {
    if (!r.options.stillValid(request.info, time)) gone.push(request);
  }
  for (const { id, info } of gone) drop(r, id, info.expiresAt <= time ? 'expired' : 'nonce-used');
}

/** Requests that wait go to a new leader at once; the former one may be the only other who has them. */
export function forwardToNewLeader(r: ReplicaState): void {
  const leader = r.chain.validators.ids[r.leader];
  if (leader === r.forwardedTo) return;
  r.forwardedTo = leader;
  if (r.leader === r.index) return;
  let count = 0;
  for (const { request } of r.pool.entries()) {
    if (count++ >= 2 * r.options.batch.countMax) return;
    r.send(leader, { type: 'request', request: request.bytes });
  }
}

/** When the next request goes to all, if one waits for that. */
export function broadcastDeadline(r: ReplicaState): number | undefined {
  const quiet = r.pool.oldestQuiet();
  return quiet === undefined ? undefined : quiet.since + r.options.timing.viewTimeoutMs / 2;
}

/** Requests that the leader has not decided after half a time-out go to all (rule 16). */
export function broadcastLate(r: ReplicaState): void {
  const before = r.now - r.options.timing.viewTimeoutMs / 2;
  for (;;) {
    const quiet = r.pool.oldestQuiet();
    if (quiet === undefined || quiet.since > before) return;
    r.pool.broadcast(quiet.request.id);
    r.send('all', { type: 'request', request: quiet.request.bytes });
  }
}
