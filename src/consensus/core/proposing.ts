/** The leader of view 0 proposes (ledger-security rules 3, 4): as soon as nothing is in flight and something waits. */
import type { NewView, PrePrepare, Proposal } from '../wire/messages.ts';
import type { Candidate } from './open-height.ts';
import type { ReplicaState } from './state.ts';
import { accept } from './voting.ts';

/**
 * Whether this node leads the current view and has not yet proposed in it. Not for a height that is decided already, as an honest
 * member says: a member that follows from far behind leads one height in n, and what it would build is executed for nothing.
 */
export function mayPropose(r: ReplicaState): boolean {
  const { open } = r;
  const { ids, f } = r.chain.validators;
  return (
    r.mayVote() &&
    r.leader === r.index &&
    r.clocks.mayLead(r.chain.validators) &&
    open.decided === undefined &&
    open.awaited === undefined &&
    !open.building &&
    open.candidate === undefined &&
    open.accepted?.view !== open.view &&
    !r.sync.claimed(open.height, ids, f + 1)
  );
}

export function tryPropose(r: ReplicaState): void {
  const { open } = r;
  if (open.view !== open.first || open.changing || !mayPropose(r)) return;
  if (r.pool.size === 0 && open.heartbeatSince === undefined) return;
  build(r);
}

/** Has a fresh block built from what waits and is valid now. */
export function build(r: ReplicaState): void {
  const { open } = r;
  const time = r.nextTime();
  const requests = r.pool.select(r.options.batch, (request) => r.options.stillValid(request.info, time));
  if (requests.length === 0 && open.view === 0 && open.heartbeatSince === undefined) return;
  open.building = true;
  r.emit({ t: 'build', height: open.height, view: open.view, proposer: r.index, time, requests });
}

/** The block that was built for the first view. */
export function leadPrePrepare(r: ReplicaState, proposal: Proposal): void {
  const position = r.position(r.open.first);
  const signature = r.sign('pre-prepare', position.view, proposal.hash);
  lead(r, { type: 'pre-prepare', ...position, digest: proposal.hash, signature, proposal });
}

/** The leader's own proposal is its PREPARE: durable, then sent, then counted (rule 4). */
export function lead(r: ReplicaState, message: PrePrepare | NewView): void {
  const { open } = r;
  open.verdicts.set(message.proposal.hash, 'ok');
  const candidate: Candidate = { view: message.view, message, mode: 'reproposal' };
  accept(r, candidate, () => {
    r.send('all', message);
    open.leading.add(message);
  });
}
