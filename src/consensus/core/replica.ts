/**
 * The sans-IO PBFT replica: `step(input)` returns effects; no clock, randomness, promise or I/O. One height is in
 * flight; views are scoped to the height. The rules are those of ledger-security section 1, named by number where
 * they are coded. Persist, then send, then apply, then acknowledge: what depends on a WAL record is emitted only
 * after `persisted`, by this code and not by its driver.
 *
 * Here inputs are dispatched; the protocol is in the rooms beside this file (see state.ts).
 * Liveness needs partial synchrony; safety needs at most f faulty validators. Inputs must carry verified messages.
 */
import type { Chain } from '../chain.ts';
import type { PeerId } from '../validators.ts';
import type { Hash } from '../wire/bytes.ts';
import type { Proposal, Signed, VoteKind } from '../wire/messages.ts';
import { examinationKey, tryDecide } from './deciding.ts';
import {
  catchUp,
  considerFetched,
  onBlocks,
  onFetchedVerdict,
  onProposal,
  onStatus,
  ownStatus,
  resend,
} from './following.ts';
import type { Admission } from './pool.ts';
import { tryPropose } from './proposing.ts';
import { admissionOf, drop, forwardToNewLeader, takeRequest } from './requests.ts';
import { onHello, onWelcome, sayHello } from './starting.ts';
import { ReplicaState } from './state.ts';
import { nextDeadline, noteHeartbeat, onTick } from './ticking.ts';
import type { CoreMessage, Effect, Input, PooledRequest, ReplicaOptions, Verdict } from './types.ts';
import { onBuilt, onNewView, onViewChange, tryNewView } from './view-change.ts';
import { acceptCandidate, onCommit, onPrePrepare, onPrepare, wanted } from './voting.ts';

export class Replica {
  readonly #r: ReplicaState;

  constructor(options: ReplicaOptions, state = new ReplicaState(options)) {
    this.#r = state;
  }

  /** State after the last applied block. */
  get chain(): Chain {
    return this.#r.chain;
  }

  /** View of the open height. */
  get view(): number {
    return this.#r.open.view;
  }

  get changingView(): boolean {
    return this.#r.open.changing;
  }

  /** The proposal accepted last, if there is one. */
  get accepted(): { readonly view: number; readonly hash: Hash } | undefined {
    const { accepted } = this.#r.open;
    return accepted && { view: accepted.view, hash: accepted.message.digest };
  }

  /** View of the highest prepared certificate held, or -1. */
  get lockedView(): number {
    return this.#r.open.locked?.view ?? -1;
  }

  get halted(): boolean {
    return this.#r.halted;
  }

  get pooled(): number {
    return this.#r.pool.size;
  }

  /** Own index in the validator set of the open height, or -1. */
  get index(): number {
    return this.#r.index;
  }

  /** Index of the leader of the current view. */
  get leader(): number {
    return this.#r.leader;
  }

  /** Whether this node may sign votes for the open height. */
  get voting(): boolean {
    return this.#r.mayVote();
  }

  /** An undecided proposal of the open height that peers may ask for by hash. */
  proposalOf(hash: Hash): Proposal | undefined {
    return this.#r.open.proposals.get(hash);
  }

  /** What would become of this request now. */
  admission(request: PooledRequest): Admission | 'expired' {
    return admissionOf(this.#r, request);
  }

  /**
   * Whether verifying this signed message could change anything: false for duplicates and for votes beyond a
   * quorum, so that a driver stops verifying there.
   */
  wants(message: Signed & { readonly type: string }): boolean {
    return wanted(this.#r, message);
  }

  /** A vote was received over its sender's own link but not verified; remembered for HELLO answers only. */
  noteVote(message: Signed, kind: VoteKind): void {
    const { validators } = this.#r.chain;
    const peer = validators.ids[message.sender];
    if (peer === undefined || message.epoch !== validators.epoch) return;
    this.#r.memory.note(peer, { ...message, kind });
  }

  /** Monotone time of the next timer, to be answered by a tick at or after it. */
  nextDeadline(): number {
    return nextDeadline(this.#r);
  }

  /** Processes one input to the end. The effects are to be carried out in order. */
  step(input: Input): Effect[] {
    if (!this.#r.halted) this.#dispatch(input);
    return this.#r.takeEffects();
  }

  /**
   * A copy that goes its own way from here; for searches over all schedules. Nothing may be waiting for the disk;
   * pool, peers' heights and others' votes of the open height start empty.
   */
  fork(): Replica {
    return new Replica(this.#r.options, this.#r.fork());
  }

  /** The safety state as text: equal text and equal messages from others, equal future votes. */
  digest(): string {
    const { chain, open, boot } = this.#r;
    return `${chain.height} ${chain.headHash} ${open.digest()} ${boot.digest()}`;
  }

  #dispatch(input: Input): void {
    const r = this.#r;
    switch (input.t) {
      case 'tick':
        onTick(r, input.now, input.clock);
        return;
      case 'message':
        this.#onMessage(input.from, input.message);
        return;
      case 'request':
        if (takeRequest(r, input.request) && r.leader === r.index) tryPropose(r);
        return;
      case 'built':
        onBuilt(r, input.height, input.view, input.proposal);
        return;
      case 'unbuilt':
        this.#onUnbuilt(input.height, input.view, input.drop);
        return;
      case 'validated':
        this.#onValidated(input.height, input.hash, input.verdict, input.certified);
        return;
      case 'persisted':
        r.persisted(input.upTo);
        return;
      case 'applied':
        this.#onApplied(input.chain, input.requests);
        return;
      case 'connected':
        this.#onConnected(input.peer);
        return;
      default:
        input satisfies never;
    }
  }

  #onMessage(from: PeerId, message: CoreMessage): void {
    const r = this.#r;
    switch (message.type) {
      case 'pre-prepare':
        this.noteVote(message, 'pre-prepare');
        onPrePrepare(r, message);
        return;
      case 'new-view':
        this.noteVote(message, 'pre-prepare');
        onNewView(r, message);
        return;
      case 'prepare':
        this.noteVote(message, 'prepare');
        onPrepare(r, message);
        return;
      case 'commit':
        this.noteVote(message, 'commit');
        onCommit(r, message);
        return;
      case 'view-change':
        this.noteVote(message, 'view-change');
        onViewChange(r, from, message);
        return;
      case 'status':
        onStatus(r, from, message);
        return;
      case 'blocks':
        onBlocks(r, from, message.blocks);
        return;
      case 'proposal':
        onProposal(r, message.proposal);
        return;
      case 'hello':
        onHello(r, from, message);
        return;
      case 'welcome':
        onWelcome(r, message);
        return;
      default:
        message satisfies never;
    }
  }

  #onUnbuilt(height: number, view: number, unfit: readonly string[]): void {
    const r = this.#r;
    for (const id of unfit) drop(r, id, 'offending');
    // With nothing to drop a second try would fail like the first: the view is left to its timer.
    if (height !== r.open.height || view !== r.open.view || unfit.length === 0) return;
    r.open.building = false;
    tryPropose(r);
    tryNewView(r);
  }

  #onValidated(height: number, hash: Hash, verdict: Verdict, certified: boolean): void {
    const r = this.#r;
    const { open } = r;
    if (height !== open.height || open.handedOver) return;
    open.examining.delete(examinationKey(hash, certified));
    const { candidate, awaited } = open;
    if (awaited?.headerHash === hash && verdict === 'mismatch') {
      r.halt(`own execution of height ${height} gives other roots than its quorum certificate`);
      return;
    }
    if (verdict === 'ok') open.verdicts.set(hash, verdict);
    if (certified) onFetchedVerdict(r, hash, verdict);
    tryDecide(r);
    if (candidate?.message.digest === hash) {
      if (verdict === 'ok') acceptCandidate(r, candidate);
      else open.candidate = undefined;
    }
    if (verdict === 'ok') tryNewView(r);
    else if (candidate?.message.digest === hash && awaited === undefined) catchUp(r);
  }

  #onApplied(chain: Chain, requests: readonly string[]): void {
    const r = this.#r;
    for (const id of requests) r.pool.remove(id);
    r.chain = chain;
    r.index = chain.validators.ids.indexOf(r.options.self);
    r.open = r.newHeight();
    r.nextResend = r.now + r.options.timing.resendMs;
    r.sync.applied(chain.height);
    noteHeartbeat(r);
    forwardToNewLeader(r);
    considerFetched(r);
    catchUp(r);
    tryPropose(r);
  }

  #onConnected(peer: PeerId): void {
    const r = this.#r;
    r.send(peer, ownStatus(r));
    if (!r.started) return;
    sayHello(r, peer);
    resend(r, peer);
  }
}
