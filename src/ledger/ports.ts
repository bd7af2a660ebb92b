/**
 * The narrow door to storage: ordered tables of byte keys, read at once, written atomically. The ledger's trees
 * are pure functions from a reader and some changes to write operations, so that a block can be executed,
 * voted on and dropped without touching a disk.
 */
import { compareBytes } from '../codec/bytes.ts';

/** Which keys of a table to visit, ascending unless `reverse`: from `gte` (inclusive) to `lt` (exclusive). */
export interface KvRange {
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly limit?: number;
  readonly reverse?: boolean;
}

/** A consistent view. Bytes that it hands out belong to the caller's eyes only: never write into them. */
export interface KvReader {
  get(table: string, key: Uint8Array): Uint8Array | undefined;
  range(table: string, range: KvRange): Iterable<readonly [Uint8Array, Uint8Array]>;
}

/** One change. Among changes of one key in a list the last wins. */
export type KvOp =
  | { readonly table: string; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly table: string; readonly key: Uint8Array; readonly remove: true };

/** A reader that also writes: all of `ops` or none. The promise settles when the write is as durable as the store is. */
export interface KvStore extends KvReader {
  write(ops: readonly KvOp[]): Promise<void>;
  /** For a store whose writes settle before they are on the disk: resolves when all that was written so far is. */
  durable?(): Promise<void>;
}

/** A map key with the order and identity of the bytes: one UTF-16 unit a byte. */
export function kvName(key: Uint8Array): string {
  return String.fromCharCode(...key);
}

const within = (key: Uint8Array, range: KvRange): boolean =>
  (range.gte === undefined || compareBytes(key, range.gte) >= 0) &&
  (range.lt === undefined || compareBytes(key, range.lt) < 0);

/** A store in memory, for offline verification, simulations and tests. Not durable. */
export class MemoryStore implements KvStore {
  readonly #tables = new Map<string, Map<string, readonly [Uint8Array, Uint8Array]>>();

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    return this.#tables.get(table)?.get(kvName(key))?.[1];
  }

  *range(table: string, range: KvRange): Generator<readonly [Uint8Array, Uint8Array]> {
    const sign = range.reverse === true ? -1 : 1;
    const rows = [...(this.#tables.get(table)?.values() ?? [])]
      .filter(([key]) => within(key, range))
      .sort((a, b) => sign * compareBytes(a[0], b[0]));
    yield* range.limit === undefined ? rows : rows.slice(0, range.limit);
  }

  /** Applies at once; the promise is there because real stores flush. */
  async write(ops: readonly KvOp[]): Promise<void> {
    for (const op of ops) {
      const table = this.#tables.get(op.table) ?? new Map<string, readonly [Uint8Array, Uint8Array]>();
      this.#tables.set(op.table, table);
      if ('value' in op) table.set(kvName(op.key), [op.key, op.value]);
      else table.delete(kvName(op.key));
    }
  }
}
