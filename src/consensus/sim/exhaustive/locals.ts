/**
 * States of one replica and what it does in them. The production `step` is run once for each (state, event) and
 * remembered: a replica has thousands of states, the four together tens of millions. A state is the replica's
 * safety state and everything that it ever sent, so the network is a function of the replicas' states.
 */
import { Replica } from '../../core/replica.ts';
import type { CoreMessage, Effect, Input, WalRecord } from '../../core/types.ts';
import { DEFAULT_BATCH, DEFAULT_TIMING } from '../../limits.ts';
import type { Message, Verified } from '../../wire/messages.ts';
import { clockAt, LOCKED, type Model, NOTHING, searchSigner } from './model.ts';

/** One state. The masks have a bit for each value in each view. */
export interface Local {
  readonly replica: Replica;
  readonly prepared: number;
  readonly committed: number;
  readonly led: number;
  /** By (height - 1) * views + view: what the VIEW-CHANGE said, 0 for none sent. */
  readonly changes: Uint8Array;
  /** Highest height at which COMMIT was sent. */
  readonly committedHeight: number;
  readonly crashed: boolean;
  readonly records: readonly WalRecord[];
  readonly next: Map<number, number>;
  // What the search asks at every turn.
  readonly height: number;
  readonly view: number;
  readonly changing: boolean;
  readonly acceptedView: number;
  readonly acceptedBit: number;
  readonly lockedView: number;
  readonly voting: boolean;
}

/** An event of a replica that is not one message. */
export interface Doing {
  readonly messages?: readonly CoreMessage[];
  /** The timer runs out afterwards. */
  readonly timeout?: boolean;
  readonly restart?: 'restart' | 'amnesia';
}

interface Sent {
  prepared: number;
  committed: number;
  led: number;
  changes: Uint8Array;
  committedHeight: number;
  records: WalRecord[];
}

export class Locals {
  readonly states: Local[] = [];
  readonly #model: Model;
  readonly #self: number;
  readonly #ids = new Map<string, number>();

  constructor(model: Model, self: number) {
    this.#model = model;
    this.#self = self;
    const sent: Sent = {
      prepared: 0,
      committed: 0,
      led: 0,
      changes: new Uint8Array(model.heights * model.views),
      committedHeight: 0,
      records: [],
    };
    const replica = this.#boot(true, 1, []);
    this.#start(replica, sent);
    this.#keep(replica, sent, false);
  }

  /** The state that `event` leads to from `id`; `id` itself if nothing changes, -1 beyond the last view. */
  step(id: number, event: number, doing: () => Doing): number {
    const local = this.states[id];
    const known = local.next.get(event);
    if (known !== undefined) return known;
    const next = this.#compute(local, doing());
    local.next.set(event, next);
    return next;
  }

  #compute(local: Local, doing: Doing): number {
    const sent: Sent = { ...local, changes: local.changes.slice(), records: [...local.records] };
    let { replica } = local;
    if (doing.restart !== undefined) {
      const whole = doing.restart === 'restart';
      replica = this.#boot(whole, 2, whole ? sent.records : [], replica);
      this.#start(replica, sent);
    } else replica = replica.fork();
    const from = this.#model.genesis.validators.ids[this.#self];
    for (const message of doing.messages ?? []) {
      this.#drive(replica, { t: 'message', from, message: message as Verified<CoreMessage> }, sent);
    }
    if (doing.timeout) this.#tick(replica, replica.nextDeadline() + 100_000, sent);
    const { views, heights } = this.#model;
    if (replica.view >= views || replica.chain.height > heights) return -1;
    return this.#keep(replica, sent, local.crashed || doing.restart !== undefined);
  }

  #boot(whole: boolean, boot: number, records: readonly WalRecord[], before?: Replica): Replica {
    const { genesis, weaken } = this.#model;
    const chain = before?.chain ?? genesis;
    return new Replica({
      self: genesis.validators.ids[this.#self],
      chain,
      recovered: {
        whole,
        boot,
        voteFrom: 0,
        records: records.filter((record) => record.height > chain.height),
      },
      helloNonce: new Uint8Array(16),
      signer: searchSigner,
      timing: { ...DEFAULT_TIMING, helloMs: 0 },
      batch: DEFAULT_BATCH,
      stillValid: () => true,
      weaken,
    });
  }

  #start(replica: Replica, sent: Sent): void {
    this.#tick(replica, 1, sent);
    this.#tick(replica, 2, sent);
  }

  #tick(replica: Replica, now: number, sent: Sent): void {
    this.#drive(replica, { t: 'tick', now, clock: clockAt(replica.chain.height + 1) }, sent);
  }

  /** Steps `replica`, plays its disk and application, and notes what it sends. */
  #drive(replica: Replica, input: Input, sent: Sent): void {
    const queue = [input];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      for (const effect of replica.step(next)) this.#perform(replica, effect, queue, sent);
    }
  }

  #perform(replica: Replica, effect: Effect, queue: Input[], sent: Sent): void {
    const model = this.#model;
    const height = replica.chain.height + 1;
    switch (effect.t) {
      case 'persist':
        sent.records.push(effect.record);
        queue.push({ t: 'persisted', upTo: effect.token });
        return;
      case 'build':
        // Beyond the last view nobody looks.
        if (effect.view >= model.views) return;
        queue.push({
          t: 'built',
          height,
          view: effect.view,
          proposal: model.fresh(replica.chain, effect.view, 0),
        });
        return;
      case 'validate': {
        const { hash } = effect.proposal;
        queue.push({ t: 'validated', height, hash, verdict: 'ok', certified: effect.qc !== undefined });
        return;
      }
      case 'decide': {
        const { qc } = effect.block;
        const pair = model.pairs[model.bit(qc.view, qc.headerHash)];
        queue.push({ t: 'applied', chain: model.after(replica.chain, pair), requests: [] });
        queue.push({ t: 'tick', now: replica.nextDeadline(), clock: clockAt(height + 1) });
        return;
      }
      case 'send':
        this.#note(effect.message, queue, sent);
        return;
      default:
    }
  }

  #note(message: Message, queue: Input[], sent: Sent): void {
    const model = this.#model;
    switch (message.type) {
      case 'prepare':
        sent.prepared |= 1 << model.bit(message.view, message.digest);
        return;
      case 'commit':
        sent.committed |= 1 << model.bit(message.view, message.digest);
        sent.committedHeight = Math.max(sent.committedHeight, message.height);
        return;
      case 'pre-prepare':
      case 'new-view':
        if (message.sender === this.#self) sent.led |= 1 << model.bit(message.view, message.digest);
        return;
      case 'view-change': {
        const { prepared, height, view } = message;
        const content = prepared === undefined ? NOTHING : LOCKED + model.bit(prepared.view, prepared.hash);
        if (view < model.views) sent.changes[(height - 1) * model.views + view] = content;
        return;
      }
      case 'fetch': {
        // Somebody has it: f + 1 honest replicas hold the batch of every prepared certificate.
        const proposal = model.proposal(message.hash);
        const input = { type: 'proposal', proposal } as Verified<CoreMessage>;
        queue.push({ t: 'message', from: model.genesis.validators.ids[this.#self], message: input });
        return;
      }
      default:
    }
  }

  #keep(replica: Replica, sent: Sent, crashed: boolean): number {
    const { prepared, committed, led, changes } = sent;
    const name = `${replica.digest()} ${prepared} ${committed} ${led} ${changes.join('.')} ${crashed}`;
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.states.length;
    const { accepted } = replica;
    this.#ids.set(name, id);
    this.states.push({
      ...sent,
      replica,
      crashed,
      next: new Map(),
      height: replica.chain.height + 1,
      view: replica.view,
      changing: replica.changingView,
      acceptedView: accepted?.view ?? -1,
      acceptedBit: accepted === undefined ? -1 : this.#model.bit(accepted.view, accepted.hash),
      lockedView: replica.lockedView,
      voting: replica.voting,
    });
    return id;
  }
}
