/**
 * Tables in which a state that is being fetched is put together, besides those of the engine; described in
 * docs/format/ledger-store.md. Nobody else reads them, and all are empty while no catch-up is under way.
 */
import { concat, u32be, utf8 } from '../../codec/bytes.ts';
import type { KvOp, KvReader, KvStore } from '../ports.ts';

/** u8 depth || u32 number -> place in the tree || chunk: verified chunks. */
export const CHUNK_TABLE = 'snapshot-chunk';
/** State key -> value (dag-cbor): what blocks above the tip did that references to entries are made from. */
export const FACT_TABLE = 'snapshot-fact';
/** Keys of `ledger-meta`: how far the history above the tip is stored, and whose root the spare state has. */
export const META_HISTORY: Uint8Array = utf8('history');
export const META_BUILT: Uint8Array = utf8('spare-state');

/** Rows removed in one write. */
const CLEAR_ROWS = 5_000;

export function chunkKey(depth: number, number: number): Uint8Array {
  return concat(Uint8Array.of(depth), u32be(number));
}

/** Removes every row of `table`. */
export async function clearTable(store: KvStore, table: string): Promise<void> {
  for (;;) {
    const ops: KvOp[] = [];
    for (const [key] of store.range(table, { limit: CLEAR_ROWS })) ops.push({ table, key, remove: true });
    if (ops.length === 0) return;
    await store.write(ops);
  }
}

/** All rows of `table` in order, a page at a time: the store may be written meanwhile. */
export function* pages(
  reader: KvReader,
  table: string,
  rows: number,
  from?: Uint8Array,
): Generator<readonly (readonly [Uint8Array, Uint8Array])[]> {
  let gte = from;
  for (;;) {
    const page = [...reader.range(table, { ...(gte && { gte }), limit: rows })];
    if (page.length > 0) yield page;
    if (page.length < rows) return;
    gte = concat(page[page.length - 1][0], Uint8Array.of(0));
  }
}
