/**
 * What happens to machines in a simulation: crashes of one or of all with lost, torn and complete disks, flushes that
 * fail or take long, a log that is gone or damaged in the middle, a machine set back to an old image, pauses of one
 * and of all, clocks that jump.
 */
import type { CrashMode, SimNode } from './node.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

const CRASH_MODES: readonly CrashMode[] = ['lost', 'synced', 'partly'];
/** Longer than anything granted may be released. */
export const LONG_PAUSE_MS = 15 * 60_000;

/** What one run has in store. */
export interface MachineFaults {
  /** A validator may lose its log: it must observe until M + 2. */
  readonly wipes: boolean;
  /** A validator may be set back to an old image; it counts as faulty. */
  readonly rollback: boolean;
  /** Probability that a flush fails, which ends the process, or takes seconds. */
  readonly flushFails: number;
  readonly flushStalls: number;
  /** Clocks jump by as much as this, milliseconds. */
  readonly jumpMs: number;
}

export class Machines {
  readonly #random: Random;
  readonly #schedule: Schedule;
  readonly #nodes: readonly SimNode[];
  readonly #faults: MachineFaults;
  readonly #returned: (node: SimNode) => void;
  #image: { readonly of: SimNode; readonly restore: () => void } | undefined;
  #rolledBack = false;
  #healed = false;

  /** `returned` is told of every machine that comes back. */
  constructor(
    random: Random,
    schedule: Schedule,
    nodes: readonly SimNode[],
    faults: MachineFaults,
    returned: (node: SimNode) => void,
  ) {
    this.#returned = returned;
    this.#random = random;
    this.#schedule = schedule;
    this.#nodes = nodes;
    this.#faults = faults;
  }

  /** How long a flush takes beyond the disk's own time, or 'fails'. */
  flush(): number | 'fails' {
    const { flushFails, flushStalls } = this.#faults;
    if (this.#healed) return 0;
    if (flushFails > 0 && this.#random.chance(flushFails)) return 'fails';
    return flushStalls > 0 && this.#random.chance(flushStalls) ? this.#random.below(3000) : 0;
  }

  crashSomeone(): void {
    const random = this.#random;
    const node = random.pick(this.#honest());
    if (!node.up) return;
    if (this.#faults.rollback && !this.#rolledBack && this.#setBack(node)) return;
    node.crash(random.pick(CRASH_MODES));
    if (this.#faults.wipes && node.appliedHeight > 0 && this.#othersVote(node)) {
      node.loseLog(random.chance(0.5) ? 0 : random.below(node.disk.durable.length + 1));
    }
    this.#restartLater(node, random.pick([100, 3000]));
  }

  /** All at once: more than f, so only safety can be asked for until they are back. */
  crashAll(): void {
    for (const node of this.#honest()) {
      if (!node.up) continue;
      node.crash(this.#random.pick(CRASH_MODES));
      this.#restartLater(node, 1500);
    }
  }

  /** A process that failed to flush ends, and starts again when its disk works. */
  restartFailed(node: SimNode): void {
    this.#restartLater(node, 3000);
  }

  pause(): void {
    const node = this.#random.pick(this.#honest());
    node.sleep();
    this.#schedule.after(this.#random.below(30_000), () => node.wake());
  }

  /** Everybody sleeps for `LONG_PAUSE_MS`: what was locked before commits long after its block time. */
  pauseAll(): void {
    for (const node of this.#nodes) node.sleep();
    this.#schedule.after(LONG_PAUSE_MS, () => {
      for (const node of this.#nodes) node.wake();
    });
  }

  jumpClock(): void {
    const { jumpMs } = this.#faults;
    if (jumpMs > 0) this.#random.pick(this.#honest()).skew = this.#random.between(-jumpMs, jumpMs);
  }

  heal(): void {
    this.#healed = true;
    for (const node of this.#nodes) {
      node.wake();
      node.skew = this.#random.between(-50, 50);
      if (!node.up) node.start();
      else node.feed();
    }
  }

  #honest(): SimNode[] {
    return this.#nodes.filter((node) => node.honest);
  }

  #othersVote(node: SimNode): boolean {
    return this.#honest().every(
      (other) =>
        other === node || (other.replica !== undefined && (other.replica.voting || other.replica.index < 0)),
    );
  }

  /** Takes an image of `node` the first time, and starts it from that the second. */
  #setBack(node: SimNode): boolean {
    if (this.#image === undefined) {
      this.#image = { of: node, restore: node.image() };
      return false;
    }
    if (this.#image.of !== node) return false;
    this.#rolledBack = true;
    node.crash('lost');
    this.#image.restore();
    this.#restartLater(node, 1000);
    return true;
  }

  #restartLater(node: SimNode, withinMs: number): void {
    this.#schedule.after(this.#random.below(withinMs), () => {
      // Up again if healing came first; not if the flush that failed was under way then.
      if (node.up) return;
      const skew = this.#healed ? 50 : 500;
      node.skew = this.#random.between(-skew, skew);
      this.#returned(node);
      node.start();
    });
  }
}
