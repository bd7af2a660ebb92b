/** The write-ahead log as the driver sees it. Order of appends is order on disk. */
import type { BootRecord, WalRecord } from '../core/types.ts';

/** What an opened log held. */
export interface WalContents {
  /** Absent when there was no log. */
  readonly boot: BootRecord | undefined;
  /** False when records are missing or damaged elsewhere than at the very end (ledger-security rule 22). */
  readonly whole: boolean;
  readonly records: readonly WalRecord[];
}

export interface Wal {
  /** What the log held when it was opened. */
  readonly contents: WalContents;
  /** Appends; durable only once `flush` resolves. */
  append(record: WalRecord): void;
  /**
   * Resolves when everything appended before the call is durable. Flushes that overlap share one disk write.
   * A rejection is final: the log takes no more appends and the process must end.
   */
  flush(): Promise<void>;
  /** Durable when it returns. */
  writeBoot(boot: BootRecord): void;
  /** Records at or below this height are no longer needed: their block is durable elsewhere. */
  truncateBelow(height: number): void;
  close(): Promise<void>;
}
