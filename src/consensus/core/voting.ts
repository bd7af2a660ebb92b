/**
 * The normal case at a voter (ledger-security rules 4-7, 17, 29): the first valid proposal of a view is accepted,
 * durably; then PREPARE; q of those are a lock, durably; then COMMIT. Two signed values of one sender are evidence.
 */
import { leaderOf } from '../chain.ts';
import { VIEWS_AHEAD_MAX } from '../limits.ts';
import type {
  Commit,
  NewView,
  PrePrepare,
  Prepare,
  PreparedCertificate,
  Proposal,
  Signed,
  VoteKind,
} from '../wire/messages.ts';
import { examine, keepProposal, tryCommitted, tryDecide } from './deciding.ts';
import type { Candidate } from './open-height.ts';
import { emptyAllowed, fitsChain, namesParent, timely } from './rules.ts';
import type { ReplicaState } from './state.ts';
import { signatures } from './votes.ts';

/** Whether a vote is one for the open height that may be stored (rules 2, 29). */
export function storable(r: ReplicaState, message: Signed): boolean {
  const { open } = r;
  return (
    message.epoch === r.chain.validators.epoch &&
    message.height === open.height &&
    message.sender < r.chain.validators.n &&
    message.view <= open.view + VIEWS_AHEAD_MAX &&
    !open.handedOver
  );
}

/**
 * Whether verifying a signed message could change anything: false for duplicates and for votes beyond a quorum.
 */
export function wanted(r: ReplicaState, message: Signed & { readonly type: string }): boolean {
  const { open, chain } = r;
  if (r.halted || message.height !== open.height || message.epoch !== chain.validators.epoch) return false;
  if (message.sender >= chain.validators.n || message.view > open.view + VIEWS_AHEAD_MAX) return false;
  switch (message.type) {
    case 'prepare': {
      const kept = open.prepares.get(message.view, message.sender);
      if (kept !== undefined) return kept.digest !== message.digest;
      const done = open.locked !== undefined && open.locked.view >= message.view;
      return message.view >= open.view && !(done && open.locked?.hash === message.digest);
    }
    case 'commit': {
      const kept = open.commits.get(message.view, message.sender);
      if (kept !== undefined) return kept.digest !== message.digest;
      return open.decided === undefined || open.decided.headerHash !== message.digest;
    }
    case 'view-change': {
      const kept = open.viewChanges.get(message.sender);
      const missedNewView = !open.changing && message.view <= open.view && open.view > 0;
      return (
        kept === undefined || message.view > kept.view || kept.digest !== message.digest || missedNewView
      );
    }
    default:
      return open.decided === undefined;
  }
}

/** Evidence once per sender and height (rule 17). */
export function accuse(r: ReplicaState, kind: VoteKind, first: Signed, second: Signed): void {
  const { accused } = r.open;
  if (accused.has(first.sender)) return;
  accused.add(first.sender);
  const key = r.chain.validators.keys[first.sender];
  r.emit({ t: 'evidence', evidence: { kind, key, first, second } });
}

/** The first proposal of a view counts, a second different one is evidence (rules 5, 17). */
export function firstOfView(r: ReplicaState, message: PrePrepare | NewView): boolean {
  const { open } = r;
  const kept = open.leading.add(message);
  if (kept === undefined) return true;
  if (kept.digest !== message.digest) {
    accuse(r, 'pre-prepare', kept, message);
    return r.weaken.secondPrePrepare === true;
  }
  // Sent again: examined again if it was refused before, for its clock or a request not known then.
  return open.accepted?.view !== message.view && open.candidate === undefined;
}

export function onPrePrepare(r: ReplicaState, message: PrePrepare): void {
  const { open, chain } = r;
  const { header } = message.proposal;
  const { first } = open;
  if (!storable(r, message) || message.view !== first || message.sender !== leaderOf(chain, first)) return;
  if (message.sender === r.index || !fitsChain(chain, header) || header.view !== first) return;
  if (!namesParent(chain, message.proposal)) return;
  if (!firstOfView(r, message) || open.view !== first || open.changing) return;
  if (!freshAllowed(r, message.proposal, first)) return;
  consider(r, { view: first, message, mode: 'fresh' });
}

/** Clock and empty-block rules, which bind fresh proposals only (rules 11, 12). */
export function freshAllowed(r: ReplicaState, proposal: Proposal, view: number): boolean {
  return (
    (r.weaken.anyTime === true || timely(r.chain, proposal.header, r.clock)) &&
    (r.weaken.emptyAnytime === true || emptyAllowed(r.chain, proposal, view))
  );
}

/** Takes a proposal of the current view as a candidate: accepted when it executes to its roots. */
export function consider(r: ReplicaState, candidate: Candidate): void {
  const { open } = r;
  open.candidate = candidate;
  if (open.view === 0) open.viewSince = r.now;
  const { proposal } = candidate.message;
  const verdict = open.verdicts.get(proposal.hash);
  if (verdict === 'ok' || r.weaken.skipExecution) acceptCandidate(r, candidate);
  else examine(r, proposal, candidate.mode, undefined);
}

/** Accepts a candidate that executed to its roots, if its view is still the current one. */
export function acceptCandidate(r: ReplicaState, candidate: Candidate): void {
  const { open } = r;
  if (candidate.view !== open.view || open.changing || open.decided !== undefined) return;
  if (open.accepted?.view === candidate.view && !r.weaken.secondPrePrepare) return;
  open.verdicts.set(candidate.message.proposal.hash, 'ok');
  if (!r.mayVote()) {
    // An observer follows: it keeps the proposal, so that it can decide without fetching, and signs nothing.
    open.candidate = undefined;
    keepProposal(r, candidate.message.proposal);
    tryDecide(r);
    return;
  }
  accept(r, candidate, () => castPrepare(r, candidate));
}

/** Makes `candidate` the accepted proposal of its view and its record durable before `then`. */
export function accept(r: ReplicaState, candidate: Candidate, then: () => void): void {
  const { open } = r;
  open.candidate = undefined;
  open.accepted = candidate;
  open.viewSince = open.view === 0 ? r.now : open.viewSince;
  keepProposal(r, candidate.message.proposal);
  r.persist({ kind: 'proposal', height: open.height, message: candidate.message }, () => {
    if (r.open !== open || open.view !== candidate.view || open.changing) return;
    then();
    tryPrepared(r, candidate.view);
  });
}

export function castPrepare(r: ReplicaState, candidate: Candidate): void {
  if (candidate.message.sender === r.index || !r.mayVote()) return;
  const position = r.position(candidate.view);
  const { digest } = candidate.message;
  const signature = r.sign('prepare', candidate.view, digest);
  const prepare: Prepare = { type: 'prepare', ...position, digest, signature };
  r.open.ownPrepare = prepare;
  r.open.prepares.add(prepare);
  r.send('all', prepare);
}

export function onPrepare(r: ReplicaState, message: Prepare): void {
  if (!storable(r, message)) return;
  const kept = r.open.prepares.add(message);
  if (kept !== undefined) {
    if (kept.digest !== message.digest) accuse(r, 'prepare', kept, message);
    return;
  }
  tryPrepared(r, message.view);
}

/** q votes for the accepted proposal, the leader's PRE-PREPARE among them and counted once (rule 6). */
function tryPrepared(r: ReplicaState, view: number): void {
  const { open, weaken } = r;
  const { accepted } = open;
  if (accepted === undefined || accepted.view !== view || !r.mayVote()) return;
  if ((open.view !== view || open.changing) && !weaken.voteAfterViewChange) return;
  const again = weaken.secondPrePrepare && open.locked?.hash !== accepted.message.digest;
  if (open.locked !== undefined && open.locked.view >= view && !again) return;
  const { message } = accepted;
  const leading = open.leading.get(view, message.sender);
  if (leading === undefined) return;
  const cast = weaken.prepareAnyView
    ? open.prepares.ofAnyView(message.digest)
    : open.prepares.list(view, message.digest);
  const votes = cast.filter((vote) => vote.sender !== message.sender || weaken.leaderCountedTwice);
  const quorum = r.chain.validators.q - (weaken.prepareQuorumLess ? 1 : 0);
  const counted = votes.length + 1 + (weaken.leaderCountedTwice ? 1 : 0);
  if (counted < quorum) return;
  const certificate: PreparedCertificate = {
    header: message.proposal.header,
    hash: message.digest,
    view,
    leader: { sender: message.sender, signature: message.signature },
    votes: signatures(votes.slice(0, quorum - 1)),
  };
  open.locked = certificate;
  r.committedHeight = Math.max(r.committedHeight, open.height);
  r.persist({ kind: 'prepared', height: open.height, certificate }, () => {
    const promised = open.view !== view || open.changing;
    if (r.open === open && (!promised || weaken.voteAfterViewChange)) castCommit(r, certificate);
  });
}

export function castCommit(r: ReplicaState, certificate: PreparedCertificate): void {
  if (!r.mayVote()) return;
  const position = r.position(certificate.view);
  const signature = r.sign('commit', certificate.view, certificate.hash);
  const commit: Commit = { type: 'commit', ...position, digest: certificate.hash, signature };
  r.open.ownCommit = commit;
  r.open.commits.add(commit);
  r.send('all', commit);
  tryCommitted(r, commit);
}

export function onCommit(r: ReplicaState, message: Commit): void {
  if (!storable(r, message)) return;
  const kept = r.open.commits.add(message);
  if (kept !== undefined) {
    if (kept.digest !== message.digest) accuse(r, 'commit', kept, message);
    return;
  }
  tryCommitted(r, message);
}
