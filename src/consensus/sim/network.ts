/**
 * The network of a simulation: loss, duplication, delay and with it reordering, partitions in one or both directions,
 * flapping and slow links, connections that are reset with everything on its way, and cuts: for a height and a view
 * it is drawn which members hear proposals, PREPAREs, COMMITs, VIEW-CHANGEs at all. Cuts make locks in different
 * views, which plain loss rarely does.
 */
import type { PeerId } from '../validators.ts';
import type { Message } from '../wire/messages.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

/** Cuts end at this view, so that the height ends. */
const CUT_VIEWS = 3;

export interface NetworkFaults {
  drop: number;
  duplicate: number;
  /** Longest delay, milliseconds. */
  delayMs: number;
  /** Probability that a member hears the stage at which a view is cut; 1 for no cuts. */
  hears: number;
}

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
  readonly #heard = new Map<string, boolean>();
  readonly #stages = new Map<string, number>();
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
      if (this.faults.hears < 1 && !this.#hears(node, message)) continue;
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
   * A cut view goes well up to a stage that is drawn for it; of that stage each member hears all or nothing, and of
   * what comes after it nobody hears anything. So some lock and some do not, or some decide and some do not.
   */
  #hears(node: SimNode, message: Message): boolean {
    if (!node.honest) return true;
    switch (message.type) {
      case 'pre-prepare':
      case 'new-view':
        return this.#hearsStage(node, message, 0);
      case 'prepare':
        return this.#hearsStage(node, message, 1);
      case 'commit':
        return this.#hearsStage(node, message, 2);
      case 'view-change': {
        const { view, height, sender } = message;
        return view >= CUT_VIEWS || this.#draw(`${node.index} ${height} ${view} from ${sender}`, 0.75);
      }
      case 'blocks':
        return message.blocks.every(
          ({ qc }) => qc.view >= CUT_VIEWS || this.#draw(`${node.index} ${qc.height}`, this.faults.hears),
        );
      default:
        return true;
    }
  }

  #hearsStage(node: SimNode, { height, view }: { height: number; view: number }, stage: number): boolean {
    if (view >= CUT_VIEWS) return true;
    const name = `${height} ${view}`;
    let cutAt = this.#stages.get(name);
    if (cutAt === undefined) {
      cutAt = this.#random.pick([0, 1, 1, 1, 2, 2, 3]);
      this.#stages.set(name, cutAt);
    }
    return (
      stage < cutAt || (stage === cutAt && this.#draw(`${node.index} ${name} ${stage}`, this.faults.hears))
    );
  }

  #draw(name: string, probability: number): boolean {
    let hears = this.#heard.get(name);
    if (hears === undefined) {
      hears = this.#random.chance(probability);
      this.#heard.set(name, hears);
    }
    return hears;
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
    Object.assign(this.faults, { drop: 0, duplicate: 0, delayMs: 5, hears: 1 });
  }

  #randomLink(): number {
    return linkOf(this.#random.pick(this.#nodes), this.#random.pick(this.#nodes));
  }
}

/** Names the direction from one member to another. */
function linkOf(from: SimNode, to: SimNode): number {
  return from.index * 256 + to.index;
}
