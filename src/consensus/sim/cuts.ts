/**
 * Cuts: for a height and a view it is drawn which members hear proposals, PREPAREs, COMMITs, VIEW-CHANGEs at all. They
 * make locks in different views and on different values, certificates that few hold, and members that decide without
 * having voted, which plain loss rarely does. What is drawn for a view holds as long as the view; VIEW-CHANGEs and
 * blocks are drawn anew from time to time, so that no height is stuck for ever.
 */
import type { Message, ViewChange } from '../wire/messages.ts';
import type { NetworkFaults } from './network.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

/** Cuts end at this view, so that the height ends. */
const CUT_VIEWS = 3;
/** VIEW-CHANGEs and blocks are drawn anew after this, milliseconds. */
const REDRAWN_MS = 1500;
/** Heights in a row at which the same members are deaf. */
const DEAF_HEIGHTS = 3;

/** Where a view is cut, and who still hears that stage; undefined when each member draws for itself. */
interface Cut {
  readonly stage: number;
  readonly few: ReadonlySet<SimNode> | undefined;
}

export class Cuts {
  readonly #random: Random;
  readonly #schedule: Schedule;
  readonly #nodes: readonly SimNode[];
  readonly #faults: Readonly<Pick<NetworkFaults, 'hears' | 'deaf'>>;
  readonly #drawn = new Map<string, boolean>();
  readonly #cuts = new Map<string, Cut>();
  readonly #deaf = new Map<number, ReadonlySet<SimNode>>();

  constructor(
    random: Random,
    schedule: Schedule,
    nodes: readonly SimNode[],
    faults: Readonly<Pick<NetworkFaults, 'hears' | 'deaf'>>,
  ) {
    this.#random = random;
    this.#schedule = schedule;
    this.#nodes = nodes;
    this.#faults = faults;
  }

  /**
   * A cut view goes well up to a stage that is drawn for it; of that stage each member hears all or nothing, and of
   * what comes after it nobody hears anything. So some lock and some do not, or some decide and some do not.
   */
  hears(node: SimNode, message: Message): boolean {
    if (!node.honest) return true;
    const vote = message.type === 'prepare' || message.type === 'commit';
    if (vote && message.view < CUT_VIEWS && this.#faults.deaf > 0 && this.deafAt(message.height).has(node))
      return false;
    return this.#faults.hears >= 1 || this.#hearsCut(node, message);
  }

  #hearsCut(node: SimNode, message: Message): boolean {
    switch (message.type) {
      case 'pre-prepare':
      case 'new-view':
        return this.#hearsStage(node, message, 0);
      case 'prepare':
        return this.#hearsStage(node, message, 1);
      case 'commit':
        return this.#hearsStage(node, message, 2);
      case 'view-change':
        return message.view >= CUT_VIEWS || this.#hearsChange(node, message);
      case 'blocks':
        return message.blocks.every(
          ({ qc }) =>
            qc.view >= CUT_VIEWS ||
            this.#draw(`${node.index} ${qc.height} block ${this.#era()}`, this.#faults.hears),
        );
      default:
        return true;
    }
  }

  /** Either nobody hears of locks, or each hears three of four. */
  #hearsChange(node: SimNode, { height, view, sender, prepared }: ViewChange): boolean {
    const at = `${height} ${view} ${this.#era()}`;
    if (this.#draw(`hidden ${at}`, 0.5)) return prepared === undefined;
    return this.#draw(`${node.index} ${at} from ${sender}`, 0.75);
  }

  #era(): number {
    return Math.floor(this.#schedule.now / REDRAWN_MS);
  }

  #hearsStage(node: SimNode, { height, view }: { height: number; view: number }, stage: number): boolean {
    if (view >= CUT_VIEWS) return true;
    const name = `${height} ${view}`;
    let cut = this.#cuts.get(name);
    if (cut === undefined) {
      const few = this.#random.chance(0.5) ? this.#some() : undefined;
      cut = { stage: this.#random.pick([0, 1, 1, 1, 2, 2, 3]), few };
      this.#cuts.set(name, cut);
    }
    if (stage !== cut.stage) return stage < cut.stage;
    return cut.few?.has(node) ?? this.#draw(`${node.index} ${name} ${stage}`, this.#faults.hears);
  }

  /** Those that hear no votes at `height`: they decide, if at all, what others show them, and lock nothing. */
  deafAt(height: number): ReadonlySet<SimNode> {
    const run = Math.floor(height / DEAF_HEIGHTS);
    let deaf = this.#deaf.get(run);
    if (deaf === undefined) {
      deaf = this.#random.chance(this.#faults.deaf) ? this.#some() : new Set();
      this.#deaf.set(run, deaf);
    }
    return deaf;
  }

  /** One to f honest members: so few that the others can go on without them. */
  #some(): ReadonlySet<SimNode> {
    const honest = honestValidators(this.#nodes);
    if (honest.length === 0) return new Set();
    const count = 1 + this.#random.below(honest[0].replica?.chain.validators.f ?? 1);
    return new Set(Array.from({ length: count }, () => this.#random.pick(honest)));
  }

  #draw(name: string, probability: number): boolean {
    let drawn = this.#drawn.get(name);
    if (drawn === undefined) {
      drawn = this.#random.chance(probability);
      this.#drawn.set(name, drawn);
    }
    return drawn;
  }
}

/** The honest members that are up and validate. */
export function honestValidators(nodes: readonly SimNode[]): SimNode[] {
  return nodes.filter((node) => node.honest && node.replica !== undefined && node.replica.index >= 0);
}
