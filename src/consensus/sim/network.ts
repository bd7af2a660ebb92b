/**
 * The network of a simulation: loss, duplication, delay and with it reordering, partitions in one or both directions,
 * flapping and slow links, connections that are reset with everything on its way, machines that come back and hear
 * only a few at first, and cuts (cuts.ts).
 */
import type { PeerId } from '../validators.ts';
import type { Message } from '../wire/messages.ts';
import { Cuts, honestValidators } from './cuts.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

export interface NetworkFaults {
  drop: number;
  duplicate: number;
  /** Longest delay, milliseconds. */
  delayMs: number;
  /** Probability that a member hears the stage at which a view is cut; 1 for no cuts. */
  hears: number;
  /** Probability that some hear no votes at all for a few heights. */
  deaf: number;
  /** Probability that a machine that comes back hears only a few at first. */
  confined: number;
}

/** For how long at most, milliseconds. */
const CONFINED_MS = 3000;

export class Network {
  readonly faults: NetworkFaults;
  readonly #random: Random;
  readonly #schedule: Schedule;
  readonly #nodes: readonly SimNode[];
  readonly #overhear: (node: SimNode, from: PeerId, message: Message) => void;
  readonly #byPeer = new Map<PeerId, SimNode[]>();
  readonly #cut = new Set<number>();
  readonly #slow = new Map<number, number>();
  /** Connections by link; what was sent on an earlier one is lost. */
  readonly #connection = new Map<number, number>();
  readonly #cuts: Cuts;
  /** Whom a machine that came back hears, and until when it hears nobody else. */
  readonly #confined = new Map<SimNode, { readonly until: number; readonly heard: ReadonlySet<PeerId> }>();
  #healed = false;
  /** With whom each twin talks. */
  readonly audiences = new Map<SimNode, Set<PeerId>>();

  constructor(
    random: Random,
    schedule: Schedule,
    nodes: readonly SimNode[],
    faults: NetworkFaults,
    overhear: (node: SimNode, from: PeerId, message: Message) => void,
  ) {
    this.#random = random;
    this.#schedule = schedule;
    this.#nodes = nodes;
    this.faults = faults;
    this.#overhear = overhear;
    this.#cuts = new Cuts(random, schedule, nodes, faults);
    for (const node of nodes) {
      const same = this.#byPeer.get(node.peer);
      if (same === undefined) this.#byPeer.set(node.peer, [node]);
      else same.push(node);
    }
  }

  /** Those whom `from` reaches when it sends to `to`. */
  peersOf(from: SimNode, to: PeerId | 'all'): PeerId[] {
    const peers = to === 'all' ? [...this.#byPeer.keys()] : [to];
    const audience = this.audiences.get(from);
    return peers.filter((peer) => peer !== from.peer && (audience === undefined || audience.has(peer)));
  }

  deliver(from: SimNode, to: PeerId, message: Message): void {
    const { drop, duplicate, delayMs } = this.faults;
    for (const node of this.#byPeer.get(to) ?? []) {
      const audience = this.audiences.get(node);
      if (audience !== undefined && !audience.has(from.peer)) continue;
      const link = linkOf(from, node);
      if (this.#cut.has(link) || this.#random.chance(drop)) continue;
      if (this.#isConfined(node, from) || !this.#cuts.hears(node, message)) continue;
      const copies = this.#random.chance(duplicate) ? 2 : 1;
      const connection = this.#connection.get(link);
      for (let i = 0; i < copies; i++) {
        const delay = this.#random.between(0, delayMs) + (this.#slow.get(link) ?? 0);
        this.#schedule.after(delay, () => {
          if (this.#connection.get(link) !== connection) return;
          if (!node.honest) this.#overhear(node, from.peer, message);
          node.receive(from.peer, message);
        });
      }
    }
  }

  /**
   * `node` has come back: for a while it may hear only some f + 1 of the others, all liars and those that missed most
   * among them, so that what it is told of its own past comes from those.
   */
  returned(node: SimNode): void {
    if (!this.#random.chance(this.faults.confined)) return;
    const heard = new Set(this.#nodes.flatMap((other) => (other.honest ? [] : other.peer)));
    const others = honestValidators(this.#nodes).filter((other) => other !== node);
    const deaf = this.#cuts.deafAt(node.appliedHeight);
    const f = others[0]?.replica?.chain.validators.f ?? 0;
    while (others.length > 0 && heard.size < f + 1) {
      const first = Math.max(
        0,
        others.findIndex((other) => deaf.has(other)),
      );
      const chosen = deaf.has(others[first]) ? first : this.#random.below(others.length);
      heard.add(others.splice(chosen, 1)[0].peer);
    }
    this.#confined.set(node, { until: this.#schedule.now + this.#random.below(CONFINED_MS), heard });
  }

  #isConfined(node: SimNode, from: SimNode): boolean {
    const confined = this.#confined.get(node);
    return confined !== undefined && this.#schedule.now < confined.until && !confined.heard.has(from.peer);
  }

  /** Each twin talks to a part of the others, the two parts together to all. */
  shuffleAudiences(twins: readonly SimNode[]): void {
    for (const node of twins) {
      const peers = this.#nodes.map((other) => other.peer).filter((peer) => peer !== node.peer);
      this.audiences.set(node, new Set(peers.filter(() => this.#random.chance(0.65))));
    }
  }

  /** Two cells that do not hear each other, in both directions or in one; now and then nobody is cut off. */
  partition(): void {
    this.#cut.clear();
    if (this.#random.chance(0.3)) return;
    const oneWay = this.#random.chance(0.3);
    const side = this.#nodes.map(() => this.#random.chance(0.4));
    for (const a of this.#nodes) {
      for (const b of this.#nodes) {
        if (side[a.index] !== side[b.index] && (!oneWay || side[a.index])) this.#cut.add(linkOf(a, b));
      }
    }
  }

  /** One link fails and comes back, for a few seconds. */
  flap(): void {
    const link = this.#randomLink();
    let toggles = 4 + this.#random.below(8);
    const toggle = (): void => {
      if (this.#healed) return;
      if (!this.#cut.delete(link) && toggles > 0) this.#cut.add(link);
      toggles -= 1;
      if (toggles >= 0) this.#schedule.after(50 + this.#random.below(400), toggle);
    };
    toggle();
  }

  /** One link takes a part of a second longer from now on. */
  slow(): void {
    this.#slow.set(this.#randomLink(), 100 + this.#random.below(700));
  }

  /** The connection of two members is lost with what is on its way in both directions, and made again. */
  reset(): void {
    const a = this.#random.pick(this.#nodes);
    const b = this.#random.pick(this.#nodes);
    if (a.peer === b.peer) return;
    for (const link of [linkOf(a, b), linkOf(b, a)]) {
      this.#connection.set(link, (this.#connection.get(link) ?? 0) + 1);
    }
    a.feed({ t: 'connected', peer: b.peer });
    b.feed({ t: 'connected', peer: a.peer });
  }

  /** Everything on its way is lost. */
  resetAll(): void {
    for (const a of this.#nodes) {
      for (const b of this.#nodes) {
        const link = linkOf(a, b);
        this.#connection.set(link, (this.#connection.get(link) ?? 0) + 1);
      }
    }
  }

  heal(): void {
    this.#healed = true;
    this.#cut.clear();
    this.#slow.clear();
    this.#confined.clear();
    Object.assign(this.faults, { drop: 0, duplicate: 0, delayMs: 5, hears: 1, deaf: 0, confined: 0 });
  }

  #randomLink(): number {
    return linkOf(this.#random.pick(this.#nodes), this.#random.pick(this.#nodes));
  }
}

/** Names the direction from one member to another. */
function linkOf(from: SimNode, to: SimNode): number {
  return from.index * 256 + to.index;
}
