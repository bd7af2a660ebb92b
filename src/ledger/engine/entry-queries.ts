/** Reads of committed entries: by id, by place, and pages by what they are about. */
import { fromHex, toHex, u64be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { EntryType } from '../entries/kinds.ts';
import { decodeLeaf, entryId, type Leaf } from '../entries/leaf.ts';
import { decodeTransaction, type Transaction } from '../entries/transaction.ts';
import type { KvReader } from '../ports.ts';
import {
  ENTRY_ID_TABLE,
  ENTRY_TABLE,
  REFERENCE_TABLE,
  type Reference,
  readU64be,
  referenceIndexes,
  referenceKey,
  TRANSACTION_TABLE,
} from './tables.ts';

/** One committed entry. `transaction` is undefined for the genesis alone. */
export interface CommittedEntry {
  /** Entry id, 64 hexadecimal digits. */
  readonly id: string;
  readonly index: number;
  /** The leaf as it stands in the log. */
  readonly bytes: Uint8Array;
  readonly leaf: Leaf;
  readonly type: EntryType | 'Genesis';
  readonly transaction: Transaction | undefined;
}

/** An entry with the transaction that it came from; what `stillInForce` takes. */
export type TransactionEntry = CommittedEntry & { readonly transaction: Transaction };

/** Which entries to list; all given conditions must hold. Ids are hexadecimal. */
export interface EntryFilter {
  readonly subject?: string;
  readonly record?: string;
  readonly patient?: string;
  readonly kind?: EntryType | 'Genesis';
  /** Heights, both included. */
  readonly fromHeight?: number;
  readonly toHeight?: number;
}

export interface EntryPage {
  readonly entries: readonly CommittedEntry[];
  /** Give it back to go on; undefined at the end. */
  readonly cursor: string | undefined;
}

/** Most entries of one page. */
export const PAGE_MAX = 1000;
/** Most candidates that one page looks at before it answers with what it has. */
export const PAGE_SCAN_MAX = 10_000;

export class EntryQueries {
  readonly #store: KvReader;

  constructor(store: KvReader) {
    this.#store = store;
  }

  /** Place of the entry with this id, if it is below `size`. */
  indexOf(id: Uint8Array, size: number): number | undefined {
    const value = this.#store.get(ENTRY_ID_TABLE, id);
    if (value === undefined) return undefined;
    const index = readU64be(value, 0);
    return index < size ? index : undefined;
  }

  /** The leaf alone. Throws `ledger.damaged` as `at` does. */
  leafAt(index: number): Leaf | undefined {
    const bytes = this.#leafAt(index);
    return bytes === undefined ? undefined : decodeLeaf(bytes);
  }

  /** Throws `ledger.damaged` when the stored bytes are not those that were committed. */
  at(index: number): CommittedEntry | undefined {
    const bytes = this.#leafAt(index);
    if (bytes === undefined) return undefined;
    const leaf = decodeLeaf(bytes);
    const transaction = index === 0 ? undefined : this.#transactionOf(leaf, index);
    const type = transaction?.type ?? 'Genesis';
    return { id: toHex(entryId(bytes)), index, bytes, leaf, type, transaction };
  }

  /** The leaf whose id was committed for this place. A disk that changed a bit of it is told, not believed. */
  #leafAt(index: number): Uint8Array | undefined {
    const bytes = this.#store.get(ENTRY_TABLE, u64be(index));
    if (bytes === undefined || this.indexOf(entryId(bytes), index + 1) === index) return bytes;
    throw new CodedError('ledger.damaged', `the stored entry ${index} is damaged; restore the node`);
  }

  /** First place and number of the entries of a transaction, if all are below `size`. */
  ofTransaction(
    id: Uint8Array,
    size: number,
  ): { readonly first: number; readonly count: number } | undefined {
    const value = this.#store.get(TRANSACTION_TABLE, id);
    if (value === undefined) return undefined;
    const first = readU64be(value, 0);
    const count = new DataView(value.buffer, value.byteOffset).getUint32(8);
    return first + count <= size ? { first, count } : undefined;
  }

  /** Later items of a list carry the transaction's id only; its bytes stand in the first. */
  #transactionOf(leaf: Leaf, index: number): Transaction {
    if (leaf.item === 0) return decodeTransaction(leaf.tx);
    const bytes = this.#leafAt(index - leaf.item);
    if (bytes === undefined) {
      throw new CodedError('ledger.damaged', `entry ${index - leaf.item} is missing; restore the node`);
    }
    return decodeTransaction(decodeLeaf(bytes).tx);
  }

  /**
   * Entries below `size` that match `filter`, newest first unless `ascending`; at most `limit`. Throws
   * `query.cursor`. A page may be short before the end: go on while there is a cursor.
   */
  page(
    filter: EntryFilter,
    size: number,
    options: { readonly limit: number; readonly cursor?: string; readonly ascending?: boolean },
  ): EntryPage {
    const limit = Math.max(1, Math.min(options.limit, PAGE_MAX));
    const ascending = options.ascending === true;
    const bound = options.cursor === undefined ? undefined : parseCursor(options.cursor);
    const entries: CommittedEntry[] = [];
    let scanned = 0;
    let last = 0;
    for (const index of this.#candidates(filter, ascending, bound, size)) {
      last = index;
      scanned++;
      const entry = this.at(index);
      if (entry !== undefined && this.#matches(entry, filter)) entries.push(entry);
      if (entries.length === limit || scanned === PAGE_SCAN_MAX) return { entries, cursor: String(last) };
    }
    return { entries, cursor: undefined };
  }

  /** Places after (or before) `bound`, from the reference that is likely to have the fewest. */
  *#candidates(
    filter: EntryFilter,
    ascending: boolean,
    bound: number | undefined,
    size: number,
  ): Generator<number> {
    const from = ascending && bound !== undefined ? bound + 1 : 0;
    const to = !ascending && bound !== undefined ? Math.min(bound, size) : size;
    const [reference] = referencesIn(filter);
    if (reference === undefined) {
      if (ascending) for (let i = from; i < to; i++) yield i;
      else for (let i = to - 1; i >= from; i--) yield i;
      return;
    }
    for (const [key, value] of this.#rows(reference, from, to, ascending)) {
      const indexes = referenceIndexes(key, value).filter((index) => index >= from && index < to);
      yield* ascending ? indexes : indexes.toReversed();
    }
  }

  /** Rows of `reference` that may name places from `from` to before `to`. */
  #rows(
    reference: Reference,
    from: number,
    to: number,
    ascending: boolean,
  ): Iterable<readonly [Uint8Array, Uint8Array]> {
    const gte = this.#rowOf(reference, from)?.[0] ?? referenceKey(reference, from);
    const range = { gte, lt: referenceKey(reference, to), reverse: !ascending, limit: PAGE_SCAN_MAX };
    return this.#store.range(REFERENCE_TABLE, range);
  }

  /** The row whose block may hold place `index`: the last that begins at or before it. */
  #rowOf(reference: Reference, index: number): readonly [Uint8Array, Uint8Array] | undefined {
    const range = { gte: referenceKey(reference, 0), lt: referenceKey(reference, index + 1) };
    for (const row of this.#store.range(REFERENCE_TABLE, { ...range, reverse: true, limit: 1 })) return row;
    return undefined;
  }

  #matches(entry: CommittedEntry, filter: EntryFilter): boolean {
    const { height } = entry.leaf;
    if (filter.fromHeight !== undefined && height < filter.fromHeight) return false;
    if (filter.toHeight !== undefined && height > filter.toHeight) return false;
    const [, ...others] = referencesIn(filter);
    return others.every((reference) => {
      const row = this.#rowOf(reference, entry.index);
      return row !== undefined && referenceIndexes(...row).includes(entry.index);
    });
  }
}

/** Conditions by rising number of entries they usually select. */
function referencesIn(filter: EntryFilter): readonly Reference[] {
  const { record, patient, subject, kind } = filter;
  const references: Reference[] = [];
  if (record !== undefined) references.push({ by: 'record', id: fromHex(record, 32) });
  if (patient !== undefined) references.push({ by: 'patient', id: fromHex(patient, 16) });
  if (subject !== undefined) references.push({ by: 'subject', id: fromHex(subject, 16) });
  if (kind !== undefined) references.push({ by: 'kind', id: kind });
  return references;
}

function parseCursor(cursor: string): number {
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(cursor)) {
    throw new CodedError('query.cursor', 'expected the cursor of the page before');
  }
  return Number(cursor);
}
