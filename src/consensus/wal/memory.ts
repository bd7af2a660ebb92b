/**
 * A WAL without a disk, for tests and for the simulator, which decides itself what a crash leaves: `survivors`
 * gives the log that a restart would find. Never for a node whose votes matter.
 */
import type { BootRecord, WalRecord } from '../core/types.ts';
import { decodeRecord, encodeRecord } from './record.ts';
import type { Wal, WalContents } from './wal.ts';

export class MemoryWal implements Wal {
  readonly contents: WalContents;
  #records: { height: number; bytes: Uint8Array }[] = [];
  #durable = 0;
  #boot: BootRecord | undefined;

  constructor(contents: WalContents = { boot: undefined, whole: true, records: [] }) {
    this.contents = contents;
    this.#boot = contents.boot;
    this.#records = contents.records.map((record) => ({
      height: record.height,
      bytes: encodeRecord(record),
    }));
    this.#durable = this.#records.length;
  }

  append(record: WalRecord): void {
    this.#records.push({ height: record.height, bytes: encodeRecord(record) });
  }

  async flush(): Promise<void> {
    this.#durable = this.#records.length;
  }

  writeBoot(boot: BootRecord): void {
    this.#boot = boot;
  }

  truncateBelow(height: number): void {
    const kept = this.#records.filter((record) => record.height > height);
    this.#durable -= this.#records.slice(0, this.#durable).filter((record) => record.height <= height).length;
    this.#records = kept;
  }

  async close(): Promise<void> {
    await this.flush();
  }

  /** What a restart finds when the machine stops now; `unsynced` of the records not yet flushed survive too. */
  survivors(unsynced = 0): WalContents {
    const records = this.#records
      .slice(0, this.#durable + unsynced)
      .map((record) => decodeRecord(record.bytes));
    return { boot: this.#boot, whole: true, records };
  }
}
