/**
 * What the rooms of the replica share: the decided past, the open height, the pool, what is known of peers, and the
 * two things that every room does, emit effects and wait for the disk. Rooms are functions over this state and call
 * each other downwards only: replica, ticking, starting, following, view-change, proposing, voting, deciding.
 */
import { type Chain, leaderOf } from '../chain.ts';
import { invariant } from '../errors.ts';
import type { PeerId } from '../validators.ts';
import type { Hash } from '../wire/bytes.ts';
import { type Message, type Signed, VOTE_TAG, type VoteKind } from '../wire/messages.ts';
import { BootGate, PeerMemory } from './boot.ts';
import { CatchUp } from './catch-up.ts';
import { PeerClocks } from './clocks.ts';
import { OpenHeight } from './open-height.ts';
import { RequestPool } from './pool.ts';
import { recover } from './recovery.ts';
import type { Effect, ReplicaOptions, WalRecord } from './types.ts';
import type { Weakening } from './weakening.ts';

export class ReplicaState {
  readonly options: ReplicaOptions;
  readonly weaken: Weakening;
  readonly pool = new RequestPool();
  readonly memory = new PeerMemory();
  readonly clocks = new PeerClocks();
  readonly sync = new CatchUp();
  boot: BootGate;
  chain: Chain;
  open: OpenHeight;
  /** Own index in the set of the open height; -1 for an observer. */
  index: number;
  /** Monotone and wall time of the last tick, milliseconds. */
  now = 0;
  clock = 0;
  started = false;
  halted = false;
  helloDeadline = 0;
  nextResend = 0;
  nextStatus = 0;
  /** Highest height at which this node sent COMMIT. */
  committedHeight: number;
  /** The leader to whom the waiting requests were forwarded last. */
  forwardedTo: PeerId | undefined;
  #token = 0;
  #waitingForDisk: { token: number; run: () => void }[] = [];
  #effects: Effect[] = [];

  constructor(options: ReplicaOptions) {
    this.options = options;
    this.weaken = options.weaken ?? {};
    this.chain = options.chain;
    this.index = options.chain.validators.ids.indexOf(options.self);
    this.open = this.newHeight();
    const { ownLast, committed } = recover(this.open, options.recovered.records, this.weaken);
    this.committedHeight = Math.max(options.chain.height, committed);
    this.boot = new BootGate(options.recovered, options.helloNonce, ownLast, this.weaken);
  }

  /** The height above the tip, untouched. */
  newHeight(): OpenHeight {
    const first = this.weaken.viewsOutliveHeights ? this.chain.qc?.view : 0;
    return new OpenHeight(this.chain.height + 1, this.now, first);
  }

  /** Index of the leader of the current view. */
  get leader(): number {
    return leaderOf(this.chain, this.open.view);
  }

  /** Whether this node may sign votes for the open height. */
  mayVote(): boolean {
    return !this.halted && this.started && this.index >= 0 && this.boot.mayVote(this.open.height);
  }

  /** What an own vote of `view` binds. */
  position(view: number): Omit<Signed, 'digest' | 'signature'> {
    const { validators } = this.chain;
    return { epoch: validators.epoch, height: this.open.height, view, sender: this.index };
  }

  /** Signs an own vote, and remembers that it did. */
  sign(kind: Exclude<VoteKind, 'view-change'>, view: number, digest: Hash): Uint8Array {
    const position = this.position(view);
    this.boot.voted({ height: position.height, view, kind: VOTE_TAG[kind] });
    return this.options.signer.vote(kind, position, digest);
  }

  /** Block time of a header made now (rule 12). */
  nextTime(): number {
    return Math.max(this.clock, this.chain.time + 1);
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  send(to: PeerId | 'all', message: Message): void {
    this.emit({ t: 'send', to, message });
  }

  /** The effects since the last call. */
  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Own execution disagrees with a quorum: nothing is done any more (rule 8). */
  halt(reason: string): void {
    this.halted = true;
    this.emit({ t: 'halt', reason });
  }

  /** Appends to the WAL; the token by which `persisted` will name it. */
  append(record: WalRecord): number {
    this.#token += 1;
    this.emit({ t: 'persist', token: this.#token, record });
    return this.#token;
  }

  /** `then` runs, and emits what depends on the record, when the record is durable (rule 22). */
  persist(record: WalRecord, then: () => void): void {
    const token = this.append(record);
    if (this.weaken.sendBeforeDurable) then();
    else this.#waitingForDisk.push({ token, run: then });
  }

  /** Everything up to `token` is durable. */
  persisted(token: number): void {
    const ready = this.#waitingForDisk.filter((waiting) => waiting.token <= token);
    this.#waitingForDisk = this.#waitingForDisk.filter((waiting) => waiting.token > token);
    for (const waiting of ready) waiting.run();
  }

  /**
   * A copy that goes its own way; for searches over all schedules. Nothing may be waiting for the disk; pool, peers'
   * heights and others' votes start empty.
   */
  fork(): ReplicaState {
    invariant(this.#waitingForDisk.length === 0, 'a replica is forked only when everything is durable');
    const copy = new ReplicaState(this.options);
    copy.chain = this.chain;
    copy.index = this.index;
    copy.open = this.open.copy(this.index);
    copy.boot = this.boot.copy();
    copy.now = this.now;
    copy.clock = this.clock;
    copy.started = this.started;
    copy.halted = this.halted;
    copy.helloDeadline = this.helloDeadline;
    copy.nextResend = this.nextResend;
    copy.nextStatus = this.nextStatus;
    copy.committedHeight = this.committedHeight;
    copy.forwardedTo = this.forwardedTo;
    copy.#token = this.#token;
    return copy;
  }
}
