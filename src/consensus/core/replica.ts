/**
 * The sans-IO PBFT replica: `step(input)` returns effects; no clock, randomness, promise or I/O. One height is in
 * flight; views are scoped to the height. The rules are those of ledger-security section 1, named by number where
 * they are coded. Persist, then send, then apply, then acknowledge: what depends on a WAL record is emitted only
 * after `persisted`, by this code and not by its driver.
 *
 * Liveness needs partial synchrony; safety needs at most f faulty validators. Inputs must carry verified messages.
 */
import { type Chain, leaderOf } from '../chain.ts';
import { invariant } from '../errors.ts';
import { HEARTBEAT_MS, PROPOSALS_KEPT_MAX, SYNC_BLOCKS_MAX, VIEWS_AHEAD_MAX } from '../limits.ts';
import type { PeerId } from '../validators.ts';
import { type Hash, ZERO_HASH } from '../wire/bytes.ts';
import {
  type Commit,
  type Hello,
  type Message,
  type NewView,
  type PrePrepare,
  type Prepare,
  type PreparedCertificate,
  type Proposal,
  type QuorumCertificate,
  type Signed,
  type Status,
  type ViewChange,
  VOTE_TAG,
  type VoteKind,
  type VotePosition,
  type Welcome,
} from '../wire/messages.ts';
import { BootGate, PeerMemory, VOTE_FROM_UNKNOWN } from './boot.ts';
import { CatchUp } from './catch-up.ts';
import { PeerClocks } from './clocks.ts';
import { type Candidate, OpenHeight } from './open-height.ts';
import { type Admission, RequestPool } from './pool.ts';
import {
  checkNewView,
  emptyAllowed,
  fitsChain,
  highestPrepared,
  namesParent,
  timely,
  viewChangeHolds,
} from './rules.ts';
import { viewDeadline } from './timers.ts';
import {
  type CoreMessage,
  type DropReason,
  type Effect,
  type Input,
  laterVote,
  type PooledRequest,
  type ProposalMode,
  type Recovered,
  type ReplicaOptions,
  type Verdict,
  type WalRecord,
  type Weakening,
} from './types.ts';
import { signatures } from './votes.ts';

/** One proposal may be under examination twice: as a candidate, and with a fetched certificate. */
function examinationKey(hash: Hash, certified: boolean): string {
  return certified ? `${hash}+` : hash;
}

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #weaken: Weakening;
  readonly #pool = new RequestPool();
  readonly #memory = new PeerMemory();
  readonly #clocks = new PeerClocks();
  #boot: BootGate;
  readonly #sync = new CatchUp();
  #chain: Chain;
  #open: OpenHeight;
  /** Own index in the set of the open height; -1 for an observer. */
  #index: number;
  #now = 0;
  #clock = 0;
  #started = false;
  #halted = false;
  #token = 0;
  #waitingForDisk: { token: number; run: () => void }[] = [];
  #effects: Effect[] = [];
  #helloDeadline = 0;
  #nextResend = 0;
  #nextStatus = 0;
  #committedHeight: number;
  #forwardedTo: PeerId | undefined;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#weaken = options.weaken ?? {};
    this.#chain = options.chain;
    this.#index = options.chain.validators.ids.indexOf(options.self);
    this.#open = new OpenHeight(options.chain.height + 1, 0);
    this.#committedHeight = options.chain.height;
    const ownLast = this.#restore(options.recovered);
    this.#boot = new BootGate(
      options.recovered,
      options.helloNonce,
      ownLast,
      this.#weaken.rejoinAtOnce === true,
    );
  }

  /** State after the last applied block. */
  get chain(): Chain {
    return this.#chain;
  }

  /** View of the open height. */
  get view(): number {
    return this.#open.view;
  }

  get changingView(): boolean {
    return this.#open.changing;
  }

  /** The proposal accepted last, if there is one. */
  get accepted(): { readonly view: number; readonly hash: Hash } | undefined {
    const { accepted } = this.#open;
    return accepted && { view: accepted.view, hash: accepted.message.digest };
  }

  /** View of the highest prepared certificate held, or -1. */
  get lockedView(): number {
    return this.#open.locked?.view ?? -1;
  }

  get halted(): boolean {
    return this.#halted;
  }

  get pooled(): number {
    return this.#pool.size;
  }

  /** Own index in the validator set of the open height, or -1. */
  get index(): number {
    return this.#index;
  }

  /** Index of the leader of the current view. */
  get leader(): number {
    return leaderOf(this.#chain, this.#open.view);
  }

  /** An undecided proposal of the open height that peers may ask for by hash. */
  proposalOf(hash: Hash): Proposal | undefined {
    return this.#open.proposals.get(hash);
  }

  /** Whether this node may sign votes for the open height. */
  get voting(): boolean {
    return this.#mayVote();
  }

  /** What would become of this request now. */
  admission(request: PooledRequest): Admission | 'expired' {
    // While a block is being applied its requests are in the pool and already used in committed state.
    if (this.#pool.has(request.id)) return 'known';
    const time = this.#nextTime();
    if (request.info.expiresAt <= time) return 'expired';
    return this.#options.stillValid(request.info, time) ? this.#pool.admission(request) : 'nonce-used';
  }

  /**
   * Whether verifying this signed message could change anything: false for duplicates and for votes beyond a
   * quorum, so that a driver stops verifying there.
   */
  wants(message: Signed & { readonly type: string }): boolean {
    const open = this.#open;
    if (this.#halted || message.height !== open.height || message.epoch !== this.#chain.validators.epoch)
      return false;
    if (message.sender >= this.#chain.validators.n || message.view > open.view + VIEWS_AHEAD_MAX)
      return false;
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

  /** A vote was received over its sender's own link but not verified; remembered for HELLO answers only. */
  noteVote(message: Signed, kind: VoteKind): void {
    this.#note(message, kind);
  }

  /** Monotone time of the next timer, to be answered by a tick at or after it. */
  nextDeadline(): number {
    const times = [this.#nextStatus, this.#nextResend];
    if (this.#boot.asking) times.push(this.#helloDeadline);
    const view = this.#viewDeadline();
    if (view !== undefined) times.push(view);
    const half = this.#broadcastDeadline();
    if (half !== undefined) times.push(half);
    const beat = this.#chain.time + HEARTBEAT_MS - this.#clock;
    if (beat > 0) times.push(this.#now + beat);
    return Math.min(...times);
  }

  /** Processes one input to the end. The effects are to be carried out in order. */
  step(input: Input): Effect[] {
    this.#effects = [];
    if (!this.#halted) this.#dispatch(input);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /**
   * A copy that goes its own way from here; for searches over all schedules. Nothing may be waiting for the disk,
   * and pool and peers' heights start empty.
   */
  fork(): Replica {
    invariant(this.#waitingForDisk.length === 0, 'a replica is forked only when everything is durable');
    const copy = new Replica(this.#options);
    copy.#chain = this.#chain;
    copy.#index = this.#index;
    copy.#open = this.#open.copy();
    copy.#boot = this.#boot;
    copy.#now = this.#now;
    copy.#clock = this.#clock;
    copy.#started = this.#started;
    copy.#halted = this.#halted;
    copy.#token = this.#token;
    copy.#helloDeadline = this.#helloDeadline;
    copy.#nextResend = this.#nextResend;
    copy.#nextStatus = this.#nextStatus;
    copy.#committedHeight = this.#committedHeight;
    copy.#forwardedTo = this.#forwardedTo;
    return copy;
  }

  /** The safety state of the open height as text: equal text, equal future votes. */
  digest(): string {
    const leads = (view: number): boolean => leaderOf(this.#chain, view) === this.#index;
    return `${this.#chain.height} ${this.#chain.headHash} ${this.#open.digest(leads)}`;
  }

  #dispatch(input: Input): void {
    switch (input.t) {
      case 'tick':
        this.#onTick(input.now, input.clock);
        return;
      case 'message':
        this.#onMessage(input.from, input.message);
        return;
      case 'request':
        this.#onRequest(input.request);
        return;
      case 'built':
        this.#onBuilt(input.height, input.view, input.proposal);
        return;
      case 'unbuilt':
        this.#onUnbuilt(input.height, input.view, input.drop);
        return;
      case 'validated':
        this.#onValidated(input.height, input.hash, input.verdict, input.certified);
        return;
      case 'persisted':
        this.#onPersisted(input.upTo);
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

  // ---- start -------------------------------------------------------------------------------------------------

  /** Takes back what the WAL holds about the open height; the latest own vote in it. */
  #restore(recovered: Recovered): VotePosition {
    const open = this.#open;
    let last: VotePosition = { height: 0, view: 0, kind: 0 };
    const voted = (position: VotePosition): void => {
      if (laterVote(position, last)) last = position;
    };
    for (const record of recovered.records) {
      if (record.kind === 'prepared') {
        voted({ height: record.height, view: record.certificate.view, kind: VOTE_TAG.commit });
        this.#committedHeight = Math.max(this.#committedHeight, record.height);
      }
      if (record.kind === 'proposal')
        voted({ height: record.height, view: record.message.view, kind: VOTE_TAG.prepare });
      if (record.kind === 'view-change') {
        voted({ height: record.height, view: record.message.view, kind: VOTE_TAG['view-change'] });
      }
      if (record.height === open.height) this.#restoreRecord(record);
    }
    return last;
  }

  #restoreRecord(record: WalRecord): void {
    const open = this.#open;
    switch (record.kind) {
      case 'proposal': {
        const { message } = record;
        open.proposals.set(message.proposal.hash, message.proposal);
        open.leading.add(message);
        if (message.view < open.view) return;
        open.view = message.view;
        open.changing = false;
        open.accepted = { view: message.view, message, mode: 'reproposal' };
        return;
      }
      case 'prepared':
        if (open.locked === undefined || record.certificate.view > open.locked.view)
          open.locked = record.certificate;
        return;
      case 'view-change':
        open.view = record.message.view;
        open.changing = true;
        open.ownViewChange = record.message;
        return;
      case 'decided':
        open.awaited = record.qc;
        return;
      default:
        record satisfies never;
    }
  }

  #start(): void {
    this.#started = true;
    const open = this.#open;
    open.viewSince = this.#now;
    this.#helloDeadline = this.#now + this.#options.timing.helloMs;
    this.#nextResend = this.#now + this.#options.timing.resendMs;
    if (this.#boot.amnesiac) this.#effects.push({ t: 'persistVoteFrom', voteFrom: VOTE_FROM_UNKNOWN });
    if (this.#index < 0) this.#boot.waited();
    else this.#sayHello('all');
    if (open.accepted !== undefined) this.#examine(open.accepted.message.proposal, 'reproposal', undefined);
  }

  #sayHello(to: PeerId | 'all'): void {
    if (this.#index < 0) return;
    this.#send(
      to,
      this.#options.signer.hello({
        epoch: this.#chain.validators.epoch,
        sender: this.#index,
        boot: this.#boot.boot,
        nonce: this.#boot.nonce,
      }),
    );
  }

  #onHello(from: PeerId, hello: Hello): void {
    if (this.#index < 0 || hello.epoch !== this.#chain.validators.epoch || hello.sender === this.#index)
      return;
    const peer = this.#chain.validators.ids[hello.sender];
    this.#send(
      from,
      this.#options.signer.welcome({
        epoch: hello.epoch,
        sender: this.#index,
        to: hello.sender,
        nonce: hello.nonce,
        hello: this.#memory.helloBefore(peer, hello),
        vote: this.#memory.lastVote(peer),
        committed: this.#committedHeight,
      }),
    );
  }

  #onWelcome(welcome: Welcome): void {
    if (welcome.to !== this.#index || welcome.sender === this.#index) return;
    if (welcome.epoch !== this.#chain.validators.epoch) return;
    const wasAsking = this.#boot.asking;
    const voteFrom = this.#boot.answer(welcome, this.#chain.validators, this.#chain.height);
    if (voteFrom !== undefined) this.#effects.push({ t: 'persistVoteFrom', voteFrom });
    if (wasAsking && !this.#boot.asking) this.#resumeVoting();
  }

  /** Sends again what this node has signed for the open height, and leads if it is its turn. */
  #resumeVoting(): void {
    this.#restoreOwnVotes();
    this.#resend('all');
    this.#tryPropose();
    this.#tryNewView();
  }

  #restoreOwnVotes(): void {
    const open = this.#open;
    if (!this.#mayVote()) return;
    if (open.ownViewChange !== undefined && open.changing)
      open.viewChanges.set(this.#index, open.ownViewChange);
    const { accepted } = open;
    if (accepted === undefined || open.changing || accepted.view !== open.view) return;
    this.#castPrepare(accepted);
    if (open.locked?.view === open.view && open.ownCommit === undefined) this.#castCommit(open.locked);
  }

  #mayVote(): boolean {
    return !this.#halted && this.#started && this.#index >= 0 && this.#boot.mayVote(this.#open.height);
  }

  // ---- time --------------------------------------------------------------------------------------------------

  #onTick(now: number, clock: number): void {
    this.#now = Math.max(now, this.#now);
    this.#clock = clock;
    if (!this.#started) this.#start();
    if (this.#boot.asking && this.#now >= this.#helloDeadline) {
      this.#boot.waited();
      if (this.#boot.asking) {
        this.#helloDeadline = this.#now + this.#options.timing.resendMs;
        this.#sayHello('all');
      } else this.#resumeVoting();
    }
    this.#noteHeartbeat();
    if (this.#now >= this.#nextStatus) {
      this.#nextStatus = this.#now + this.#options.timing.statusMs;
      this.#send('all', this.#status());
      this.#sweepPool();
    }
    if (this.#now >= this.#nextResend) {
      this.#nextResend = this.#now + this.#options.timing.resendMs;
      this.#resend('all');
    }
    this.#catchUp();
    this.#broadcastLate();
    const deadline = this.#viewDeadline();
    if (deadline !== undefined && this.#now >= deadline && this.#stillOverdue()) {
      this.#startViewChange(this.#open.view + 1);
    }
    this.#tryPropose();
  }

  #viewDeadline(): number | undefined {
    if (!this.#mayVote() || this.#open.decided !== undefined) return undefined;
    return viewDeadline(this.#open, this.#pool.oldest(), this.#options.timing.viewTimeoutMs);
  }

  /** Drops requests that became invalid, then asks again whether the deadline has passed. */
  #stillOverdue(): boolean {
    this.#sweepPool();
    const deadline = this.#viewDeadline();
    return deadline !== undefined && this.#now >= deadline;
  }

  #noteHeartbeat(): void {
    const open = this.#open;
    if (open.heartbeatSince === undefined && this.#clock >= this.#chain.time + HEARTBEAT_MS) {
      open.heartbeatSince = this.#now;
    }
  }

  #sweepPool(): void {
    if (this.#open.handedOver) return;
    const time = this.#nextTime();
    const gone: PooledRequest[] = [];
    for (const { request } of this.#pool.entries()) {
      if (!this.#options.stillValid(request.info, time)) gone.push(request);
    }
    for (const { id, info } of gone) this.#drop(id, info.expiresAt <= time ? 'expired' : 'nonce-used');
  }

  #drop(id: string, reason: DropReason): void {
    if (this.#pool.remove(id)) this.#effects.push({ t: 'dropped', id, reason });
  }

  /** Block time of a header made now (rule 12). */
  #nextTime(): number {
    return Math.max(this.#clock, this.#chain.time + 1);
  }

  // ---- requests ----------------------------------------------------------------------------------------------

  #onRequest(request: PooledRequest): void {
    const admission = this.admission(request);
    if (admission === 'known') return;
    if (admission !== 'added') {
      this.#effects.push({ t: 'dropped', id: request.id, reason: admission });
      return;
    }
    this.#pool.add(request, this.#now);
    const leader = this.leader;
    if (leader === this.#index) this.#tryPropose();
    else this.#send(this.#chain.validators.ids[leader], { type: 'request', request: request.bytes });
  }

  /** Requests that wait go to a new leader at once; the former one may be the only other who has them. */
  #forwardToNewLeader(): void {
    const leader = this.#chain.validators.ids[this.leader];
    if (leader === this.#forwardedTo) return;
    this.#forwardedTo = leader;
    if (this.leader === this.#index) return;
    let count = 0;
    for (const { request } of this.#pool.entries()) {
      if (count++ >= 2 * this.#options.batch.countMax) return;
      this.#send(leader, { type: 'request', request: request.bytes });
    }
  }

  #broadcastDeadline(): number | undefined {
    const quiet = this.#pool.oldestQuiet();
    return quiet === undefined ? undefined : quiet.since + this.#options.timing.viewTimeoutMs / 2;
  }

  /** Requests that the leader has not decided after half a time-out go to all (rule 16). */
  #broadcastLate(): void {
    const before = this.#now - this.#options.timing.viewTimeoutMs / 2;
    for (;;) {
      const quiet = this.#pool.oldestQuiet();
      if (quiet === undefined || quiet.since > before) return;
      this.#pool.broadcast(quiet.request.id);
      this.#send('all', { type: 'request', request: quiet.request.bytes });
    }
  }

  // ---- proposing ---------------------------------------------------------------------------------------------

  /** At view 0 the leader proposes as soon as nothing is in flight and there is something to order. */
  #tryPropose(): void {
    const open = this.#open;
    if (open.view !== 0 || open.changing || !this.#mayPropose()) return;
    if (this.#pool.size === 0 && open.heartbeatSince === undefined) return;
    this.#build();
  }

  #mayPropose(): boolean {
    const open = this.#open;
    return (
      this.#mayVote() &&
      this.leader === this.#index &&
      this.#clocks.mayLead(this.#chain.validators) &&
      open.decided === undefined &&
      open.awaited === undefined &&
      !open.building &&
      open.candidate === undefined &&
      open.accepted?.view !== open.view
    );
  }

  #build(): void {
    const open = this.#open;
    const time = this.#nextTime();
    const requests = this.#pool.select(this.#options.batch, (request) =>
      this.#options.stillValid(request.info, time),
    );
    if (requests.length === 0 && open.view === 0 && open.heartbeatSince === undefined) return;
    open.building = true;
    this.#effects.push({
      t: 'build',
      height: open.height,
      view: open.view,
      proposer: this.#index,
      time,
      requests,
    });
  }

  #onUnbuilt(height: number, view: number, drop: readonly string[]): void {
    const open = this.#open;
    for (const id of drop) this.#drop(id, 'offending');
    // With nothing to drop a second try would fail like the first: the view is left to its timer.
    if (height !== open.height || view !== open.view || drop.length === 0) return;
    open.building = false;
    this.#tryPropose();
    this.#tryNewView();
  }

  #onBuilt(height: number, view: number, proposal: Proposal): void {
    const open = this.#open;
    if (height !== open.height) return;
    open.building = false;
    if (view !== open.view || !this.#mayPropose()) return;
    if (view === 0 && !open.changing) {
      const position = this.#position(0);
      const signature = this.#options.signer.vote('pre-prepare', position, proposal.hash);
      this.#lead({ type: 'pre-prepare', ...position, digest: proposal.hash, signature, proposal });
    } else if (view > 0 && open.changing) {
      const changes = this.#viewChangeQuorum();
      if (changes !== undefined && highestPrepared(changes, this.#weaken) === undefined) {
        this.#leadNewView(proposal, changes);
      }
    }
  }

  #position(view: number): Omit<Signed, 'digest' | 'signature'> {
    return {
      epoch: this.#chain.validators.epoch,
      height: this.#open.height,
      view,
      sender: this.#index,
    };
  }

  /** The leader's own proposal is its PREPARE: durable, then sent, then counted (rule 4). */
  #lead(message: PrePrepare | NewView): void {
    const open = this.#open;
    open.verdicts.set(message.proposal.hash, 'ok');
    const candidate: Candidate = { view: message.view, message, mode: 'reproposal' };
    this.#accept(candidate, () => {
      this.#send('all', message);
      open.leading.add(message);
    });
  }

  /** Makes `candidate` the accepted proposal of its view and its record durable before `then`. */
  #accept(candidate: Candidate, then: () => void): void {
    const open = this.#open;
    open.candidate = undefined;
    open.accepted = candidate;
    open.viewSince = open.view === 0 ? this.#now : open.viewSince;
    this.#keepProposal(candidate.message.proposal);
    this.#persist({ kind: 'proposal', height: open.height, message: candidate.message }, () => {
      if (this.#open !== open || open.view !== candidate.view || open.changing) return;
      then();
      this.#tryPrepared(candidate.view);
    });
  }

  #keepProposal(proposal: Proposal): void {
    const open = this.#open;
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

  // ---- normal case -------------------------------------------------------------------------------------------

  #onMessage(from: PeerId, message: CoreMessage): void {
    switch (message.type) {
      case 'pre-prepare':
        this.#note(message, 'pre-prepare');
        this.#onPrePrepare(message);
        return;
      case 'new-view':
        this.#note(message, 'pre-prepare');
        this.#onNewView(message);
        return;
      case 'prepare':
        this.#note(message, 'prepare');
        this.#onPrepare(message);
        return;
      case 'commit':
        this.#note(message, 'commit');
        this.#onCommit(message);
        return;
      case 'view-change':
        this.#note(message, 'view-change');
        this.#onViewChange(from, message);
        return;
      case 'status':
        this.#onStatus(from, message);
        return;
      case 'blocks':
        this.#sync.take(from, message.blocks, this.#open.height);
        this.#considerFetched();
        return;
      case 'proposal':
        this.#onProposal(message.proposal);
        return;
      case 'hello':
        this.#onHello(from, message);
        return;
      case 'welcome':
        this.#onWelcome(message);
        return;
      default:
        message satisfies never;
    }
  }

  #status(): Status {
    return { type: 'status', height: this.#chain.height, view: this.#open.view, clock: this.#clock };
  }

  #onStatus(from: PeerId, status: Status): void {
    this.#sync.note(from, status.height);
    this.#clocks.note(from, status.clock, this.#clock);
    const offsetMs = this.#clocks.alarm(this.#chain.validators);
    if (offsetMs !== undefined) this.#effects.push({ t: 'clock', offsetMs });
    this.#catchUp();
  }

  #note(message: Signed, kind: VoteKind): void {
    const peer = this.#chain.validators.ids[message.sender];
    if (peer === undefined || message.epoch !== this.#chain.validators.epoch) return;
    this.#memory.note(peer, { ...message, kind });
  }

  /** Whether a vote is one for the open height that may be stored (rules 2, 29). */
  #storable(message: Signed): boolean {
    const open = this.#open;
    return (
      message.epoch === this.#chain.validators.epoch &&
      message.height === open.height &&
      message.sender < this.#chain.validators.n &&
      message.view <= open.view + VIEWS_AHEAD_MAX &&
      !open.handedOver
    );
  }

  /** Evidence once per sender and height (rule 17). */
  #accuse(kind: VoteKind, first: Signed, second: Signed): void {
    const { accused } = this.#open;
    if (accused.has(first.sender)) return;
    accused.add(first.sender);
    const key = this.#chain.validators.keys[first.sender];
    this.#effects.push({ t: 'evidence', evidence: { kind, key, first, second } });
  }

  /** The first proposal of a view counts, a second different one is evidence (rules 5, 17). */
  #firstOfView(message: PrePrepare | NewView): boolean {
    const kept = this.#open.leading.add(message);
    if (kept === undefined) return true;
    if (kept.digest !== message.digest) {
      this.#accuse('pre-prepare', kept, message);
      return this.#weaken.secondPrePrepare === true;
    }
    // Sent again: examined again if it was refused before, for its clock or a request not known then.
    return this.#open.accepted?.view !== message.view && this.#open.candidate === undefined;
  }

  #onPrePrepare(message: PrePrepare): void {
    const open = this.#open;
    const { header } = message.proposal;
    if (!this.#storable(message) || message.view !== 0 || message.sender !== leaderOf(this.#chain, 0)) return;
    if (message.sender === this.#index || !fitsChain(this.#chain, header) || header.view !== 0) return;
    if (!namesParent(this.#chain, message.proposal)) return;
    if (!this.#firstOfView(message) || open.view !== 0 || open.changing) return;
    if (!this.#freshAllowed(message.proposal, 0)) return;
    this.#consider({ view: 0, message, mode: 'fresh' });
  }

  #freshAllowed(proposal: Proposal, view: number): boolean {
    return (
      timely(this.#chain, proposal.header, this.#clock) &&
      (this.#weaken.emptyAnytime === true || emptyAllowed(this.#chain, proposal, view))
    );
  }

  #consider(candidate: Candidate): void {
    const open = this.#open;
    open.candidate = candidate;
    if (open.view === 0) open.viewSince = this.#now;
    const { proposal } = candidate.message;
    const verdict = open.verdicts.get(proposal.hash);
    if (verdict === 'ok' || this.#weaken.skipExecution) this.#acceptCandidate(candidate);
    else this.#examine(proposal, candidate.mode, undefined);
  }

  #examine(proposal: Proposal, mode: ProposalMode, qc: QuorumCertificate | undefined): void {
    const open = this.#open;
    const key = examinationKey(proposal.hash, qc !== undefined);
    if (open.examining.has(key)) return;
    open.examining.add(key);
    this.#effects.push({ t: 'validate', proposal, mode, qc });
  }

  #onValidated(height: number, hash: Hash, verdict: Verdict, certified: boolean): void {
    const open = this.#open;
    if (height !== open.height || open.handedOver) return;
    open.examining.delete(examinationKey(hash, certified));
    const { candidate, awaited } = open;
    if (awaited?.headerHash === hash && verdict === 'mismatch') {
      this.#halt(`own execution of height ${height} gives other roots than its quorum certificate`);
      return;
    }
    if (verdict === 'ok') open.verdicts.set(hash, verdict);
    if (certified) this.#onFetchedVerdict(hash, verdict);
    this.#tryDecide();
    if (candidate?.message.digest === hash) {
      if (verdict === 'ok') this.#acceptCandidate(candidate);
      else open.candidate = undefined;
    }
    if (verdict === 'ok') this.#tryNewView();
    else if (candidate?.message.digest === hash && awaited === undefined) this.#catchUp();
  }

  #halt(reason: string): void {
    this.#halted = true;
    this.#effects.push({ t: 'halt', reason });
  }

  #acceptCandidate(candidate: Candidate): void {
    const open = this.#open;
    if (candidate.view !== open.view || open.changing || open.decided !== undefined) return;
    if (open.accepted?.view === candidate.view && !this.#weaken.secondPrePrepare) return;
    open.verdicts.set(candidate.message.proposal.hash, 'ok');
    if (!this.#mayVote()) {
      // An observer follows: it keeps the proposal, so that it can decide without fetching, and signs nothing.
      open.candidate = undefined;
      this.#keepProposal(candidate.message.proposal);
      this.#tryDecide();
      return;
    }
    this.#accept(candidate, () => this.#castPrepare(candidate));
  }

  #castPrepare(candidate: Candidate): void {
    const open = this.#open;
    if (candidate.message.sender === this.#index || !this.#mayVote()) return;
    const position = this.#position(candidate.view);
    const digest = candidate.message.digest;
    const signature = this.#options.signer.vote('prepare', position, digest);
    const prepare: Prepare = { type: 'prepare', ...position, digest, signature };
    open.ownPrepare = prepare;
    open.prepares.add(prepare);
    this.#send('all', prepare);
  }

  #onPrepare(message: Prepare): void {
    if (!this.#storable(message)) return;
    const kept = this.#open.prepares.add(message);
    if (kept !== undefined) {
      if (kept.digest !== message.digest) this.#accuse('prepare', kept, message);
      return;
    }
    this.#tryPrepared(message.view);
  }

  /** q votes for the accepted proposal, the leader's PRE-PREPARE among them and counted once (rule 6). */
  #tryPrepared(view: number): void {
    const open = this.#open;
    const { accepted } = open;
    if (accepted === undefined || accepted.view !== view || !this.#mayVote()) return;
    if ((open.view !== view || open.changing) && !this.#weaken.voteAfterViewChange) return;
    const again = this.#weaken.secondPrePrepare && open.locked?.hash !== accepted.message.digest;
    if (open.locked !== undefined && open.locked.view >= view && !again) return;
    const { message } = accepted;
    const leading = open.leading.get(view, message.sender);
    if (leading === undefined) return;
    const votes = open.prepares
      .list(view, message.digest)
      .filter((vote) => vote.sender !== message.sender || this.#weaken.leaderCountedTwice);
    const quorum = this.#chain.validators.q - (this.#weaken.prepareQuorumLess ? 1 : 0);
    const counted = votes.length + 1 + (this.#weaken.leaderCountedTwice ? 1 : 0);
    if (counted < quorum) return;
    const { header } = message.proposal;
    const certificate: PreparedCertificate = {
      header,
      hash: message.digest,
      view,
      leader: { sender: message.sender, signature: message.signature },
      votes: signatures(votes.slice(0, quorum - 1)),
    };
    open.locked = certificate;
    this.#committedHeight = Math.max(this.#committedHeight, open.height);
    this.#persist({ kind: 'prepared', height: open.height, certificate }, () => {
      const promised = open.view !== view || open.changing;
      if (this.#open === open && (!promised || this.#weaken.voteAfterViewChange))
        this.#castCommit(certificate);
    });
  }

  #castCommit(certificate: PreparedCertificate): void {
    const open = this.#open;
    if (!this.#mayVote()) return;
    const position = this.#position(certificate.view);
    const signature = this.#options.signer.vote('commit', position, certificate.hash);
    const commit: Commit = { type: 'commit', ...position, digest: certificate.hash, signature };
    open.ownCommit = commit;
    open.commits.add(commit);
    this.#send('all', commit);
    this.#tryCommitted(commit);
  }

  #onCommit(message: Commit): void {
    if (!this.#storable(message)) return;
    const kept = this.#open.commits.add(message);
    if (kept !== undefined) {
      if (kept.digest !== message.digest) this.#accuse('commit', kept, message);
      return;
    }
    this.#tryCommitted(message);
  }

  /** q COMMITs of one view and hash are a quorum certificate (rule 7). */
  #tryCommitted({ view, digest }: Commit): void {
    const open = this.#open;
    if (open.decided !== undefined || open.awaited !== undefined) return;
    const quorum = this.#chain.validators.q - (this.#weaken.commitQuorumLess ? 1 : 0);
    const votes = this.#weaken.commitAnyView
      ? open.commits.ofAnyView(digest)
      : open.commits.list(view, digest);
    if (votes.length < quorum) return;
    open.awaited = {
      epoch: this.#chain.validators.epoch,
      height: open.height,
      view,
      headerHash: digest,
      votes: signatures(votes.slice(0, quorum)),
    };
    this.#tryDecide();
    if (open.decided === undefined) this.#obtainAwaited();
  }

  /** Certificate, batch and own execution together decide (rule 8). */
  #tryDecide(): void {
    const open = this.#open;
    const qc = open.awaited;
    if (qc === undefined || open.decided !== undefined) return;
    const proposal = open.proposals.get(qc.headerHash);
    if (proposal === undefined) return;
    if (open.verdicts.get(qc.headerHash) !== 'ok' && !this.#weaken.skipExecution) {
      this.#examine(proposal, 'decided', undefined);
      return;
    }
    open.decided = qc;
    open.handedOver = true;
    this.#emitPersist({ kind: 'decided', height: open.height, qc });
    this.#effects.push({ t: 'decide', block: { proposal, qc } });
  }

  /** The block of a certificate is not here: its signers have it. */
  #obtainAwaited(): void {
    const open = this.#open;
    if (open.awaited === undefined || open.proposals.has(open.awaited.headerHash)) return;
    if (open.candidate?.message.digest === open.awaited.headerHash) {
      this.#keepProposal(open.candidate.message.proposal);
      this.#tryDecide();
      return;
    }
    this.#fetchProposal(
      open.awaited.headerHash,
      open.awaited.votes.map((vote) => vote.sender),
    );
  }

  #fetchProposal(hash: Hash, from: readonly number[]): void {
    const message: Message = { type: 'fetch', from: this.#open.height, count: 1, hash };
    for (const sender of from) {
      if (sender !== this.#index) this.#send(this.#chain.validators.ids[sender], message);
    }
  }

  /** A proposal that was fetched by hash: wanted only for a certificate or a lock. */
  #onProposal(proposal: Proposal): void {
    const open = this.#open;
    if (open.handedOver || !fitsChain(this.#chain, proposal.header)) return;
    const wanted =
      proposal.hash === open.awaited?.headerHash ||
      proposal.hash === open.locked?.hash ||
      [...open.viewChanges.values()].some((change) => change.prepared?.hash === proposal.hash);
    if (!wanted || !namesParent(this.#chain, proposal)) return;
    this.#keepProposal(proposal);
    this.#tryDecide();
    this.#tryNewView();
  }

  #onApplied(chain: Chain, requests: readonly string[]): void {
    for (const id of requests) this.#pool.remove(id);
    this.#chain = chain;
    this.#index = chain.validators.ids.indexOf(this.#options.self);
    this.#open = new OpenHeight(chain.height + 1, this.#now);
    this.#nextResend = this.#now + this.#options.timing.resendMs;
    this.#sync.applied(chain.height);
    this.#noteHeartbeat();
    this.#forwardToNewLeader();
    this.#considerFetched();
    this.#catchUp();
    this.#tryPropose();
  }

  // ---- view change -------------------------------------------------------------------------------------------

  /** One VIEW-CHANGE per view, durable before it leaves; nothing is signed below it any more (rules 13, N1). */
  #startViewChange(view: number): void {
    const open = this.#open;
    if (!this.#mayVote() || open.decided !== undefined) return;
    if (view <= open.view) return;
    open.view = view;
    open.changing = true;
    open.building = false;
    open.candidate = undefined;
    open.viewSince = this.#now;
    open.quorumSince = undefined;
    const change = this.#options.signer.viewChange(
      this.#position(view),
      this.#chain.qc,
      this.#weaken.dropLock ? undefined : open.locked,
    );
    open.ownViewChange = change;
    this.#effects.push({ t: 'view', height: open.height, view });
    this.#persist({ kind: 'view-change', height: open.height, message: change }, () => {
      if (this.#open !== open || open.ownViewChange !== change || !open.changing) return;
      this.#nextResend = this.#now + this.#options.timing.resendMs;
      this.#send('all', change);
      this.#forwardToNewLeader();
      this.#countViewChange(change);
    });
  }

  #onViewChange(from: PeerId, message: ViewChange): void {
    const open = this.#open;
    if (!this.#storable(message) || !viewChangeHolds(this.#chain, message, this.#weaken)) return;
    const kept = open.viewChanges.get(message.sender);
    if (kept !== undefined && kept.view === message.view && kept.digest !== message.digest) {
      this.#accuse('view-change', kept, message);
      return;
    }
    const { accepted } = open;
    if (
      message.view <= open.view &&
      !open.changing &&
      accepted !== undefined &&
      accepted.view === open.view
    ) {
      // The sender missed the NEW-VIEW of the view in progress; it proves itself, so anyone may pass it on.
      // The leader's own counts as sent only once it is durable.
      const sent = open.leading.get(accepted.view, accepted.message.sender) !== undefined;
      if (accepted.view > 0 && sent) this.#send(from, accepted.message);
    }
    if (kept !== undefined && kept.view >= message.view) return;
    this.#countViewChange(message);
  }

  #countViewChange(message: ViewChange): void {
    const open = this.#open;
    open.viewChanges.set(message.sender, message);
    const { f, q } = this.#chain.validators;
    const joined = open.viewToJoin(f);
    if (joined !== undefined) this.#startViewChange(joined);
    open.noteViewChangeQuorum(q, this.#now);
    this.#tryNewView();
  }

  #viewChangeQuorum(): ViewChange[] | undefined {
    return this.#open.viewChangeQuorum(
      this.#chain.validators.q - (this.#weaken.viewChangeQuorumLess ? 1 : 0),
    );
  }

  /** The new leader proposes the highest prepared header again, or a fresh one (rule 15). */
  #tryNewView(): void {
    const open = this.#open;
    if (!open.changing || !this.#mayPropose()) return;
    const changes = this.#viewChangeQuorum();
    if (changes === undefined) return;
    const prepared = highestPrepared(changes, this.#weaken);
    if (prepared === undefined) {
      this.#build();
      return;
    }
    const proposal = open.proposals.get(prepared.hash);
    if (proposal === undefined) {
      this.#fetchProposal(
        prepared.hash,
        prepared.votes.map((vote) => vote.sender).concat(prepared.leader.sender),
      );
      return;
    }
    if (open.verdicts.get(prepared.hash) === 'ok' || this.#weaken.skipExecution)
      this.#leadNewView(proposal, changes);
    else this.#examine(proposal, 'reproposal', undefined);
  }

  #leadNewView(proposal: Proposal, viewChanges: readonly ViewChange[]): void {
    const open = this.#open;
    const position = this.#position(open.view);
    const signature = this.#options.signer.vote('pre-prepare', position, proposal.hash);
    open.changing = false;
    open.viewSince = this.#now;
    this.#effects.push({ t: 'view', height: open.height, view: open.view });
    this.#lead({ type: 'new-view', ...position, digest: proposal.hash, signature, proposal, viewChanges });
  }

  #onNewView(message: NewView): void {
    const open = this.#open;
    if (!this.#storable(message) || message.sender === this.#index || open.decided !== undefined) return;
    if (message.view < open.view) return;
    const check = checkNewView(this.#chain, message, this.#weaken);
    if (check === 'refused' || !this.#firstOfView(message)) return;
    open.view = message.view;
    open.changing = false;
    open.building = false;
    open.candidate = undefined;
    open.viewSince = this.#now;
    this.#effects.push({ t: 'view', height: open.height, view: open.view });
    const strict = check === 'fresh' || this.#weaken.clockOnReproposal === true;
    if (strict && !this.#freshAllowed(message.proposal, message.view)) return;
    this.#consider({ view: message.view, message, mode: check });
  }

  // ---- catching up -------------------------------------------------------------------------------------------

  #onConnected(peer: PeerId): void {
    this.#send(peer, this.#status());
    if (!this.#started) return;
    this.#sayHello(peer);
    this.#resend(peer);
  }

  /** Own signatures of the open height again, byte for byte the same. */
  #resend(to: PeerId | 'all'): void {
    const open = this.#open;
    if (open.handedOver) return;
    if (open.awaited !== undefined) this.#obtainAwaited();
    if (!this.#mayVote()) return;
    if (open.changing && open.ownViewChange !== undefined) {
      if (open.viewChanges.get(this.#index) === open.ownViewChange) this.#send(to, open.ownViewChange);
      this.#tryNewView();
      return;
    }
    const { accepted } = open;
    if (accepted === undefined || accepted.view !== open.view) return;
    const leads = accepted.message.sender === this.#index;
    if (leads && open.leading.get(accepted.view, this.#index) !== undefined) this.#send(to, accepted.message);
    if (open.ownPrepare?.view === open.view) this.#send(to, open.ownPrepare);
    if (open.ownCommit?.view === open.view) this.#send(to, open.ownCommit);
  }

  /** Asks a peer that is ahead for the blocks that this node lacks. */
  #catchUp(): void {
    const open = this.#open;
    if (!this.#started || open.handedOver) return;
    const { viewTimeoutMs } = this.#options.timing;
    const patient = this.#now < open.openedAt + viewTimeoutMs / 5;
    const peer = this.#sync.ask(open.height, patient, this.#now, viewTimeoutMs);
    if (peer === undefined) return;
    this.#send(peer, { type: 'fetch', from: open.height, count: SYNC_BLOCKS_MAX, hash: ZERO_HASH });
  }

  /** A fetched block of the open height is examined: its certificate by the verifier, its roots by execution. */
  #considerFetched(): void {
    const open = this.#open;
    const fetched = this.#sync.get(open.height);
    if (fetched === undefined || open.handedOver) return;
    const { proposal, qc } = fetched.block;
    if (qc.epoch === this.#chain.validators.epoch && fitsChain(this.#chain, proposal.header)) {
      this.#examine(proposal, 'decided', qc);
    } else this.#refuseFetched();
  }

  #refuseFetched(): void {
    this.#sync.refuse(this.#open.height);
    this.#catchUp();
  }

  #onFetchedVerdict(hash: Hash, verdict: Verdict): void {
    const open = this.#open;
    const fetched = this.#sync.get(open.height);
    if (fetched === undefined || fetched.block.proposal.hash !== hash) return;
    if (verdict === 'mismatch') {
      this.#halt(`own execution of height ${open.height} gives other roots than its quorum certificate`);
    } else if (verdict === 'invalid') {
      this.#refuseFetched();
    } else if (open.decided === undefined) {
      open.awaited = fetched.block.qc;
      open.proposals.set(hash, fetched.block.proposal);
    }
  }

  // ---- effects -----------------------------------------------------------------------------------------------

  #send(to: PeerId | 'all', message: Message): void {
    this.#effects.push({ t: 'send', to, message });
  }

  #emitPersist(record: WalRecord): number {
    this.#token += 1;
    this.#effects.push({ t: 'persist', token: this.#token, record });
    return this.#token;
  }

  /** `then` runs, and emits what depends on the record, when the record is durable (rule 22). */
  #persist(record: WalRecord, then: () => void): void {
    const token = this.#emitPersist(record);
    if (this.#weaken.sendBeforeDurable) then();
    else this.#waitingForDisk.push({ token, run: then });
  }

  #onPersisted(upTo: number): void {
    const ready = this.#waitingForDisk.filter((waiting) => waiting.token <= upTo);
    this.#waitingForDisk = this.#waitingForDisk.filter((waiting) => waiting.token > upTo);
    for (const waiting of ready) waiting.run();
  }
}
