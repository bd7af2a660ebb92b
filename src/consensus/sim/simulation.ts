/**
 * One simulated consortium under one seed: network, disks, clocks, crashes, Byzantine members, clients and membership
 * all draw from one generator, so a seed replays exactly. A safety phase with any faults is followed by a healing
 * phase in which everything valid must commit.
 */
import type { Chain, Genesis } from '../chain.ts';
import type { Evidence, WalRecord } from '../core/types.ts';
import { DEFAULT_TIMING, TIMEOUT_CAP_MS, type Timing } from '../limits.ts';
import { VerificationCache, Verifier } from '../node/verifier.ts';
import { faultBound } from '../quorum.ts';
import type { PeerId } from '../validators.ts';
import { sameBytes } from '../wire/bytes.ts';
import { decodeMessage, encodeMessage } from '../wire/codec.ts';
import type { Block, Message } from '../wire/messages.ts';
import { Adversary, STYLES, type Style } from './adversary.ts';
import { encodeSimRequest, SimApplication, type SimRequest } from './application.ts';
import { Checks } from './checks.ts';
import { simKey, simVerify } from './keys.ts';
import { type CrashMode, SimNode, type World } from './node.ts';
import { Random } from './random.ts';
import { Schedule } from './schedule.ts';
import type { SimWeakening } from './weakening.ts';

/** What one seed is run with; everything left out is drawn from the seed. */
export interface SimulationOptions {
  readonly seed: number;
  /** Validators at genesis. */
  readonly members: number;
  readonly weaken?: SimWeakening;
  /** Virtual milliseconds of the phase with faults. */
  readonly safetyMs?: number;
  /** Byzantine members; at most f unless a test wants to see checks fail. */
  readonly byzantine?: number;
}

export interface SimulationResult {
  readonly steps: number;
  readonly heights: number;
  readonly violations: readonly string[];
}

/** Members beside the validators that may be added. */
const SPARES = 2;
const CRASH_MODES: readonly CrashMode[] = ['lost', 'synced', 'partly'];
/** A run that takes more events than this is reported instead of continued. */
const STEPS_MAX = 3_000_000;

interface Faults {
  drop: number;
  duplicate: number;
  delayMs: number;
  crashEveryMs: number;
  partitionEveryMs: number;
}

export class Simulation implements World {
  readonly schedule = new Schedule();
  readonly random: Random;
  readonly genesis: Genesis;
  readonly verifier: Verifier;
  readonly timing: Timing = DEFAULT_TIMING;
  readonly batch = { countMax: 20, bytesMax: 64 * 1024 };
  readonly weaken: SimWeakening;
  readonly flushMs: number;
  readonly checks = new Checks();
  readonly nodes: SimNode[] = [];
  readonly #styles = new Map<SimNode, Style>();
  readonly #audiences = new Map<SimNode, Set<PeerId>>();
  readonly #adversary: Adversary;
  readonly #issued = new Set<string>();
  readonly #faults: Faults;
  readonly #cut = new Set<string>();
  readonly #byzantine: number;
  readonly #wipes: boolean;
  #healed = false;
  #nonce = 0;
  #reconfigurations = 0;

  constructor(options: SimulationOptions) {
    const { seed, members } = options;
    const random = new Random(seed);
    this.random = random;
    this.weaken = options.weaken ?? {};
    const keys = Array.from({ length: members + SPARES }, (_, i) => simKey(i));
    this.genesis = {
      chainId: random.bytes(32),
      time: 1_700_000_000_000,
      validators: keys.slice(0, members).map((key) => key.publicKey),
    };
    this.verifier = new Verifier(this.genesis.chainId, new VerificationCache(), simVerify);
    this.#adversary = new Adversary(random, this.genesis.chainId);
    this.flushMs = random.pick([1, 5, 50]);
    this.#faults = {
      drop: random.pick([0, 0, 0.05, 0.2]),
      duplicate: random.pick([0, 0.05]),
      delayMs: random.pick([2, 20, 200]),
      crashEveryMs: random.pick([0, 1500, 4000]),
      partitionEveryMs: random.pick([0, 2000, 6000]),
    };
    this.#byzantine = options.byzantine ?? random.below(faultBound(members) + 1);
    this.#wipes = this.#byzantine === 0 && random.chance(0.3);
    const liars = new Set<number>();
    while (liars.size < this.#byzantine) liars.add(random.below(members));
    keys.forEach((key, i) => {
      const honest = !liars.has(i);
      const node = new SimNode(this, i, key, new SimApplication(), honest);
      this.nodes.push(node);
      if (honest) return;
      const style = random.pick(STYLES);
      this.#styles.set(node, style);
      if (style !== 'twins') return;
      const twin = new SimNode(this, i, key, new SimApplication(), false);
      this.nodes.push(twin);
      this.#styles.set(twin, style);
    });
  }

  get honest(): SimNode[] {
    return this.nodes.filter((node) => node.honest);
  }

  /** Runs both phases. */
  run(safetyMs = 6_000 + this.random.below(10_000)): SimulationResult {
    this.#shuffleAudiences();
    for (const node of this.nodes) {
      node.skew = this.random.between(-300, 300);
      this.schedule.after(this.random.below(200), () => node.up || node.start());
    }
    this.#every(120, () => this.#clientActs());
    if (this.#byzantine > 0) this.#every(60, () => this.#adversaryActs());
    if (this.#faults.crashEveryMs > 0) this.#every(this.#faults.crashEveryMs, () => this.#crashSomeone());
    if (this.#faults.partitionEveryMs > 0)
      this.#every(this.#faults.partitionEveryMs, () => this.#partition());
    this.#every(3000, () => this.#shuffleAudiences());
    let steps = this.#runUntil(() => this.schedule.now >= safetyMs);
    if (this.checks.violations.length === 0) steps += this.#heal();
    return { steps, heights: this.checks.highest, violations: this.checks.violations };
  }

  #runUntil(done: () => boolean): number {
    let steps = 0;
    while (!done() && this.checks.violations.length === 0) {
      if (!this.schedule.step()) break;
      steps += 1;
      if (steps > STEPS_MAX) this.checks.fail('the run takes too many events');
    }
    return steps;
  }

  /** Repeats during the phase with faults, at uneven intervals. */
  #every(meanMs: number, act: () => void): void {
    const again = (): void => {
      if (this.#healed) return;
      act();
      this.schedule.after(1 + this.random.below(2 * meanMs), again);
    };
    this.schedule.after(this.random.below(2 * meanMs), again);
  }

  // ---- network -----------------------------------------------------------------------------------------------

  transmit(from: SimNode, to: PeerId | 'all', message: Message): void {
    let peers = to === 'all' ? [...new Set(this.nodes.map((node) => node.peer))] : [to];
    peers = peers.filter((peer) => peer !== from.peer);
    const audience = this.#audiences.get(from);
    if (audience !== undefined) peers = peers.filter((peer) => audience.has(peer));
    if (peers.length === 0) return;
    const style = this.#styles.get(from);
    if (style === undefined) {
      const decoded = decodeMessage(encodeMessage(message));
      for (const peer of peers) this.#deliver(from, peer, decoded);
      return;
    }
    for (const outgoing of this.#adversary.distort(from, style, peers, message)) {
      this.#deliver(from, outgoing.to, decodeMessage(encodeMessage(outgoing.message)));
    }
  }

  #deliver(from: SimNode, to: PeerId, message: Message): void {
    for (const node of this.nodes) {
      if (node.peer !== to) continue;
      const audience = this.#audiences.get(node);
      if (audience !== undefined && !audience.has(from.peer)) continue;
      if (this.#cut.has(`${from.index}>${node.index}`) || this.random.chance(this.#faults.drop)) continue;
      const copies = this.random.chance(this.#faults.duplicate) ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        this.schedule.after(this.random.between(0, this.#faults.delayMs), () => {
          if (!node.honest) this.#adversary.overhear(message);
          node.receive(from.peer, message);
        });
      }
    }
  }

  /** Each twin talks to a part of the others, the two parts together to all. */
  #shuffleAudiences(): void {
    for (const [node, style] of this.#styles) {
      if (style !== 'twins') continue;
      const peers = this.nodes.map((other) => other.peer).filter((peer) => peer !== node.peer);
      this.#audiences.set(node, new Set(peers.filter(() => this.random.chance(0.65))));
    }
  }

  #partition(): void {
    this.#cut.clear();
    if (this.random.chance(0.3)) return;
    const oneWay = this.random.chance(0.3);
    const side = this.nodes.map(() => this.random.chance(0.4));
    for (const a of this.nodes) {
      for (const b of this.nodes) {
        if (side[a.index] !== side[b.index] && (!oneWay || side[a.index]))
          this.#cut.add(`${a.index}>${b.index}`);
      }
    }
  }

  // ---- faults ------------------------------------------------------------------------------------------------

  #crashSomeone(): void {
    const node = this.random.pick(this.honest);
    if (!node.up) return;
    node.crash(this.random.pick(CRASH_MODES));
    const amnesiac =
      this.#wipes &&
      this.honest.every(
        (other) => other.replica === undefined || other.replica.voting || other.replica.index < 0,
      );
    if (amnesiac && node.height > 0) node.disk.wipe();
    this.schedule.after(this.random.below(3000), () => {
      node.skew = this.random.between(-500, 500);
      if (!node.up) node.start();
    });
  }

  #adversaryActs(): void {
    const node = this.random.pick([...this.#styles.keys()]);
    if (this.#styles.get(node) !== 'liar' || !node.up) return;
    const peers = this.nodes.filter((other) => other.honest).map((other) => other.peer);
    for (const { to, message } of this.#adversary.outOfTurn(node, peers)) {
      this.#deliver(node, to, decodeMessage(encodeMessage(message)));
    }
  }

  // ---- clients -----------------------------------------------------------------------------------------------

  authentic(request: Uint8Array): boolean {
    return this.#issued.has(Buffer.from(request).toString('latin1'));
  }

  #issue(request: Omit<SimRequest, 'client' | 'nonce' | 'payload'>, nonce = ++this.#nonce): Uint8Array {
    const bytes = encodeSimRequest({ client: 1, nonce, payload: this.random.bytes(8), ...request });
    this.#issued.add(Buffer.from(bytes).toString('latin1'));
    return bytes;
  }

  #blockTime(): number {
    return this.genesis.time + 1000 + this.schedule.now;
  }

  #clientActs(): void {
    const life = this.random.chance(0.15) ? 500 : 120_000;
    const expiresAt = this.#blockTime() + life;
    const nonce = ++this.#nonce;
    const request = this.#issue({ expiresAt, ...this.#governance() }, nonce);
    for (const node of this.nodes) if (this.random.chance(0.3)) node.submit(request);
    if (this.random.chance(0.1)) {
      // A client that signs two requests under one nonce and gives each to other members.
      const twin = this.#issue({ expiresAt }, nonce);
      for (const node of this.nodes) if (this.random.chance(0.3)) node.submit(twin);
    }
  }

  /** Now and then a change of the validator set or of who may lead, one at a time. */
  #governance(): Pick<SimRequest, 'validators' | 'barred'> {
    const chain = this.#longest();
    if (chain === undefined || !this.random.chance(0.04)) return {};
    if (this.random.chance(0.4)) return { barred: [this.random.pick(chain.validators.keys)] };
    if (chain.nextValidators.hash !== chain.validators.hash || this.#reconfigurations >= 3) return {};
    this.#reconfigurations += 1;
    const current = chain.validators.keys;
    const spare = this.nodes
      .map((node) => node.key.publicKey)
      .find((key) => !current.some((k) => k === key || Buffer.from(k).equals(key)));
    const keys =
      this.random.chance(0.5) && spare !== undefined ? [...current, spare] : this.#without(current);
    return keys.length >= 4 && this.#byzantine <= faultBound(keys.length) ? { validators: keys } : {};
  }

  #without(keys: readonly Uint8Array[]): Uint8Array[] {
    const leaving = this.random.below(keys.length);
    return keys.filter((_, i) => i !== leaving);
  }

  #longest(): Chain | undefined {
    let longest: Chain | undefined;
    for (const node of this.honest) {
      const chain = node.replica?.chain;
      if (chain !== undefined && (longest === undefined || chain.height > longest.height)) longest = chain;
    }
    return longest;
  }

  // ---- healing -----------------------------------------------------------------------------------------------

  /** Everybody honest is up and connected: new requests must commit everywhere, and views meet. */
  #heal(): number {
    this.#healed = true;
    this.#cut.clear();
    Object.assign(this.#faults, { drop: 0, duplicate: 0, delayMs: 5 });
    for (const node of this.nodes) {
      node.skew = this.random.between(-50, 50);
      if (!node.up) node.start();
    }
    let steps = this.#runFor(2 * this.timing.statusMs + this.timing.viewTimeoutMs);
    const { honest } = this;
    const requests = honest.map((node) => {
      const request = this.#issue({ expiresAt: this.#blockTime() + 500_000 });
      node.submit(request);
      return Buffer.from(node.application.idOf(request)).toString('hex');
    });
    const deadline = this.schedule.now + this.#patience();
    const done = (): boolean =>
      honest.every((node) => requests.every((id) => node.application.executedIds.has(id)));
    steps += this.#runUntil(() => done() || this.schedule.now > deadline);
    if (this.checks.violations.length === 0 && !done()) {
      const seen = honest.map((node) => `${node.index}: h${node.height} v${node.replica?.view}`).join(', ');
      this.checks.fail(`not everything valid was committed ${this.#patience()} ms after healing (${seen})`);
    }
    return steps;
  }

  /** Four time-outs at the views reached plus one second; more only for a row of more than one faulty leader. */
  #patience(): number {
    const view = Math.max(...this.honest.map((node) => node.replica?.view ?? 0));
    const timeout = Math.min(
      this.timing.viewTimeoutMs * 2 ** Math.min(view + this.#byzantine, 16),
      TIMEOUT_CAP_MS,
    );
    return (4 + 2 * this.#byzantine) * timeout + 1000;
  }

  #runFor(ms: number): number {
    const until = this.schedule.now + ms;
    return this.#runUntil(() => this.schedule.now >= until);
  }

  // ---- observing ---------------------------------------------------------------------------------------------

  observeSend(node: SimNode, message: Message): void {
    this.checks.onSend(node, message);
  }

  observePersist(node: SimNode, record: WalRecord, chain: Chain): void {
    this.checks.onPersist(node, record, chain);
  }

  observeDecide(node: SimNode, block: Block, chain: Chain): void {
    if (!node.honest) return;
    if (!this.verifier.certificate(block.qc, chain.validators)) {
      this.checks.fail(`the certificate of height ${block.proposal.header.height} is not one`);
    }
    this.checks.onDecide(node, block, chain, (request) => this.authentic(request));
    this.checks.onView(node.replica?.view ?? 0);
  }

  /** Skews of a simulation stay below the bound of the alarm. */
  observeClock(node: SimNode, offsetMs: number): void {
    if (node.honest) this.checks.fail(`member ${node.index} believes its clock to be ${offsetMs} ms off`);
  }

  /** Evidence names Byzantine members only. */
  observeEvidence(node: SimNode, evidence: Evidence): void {
    const accused = this.nodes.find((other) => sameBytes(other.key.publicKey, evidence.key));
    if (node.honest && accused?.honest) this.checks.fail(`evidence against honest member ${accused.index}`);
  }

  observeHalt(node: SimNode, reason: string): void {
    if (node.honest) this.checks.onHalt(node, reason);
  }
}
