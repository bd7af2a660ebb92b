/**
 * The payload port: immutable objects as UnixFS DAGs under profile unixfs-v1-2025. The embedded store and Kubo
 * implement it and give equal CIDs. What is stored is ciphertext; the store protects integrity, not secrecy.
 */

/** Largest single block of the profile, and the boundary below which an object is one raw block. */
export const CHUNK_BYTES = 1024 * 1024;

/** Name and length of a stored object. */
export interface StoredObject {
  readonly cid: string;
  /** Content bytes. */
  readonly size: number;
}

/** Bytes `start` (inclusive, default 0) to `end` (exclusive, default and at most the size). */
export interface ByteRange {
  readonly start?: number;
  readonly end?: number;
}

export interface PayloadStore {
  /**
   * Stores an object of any length in bounded memory. Resolved means that every block is on disk; rejected
   * means that nothing of it is visible under its CID. Throws `storage.full`.
   */
  put(source: AsyncIterable<Uint8Array> | Uint8Array): Promise<StoredObject>;
  /** Stores many objects in one durable transaction, for bulk import. Results in the order of `items`. */
  putMany(items: readonly Uint8Array[]): Promise<StoredObject[]>;
  /**
   * The content, or a range of it, at the reader's pace. Throws `storage.not_found` when a block is missing,
   * `storage.corrupt` when stored bytes do not match their CID (both name it), `storage.bad_range`.
   */
  get(cid: string, range?: ByteRange): AsyncIterable<Uint8Array>;
  /** Whether the object is here completely. */
  has(cid: string): Promise<boolean>;
  /** Content size and number of distinct blocks; `storage.not_found` if a block is missing. */
  stat(cid: string): Promise<{ size: number; blocks: number }>;
  /** One block, undefined if absent. */
  getBlock(cid: string): Promise<Uint8Array | undefined>;
  /** Stores one block after checking it against `cid` (`storage.hash_mismatch`, `storage.block_too_large`). */
  putBlock(cid: string, bytes: Uint8Array): Promise<void>;
  /**
   * Makes sure that storing the object again replaces what is damaged of it: a daemon passes over blocks that it thinks it has,
   * whatever they hold. What is whole stays readable; the object may count as incomplete until it is put.
   */
  discardDamaged(cid: string): Promise<void>;
  /** A CAR v1 stream of the complete objects `cids`, each distinct block once, parents before children. */
  exportCar(cids: readonly string[]): AsyncIterable<Uint8Array>;
  /**
   * Stores the blocks of a CAR v1 stream, each checked against its CID. Returns the roots; throws
   * `storage.not_found` when the blocks of a root are not all here afterwards, `storage.car_malformed`.
   */
  importCar(source: AsyncIterable<Uint8Array>): Promise<string[]>;
  /**
   * Removes objects at once, without marks or grace, but no block that an object of `live` shares: whoever copies blocks of
   * another's object into one of its own must not take them away by having that one removed. Objects that are not here are
   * passed over. Answers how many blocks went.
   */
  remove(cids: readonly string[], live: AsyncIterable<string> | Iterable<string>): Promise<number>;
  /**
   * Removes what no CID of `live` reaches, in two phases: a block is marked when it is first seen unreachable
   * and removed by the first run at least `graceMs` later that still finds it so; storing it again clears the
   * mark. `live` comes from ledger state; if it throws, nothing is removed. Counts are blocks (for Kubo,
   * pinned objects). `now` in ms.
   */
  collect(
    live: AsyncIterable<string> | Iterable<string>,
    graceMs: number,
    now: number,
  ): Promise<{ removed: number; kept: number }>;
  close(): Promise<void>;
}
