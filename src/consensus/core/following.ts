/**
 * Following the others (ledger-security rules 9, 28): blocks are fetched from peers that are ahead, one peer at a
 * time, and believed only after their certificate was verified and their roots executed; own votes are sent again.
 */
import { SYNC_BLOCKS_MAX } from '../limits.ts';
import type { PeerId } from '../validators.ts';
import { type Hash, ZERO_HASH } from '../wire/bytes.ts';
import type { Block, Proposal, Status } from '../wire/messages.ts';
import { examine, keepProposal, obtainAwaited, tryDecide } from './deciding.ts';
import { fitsChain, namesParent } from './rules.ts';
import type { ReplicaState } from './state.ts';
import type { Verdict } from './types.ts';
import { tryNewView } from './view-change.ts';

export function ownStatus(r: ReplicaState): Status {
  return { type: 'status', height: r.chain.height, view: r.open.view, clock: r.clock };
}

export function onStatus(r: ReplicaState, from: PeerId, status: Status): void {
  r.sync.note(from, status.height);
  r.clocks.note(from, status.clock, r.clock);
  const offsetMs = r.clocks.alarm(r.chain.validators);
  if (offsetMs !== undefined) r.emit({ t: 'clock', offsetMs });
  catchUp(r);
}

/** Asks a peer that is ahead for the blocks that this node lacks. */
export function catchUp(r: ReplicaState): void {
  const { open } = r;
  if (!r.started || open.handedOver) return;
  const { viewTimeoutMs } = r.options.timing;
  const patient = r.now < open.openedAt + viewTimeoutMs / 5;
  const peer = r.sync.ask(open.height, patient, r.now, viewTimeoutMs);
  if (peer === undefined) return;
  r.send(peer, { type: 'fetch', from: open.height, count: SYNC_BLOCKS_MAX, hash: ZERO_HASH });
}

export function onBlocks(r: ReplicaState, from: PeerId, blocks: readonly Block[]): void {
  r.sync.take(from, blocks, r.open.height);
  considerFetched(r);
}

/** A fetched block of the open height is examined: its certificate by the verifier, its roots by execution. */
export function considerFetched(r: ReplicaState): void {
  const { open } = r;
  const fetched = r.sync.get(open.height);
  if (fetched === undefined || open.handedOver) return;
  const { proposal, qc } = fetched.block;
  if (qc.epoch === r.chain.validators.epoch && fitsChain(r.chain, proposal.header)) {
    examine(r, proposal, 'decided', qc);
  } else refuseFetched(r);
}

function refuseFetched(r: ReplicaState): void {
  r.sync.refuse(r.open.height);
  catchUp(r);
}

/** What the examination of a fetched block said. */
export function onFetchedVerdict(r: ReplicaState, hash: Hash, verdict: Verdict): void {
  const { open } = r;
  const fetched = r.sync.get(open.height);
  if (fetched === undefined || fetched.block.proposal.hash !== hash) return;
  if (verdict === 'mismatch') {
    r.halt(`own execution of height ${open.height} gives other roots than its quorum certificate`);
  } else if (verdict === 'invalid') {
    refuseFetched(r);
  } else if (open.decided === undefined) {
    open.awaited = fetched.block.qc;
    open.proposals.set(hash, fetched.block.proposal);
  }
}

/** A proposal that was fetched by hash: wanted only for a certificate or a lock. */
export function onProposal(r: ReplicaState, proposal: Proposal): void {
  const { open } = r;
  if (open.handedOver || !fitsChain(r.chain, proposal.header)) return;
  const wanted =
    proposal.hash === open.awaited?.headerHash ||
    proposal.hash === open.locked?.hash ||
    [...open.viewChanges.values()].some((change) => change.prepared?.hash === proposal.hash);
  if (!wanted || !namesParent(r.chain, proposal)) return;
  keepProposal(r, proposal);
  tryDecide(r);
  tryNewView(r);
}

/** Own signatures of the open height again, byte for byte the same. */
export function resend(r: ReplicaState, to: PeerId | 'all'): void {
  const { open } = r;
  if (open.handedOver) return;
  if (open.awaited !== undefined) obtainAwaited(r);
  if (!r.mayVote()) return;
  if (open.changing && open.ownViewChange !== undefined) {
    if (open.viewChanges.get(r.index) === open.ownViewChange) r.send(to, open.ownViewChange);
    tryNewView(r);
    return;
  }
  const { accepted } = open;
  if (accepted === undefined || accepted.view !== open.view) return;
  const leads = accepted.message.sender === r.index;
  if (leads && open.leading.get(accepted.view, r.index) !== undefined) r.send(to, accepted.message);
  if (open.ownPrepare?.view === open.view) r.send(to, open.ownPrepare);
  if (open.ownCommit?.view === open.view) r.send(to, open.ownCommit);
}
