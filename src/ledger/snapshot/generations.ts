/**
 * Two sets of tables for the state: one in force, and a spare one in which a fetched state is put together. One row says
 * which is which, so that exchanging them is one small atomic write: a crash leaves the old state or the new one.
 *
 * Everything else stands in tables that both share. History is not exchanged: rows of blocks above the tip are invisible
 * until the tip moves.
 */
import { utf8 } from '../../codec/bytes.ts';
import { META_TABLE, NONCE_TABLE } from '../engine/tables.ts';
import type { KvOp, KvReader, KvStore } from '../ports.ts';
import { STATE_NODE_TABLE, STATE_TABLE } from '../state-tree/index.ts';

/** Tables that a state consists of. */
export const STATE_TABLES: readonly string[] = [STATE_TABLE, STATE_NODE_TABLE, NONCE_TABLE];
/** Key of `ledger-meta`: one byte, which set is in force. */
const META_GENERATION = utf8('generation');

const nameIn = (generation: number, table: string): string =>
  generation === 1 && STATE_TABLES.includes(table) ? `${table}-2` : table;

/** Names of both sets, for opening a store. */
export const GENERATION_TABLES: readonly string[] = STATE_TABLES.flatMap((table) => [
  nameIn(0, table),
  nameIn(1, table),
]);

function inForce(reader: KvReader): number {
  return reader.get(META_TABLE, META_GENERATION)?.[0] === 1 ? 1 : 0;
}

function readerOf(reader: KvReader, generation: number): KvReader {
  return {
    get: (table, key) => reader.get(nameIn(generation, table), key),
    range: (table, range) => reader.range(nameIn(generation, table), range),
  };
}

/** A store at rest, or a view of one, with the state in force under the tables' usual names. */
export function currentState(reader: KvReader): KvReader {
  return readerOf(reader, inForce(reader));
}

/** A ledger's store with the state in force under the tables' usual names. */
export class Generations implements KvStore {
  readonly #store: KvStore;
  #generation: number;

  constructor(store: KvStore) {
    this.#store = store;
    this.#generation = inForce(store);
  }

  get(table: string, key: Uint8Array): Uint8Array | undefined {
    return this.#store.get(nameIn(this.#generation, table), key);
  }

  range: KvReader['range'] = (table, range) => this.#store.range(nameIn(this.#generation, table), range);

  write(ops: readonly KvOp[]): Promise<void> {
    return this.#write(this.#generation, ops);
  }

  /** The same store with the spare state instead. */
  get spare(): KvStore {
    const generation = 1 - this.#generation;
    return { ...readerOf(this.#store, generation), write: (ops) => this.#write(generation, ops) };
  }

  /** Puts the spare state in force together with `ops`, all or nothing. */
  async exchange(ops: readonly KvOp[]): Promise<void> {
    const generation = 1 - this.#generation;
    const row: KvOp = { table: META_TABLE, key: META_GENERATION, value: Uint8Array.of(generation) };
    await this.#write(generation, [...ops, row]);
    this.#generation = generation;
  }

  #write(generation: number, ops: readonly KvOp[]): Promise<void> {
    if (generation === 0) return this.#store.write(ops);
    return this.#store.write(ops.map((op) => ({ ...op, table: nameIn(generation, op.table) })));
  }
}
