/**
 * The state after the last applied block, read from the store through a memory of decoded values. While the next
 * block is being written the store may already show some of it; this view goes on answering from the block before
 * until the write is done, so that no decision ever sees half a block.
 */
import { u64be, utf8 } from '../../codec/bytes.ts';
import { decodeCbor } from '../../codec/cbor.ts';
import type { NonceGroup, NonceState, StateChange, StateKey, StateView } from '../machine/state.ts';
import type { KvReader } from '../ports.ts';
import { readState, STATE_VALUE_BYTES_MAX } from '../state-tree/index.ts';
import { NONCE_TABLE, readU64be } from './tables.ts';

/** Decoded values remembered in each of two generations. */
const KEPT_MAX = 100_000;

export class CommittedState implements StateView {
  readonly #store: KvReader;
  #younger = new Map<string, unknown>();
  #older = new Map<string, unknown>();
  /** Values as they were, of the keys that a write in flight changes. */
  #frozen: ReadonlyMap<string, unknown> | undefined;

  constructor(store: KvReader) {
    this.#store = store;
  }

  get<T>(key: StateKey<T>): T | undefined {
    // The key's type says what the state machine wrote under it; the state root vouches for the store.
    if (this.#frozen?.has(key) === true) return this.#frozen.get(key) as T | undefined;
    if (this.#younger.has(key)) return this.#younger.get(key) as T | undefined;
    const value = this.#older.has(key) ? this.#older.get(key) : this.#read(key);
    this.#remember(key, value);
    return value as T | undefined;
  }

  expiredNonces(time: number, limit: number): readonly NonceGroup[] {
    const groups: NonceGroup[] = [];
    let count = 0;
    for (const [key, value] of this.#store.range(NONCE_TABLE, { lt: u64be(Math.max(0, time)) })) {
      const group = { time: readU64be(key, 0), keys: decodeCbor(value) as StateKey<NonceState>[] };
      count += group.keys.length;
      if (count > limit && groups.length > 0) break;
      groups.push(group);
    }
    return groups;
  }

  /** Holds on to the values that `changes` replace, until `adopt` or `release`. */
  freeze(changes: readonly StateChange[]): void {
    const before = new Map<string, unknown>();
    for (const [key] of changes) before.set(key, this.get(key as StateKey<unknown>));
    this.#frozen = before;
  }

  /** The frozen changes are durable: they are the state from here on. */
  adopt(changes: readonly StateChange[]): void {
    this.#frozen = undefined;
    for (const [key, value] of changes) this.#remember(key, value);
  }

  /** The write failed: nothing changed. */
  release(): void {
    this.#frozen = undefined;
  }

  #read(key: string): unknown {
    const bytes = readState(this.#store, utf8(key));
    return bytes === undefined ? undefined : decodeCbor(bytes, STATE_VALUE_BYTES_MAX);
  }

  #remember(key: string, value: unknown): void {
    if (this.#younger.size >= KEPT_MAX) {
      this.#older = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(key, value);
    this.#older.delete(key);
  }
}
