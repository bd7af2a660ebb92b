/**
 * The event loop around the sans-IO core: time, WAL, verification, transport, application. One input is stepped at
 * a time; effects are carried out in order. Order of every block: persist -> send -> apply -> acknowledge.
 * A failed flush ends the node, a failed apply too: neither is retried.
 *
 * The application may put applied blocks on its disk later. Until it has, the WAL keeps their proposal and certificate
 * (redo.ts); a block that the WAL does not hold whole is waited for before the next vote leaves. So a vote for a height
 * always means that everything below it can be had again from this disk.
 */
import { decodeChain, genesisChain } from '../chain.ts';
import { VOTE_FROM_UNKNOWN } from '../core/boot.ts';
import { Replica } from '../core/replica.ts';
import type { Effect, Input, PooledRequest, WalRecord } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import {
  DEFAULT_BATCH,
  DEFAULT_TIMING,
  REFUSED_PER_SECOND_MAX,
  REQUEST_BYTES_MAX,
  type Timing,
} from '../limits.ts';
import type { PeerId } from '../validators.ts';
import { copyOf, toHex } from '../wire/bytes.ts';
import { decodeMessage, encodeMessage } from '../wire/codec.ts';
import { encodeEvidence } from '../wire/evidence.ts';
import { type Block, HELLO_NONCE_BYTES, type Message } from '../wire/messages.ts';
import { Executor, requestName } from './executor.ts';
import { dropError, type NodeEvent, type NodeOptions, type NodeStatus } from './options.ts';
import { redo } from './redo.ts';
import { Router } from './router.ts';
import { Serving } from './serving.ts';
import { coreSigner } from './signer.ts';
import { Submissions, type Submitted } from './submissions.ts';
import { Verifier } from './verifier.ts';

/** The core hears of the time this often at most while inputs come; its own times are a hundred times as long. */
const TICK_MS = 1;

export class PbftNode {
  readonly #options: NodeOptions;
  readonly #timing: Timing;
  readonly #verifier: Verifier;
  readonly #executor: Executor;
  readonly #submissions = new Submissions();
  readonly #inputs: Input[] = [];
  /** Header hashes of the open height's proposals that are in the WAL. */
  readonly #logged = new Set<string>();
  readonly #refused = new Map<string, { second: number; count: number }>();
  readonly #id: PeerId;
  #replica: Replica | undefined;
  #router: Router | undefined;
  #stepping = false;
  #stopped = false;
  #failure: ConsensusError | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When `#timer` fires. */
  #wakeAt = Number.POSITIVE_INFINITY;
  #flushing = false;
  #appended = 0;
  /** Settles when the last applied block that the WAL does not hold is on the application's disk. */
  #unlogged: Promise<void> | undefined;
  #lastTick = Number.NEGATIVE_INFINITY;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.#timing = { ...DEFAULT_TIMING, ...options.timing };
    this.#verifier = new Verifier(options.genesis.chainId, options.verificationCache);
    this.#executor = new Executor(options.application, options.blocks, this.#verifier);
    this.#id = toHex(options.key.publicKey);
  }

  /** Recovers from tip and WAL, connects, and begins to take part. */
  async start(): Promise<void> {
    const { application, genesis, wal, transport, random } = this.#options;
    const tip = await application.tip();
    const { contents } = wal;
    const applied = tip === undefined ? genesisChain(genesis) : decodeChain(tip.resume);
    const { chain, durable } = await redo(contents.records, applied, this.#executor);
    this.#truncateWhen(durable, chain.height);
    const records = contents.records.filter((record) => record.height > chain.height);
    for (const record of records) this.#noteLogged(record, chain.height + 1);
    const firstStart = contents.boot === undefined && tip === undefined;
    const whole =
      contents.whole && (contents.boot !== undefined || firstStart) && this.#options.restored !== true;
    // With the boot number goes that votes may be lost: a crash before the answers must not forget it.
    const voteFrom = whole ? (contents.boot?.voteFrom ?? 0) : VOTE_FROM_UNKNOWN;
    const boot = { boot: (contents.boot?.boot ?? 0) + 1, voteFrom };
    wal.writeBoot(boot);
    this.#replica = new Replica({
      self: this.#id,
      chain,
      recovered: {
        whole,
        ...boot,
        records,
      },
      helloNonce: random(HELLO_NONCE_BYTES),
      signer: coreSigner(this.#options.key, genesis.chainId),
      timing: this.#timing,
      batch: this.#options.batch ?? DEFAULT_BATCH,
      stillValid: (info, time) => application.stillValid(info, time),
    });
    const serving = new Serving(this.#options.blocks, {
      height: () => this.#replica?.chain.height ?? 0,
      send: (to, blocks) => {
        if (!this.#stopped) this.#send(to, { type: 'blocks', blocks });
      },
    });
    this.#router = new Router(this.#replica, this.#verifier, {
      feed: (input) => this.#feed(input),
      send: (to, message) => this.#send(to, message),
      now: this.#options.now,
      serve: (to, from, count) => serving.serve(to, from, count),
      onRequest: (from, request) => this.#onRequest(from, request),
      onPreview: (from, request) => this.#onRequest(from, request, false),
      onCosignature: (from, height, bytes) => application.onCosignature(from, height, bytes),
    });
    await transport.start({
      onMessage: (from, bytes) => this.#onBytes(from, bytes),
      onConnected: (peer) => {
        const cosignature = application.tipCosignature?.();
        if (cosignature !== undefined) this.#send(peer, { type: 'cosign', ...cosignature });
        this.#feed({ t: 'connected', peer });
      },
    });
    this.#feed();
  }

  /** Own id: the validator key in hexadecimal. */
  get id(): PeerId {
    return this.#id;
  }

  /**
   * Has a request ordered; resolves when this node has applied it: a quorum has it on disk then. The same request may be submitted again,
   * here or elsewhere: it is executed once and every submission gets the same place. Rejects with the application's
   * error, `consensus.nonce_used`, `consensus.pool_full`, `consensus.request_expired` or `consensus.stopped`.
   */
  async submit(request: Uint8Array): Promise<Submitted> {
    this.#alive();
    if (request.length > REQUEST_BYTES_MAX) {
      throw new ConsensusError(
        'consensus.too_large',
        `expected a request of at most ${REQUEST_BYTES_MAX} bytes`,
      );
    }
    const name = requestName(request);
    const done = this.#submissions.doneNamed(name);
    if (done !== undefined) return done;
    let admitted: PooledRequest;
    try {
      admitted = await this.#executor.admit(request, name);
    } catch (error) {
      // Its block may be under way into committed state: then the repeat is answered with its place.
      await this.#executor.idle();
      const place = this.#submissions.doneNamed(name);
      if (place !== undefined) return place;
      throw error;
    }
    const replica = this.#alive();
    const before = this.#submissions.done(admitted.id);
    if (before !== undefined) return before;
    const admission = replica.admission(admitted);
    if (admission !== 'added' && admission !== 'known') throw dropError(admission);
    const result = this.#submissions.wait(admitted.id);
    const isBusy = replica.accepted !== undefined;
    this.#feed({ t: 'request', request: admitted });
    if (isBusy) this.#preview(replica, request);
    return result;
  }

  status(): NodeStatus {
    const replica = this.#alive();
    const { chain } = replica;
    return {
      height: chain.height,
      time: chain.time,
      headHash: chain.headHash,
      epoch: chain.validators.epoch,
      view: replica.view,
      changingView: replica.changingView,
      index: replica.index,
      leader: replica.leader,
      voting: replica.voting,
      halted: replica.halted,
      pooled: replica.pooled,
    };
  }

  /** Stops taking part; what was acknowledged is durable. Waiting submissions are rejected. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#submissions.rejectAll(new ConsensusError('consensus.stopped', 'the node was stopped'));
    await this.#options.transport.stop();
    await this.#executor.idle();
    if (this.#failure === undefined) await this.#options.wal.close();
  }

  #alive(): Replica {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#stopped || this.#replica === undefined) {
      throw new ConsensusError('consensus.stopped', 'the node is not running');
    }
    return this.#replica;
  }

  #fail(error: ConsensusError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#submissions.rejectAll(error);
    const code = error.code === 'consensus.halted' ? (codeOf(error.cause) ?? error.code) : error.code;
    this.#emit({ type: 'halted', reason: error.message, code });
    void this.#options.transport.stop();
  }

  #emit(event: NodeEvent): void {
    this.#options.onEvent?.(event);
  }

  // ---- loop --------------------------------------------------------------------------------------------------

  /** Queues inputs and works the queue off; never re-entered. */
  #feed(...inputs: Input[]): void {
    const replica = this.#replica;
    if (this.#stopped || replica === undefined) return;
    this.#inputs.push(...inputs);
    if (this.#stepping) return;
    this.#stepping = true;
    const now = this.#options.now();
    if (now >= this.#lastTick + TICK_MS || this.#inputs.length === 0) {
      this.#lastTick = now;
      this.#inputs.unshift({ t: 'tick', now, clock: this.#options.clock() });
    }
    try {
      for (
        let input = this.#inputs.shift();
        input !== undefined && !this.#stopped;
        input = this.#inputs.shift()
      ) {
        for (const effect of replica.step(input)) this.#perform(effect, replica);
      }
    } finally {
      this.#stepping = false;
    }
    this.#flush();
    this.#arm(replica);
  }

  /** A timer that fires too early costs a tick and arms itself again; most deadlines move on before they come. */
  #arm(replica: Replica): void {
    const deadline = replica.nextDeadline();
    if (this.#stopped || deadline >= this.#wakeAt) return;
    clearTimeout(this.#timer);
    this.#wakeAt = deadline;
    const wait = Math.max(1, Math.ceil(deadline - this.#options.now()));
    this.#timer = setTimeout(() => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#feed();
    }, wait);
  }

  #perform(effect: Effect, replica: Replica): void {
    const { chain } = replica;
    switch (effect.t) {
      case 'persist':
        try {
          this.#options.wal.append(effect.record);
          this.#noteLogged(effect.record, chain.height + 1);
          // Nothing waits for a certificate to be durable (ledger-security rule 22): it goes with the next vote.
          if (effect.record.kind !== 'decided') this.#appended = effect.token;
        } catch (cause) {
          this.#fail(new ConsensusError('consensus.wal_failed', 'the WAL cannot be written', { cause }));
        }
        return;
      case 'persistBoot':
        this.#options.wal.writeBoot(effect.record);
        return;
      case 'send':
        this.#send(effect.to, effect.message);
        return;
      case 'build':
        this.#run(this.#executor.build(effect, chain), (built) => {
          const { height, view } = effect;
          this.#feed(
            'proposal' in built
              ? { t: 'built', height, view, proposal: built.proposal }
              : { t: 'unbuilt', height, view, drop: built.drop },
          );
        });
        return;
      case 'validate':
        this.#run(this.#executor.validate(effect, chain), (verdict) => {
          const { hash, header } = effect.proposal;
          this.#feed({
            t: 'validated',
            height: header.height,
            hash,
            verdict,
            certified: effect.qc !== undefined,
          });
        });
        return;
      case 'decide':
        this.#decide(effect.block, replica);
        return;
      case 'dropped':
        this.#submissions.reject(effect.id, dropError(effect.reason));
        return;
      case 'evidence': {
        const evidence = encodeEvidence(effect.evidence);
        this.#emit({ type: 'evidence', evidence });
        this.#options.application.onEvidence?.(evidence);
        return;
      }
      case 'view':
        this.#emit({ type: 'view', height: effect.height, view: effect.view });
        return;
      case 'clock':
        this.#emit({ type: 'clock', offsetMs: effect.offsetMs });
        return;
      case 'halt':
        this.#fail(new ConsensusError('consensus.halted', effect.reason));
        return;
      default:
        effect satisfies never;
    }
  }

  /** Runs an application call; what it throws ends the node, because a state machine must not fail. */
  #run<T>(work: Promise<T>, then: (value: T) => void): void {
    work.then(then).catch((cause: unknown) => {
      const code = codeOf(cause);
      const what = code === undefined ? 'failed' : `failed with ${code}`;
      this.#fail(new ConsensusError('consensus.halted', `the application ${what}; see the cause`, { cause }));
    });
  }

  /** One flush at a time; what is appended meanwhile shares the next one. */
  #flush(): void {
    const upTo = this.#appended;
    if (upTo === 0 || this.#flushing) return;
    this.#appended = 0;
    this.#flushing = true;
    Promise.all([this.#options.wal.flush(), this.#unlogged]).then(
      () => {
        this.#flushing = false;
        this.#feed({ t: 'persisted', upTo });
      },
      (cause: unknown) =>
        this.#fail(new ConsensusError('consensus.wal_failed', 'the WAL cannot be flushed', { cause })),
    );
  }

  /** Notes that the WAL has a proposal of the open height. */
  #noteLogged(record: WalRecord, open: number): void {
    if (record.kind === 'proposal' && record.height === open) this.#logged.add(record.message.digest);
  }

  /** The WAL may forget up to `height` once the application has it on disk. */
  #truncateWhen(durable: Promise<void> | undefined, height: number): void {
    const truncate = (): void => {
      if (!this.#stopped) this.#options.wal.truncateBelow(height);
    };
    if (durable === undefined) truncate();
    else this.#run(durable, truncate);
  }

  /**
   * While a block is being agreed on, requests for the next one are shown to all: each member then checks signatures
   * while it would wait for votes, and not when the proposal comes. Members of one process check each signature once
   * for all of them and have nothing to gain.
   */
  #preview(replica: Replica, request: Uint8Array): void {
    if (this.#options.verificationCache !== undefined) return;
    const { ids } = replica.chain.validators;
    const leader = ids[replica.leader];
    const bytes = encodeMessage({ type: 'preview', request });
    for (const id of ids) if (id !== this.#id && id !== leader) this.#options.transport.send(id, bytes);
  }

  #send(to: PeerId | 'all', message: Message): void {
    const bytes = encodeMessage(message);
    if (to === 'all') this.#options.transport.broadcast(bytes);
    else if (to !== this.#id) this.#options.transport.send(to, bytes);
  }

  #decide(block: Block, replica: Replica): void {
    const { header, hash } = block.proposal;
    const identify = replica.pooled > 0 || this.#submissions.waiting;
    this.#run(this.#executor.apply(block, replica.chain, identify), (applied) => {
      if (this.#stopped) return;
      if (!this.#logged.has(hash)) this.#unlogged = applied.durable;
      this.#logged.clear();
      const ids = applied.ids.filter((id) => id !== undefined);
      this.#feed({ t: 'applied', chain: applied.chain, requests: ids });
      applied.names.forEach((name, index) => {
        this.#submissions.resolve(applied.ids[index], name, { height: header.height, index });
      });
      if (applied.cosignature !== undefined) {
        this.#send('all', { type: 'cosign', height: header.height, bytes: applied.cosignature });
      }
      this.#truncateWhen(applied.durable, header.height);
      this.#emit({
        type: 'decided',
        height: header.height,
        view: block.qc.view,
        requests: block.proposal.batch.length,
      });
      this.#router?.applied(header.height);
    });
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  #onBytes(from: PeerId, bytes: Uint8Array): void {
    if (this.#stopped) return;
    let message: Message;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      this.#emit({
        type: 'malformed',
        from,
        code: error instanceof ConsensusError ? error.code : 'consensus.malformed',
      });
      return;
    }
    this.#router?.receive(from, message);
  }

  /** A peer that sends what is refused is not listened to for the rest of the second: refusing costs a signature. */
  #onRequest(from: PeerId, bytes: Uint8Array, isOrdered = true): void {
    const name = requestName(bytes);
    const known = this.#executor.known(name);
    if (known !== undefined) {
      if (isOrdered) this.#feed({ t: 'request', request: known });
      return;
    }
    const second = Math.floor(this.#options.now() / 1000);
    // Counted apart: a preview that comes after its block is refused, and no fault of the sender.
    const counter = isOrdered ? from : `preview ${from}`;
    const before = this.#refused.get(counter);
    const refused = before?.second === second ? before : { second, count: 0 };
    this.#refused.set(counter, refused);
    if (refused.count >= REFUSED_PER_SECOND_MAX) return;
    this.#executor.admit(copyOf(bytes), name).then(
      (request: PooledRequest) => {
        if (isOrdered) this.#feed({ t: 'request', request });
      },
      () => {
        refused.count += 1;
      },
    );
  }
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
}
