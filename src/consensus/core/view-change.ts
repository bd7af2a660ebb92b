/**
 * View change (ledger-security rules 13-15): a VIEW-CHANGE is a promise to vote in no lower view of this height and
 * carries the highest prepared certificate; q of them let the new leader propose, and everybody derives again what.
 */
import { type NewView, type Proposal, type ViewChange, VOTE_TAG } from '../wire/messages.ts';
import { examine, fetchProposal } from './deciding.ts';
import { build, lead, leadPrePrepare, mayPropose } from './proposing.ts';
import { forwardToNewLeader } from './requests.ts';
import { anyHeight, checkNewView, highestPrepared, viewChangeHolds } from './rules.ts';
import type { ReplicaState } from './state.ts';
import { accuse, consider, firstOfView, freshAllowed, storable } from './voting.ts';

/** One VIEW-CHANGE per view, durable before it leaves; nothing is signed below it any more (rules 13, N1). */
export function startViewChange(r: ReplicaState, view: number): void {
  const { open } = r;
  if (!r.mayVote() || open.decided !== undefined) return;
  if (view <= open.view) return;
  open.view = view;
  open.changing = true;
  open.building = false;
  open.candidate = undefined;
  open.viewSince = r.now;
  open.quorumSince = undefined;
  const change = r.options.signer.viewChange(
    r.position(view),
    r.chain.qc,
    r.weaken.dropLock ? undefined : open.locked,
  );
  r.boot.voted({ height: open.height, view, kind: VOTE_TAG['view-change'] });
  open.ownViewChange = change;
  r.emit({ t: 'view', height: open.height, view });
  r.persist({ kind: 'view-change', height: open.height, message: change }, () => {
    if (r.open !== open || open.ownViewChange !== change || !open.changing) return;
    r.nextResend = r.now + r.options.timing.resendMs;
    r.send('all', change);
    forwardToNewLeader(r);
    countViewChange(r, change);
  });
}

export function onViewChange(r: ReplicaState, from: string, message: ViewChange): void {
  const { open } = r;
  const stale = anyHeight(r.weaken) && message.height < open.height;
  if (!stale && !storable(r, message)) return;
  if (!viewChangeHolds(r.chain, message, r.weaken)) return;
  const kept = open.viewChanges.get(message.sender);
  if (kept !== undefined && kept.view === message.view && kept.digest !== message.digest) {
    accuse(r, 'view-change', kept, message);
    return;
  }
  const { accepted } = open;
  if (message.view <= open.view && !open.changing && accepted !== undefined && accepted.view === open.view) {
    // The sender missed the NEW-VIEW of the view in progress; it proves itself, so anyone may pass it on.
    // The leader's own counts as sent only once it is durable, and is a vote: not while it may not vote.
    const own = accepted.message.sender === r.index;
    const sent = open.leading.get(accepted.view, accepted.message.sender) !== undefined;
    if (accepted.view > 0 && sent && (!own || r.mayVote())) r.send(from, accepted.message);
  }
  if (kept !== undefined && kept.view >= message.view) return;
  countViewChange(r, message);
}

function countViewChange(r: ReplicaState, message: ViewChange): void {
  const { open } = r;
  open.viewChanges.set(message.sender, message);
  const { f, q } = r.chain.validators;
  const joined = open.viewToJoin(r.weaken.joinAnyone ? 0 : f);
  if (joined !== undefined) startViewChange(r, joined);
  open.noteViewChangeQuorum(q, r.now);
  tryNewView(r);
}

function viewChangeQuorum(r: ReplicaState): ViewChange[] | undefined {
  return r.open.viewChangeQuorum(r.chain.validators.q - (r.weaken.viewChangeQuorumLess ? 1 : 0));
}

/** The new leader proposes the highest prepared header again, or a fresh one (rule 15). */
export function tryNewView(r: ReplicaState): void {
  const { open } = r;
  if (!open.changing || !mayPropose(r)) return;
  const changes = viewChangeQuorum(r);
  if (changes === undefined) return;
  const prepared = highestPrepared(changes, open.height, r.weaken);
  if (prepared === undefined) {
    build(r);
    return;
  }
  const proposal = open.proposals.get(prepared.hash);
  if (proposal === undefined) {
    fetchProposal(r, prepared.hash, prepared.votes.map((vote) => vote.sender).concat(prepared.leader.sender));
    return;
  }
  if (open.verdicts.get(prepared.hash) === 'ok' || r.weaken.skipExecution) leadNewView(r, proposal, changes);
  else examine(r, proposal, 'reproposal', undefined);
}

function leadNewView(r: ReplicaState, proposal: Proposal, viewChanges: readonly ViewChange[]): void {
  const { open } = r;
  const position = r.position(open.view);
  const signature = r.sign('pre-prepare', position.view, proposal.hash);
  open.changing = false;
  open.viewSince = r.now;
  r.emit({ t: 'view', height: open.height, view: open.view });
  lead(r, { type: 'new-view', ...position, digest: proposal.hash, signature, proposal, viewChanges });
}

/** A block was built: it is proposed if it is still wanted. */
export function onBuilt(r: ReplicaState, height: number, view: number, proposal: Proposal): void {
  const { open } = r;
  if (height !== open.height) return;
  open.building = false;
  if (view !== open.view || !mayPropose(r)) return;
  if (view === open.first && !open.changing) {
    leadPrePrepare(r, proposal);
  } else if (view > open.first && open.changing) {
    const changes = viewChangeQuorum(r);
    if (changes !== undefined && highestPrepared(changes, open.height, r.weaken) === undefined) {
      leadNewView(r, proposal, changes);
    }
  }
}

export function onNewView(r: ReplicaState, message: NewView): void {
  const { open } = r;
  if (!storable(r, message) || message.sender === r.index || open.decided !== undefined) return;
  if (message.view < open.view) return;
  const check = checkNewView(r.chain, message, r.weaken);
  if (check === 'refused' || !firstOfView(r, message)) return;
  open.view = message.view;
  open.changing = false;
  open.building = false;
  open.candidate = undefined;
  open.viewSince = r.now;
  r.emit({ t: 'view', height: open.height, view: open.view });
  const strict = check === 'fresh' || r.weaken.clockOnReproposal === true;
  if (strict && !freshAllowed(r, message.proposal, message.view)) return;
  consider(r, { view: message.view, message, mode: check });
}
