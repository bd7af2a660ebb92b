/** The key-value port that the ledger and the other stores stand on. Keys order as unsigned bytes. */

/** One change of one key. */
export type KvOp =
  | { readonly table: string; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly table: string; readonly key: Uint8Array; readonly remove: true };

/** `gte` inclusive, `lt` exclusive; `reverse` walks down from `lt`; `limit` counts what is yielded. */
export interface KvRange {
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly limit?: number;
  readonly reverse?: boolean;
}

export interface KvStore {
  /** The committed value, as a copy that belongs to the caller, or undefined. */
  get(table: string, key: Uint8Array): Uint8Array | undefined;
  /**
   * Committed pairs in key order. One iteration sees one snapshot, which pins the pages it may still read:
   * finish or leave the loop before awaiting anything.
   */
  range(table: string, options: KvRange): Iterable<readonly [Uint8Array, Uint8Array]>;
  /**
   * All of `ops`, in order, or none. Resolved means durable on disk and visible to `get`; calls commit in the
   * order in which they were made. The arrays must not change before that.
   */
  write(ops: readonly KvOp[]): Promise<void>;
}
