/**
 * What lies under the payload port: blocks by CID, and the means to keep and to collect them. UnixFS, ranges and
 * CARs are done once above it (unixfs-store.ts), so the embedded store and Kubo differ in nothing a caller sees.
 */
import type { CID } from './cid.ts';

/** Blocks of one or several objects that become durable together. End it with `commit` or `abandon`. */
export interface BlockWriter {
  /** Takes a block, at the backend's pace. `bytes` are those of `cid`; the caller has checked. */
  add(cid: CID, bytes: Uint8Array): Promise<void>;
  /** Resolved means that every block added so far is on disk. More may be added after it. */
  flush(): Promise<void>;
  /** Flushes, then keeps the complete objects `roots` until a collection finds them dead. */
  commit(roots: readonly CID[]): Promise<void>;
  /** Lets go; nothing more is written. Without effect after `commit`. */
  abandon(): void;
}

export interface BlockBackend {
  /** The block, undefined if absent, `storage.corrupt` if it is found not to match. */
  read(cid: CID): Promise<Uint8Array | undefined>;
  has(cid: CID): Promise<boolean>;
  /** Stores a single block, checked by the caller. Resolved means durable. */
  putBlock(cid: CID, bytes: Uint8Array): Promise<void>;
  writer(): Promise<BlockWriter>;
  /** Makes room for good copies of the damaged blocks of the object `root`, where storing them again would pass them over. */
  discard(root: CID, damaged: readonly CID[]): Promise<void>;
  /** See `PayloadStore.remove`. Answers how many blocks went. */
  remove(objects: readonly CID[], live: AsyncIterable<string> | Iterable<string>): Promise<number>;
  /** See `PayloadStore.collect`. */
  collect(
    live: AsyncIterable<string> | Iterable<string>,
    graceMs: number,
    now: number,
  ): Promise<{ removed: number; kept: number }>;
  close(): Promise<void>;
}
