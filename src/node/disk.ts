/**
 * What a node does while its disk fills up. Below the reserve of the stores it takes no records and no copies (`storage.full`),
 * and goes on with the ledger, which may use most of that reserve: the consortium does not wait for one member's disk. Below
 * the ledger's own reserve its blocks wait in memory and in the log of votes, nothing more is submitted here, and the node says
 * so; when there is room again, it goes on where it was. Nothing has to be restarted.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError, hasCode } from '../codec/errors.ts';
import { type FreeSpaceProbe, fileSystemProbe, type KvStore, SPACE_RESERVE_BYTES } from '../storage/index.ts';

/** Room that the ledger leaves: enough for what the log of votes takes while blocks wait, and for a clean stop. */
export const LEDGER_RESERVE_BYTES = 64 * 1024 * 1024;
/** How often a ledger that waits looks for room. */
const POLL_MS = 1_000;

export interface DiskStatus {
  readonly freeBytes: number;
  /** Below this no records are taken. */
  readonly reserveBytes: number;
  /** Whether blocks of the ledger wait for room. */
  readonly waiting: boolean;
}

export class Disk {
  readonly #freeBytes: FreeSpaceProbe;
  readonly #onEvent: (name: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly #stop = new AbortController();
  #waiting = 0;

  /** `dir` lies on the disk. */
  constructor(dir: string, onEvent: (name: string, fields: Readonly<Record<string, unknown>>) => void) {
    this.#freeBytes = fileSystemProbe(dir);
    this.#onEvent = onEvent;
  }

  status(): DiskStatus {
    return {
      freeBytes: this.#freeBytes(),
      reserveBytes: SPACE_RESERVE_BYTES,
      waiting: this.#waiting > 0,
    };
  }

  /** Throws `storage.full` while the ledger waits for room: what was submitted now would be answered who knows when. */
  requireRoom(): void {
    if (this.#waiting === 0) return;
    throw new CodedError(
      'storage.full',
      'the disk of this node is full: send it to another member, or again later',
    );
  }

  /** The ledger's store, of which a write that finds no room waits for it. Writes keep their order as long as one waits for another. */
  patient(store: KvStore): KvStore {
    return {
      get: (table, key) => store.get(table, key),
      range: (table, options) => store.range(table, options),
      write: (ops) => this.#write(() => store.write(ops)),
    };
  }

  /** Waits no longer: what waits is refused with `storage.full`. For a node that stops. */
  stop(): void {
    this.#stop.abort();
  }

  async #write(write: () => Promise<void>): Promise<void> {
    let waits = false;
    try {
      for (;;) {
        try {
          await write();
          return;
        } catch (error) {
          if (!hasCode(error, 'storage.full') || this.#stop.signal.aborted) throw error;
        }
        if (!waits) {
          waits = true;
          this.#waiting += 1;
          this.#onEvent('disk.full', { freeBytes: this.#freeBytes(), needsBytes: LEDGER_RESERVE_BYTES });
        }
        await delay(POLL_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
    } finally {
      if (waits) {
        this.#waiting -= 1;
        this.#onEvent('disk.room', { freeBytes: this.#freeBytes() });
      }
    }
  }
}
