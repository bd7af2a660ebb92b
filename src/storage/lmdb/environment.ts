/**
 * An LMDB environment with named tables behind the key-value port.
 *
 * Settings that matter (lmdb 3.5.6): `overlappingSync: false`, so that a resolved write is on disk and not only
 * visible; `encoding: 'binary'`, since the default is msgpack; a large map, so that it is hardly ever remapped under a
 * reader (lmdb maps twice the size when the map is full, and keeps the one before for who still reads); `eventTurnBatching: false, since a failed commit of such a batch rejects a promise that nobody holds. Each write is a child transaction with a synchronous callback: an asynchronous one that throws does
 * not roll back, and a plain transaction shares its fate with unrelated writes of the same moment.
 * One thread owns an environment. Network file systems are not supported.
 */
import { closeSync, fsyncSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase, type Transaction } from 'lmdb';
import type { CodedError } from '../../codec/errors.ts';
import { storageError, wrapStorageFailure } from '../errors.ts';
import { addressLimit, requireAddresses } from './address-space.ts';
import { lockDirectory } from './directory-lock.ts';
import { type FreeSpaceProbe, fileSystemProbe, requireSpace } from './free-space.ts';
import type { KvOp, KvRange, KvStore } from './kv.ts';

/** LMDB's limit at 4 KiB pages. */
export const KEY_BYTES_MAX = 1978;
/** Virtual address space, not disk: beyond what one node will hold. */
const MAP_BYTES = 256 * 2 ** 30;
/** The first map where address space is limited. */
const MAP_BYTES_LIMITED = 64 * 2 ** 20;
/** Room in the last map that fits, for removing. */
const MAP_RESERVE_BYTES = 8 * 2 ** 20;
/** Below this a disk that refused a write was full: LMDB's largest single write is about this long. */
const FULL_BYTES = 2 ** 20;
/** LMDB rewrites the path to the root for each touched leaf; this is the worst case for one small value. */
const PAGE_COST_BYTES = 4096;

export interface EnvironmentOptions {
  /** Every table that will be used; others are `storage.unknown_table`. */
  readonly tables: readonly string[];
  /** Replaces the file system's answer about free space. */
  readonly freeBytes?: FreeSpaceProbe;
  /** Room that writes leave; `SPACE_RESERVE_BYTES` unless told. */
  readonly reserveBytes?: number;
  /** Size of the first map; it grows with the data. Large unless told. */
  readonly mapBytes?: number;
}

export interface Environment extends KvStore {
  /** The real path of the directory. */
  readonly dir: string;
  /** `fromReserve` is for work that ends in freeing space, such as a collection on a full disk. */
  write(ops: readonly KvOp[], options?: { readonly fromReserve?: boolean }): Promise<void>;
  /** How many keys `table` holds. */
  count(table: string): number;
  /** A consistent copy of the committed state into the empty directory `dir`, made while writes go on. */
  copyTo(dir: string): Promise<void>;
  /**
   * What is committed now, for reading while writes go on. It pins the pages that it may still read: close it soon, and
   * before the environment.
   */
  view(): EnvironmentView;
  /** Waits for writes under way, then lets go of the directory. Idempotent. */
  close(): Promise<void>;
}

/** The committed state of one moment. */
export interface EnvironmentView extends Pick<KvStore, 'get' | 'range'> {
  close(): void;
}

type Table = Database<Uint8Array, Uint8Array>;

/**
 * Opens or creates the environment in `dir`. Throws `storage.already_open` on a second open in this process and
 * `storage.locked` when another process holds it. Writes reject with `storage.full` while free space is below
 * the reserve or the address space is used up, and with `storage.failed` once the disk has refused one (reopen then).
 */
export function openEnvironment(dir: string, options: EnvironmentOptions): Environment {
  const lock = lockDirectory(dir);
  try {
    // LMDB maps its reader table when it opens; without room for it the process would die of SIGBUS.
    if (fileSystemProbe(lock.dir)() < FULL_BYTES) {
      throw storageError('storage.full', 'the disk is full; free space before opening the environment');
    }
    const limit = addressLimit();
    if (limit !== undefined) requireAddresses(limit, 3 * MAP_BYTES_LIMITED + fileBytes(lock.dir));
    const root = open<Uint8Array, Uint8Array>(lock.dir, {
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false,
      eventTurnBatching: false,
      cache: false,
      mapSize: options.mapBytes ?? (limit === undefined ? MAP_BYTES : MAP_BYTES_LIMITED),
      maxDbs: options.tables.length + 1,
    });
    const tables = new Map<string, Table>();
    for (const name of options.tables) {
      tables.set(
        name,
        root.openDB<Uint8Array, Uint8Array>({ name, encoding: 'binary', keyEncoding: 'binary' }),
      );
    }
    flushNow(lock.dir);
    const freeBytes = options.freeBytes ?? fileSystemProbe(lock.dir);
    return new LmdbEnvironment(
      lock.dir,
      root,
      tables,
      (bytes) => requireSpace(freeBytes, bytes, options.reserveBytes),
      limit,
      lock.release,
    );
  } catch (cause) {
    lock.release();
    throw wrapStorageFailure(cause, 'opening the environment');
  }
}

class LmdbEnvironment implements Environment {
  readonly dir: string;
  readonly #root: RootDatabase<Uint8Array, Uint8Array>;
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #requireSpace: (bytes: number) => void;
  readonly #addressLimit: number | undefined;
  readonly #release: () => void;
  readonly #pending = new Set<Promise<void>>();
  #pendingBytes = 0;
  #state: 'open' | 'failed' | 'closed' = 'open';
  #closing: Promise<void> | undefined;

  constructor(
    dir: string,
    root: RootDatabase<Uint8Array, Uint8Array>,
    tables: ReadonlyMap<string, Table>,
    requireSpace: (bytes: number) => void,
    addressLimit: number | undefined,
    release: () => void,
  ) {
    this.dir = dir;
    this.#root = root;
    this.#tables = tables;
    this.#requireSpace = requireSpace;
    this.#addressLimit = addressLimit;
    this.#release = release;
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    const value = this.#table(table).get(key);
    return value === undefined ? undefined : plain(value);
  }

  *range(table: string, options: KvRange): Iterable<readonly [Uint8Array, Uint8Array]> {
    const found = this.#table(table).getRange(bounds(options));
    for (const { key, value } of found) yield [plain(key), plain(value)];
  }

  count(table: string): number {
    return this.#table(table).getCount();
  }

  async write(ops: readonly KvOp[], options: { readonly fromReserve?: boolean } = {}): Promise<void> {
    this.#requireOpen();
    if (this.#state === 'failed') {
      throw storageError('storage.failed', 'an earlier write failed; check the disk, then reopen');
    }
    if (ops.length === 0) return;
    let bytes = 0;
    for (const op of ops) {
      this.#table(op.table);
      requireKey(op.key);
      bytes += PAGE_COST_BYTES + ('value' in op ? op.value.length : 0);
    }
    // Removing must stay possible when there is no space.
    const adds = ops.some((op) => 'value' in op);
    if (adds && options.fromReserve !== true) this.#requireSpace(bytes);
    if (this.#addressLimit !== undefined) this.#requireMap(this.#addressLimit, bytes, adds);
    const done = this.#commit(ops);
    this.#pending.add(done);
    this.#pendingBytes += bytes;
    try {
      await done;
    } finally {
      this.#pending.delete(done);
      this.#pendingBytes -= bytes;
    }
  }

  async copyTo(dir: string): Promise<void> {
    this.#requireOpen();
    // Not compacted: pages keep their places, so that an incremental backup finds most of them unchanged.
    await this.#root.backup(dir, false);
  }

  view(): EnvironmentView {
    this.#requireOpen();
    const transaction: Transaction = this.#root.useReadTransaction();
    const tableOf = (name: string): Table => this.#table(name);
    return {
      get: (table, key) => {
        const value = tableOf(table).get(key, { transaction });
        return value === undefined ? undefined : plain(value);
      },
      *range(table, options) {
        const found = tableOf(table).getRange({ ...bounds(options), transaction });
        for (const { key, value } of found) yield [plain(key), plain(value)];
      },
      close: () => transaction.done(),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#state = 'closed';
    await Promise.allSettled(this.#pending);
    try {
      await this.#root.close();
    } finally {
      this.#release();
    }
  }

  async #commit(ops: readonly KvOp[]): Promise<void> {
    try {
      await this.#root.childTransaction(() => {
        for (const op of ops) {
          const table = this.#table(op.table, 'while closing');
          if ('value' in op) table.put(op.key, op.value);
          else table.remove(op.key);
        }
      });
    } catch (cause) {
      if (this.#state === 'open') this.#state = 'failed';
      throw await this.#commitFailure(cause);
    }
  }

  /** lmdb says EIO for a write cut short by a full disk, so the disk is asked (not the injected probe). */
  async #commitFailure(cause: unknown): Promise<CodedError> {
    const reason = await commitError(cause);
    const isFull = fileSystemProbe(this.dir)() < FULL_BYTES;
    if (!isFull) return wrapStorageFailure(reason, 'committing to the environment');
    return storageError('storage.full', 'the disk is full; free space, then reopen', { cause: reason });
  }

  /** Throws unless the map holds `bytes` more, or a larger one can be had. */
  #requireMap(limit: number, bytes: number, adds: boolean): void {
    const { mapSize, lastPageNumber, pageSize } = this.#root.getStats() as Record<string, number>;
    // Pages on the way to a row are written anew as well.
    const needed = (lastPageNumber + 1) * pageSize + 4 * (bytes + this.#pendingBytes);
    if (needed + (adds ? MAP_RESERVE_BYTES : 0) > mapSize) requireAddresses(limit, 3 * needed);
  }

  #requireOpen(): void {
    if (this.#state === 'closed') throw storageError('storage.closed', 'the environment was closed');
  }

  #table(name: string, allow: 'while open' | 'while closing' = 'while open'): Table {
    if (allow === 'while open') this.#requireOpen();
    const table = this.#tables.get(name);
    if (table === undefined) {
      throw storageError('storage.unknown_table', `no table ${name}; name it when opening the environment`);
    }
    return table;
  }
}

function fileBytes(dir: string): number {
  return statSync(join(dir, 'data.mdb'), { throwIfNoEntry: false })?.size ?? 0;
}

/** Makes the names of newly created files survive a crash. */
function flushNow(dir: string): void {
  const handle = openSync(dir, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** lmdb hangs the reason of a failed commit on the error as a promise that rejects with it. */
async function commitError(cause: unknown): Promise<unknown> {
  if (!(cause instanceof Error) || !('commitError' in cause)) return cause;
  try {
    await cause.commitError;
    return cause;
  } catch (reason) {
    return reason;
  }
}

function requireKey(key: Uint8Array): void {
  if (key.length > 0 && key.length <= KEY_BYTES_MAX) return;
  throw storageError('storage.bad_key', `expected a key of 1 to ${KEY_BYTES_MAX} bytes, got ${key.length}`, {
    details: { max: KEY_BYTES_MAX, got: key.length },
  });
}

/** lmdb walks from `start` to `end` in the direction of travel, so the two ends change places in reverse. */
function bounds({ gte, lt, limit, reverse }: KvRange) {
  const common = limit === undefined ? {} : { limit };
  if (reverse !== true) {
    return { ...common, ...(gte && { start: gte }), ...(lt && { end: lt }) };
  }
  return {
    ...common,
    reverse: true,
    ...(lt && { start: lt, exclusiveStart: true }),
    ...(gte && { end: gte, inclusiveEnd: true }),
  };
}

/** lmdb answers with Buffers; a Buffer's `slice` aliases where a Uint8Array's copies. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
