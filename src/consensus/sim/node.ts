/**
 * One simulated member: the production core, router and verifier over a virtual disk, clock and network. A crash loses
 * what was not flushed; a restart goes through the WAL codec.
 */
import { advance, type Chain, decodeChain, type Genesis, genesisChain } from '../chain.ts';
import { Replica } from '../core/replica.ts';
import type { BootRecord, Effect, Evidence, Input, WalRecord } from '../core/types.ts';
import type { BatchLimits, Timing } from '../limits.ts';
import { decidedBlock, proposalOf, rootsAgree } from '../node/executor.ts';
import type { ValidatorKey } from '../node/keys.ts';
import { Router } from '../node/router.ts';
import { coreSigner } from '../node/signer.ts';
import type { Verifier } from '../node/verifier.ts';
import type { PeerId } from '../validators.ts';
import { decodeRecord, encodeRecord } from '../wal/record.ts';
import { toHex } from '../wire/bytes.ts';
import { batchHash, decodeBlock, encodeBatch, qcHash } from '../wire/codec.ts';
import { type Block, HELLO_NONCE_BYTES, type Message } from '../wire/messages.ts';
import { RELEASE_MS, SimApplication } from './application.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';
import type { SimWeakening } from './weakening.ts';

/** What a member needs of its world. */
export interface World {
  readonly schedule: Schedule;
  readonly random: Random;
  readonly genesis: Genesis;
  readonly verifier: Verifier;
  readonly timing: Timing;
  readonly batch: BatchLimits;
  readonly weaken: SimWeakening;
  /** Longest flush, milliseconds. */
  readonly flushMs: number;
  transmit(from: SimNode, to: PeerId | 'all', message: Message): void;
  /** Called for everything an honest member sends or decides. */
  observeSend(node: SimNode, message: Message): void;
  observePersist(node: SimNode, record: WalRecord, chain: Chain): void;
  observeDecide(node: SimNode, block: Block, chain: Chain): void;
  observeHalt(node: SimNode, reason: string): void;
  observeClock(node: SimNode, offsetMs: number): void;
  /** A start has read its disk; `lost` when the log was found to be gone or damaged. */
  observeStart(node: SimNode, records: readonly WalRecord[], lost: boolean): void;
  /** A block was decided that this member had not executed. */
  observeUnexecuted(node: SimNode, height: number): void;
  /** What the block of `time` grants is released now. */
  observeRelease(node: SimNode, time: number): void;
  /** How long the flush that begins takes beyond the disk's time; 'fails' ends the process. */
  flushFault(node: SimNode): number | 'fails';
  observeEvidence(node: SimNode, evidence: Evidence): void;
  authentic(request: Uint8Array): boolean;
}

/** How a crash treats what was appended but not flushed. */
export type CrashMode = 'lost' | 'synced' | 'partly';

export class SimDisk {
  durable: WalRecord[] = [];
  unsynced: { token: number; record: WalRecord }[] = [];
  boot: BootRecord | undefined;
  whole = true;

  crash(mode: CrashMode, random: Random): void {
    const kept =
      mode === 'lost' ? 0 : mode === 'synced' ? this.unsynced.length : random.below(this.unsynced.length + 1);
    for (const { record } of this.unsynced.slice(0, kept)) this.durable.push(record);
    this.unsynced = [];
  }

  /** The log is gone or damaged after its first `kept` records; the state is not. */
  lose(kept = 0): void {
    this.durable = this.durable.slice(0, kept);
    this.unsynced = [];
    this.boot = undefined;
    this.whole = false;
  }

  /** Records as a restart reads them, through the codec. */
  read(): WalRecord[] {
    return this.durable.map((record) => decodeRecord(encodeRecord(record)));
  }
}

export class SimNode {
  readonly index: number;
  readonly key: ValidatorKey;
  readonly peer: PeerId;
  readonly honest: boolean;
  application: SimApplication;
  disk = new SimDisk();
  /** Added to virtual time to give this member's wall clock. */
  skew = 0;
  /** What waits for a process that sleeps to go on; undefined while it does not sleep. */
  #asleep: (() => void)[] | undefined;
  /** Was set back to an old image: may sign again what it signed before. */
  setBack = false;
  replica: Replica | undefined;
  readonly #world: World;
  #router: Router | undefined;
  #life = 0;
  #inputs: Input[] = [];
  #stepping = false;
  #flushing = false;
  #wakeAt = Number.POSITIVE_INFINITY;
  /** Proposals of the open height that this life built or executed to their roots. */
  readonly #executed = new Set<string>();

  constructor(world: World, index: number, key: ValidatorKey, application: SimApplication, honest: boolean) {
    this.#world = world;
    this.index = index;
    this.key = key;
    this.peer = toHex(key.publicKey);
    this.application = application;
    this.honest = honest;
  }

  get up(): boolean {
    return this.replica !== undefined;
  }

  get height(): number {
    return this.replica?.chain.height ?? 0;
  }

  /** Height of the state on disk. */
  get appliedHeight(): number {
    return this.application.resume?.height ?? 0;
  }

  clock(): number {
    return this.#world.genesis.time + 1000 + this.#world.schedule.now + this.skew;
  }

  start(): void {
    const world = this.#world;
    const { genesis } = world;
    const tip = this.application.resume;
    const chain = tip === undefined ? genesisChain(genesis) : decodeChain(tip.resume);
    const { disk } = this;
    const first = disk.boot === undefined && tip === undefined && disk.whole;
    const whole = disk.whole && (disk.boot !== undefined || first);
    disk.boot = { boot: (disk.boot?.boot ?? 0) + 1, voteFrom: disk.boot?.voteFrom ?? 0 };
    disk.whole = true;
    this.#life += 1;
    this.#inputs = [];
    this.#flushing = false;
    this.#asleep = undefined;
    this.#executed.clear();
    const records = disk.read().filter((record) => record.height > chain.height);
    const replica = new Replica({
      self: this.peer,
      chain,
      recovered: { whole, ...disk.boot, records },
      helloNonce: world.random.bytes(HELLO_NONCE_BYTES),
      signer: coreSigner(this.key, genesis.chainId),
      timing: world.timing,
      batch: world.batch,
      stillValid: (info, time) => this.application.stillValid(info, time),
      weaken: world.weaken,
    });
    this.replica = replica;
    this.#router = new Router(replica, world.verifier, {
      feed: (input) => this.feed(input),
      send: (to, message) => this.#send(to, message),
      now: () => world.schedule.now,
      serve: (to, from, count) => this.#serve(to, from, count),
      onRequest: (_from, request) => this.submit(request),
      onCosignature: () => undefined,
    });
    this.#wakeAt = Number.POSITIVE_INFINITY;
    if (this.honest) world.observeStart(this, records, !whole);
    this.feed();
  }

  crash(mode: CrashMode): void {
    this.replica = undefined;
    this.#life += 1;
    this.disk.crash(mode, this.#world.random);
  }

  /** The log is gone or damaged after its first `kept` records. */
  loseLog(kept = 0): void {
    this.disk.lose(kept);
  }

  /** Takes an image of the whole machine; the result sets it back to that. */
  image(): () => void {
    const height = this.appliedHeight;
    const durable = [...this.disk.durable];
    const { boot } = this.disk;
    return () => {
      const old = new SimApplication();
      old.restoreFrom(this.application, height);
      this.application = old;
      Object.assign(this.disk, { durable, boot, whole: true });
      this.setBack = true;
    };
  }

  /** The process stops where it is; what arrives and what falls due waits until `wake`. */
  sleep(): void {
    this.#asleep ??= [];
  }

  wake(): void {
    const waiting = this.#asleep ?? [];
    this.#asleep = undefined;
    for (const run of waiting) run();
  }

  receive(from: PeerId, message: Message): void {
    if (this.replica === undefined) return;
    if (this.#asleep !== undefined) {
      const life = this.#life;
      this.#asleep.push(() => this.#life === life && this.receive(from, message));
      return;
    }
    if ((message.type === 'view-change' || message.type === 'prepare') && this.#unfiltered(message)) {
      const verified = this.#world.verifier.message(message, this.replica.chain.validators);
      if (verified !== undefined) this.feed({ t: 'message', from, message: verified });
    } else this.#router?.receive(from, message);
  }

  /** The router drops what an honest core has no use for; a core without the guard in question would take it. */
  #unfiltered({ type, height }: { type: 'view-change' | 'prepare'; height: number }): boolean {
    const { viewChangeAnyHeight, viewsOutliveHeights, voteAfterViewChange } = this.#world.weaken;
    if (type === 'prepare') return voteAfterViewChange === true && height === this.height + 1;
    return (viewChangeAnyHeight === true || viewsOutliveHeights === true) && height <= this.height;
  }

  /** A client's request, or a forwarded one: admitted if the application does. */
  submit(bytes: Uint8Array): void {
    if (!this.#world.authentic(bytes)) return;
    try {
      const info = this.application.inspect(bytes);
      this.feed({ t: 'request', request: { id: toHex(info.id), info, bytes } });
    } catch {
      // Refused: its nonce was used.
    }
  }

  feed(...inputs: Input[]): void {
    const { replica } = this;
    if (replica === undefined) return;
    if (this.#asleep !== undefined) {
      const life = this.#life;
      this.#asleep.push(() => this.#life === life && this.feed(...inputs));
      return;
    }
    this.#inputs.push(...inputs);
    if (this.#stepping) return;
    this.#stepping = true;
    const life = this.#life;
    this.#inputs.unshift({ t: 'tick', now: this.#world.schedule.now, clock: this.clock() });
    for (let input = this.#inputs.shift(); input !== undefined; input = this.#inputs.shift()) {
      for (const effect of replica.step(input)) this.#perform(effect, replica);
    }
    this.#stepping = false;
    if (this.#life !== life) return;
    this.#flush();
    this.#arm(replica);
  }

  /** Runs `run` later unless this life of the member has ended by then. */
  #later(delay: number, run: () => void): void {
    const life = this.#life;
    this.#world.schedule.after(delay, () => {
      if (this.#life !== life) return;
      if (this.#asleep === undefined) run();
      else this.#asleep.push(() => this.#life === life && run());
    });
  }

  #arm(replica: Replica): void {
    const at = Math.max(Math.ceil(replica.nextDeadline()), this.#world.schedule.now + 1);
    if (at >= this.#wakeAt && this.#wakeAt > this.#world.schedule.now) return;
    this.#wakeAt = at;
    this.#later(at - this.#world.schedule.now, () => {
      if (this.#world.schedule.now >= this.#wakeAt) this.#wakeAt = Number.POSITIVE_INFINITY;
      this.feed();
    });
  }

  #flush(): void {
    if (this.#flushing || this.disk.unsynced.length === 0) return;
    this.#flushing = true;
    const fault = this.honest ? this.#world.flushFault(this) : 0;
    const takes = this.#world.random.between(0, this.#world.flushMs) + (fault === 'fails' ? 0 : fault);
    this.#later(takes, () => {
      if (fault === 'fails') {
        // A failed flush is never tried again: what reached the disk is not known.
        this.crash('partly');
        return;
      }
      const upTo = this.disk.unsynced.at(-1)?.token ?? 0;
      for (const { record } of this.disk.unsynced) this.disk.durable.push(record);
      this.disk.unsynced = [];
      this.#flushing = false;
      this.feed({ t: 'persisted', upTo });
    });
  }

  #send(to: PeerId | 'all', message: Message): void {
    if (this.honest) this.#world.observeSend(this, message);
    this.#world.transmit(this, to, message);
  }

  #perform(effect: Effect, replica: Replica): void {
    const { chain } = replica;
    switch (effect.t) {
      case 'persist':
        if (this.honest) this.#world.observePersist(this, effect.record, chain);
        this.disk.unsynced.push({ token: effect.token, record: effect.record });
        return;
      case 'persistBoot':
        this.disk.boot = effect.record;
        return;
      case 'send':
        this.#send(effect.to, effect.message);
        return;
      case 'build':
        this.#later(this.#world.random.below(3), () => this.#build(effect, chain));
        return;
      case 'validate':
        this.#later(this.#world.random.below(3), () => this.#validate(effect, chain));
        return;
      case 'decide':
        this.#world.observeDecide(this, effect.block, chain);
        if (!this.#executed.has(effect.block.proposal.hash))
          this.#world.observeUnexecuted(this, effect.block.proposal.header.height);
        this.#later(this.#world.random.below(4), () => this.#apply(effect.block, chain));
        return;
      case 'halt':
        this.#world.observeHalt(this, effect.reason);
        return;
      case 'clock':
        this.#world.observeClock(this, effect.offsetMs);
        return;
      case 'evidence':
        this.#world.observeEvidence(this, effect.evidence);
        return;
      default:
    }
  }

  #build(effect: Extract<Effect, { t: 'build' }>, chain: Chain): void {
    const batch = effect.requests.map((request) => request.bytes);
    const batchBytes = encodeBatch(batch);
    const result = this.application.run({ ...effect, batchHash: batchHash(batchBytes) }, batch);
    if (!result.ok) return;
    const { height, view } = effect;
    const proposal = proposalOf(effect, chain, batchBytes, result);
    this.#executed.add(proposal.hash);
    this.feed({ t: 'built', height, view, proposal });
  }

  #validate(effect: Extract<Effect, { t: 'validate' }>, chain: Chain): void {
    const { header, hash } = effect.proposal;
    const verdict = this.#verdict(effect, chain);
    this.feed({ t: 'validated', height: header.height, hash, verdict, certified: effect.qc !== undefined });
  }

  #verdict(
    { proposal, mode, qc }: Extract<Effect, { t: 'validate' }>,
    chain: Chain,
  ): 'ok' | 'invalid' | 'mismatch' {
    const { verifier } = this.#world;
    if (qc !== undefined && !verifier.certificate(qc, chain.validators)) return 'invalid';
    const { parentQc, header } = proposal;
    if (mode !== 'decided' && parentQc !== undefined && qcHash(chain.qc) !== header.parentQcHash) {
      if (!verifier.certificate(parentQc, chain.lastValidators)) return 'invalid';
    }
    const examined = mode === 'fresh' && !this.#world.weaken.requestsUnchecked;
    if (examined && !this.#requestsHold(proposal.batch, header.time)) return 'invalid';
    const result = this.application.run(header, proposal.batch);
    if (!result.ok || !rootsAgree(header, result)) return 'mismatch';
    this.#executed.add(proposal.hash);
    return 'ok';
  }

  #requestsHold(batch: readonly Uint8Array[], time: number): boolean {
    const nonces = new Set<string>();
    for (const bytes of batch) {
      if (!this.#world.authentic(bytes)) return false;
      try {
        const info = this.application.inspect(bytes);
        const nonce = `${info.client}/${info.nonce}`;
        if (nonces.has(nonce) || !this.application.stillValid(info, time)) return false;
        nonces.add(nonce);
      } catch {
        return false;
      }
    }
    return true;
  }

  #apply(block: Block, chain: Chain): void {
    const result = this.application.run(block.proposal.header, block.proposal.batch);
    if (!result.ok) return;
    const next = advance(chain, block.proposal, block.qc, result);
    const decided = decidedBlock(block, next);
    this.application.apply(decided);
    this.application.blocks.set(decided.height, decided.encoded);
    const requests = block.proposal.batch.map((bytes) => toHex(this.application.idOf(bytes)));
    this.disk.durable = this.disk.durable.filter((record) => record.height > decided.height);
    this.#executed.clear();
    this.#release(decided.header.time);
    this.feed({ t: 'applied', chain: next, requests });
    this.#router?.applied(decided.height);
  }

  /** What a block grants is released by members whose tip is recent (ledger-security rules 23, 24). */
  #release(time: number): void {
    const late = this.clock() - time > RELEASE_MS;
    if (!late || this.#world.weaken.releaseUnbounded) this.#world.observeRelease(this, time);
  }

  #serve(to: PeerId, from: number, count: number): void {
    const blocks: Block[] = [];
    for (let height = from; height < from + Math.min(count, 8); height++) {
      const encoded = this.application.blocks.get(height);
      if (encoded === undefined) break;
      blocks.push(decodeBlock(encoded));
    }
    this.#send(to, { type: 'blocks', blocks });
  }
}
