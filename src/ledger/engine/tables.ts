/**
 * Where the engine keeps its things: tables and keys of the store, described in docs/format/ledger-store.md. Numbers are
 * big-endian, so that keys order as the numbers do.
 */
import { concat, readU32be, u32be, u64be, utf8 } from '../../codec/bytes.ts';
import type { EntryType } from '../entries/kinds.ts';

/** u64 index -> leaf. */
export const ENTRY_TABLE = 'entry';
/** Entry id (32 bytes) -> u64 index. */
export const ENTRY_ID_TABLE = 'entry-id';
/** Transaction id (32 bytes) -> u64 index of its first entry || u32 entries. */
export const TRANSACTION_TABLE = 'tx';
/**
 * kind byte || id || u64 index of a block's first entry -> u32 for each entry of the block that is about it, its
 * place after the first: one row for each thing that a block is about.
 */
export const REFERENCE_TABLE = 'entry-ref';
/** u64 height -> block (dag-cbor). */
export const BLOCK_TABLE = 'block';
/** u64 height -> quorum certificate of that block. */
export const QC_TABLE = 'block-qc';
/** u64 block time -> state keys of the nonces that the block took (dag-cbor): swept block by block. */
export const NONCE_TABLE = 'nonce-expiry';
/** Name -> value: `tip`, `checkpoint`. */
export const META_TABLE = 'ledger-meta';

export const META_TIP: Uint8Array = utf8('tip');
export const META_CHECKPOINT: Uint8Array = utf8('checkpoint');

export const NOTHING: Uint8Array = new Uint8Array(0);

/** The 8 big-endian bytes at `offset` as a safe integer. */
export function readU64be(bytes: Uint8Array, offset: number): number {
  return readU32be(bytes, offset) * 2 ** 32 + readU32be(bytes, offset + 4);
}

export function transactionValue(firstIndex: number, count: number): Uint8Array {
  return concat(u64be(firstIndex), u32be(count));
}

const REFERENCE_KIND = { subject: 1, record: 2, patient: 3, kind: 4 } as const;
/** What entries can be found by: ids as bytes, `kind` as the name of a type or `Genesis`. */
export type Reference =
  | { readonly by: 'subject' | 'record' | 'patient'; readonly id: Uint8Array }
  | { readonly by: 'kind'; readonly id: EntryType | 'Genesis' };

/** Ids have fixed lengths and names end in 0, so that no reference's keys begin with another's. */
export function referenceKey({ by, id }: Reference, firstIndex: number): Uint8Array {
  const body = by === 'kind' ? kindName(id) : id;
  const key = new Uint8Array(1 + body.length + 8);
  key[0] = REFERENCE_KIND[by];
  key.set(body, 1);
  const view = new DataView(key.buffer);
  view.setUint32(1 + body.length, Math.floor(firstIndex / 2 ** 32));
  view.setUint32(5 + body.length, firstIndex >>> 0);
  return key;
}

/** Value of a row: ascending places in the block. */
export function referenceValue(places: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * places.length);
  const view = new DataView(bytes.buffer);
  for (const [i, place] of places.entries()) view.setUint32(4 * i, place);
  return bytes;
}

/** Places in the log, ascending, that a row of `REFERENCE_TABLE` stands for. */
export function referenceIndexes(key: Uint8Array, value: Uint8Array): readonly number[] {
  const firstIndex = readU64be(key, key.length - 8);
  const indexes: number[] = [];
  for (let at = 0; at < value.length; at += 4) indexes.push(firstIndex + readU32be(value, at));
  return indexes;
}

const kindNames = new Map<string, Uint8Array>();

function kindName(kind: EntryType | 'Genesis'): Uint8Array {
  const known = kindNames.get(kind);
  if (known !== undefined) return known;
  const name = concat(utf8(kind), Uint8Array.of(0));
  kindNames.set(kind, name);
  return name;
}
