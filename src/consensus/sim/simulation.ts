/**
 * One simulated consortium under one seed: network, disks, clocks, crashes, Byzantine members, clients and membership
 * all draw from one generator, so a seed replays exactly. A safety phase with any faults is followed by a healing
 * phase in which everything valid must commit.
 */
import type { Chain, Genesis } from '../chain.ts';
import type { Evidence, WalRecord } from '../core/types.ts';
import { DEFAULT_TIMING, type Timing } from '../limits.ts';
import { VerificationCache, Verifier } from '../node/verifier.ts';
import { faultBound } from '../quorum.ts';
import type { PeerId } from '../validators.ts';
import { sameBytes } from '../wire/bytes.ts';
import { decodeMessage, encodeMessage } from '../wire/codec.ts';
import type { Block, Message } from '../wire/messages.ts';
import { Adversary, STYLES, type Style } from './adversary.ts';
import { SimApplication } from './application.ts';
import { Checks } from './checks.ts';
import { Clients } from './clients.ts';
import { LONG_PAUSE_MS, Machines } from './faults.ts';
import { heal } from './healing.ts';
import { simKey, simVerify } from './keys.ts';
import { Network } from './network.ts';
import { SimNode, type World } from './node.ts';
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
/** A run that takes more events than this is reported instead of continued. */
const STEPS_MAX = 3_000_000;
/** A clock that is further off than this may raise its alarm. */
const ALARMING_MS = 800;

/** Time-outs where views are cut, so that many heights see many views. */
const HASTY: Timing = { viewTimeoutMs: 200, resendMs: 100, statusMs: 300, helloMs: 60 };

/** How often each kind of fault comes, mean virtual milliseconds; 0 for never. */
interface Plan {
  readonly crashMs: number;
  readonly stormMs: number;
  readonly partitionMs: number;
  readonly flapMs: number;
  readonly resetMs: number;
  readonly pauseMs: number;
  readonly jumpMs: number;
  /** How far clocks jump. */
  readonly jumpBy: number;
  readonly longPause: boolean;
}

const NO_FAULTS: Plan = {
  crashMs: 0,
  stormMs: 0,
  partitionMs: 0,
  flapMs: 0,
  resetMs: 0,
  pauseMs: 0,
  jumpMs: 0,
  jumpBy: ALARMING_MS,
  longPause: false,
};

function drawPlan(random: Random): Plan {
  return {
    crashMs: random.pick([0, 1500, 4000]),
    stormMs: random.pick([0, 0, 0, 6000]),
    partitionMs: random.pick([0, 2000, 6000]),
    flapMs: random.pick([0, 0, 3000]),
    resetMs: random.pick([0, 0, 700]),
    pauseMs: random.pick([0, 0, 0, 5000]),
    jumpMs: random.pick([0, 0, 3000]),
    jumpBy: random.pick([ALARMING_MS, ALARMING_MS, 8000]),
    longPause: random.chance(0.15),
  };
}

export class Simulation implements World {
  readonly schedule = new Schedule();
  readonly random: Random;
  readonly genesis: Genesis;
  readonly verifier: Verifier;
  readonly timing: Timing;
  readonly batch = { countMax: 20, bytesMax: 64 * 1024 };
  readonly weaken: SimWeakening;
  readonly flushMs: number;
  readonly checks: Checks;
  readonly nodes: SimNode[] = [];
  readonly clients: Clients;
  readonly network: Network;
  readonly machines: Machines;
  /** Members that are not honest. */
  readonly byzantine: number;
  /** Whether everything must commit after healing: an amnesiac beside a silent liar may leave too few to vote. */
  readonly live: boolean;
  readonly #styles = new Map<SimNode, Style>();
  readonly #adversary: Adversary;
  readonly #plan: Plan;
  readonly #safetyMs: number;
  #healed = false;

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
    this.checks = new Checks(this.genesis.chainId);
    this.#adversary = new Adversary(random, this.genesis.chainId);
    const f = faultBound(members);
    const cuts = random.chance(0.5);
    this.flushMs = random.pick(cuts ? [1, 5] : [1, 5, 50]);
    this.timing = cuts ? HASTY : DEFAULT_TIMING;
    this.byzantine = options.byzantine ?? (random.chance(cuts ? 0.8 : 0.4) ? f : random.below(f + 1));
    this.#safetyMs = options.safetyMs ?? (cuts ? 12_000 : 5_000) + random.below(10_000);
    // Where views are cut, mostly nothing else goes wrong, or members crash: what happens then is the liars' work.
    const alone = cuts && random.chance(0.7);
    this.#plan = alone
      ? { ...NO_FAULTS, crashMs: random.pick([0, 1500]), longPause: random.chance(0.2) }
      : drawPlan(random);
    const wipes = this.#plan.crashMs > 0 && random.chance(0.5);
    this.live = !(wipes && this.byzantine > 0);
    const liars = new Set<number>();
    // Those that lead the first views of the first heights do most harm.
    if (this.byzantine > 0 && random.chance(0.5)) liars.add(cuts ? 1 + random.below(2) : 0);
    while (liars.size < this.byzantine) liars.add(random.below(members));
    for (const [i, key] of keys.entries()) this.#addNode(i, key, !liars.has(i), cuts);
    const blockTime = (): number => this.genesis.time + 1000 + this.schedule.now;
    const rollback = this.byzantine < f && !wipes && random.chance(0.3);
    const faulty = this.byzantine + (rollback ? 1 : 0);
    this.clients = new Clients(random, this.nodes, blockTime, faulty);
    const network = {
      drop: cuts ? 0 : random.pick([0, 0, 0.05, 0.2]),
      duplicate: random.pick([0, 0.05]),
      delayMs: random.pick(cuts ? [2, 20] : [2, 20, 200]),
      hears: cuts ? random.pick([0.5, 0.7]) : 1,
      // Who lost its log is told least where some missed much and it hears but a few.
      deaf: random.pick(wipes ? [0.5, 1] : [0, 0, 0.3]),
      confined: random.pick(wipes ? [0, 1, 1] : [0, 0.5]),
    };
    this.network = new Network(random, this.schedule, this.nodes, network, (node, _from, message) =>
      this.#adversary.overhear(node, message),
    );
    const machines = {
      wipes,
      rollback,
      flushFails: alone ? 0 : random.pick([0, 0, 0.005]),
      flushStalls: alone ? 0 : random.pick([0, 0, 0.01]),
      jumpMs: this.#plan.jumpBy,
    };
    this.machines = new Machines(random, this.schedule, this.nodes, machines, (node) =>
      this.network.returned(node),
    );
  }

  #addNode(i: number, key: SimNode['key'], honest: boolean, cuts: boolean): void {
    const application = (): SimApplication => new SimApplication(this.weaken.nonceUnchecked);
    const node = new SimNode(this, i, key, application(), honest);
    this.nodes.push(node);
    if (honest) return;
    const style = cuts && this.random.chance(0.85) ? 'plotter' : this.random.pick(STYLES);
    this.#styles.set(node, style);
    if (style !== 'twins') return;
    const twin = new SimNode(this, i, key, application(), false);
    this.nodes.push(twin);
    this.#styles.set(twin, style);
  }

  get honest(): SimNode[] {
    return this.nodes.filter((node) => node.honest);
  }

  /** Runs both phases. */
  run(safetyMs = this.#safetyMs): SimulationResult {
    const twins = this.nodes.filter((node) => this.#styles.get(node) === 'twins');
    this.network.shuffleAudiences(twins);
    for (const node of this.nodes) {
      node.skew = this.random.between(-300, 300);
      this.schedule.after(this.random.below(200), () => node.up || node.start());
    }
    this.#every(120, () => this.clients.act());
    if (this.byzantine > 0) this.#every(60, () => this.#adversaryActs());
    const plan = this.#plan;
    this.#every(plan.crashMs, () => this.machines.crashSomeone());
    this.#every(plan.stormMs, () => this.machines.crashAll());
    this.#every(plan.partitionMs, () => this.network.partition());
    this.#every(plan.flapMs, () => this.network.flap());
    this.#every(plan.flapMs, () => this.network.slow());
    this.#every(plan.resetMs, () => this.network.reset());
    this.#every(plan.pauseMs, () => this.machines.pause());
    this.#every(plan.jumpMs, () => this.machines.jumpClock());
    this.#every(3000, () => this.network.shuffleAudiences(twins));
    let steps = this.runUntil(() => this.schedule.now >= safetyMs);
    this.#healed = true;
    if (plan.longPause) steps += this.#sleepLong();
    if (this.checks.violations.length > 0) return this.#result(steps);
    return this.#result(steps + heal(this));
  }

  #result(steps: number): SimulationResult {
    return { steps, heights: this.checks.highest, violations: this.checks.violations };
  }

  /** Runs until `done`, a violation, or too many events. */
  runUntil(done: () => boolean): number {
    let steps = 0;
    while (!done() && this.checks.violations.length === 0) {
      if (!this.schedule.step()) break;
      steps += 1;
      if (steps > STEPS_MAX) this.checks.fail('the run takes too many events');
    }
    return steps;
  }

  runFor(ms: number): number {
    const until = this.schedule.now + ms;
    return this.runUntil(() => this.schedule.now >= until);
  }

  /** Everybody sleeps for longer than anything may be released, and nothing on its way arrives. */
  #sleepLong(): number {
    this.machines.pauseAll();
    this.network.resetAll();
    const until = this.schedule.now + LONG_PAUSE_MS;
    return this.runUntil(() => this.schedule.now >= until);
  }

  /** Repeats during the phase with faults, at uneven intervals; never if `meanMs` is 0. */
  #every(meanMs: number, act: () => void): void {
    if (meanMs === 0) return;
    const again = (): void => {
      if (this.#healed) return;
      act();
      this.schedule.after(1 + this.random.below(2 * meanMs), again);
    };
    this.schedule.after(this.random.below(2 * meanMs), again);
  }

  // ---- the world of the members ------------------------------------------------------------------------------

  transmit(from: SimNode, to: PeerId | 'all', message: Message): void {
    const peers = this.network.peersOf(from, to);
    if (peers.length === 0) return;
    const style = this.#styles.get(from);
    if (style === undefined) {
      const decoded = decodeMessage(encodeMessage(message));
      for (const peer of peers) this.network.deliver(from, peer, decoded);
      return;
    }
    for (const outgoing of this.#adversary.distort(from, style, peers, message)) {
      this.network.deliver(from, outgoing.to, decodeMessage(encodeMessage(outgoing.message)));
    }
  }

  #adversaryActs(): void {
    const node = this.random.pick([...this.#styles.keys()]);
    const style = this.#styles.get(node);
    if (style === undefined || !node.up) return;
    const peers = this.honest.map((other) => other.peer);
    for (const { to, message } of this.#adversary.outOfTurn(node, style, peers)) {
      this.network.deliver(node, to, decodeMessage(encodeMessage(message)));
    }
  }

  authentic(request: Uint8Array): boolean {
    return this.clients.authentic(request);
  }

  flushFault(node: SimNode): number | 'fails' {
    const fault = this.machines.flush();
    if (fault === 'fails') this.machines.restartFailed(node);
    return fault;
  }

  observeSend(node: SimNode, message: Message): void {
    this.checks.onSend(node, message);
  }

  observePersist(node: SimNode, record: WalRecord, chain: Chain): void {
    this.checks.onPersist(node, record, chain, (request) => this.authentic(request));
  }

  observeStart(node: SimNode, records: readonly WalRecord[], lost: boolean): void {
    this.checks.onStart(node, records, lost);
  }

  observeDecide(node: SimNode, block: Block, chain: Chain): void {
    if (!node.honest) return;
    if (!this.verifier.certificate(block.qc, chain.validators)) {
      this.checks.fail(`the certificate of height ${block.proposal.header.height} is not one`);
    }
    this.checks.onDecide(node, block, chain, (request) => this.authentic(request));
    this.checks.onView(node.replica?.view ?? 0);
  }

  observeUnexecuted(node: SimNode, height: number): void {
    if (node.honest) this.checks.fail(`member ${node.index} decided height ${height} without executing it`);
  }

  observeRelease(node: SimNode, time: number): void {
    if (node.honest) this.checks.onRelease(node, time, this.genesis.time + 1000 + this.schedule.now);
  }

  /** Skews stay below the bound of the alarm, unless clocks jump far or what is said of them takes long. */
  observeClock(node: SimNode, offsetMs: number): void {
    const { jumpBy, pauseMs, flapMs } = this.#plan;
    const punctual = jumpBy <= ALARMING_MS && pauseMs === 0 && flapMs === 0;
    if (node.honest && punctual && !this.#healed)
      this.checks.fail(`member ${node.index} believes its clock to be ${offsetMs} ms off`);
  }

  /** Evidence names Byzantine members only. */
  observeEvidence(node: SimNode, evidence: Evidence): void {
    const accused = this.nodes.find((other) => sameBytes(other.key.publicKey, evidence.key));
    if (node.honest && accused?.honest && !accused.setBack)
      this.checks.fail(`evidence against honest member ${accused.index}`);
  }

  observeHalt(node: SimNode, reason: string): void {
    if (node.honest) this.checks.onHalt(node, reason);
  }
}
