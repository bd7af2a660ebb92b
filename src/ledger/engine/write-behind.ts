/**
 * A store in front of another: what is written can be read at once and reaches the disk a little later, together with
 * what was written meanwhile. A commit to the disk costs a block several times what its arithmetic does, and blocks
 * that follow each other rewrite the same rows.
 *
 * A crash loses the writes of the last moment, the latest first and each as a whole. So this is for a writer that can
 * make them again: pbft-lite's write-ahead log keeps a block until `durable` says that the disk has it.
 */
import { type KvOp, type KvRange, type KvStore, kvName } from '../ports.ts';

/** What is written waits this long for more, in milliseconds. */
export const WRITE_DELAY_MS = 50;
/** Bytes that do not wait for more. */
export const WRITE_BYTES = 1024 * 1024;
/** Bytes on their way at which a writer waits for the disk. */
export const PENDING_BYTES_MAX = 16 * 1024 * 1024;

type Rows = Map<string, KvOp>;

/** What goes to the disk in one commit: of each key the last change. */
class Batch {
  readonly #tables = new Map<string, Rows>();
  readonly done: Promise<void>;
  #settle: { resolve(): void; reject(cause: unknown): void } | undefined;
  bytes = 0;

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // A failure reaches those who asked, and every later write.
    this.done.catch(() => undefined);
  }

  add(op: KvOp): void {
    const rows = this.#tables.get(op.table) ?? new Map<string, KvOp>();
    this.#tables.set(op.table, rows);
    rows.set(kvName(op.key), op);
    this.bytes += op.key.length + ('value' in op ? op.value.length : 0);
  }

  rows(table: string): Rows | undefined {
    return this.#tables.get(table);
  }

  ops(): KvOp[] {
    return [...this.#tables.values()].flatMap((rows) => [...rows.values()]);
  }

  resolve(): void {
    this.#settle?.resolve();
  }

  reject(cause: unknown): void {
    this.#settle?.reject(cause);
  }
}

export class WriteBehind implements KvStore {
  readonly #store: KvStore;
  readonly #delayMs: number;
  /** Takes what is written now. */
  #next = new Batch();
  /** On its way to the disk. */
  #leaving: Batch | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failure: { readonly cause: unknown } | undefined;

  /** `store` is read and written by nobody else as long as something is on its way. */
  constructor(store: KvStore, delayMs: number = WRITE_DELAY_MS) {
    this.#store = store;
    this.#delayMs = delayMs;
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    const next = this.#next.rows(table);
    const leaving = this.#leaving?.rows(table);
    if (next === undefined && leaving === undefined) return this.#store.get(table, key);
    const name = kvName(key);
    const op = next?.get(name) ?? leaving?.get(name);
    if (op === undefined) return this.#store.get(table, key);
    return 'value' in op ? op.value : undefined;
  }

  range(table: string, range: KvRange): Iterable<readonly [Uint8Array, Uint8Array]> {
    const changed = this.#changedIn(table, range);
    return changed.length === 0 ? this.#store.range(table, range) : this.#merged(table, range, changed);
  }

  /**
   * Resolves when `ops` can be read; at once unless much is on its way. Rejects, as every later one, once the disk has
   * refused a commit.
   */
  async write(ops: readonly KvOp[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.cause;
    for (const op of ops) this.#next.add(op);
    if (this.#next.bytes >= WRITE_BYTES) this.#leave();
    else if (this.#timer === undefined && this.#leaving === undefined) this.#wait();
    if (this.#next.bytes + (this.#leaving?.bytes ?? 0) >= PENDING_BYTES_MAX) await this.durable();
  }

  /** Resolves when the disk has everything that was written so far. */
  durable(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure.cause);
    return this.#next.bytes > 0 ? this.#next.done : (this.#leaving?.done ?? Promise.resolve());
  }

  #wait(): void {
    this.#timer = setTimeout(() => this.#leave(), this.#delayMs);
  }

  /** One commit at a time: what comes meanwhile is the next. */
  #leave(): void {
    if (this.#leaving !== undefined || this.#next.bytes === 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#next;
    this.#leaving = batch;
    this.#next = new Batch();
    this.#store.write(batch.ops()).then(
      () => {
        this.#leaving = undefined;
        batch.resolve();
        if (this.#next.bytes >= WRITE_BYTES) this.#leave();
        else if (this.#next.bytes > 0) this.#wait();
      },
      (cause: unknown) => {
        // What could not be written stays readable, so that nothing that was seen is unseen while the node ends.
        this.#failure = { cause };
        batch.reject(cause);
        this.#next.reject(cause);
      },
    );
  }

  /** Changes in the range that the disk does not have, in its order. */
  #changedIn(table: string, range: KvRange): [string, KvOp][] {
    const all = new Map([...(this.#leaving?.rows(table) ?? []), ...(this.#next.rows(table) ?? [])]);
    if (all.size === 0) return [];
    const from = range.gte && kvName(range.gte);
    const to = range.lt && kvName(range.lt);
    const inside = [...all].filter(
      ([name]) => (from === undefined || name >= from) && (to === undefined || name < to),
    );
    const sign = range.reverse === true ? -1 : 1;
    return inside.sort(([a], [b]) => (a < b ? -sign : sign));
  }

  *#merged(
    table: string,
    range: KvRange,
    changed: readonly [string, KvOp][],
  ): Generator<readonly [Uint8Array, Uint8Array]> {
    const { limit = Number.POSITIVE_INFINITY, reverse } = range;
    // Each change can hide at most one row.
    const below = this.#store.range(table, {
      ...range,
      ...(range.limit !== undefined && { limit: range.limit + changed.length }),
    });
    let given = 0;
    let at = 0;
    const isBefore = (a: string, b: string): boolean => (reverse === true ? a > b : a < b);
    for (const row of below) {
      const name = kvName(row[0]);
      for (; at < changed.length && isBefore(changed[at][0], name); at++) {
        const op = changed[at][1];
        if (!('value' in op)) continue;
        if (given++ >= limit) return;
        yield [op.key, op.value];
      }
      const isChanged = at < changed.length && changed[at][0] === name;
      const op = isChanged ? changed[at++][1] : undefined;
      if (op !== undefined && !('value' in op)) continue;
      if (given++ >= limit) return;
      yield op === undefined ? row : [op.key, op.value];
    }
    for (; at < changed.length; at++) {
      const op = changed[at][1];
      if (!('value' in op)) continue;
      if (given++ >= limit) return;
      yield [op.key, op.value];
    }
  }
}
