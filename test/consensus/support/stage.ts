/**
 * A stage for scripted schedules: simulated members whose every message waits in an outbox until the script delivers
 * or drops it. Time moves only when the script says so.
 */
import type { Chain, Genesis } from '../../../src/consensus/chain.ts';
import type { Evidence, WalRecord } from '../../../src/consensus/core/types.ts';
import { DEFAULT_TIMING } from '../../../src/consensus/limits.ts';
import { VerificationCache, Verifier } from '../../../src/consensus/node/verifier.ts';
import { encodeSimRequest, SimApplication, type SimRequest } from '../../../src/consensus/sim/application.ts';
import { Checks } from '../../../src/consensus/sim/checks.ts';
import { simKey, simVerify } from '../../../src/consensus/sim/keys.ts';
import { SimNode, type World } from '../../../src/consensus/sim/node.ts';
import { Random } from '../../../src/consensus/sim/random.ts';
import { Schedule } from '../../../src/consensus/sim/schedule.ts';
import type { SimWeakening } from '../../../src/consensus/sim/weakening.ts';
import { decodeMessage, encodeMessage } from '../../../src/consensus/wire/codec.ts';
import type { Block, Message } from '../../../src/consensus/wire/messages.ts';

/** One copy of a message on its way. */
export interface Parcel {
  readonly from: number;
  readonly to: number;
  readonly message: Message;
}

export type Rule = (parcel: Parcel) => boolean;

export class Stage implements World {
  readonly schedule = new Schedule();
  readonly random = new Random(1);
  readonly genesis: Genesis;
  readonly verifier: Verifier;
  readonly timing = DEFAULT_TIMING;
  readonly batch = { countMax: 50, bytesMax: 1 << 20 };
  readonly weaken: SimWeakening;
  readonly flushMs = 0;
  readonly checks: Checks;
  readonly nodes: SimNode[];
  readonly evidence: Evidence[] = [];
  readonly alarms: { node: number; offsetMs: number }[] = [];
  readonly halted = new Map<number, string>();
  readonly released: { node: number; time: number }[] = [];
  /** Which parcels travel by themselves; the others wait in `held`. */
  route: Rule = () => true;
  /** Milliseconds on the way. */
  delay: (parcel: Parcel) => number = () => 1;
  /** Second machines of a member: they hear what it hears, and speak as it. */
  readonly twins: SimNode[] = [];
  readonly held: Parcel[] = [];
  readonly sent: Parcel[] = [];
  readonly decided: { node: number; height: number; hash: string; view: number }[] = [];
  #nonce = 0;

  constructor(
    n: number,
    options: { spares?: number; byzantine?: readonly number[]; weaken?: SimWeakening } = {},
  ) {
    this.weaken = options.weaken ?? {};
    const keys = Array.from({ length: n + (options.spares ?? 0) }, (_, i) => simKey(i));
    this.genesis = {
      chainId: new Uint8Array(32).fill(7),
      time: 1_700_000_000_000,
      validators: keys.slice(0, n).map((key) => key.publicKey),
    };
    this.verifier = new Verifier(this.genesis.chainId, new VerificationCache(), simVerify);
    this.checks = new Checks(this.genesis.chainId);
    this.nodes = keys.map(
      (key, i) => new SimNode(this, i, key, new SimApplication(), !options.byzantine?.includes(i)),
    );
  }

  /** Starts everybody and waits until they vote. */
  start(): this {
    for (const node of this.nodes) node.start();
    this.run(400);
    return this;
  }

  /** Lets `ms` pass. */
  run(ms: number): void {
    const until = this.schedule.now + ms;
    this.schedule.after(ms, () => undefined);
    while (this.schedule.now < until) if (!this.schedule.step()) return;
  }

  /** Runs until `condition` holds; throws after `ms`. */
  until(condition: () => boolean, ms = 60_000): void {
    const end = this.schedule.now + ms;
    while (!condition()) {
      if (this.schedule.now > end || !this.schedule.step())
        throw new Error(`not reached within ${ms} virtual ms`);
    }
  }

  transmit(from: SimNode, to: string, message: Message): void {
    for (const node of this.nodes) {
      if (node.index === from.index || (to !== 'all' && node.peer !== to)) continue;
      const parcel = { from: from.index, to: node.index, message: decodeMessage(encodeMessage(message)) };
      this.sent.push(parcel);
      if (this.route(parcel)) this.deliver(parcel);
      else this.held.push(parcel);
    }
  }

  deliver(parcel: Parcel): void {
    const from = this.nodes[parcel.from].peer;
    this.schedule.after(this.delay(parcel), () => {
      this.nodes[parcel.to].receive(from, parcel.message);
      for (const twin of this.twins) if (twin.index === parcel.to) twin.receive(from, parcel.message);
    });
  }

  /** Delivers, in order, the held parcels that `rule` picks. */
  release(rule: Rule): void {
    const picked = this.held.filter(rule);
    this.held.splice(0, this.held.length, ...this.held.filter((parcel) => !rule(parcel)));
    for (const parcel of picked) this.deliver(parcel);
  }

  request(more: Partial<SimRequest> = {}): Uint8Array {
    this.#nonce += 1;
    const expiresAt = this.genesis.time + this.schedule.now + 600_000;
    return encodeSimRequest({
      client: 1,
      nonce: this.#nonce,
      expiresAt,
      payload: new Uint8Array(4),
      ...more,
    });
  }

  submit(i: number, request = this.request()): Uint8Array {
    this.nodes[i].submit(request);
    return request;
  }

  heights(): number[] {
    return this.nodes.map((node) => node.height);
  }

  authentic(): boolean {
    return true;
  }

  observeSend(node: SimNode, message: Message): void {
    this.checks.onSend(node, message);
  }

  observePersist(node: SimNode, record: WalRecord, chain: Chain): void {
    this.checks.onPersist(node, record, chain, () => this.authentic());
  }

  observeDecide(node: SimNode, block: Block, chain: Chain): void {
    const { header, hash } = block.proposal;
    this.decided.push({ node: node.index, height: header.height, hash, view: block.qc.view });
    if (node.honest) this.checks.onDecide(node, block, chain, () => true);
  }

  /** Scripts say themselves what a start must find. */
  observeStart(): void {}

  observeUnexecuted(node: SimNode, height: number): void {
    if (node.honest) this.checks.fail(`member ${node.index} decided height ${height} without executing it`);
  }

  observeRelease(node: SimNode, time: number): void {
    this.released.push({ node: node.index, time });
  }

  flushFault(): number {
    return 0;
  }

  observeClock(node: SimNode, offsetMs: number): void {
    this.alarms.push({ node: node.index, offsetMs });
  }

  observeEvidence(_node: SimNode, evidence: Evidence): void {
    this.evidence.push(evidence);
  }

  observeHalt(node: SimNode, reason: string): void {
    this.halted.set(node.index, reason);
  }
}

/** Parcels of these message types. */
export const type =
  (...types: Message['type'][]): Rule =>
  ({ message }) =>
    types.includes(message.type);
