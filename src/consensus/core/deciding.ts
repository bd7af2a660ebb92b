/**
 * From COMMITs to a decided block (ledger-security rules 7, 8): q COMMITs of one view make a certificate; it decides
 * once its block is here and the own execution gave the header's roots. What is missing is fetched by hash.
 */
import { PROPOSALS_KEPT_MAX } from '../limits.ts';
import type { Hash } from '../wire/bytes.ts';
import type { Commit, Message, Proposal, QuorumCertificate } from '../wire/messages.ts';
import type { ReplicaState } from './state.ts';
import type { ProposalMode } from './types.ts';
import { signatures } from './votes.ts';

/** One proposal may be under examination twice: as a candidate, and with a fetched certificate. */
export function examinationKey(hash: Hash, certified: boolean): string {
  return certified ? `${hash}+` : hash;
}

/** Has a proposal examined and executed, unless that is under way. */
export function examine(
  r: ReplicaState,
  proposal: Proposal,
  mode: ProposalMode,
  qc: QuorumCertificate | undefined,
): void {
  const key = examinationKey(proposal.hash, qc !== undefined);
  if (r.open.examining.has(key)) return;
  r.open.examining.add(key);
  r.emit({ t: 'validate', proposal, mode, qc });
}

/** Keeps a proposal of the open height by hash; beyond the bound the oldest that nothing needs goes. */
export function keepProposal(r: ReplicaState, proposal: Proposal): void {
  const { open } = r;
  open.proposals.set(proposal.hash, proposal);
  if (open.proposals.size <= PROPOSALS_KEPT_MAX) return;
  for (const hash of open.proposals.keys()) {
    const needed =
      hash === open.locked?.hash || hash === open.accepted?.message.digest || hash === proposal.hash;
    if (needed) continue;
    open.proposals.delete(hash);
    open.verdicts.delete(hash);
    return;
  }
}

/** Asks validators by index for an undecided proposal. */
export function fetchProposal(r: ReplicaState, hash: Hash, from: readonly number[]): void {
  const message: Message = { type: 'fetch', from: r.open.height, count: 1, hash };
  for (const sender of from) {
    if (sender !== r.index) r.send(r.chain.validators.ids[sender], message);
  }
}

/** q COMMITs of one view and hash are a quorum certificate (rule 7). */
export function tryCommitted(r: ReplicaState, { view, digest }: Commit): void {
  const { open, weaken } = r;
  if (open.decided !== undefined || open.awaited !== undefined) return;
  const quorum = r.chain.validators.q - (weaken.commitQuorumLess ? 1 : 0);
  const votes = weaken.commitAnyView ? open.commits.ofAnyView(digest) : open.commits.list(view, digest);
  if (votes.length < quorum) return;
  open.awaited = {
    epoch: r.chain.validators.epoch,
    height: open.height,
    view,
    headerHash: digest,
    votes: signatures(votes.slice(0, quorum)),
  };
  tryDecide(r);
  if (open.decided === undefined) obtainAwaited(r);
}

/** Certificate, batch and own execution together decide (rule 8). */
export function tryDecide(r: ReplicaState): void {
  const { open } = r;
  const qc = open.awaited;
  if (qc === undefined || open.decided !== undefined) return;
  const proposal = open.proposals.get(qc.headerHash);
  if (proposal === undefined) return;
  const unexecuted = open.verdicts.get(qc.headerHash) !== 'ok';
  if (unexecuted && !r.weaken.skipExecution && !r.weaken.decideUnexecuted) {
    examine(r, proposal, 'decided', undefined);
    return;
  }
  open.decided = qc;
  open.handedOver = true;
  r.append({ kind: 'decided', height: open.height, qc });
  r.emit({ t: 'decide', block: { proposal, qc } });
}

/** The block of a certificate is not here: its signers have it. */
export function obtainAwaited(r: ReplicaState): void {
  const { open } = r;
  if (open.awaited === undefined || open.proposals.has(open.awaited.headerHash)) return;
  if (open.candidate?.message.digest === open.awaited.headerHash) {
    keepProposal(r, open.candidate.message.proposal);
    tryDecide(r);
    return;
  }
  fetchProposal(
    r,
    open.awaited.headerHash,
    open.awaited.votes.map((vote) => vote.sender),
  );
}
