/**
 * Records on their way to the ledger. A record's keywords (and the hashes of what was stored for it) are durable
 * here before its RecordPut is submitted, so that a crash at any point leaves either a committed record whose
 * keywords are known, or an orphan that the next start can remove. Rows are sealed under a key of the keystore, because
 * keywords are patient data; they go when the index covers the record.
 */
import { gcmOpen, gcmSeal } from '../codec/aead.ts';
import { concat, u64be, utf8 } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import type { KvOp, KvStore } from '../storage/index.ts';

const TABLE = 'staged';
const AAD = utf8('hippocrypt/staged/1');
/** Version of a record as part of the row's key. */
const KEY_BYTES = 32 + 8;

export interface StagedRecord {
  readonly record: Uint8Array;
  readonly version: number;
  readonly cid: string;
  readonly headerHash: Uint8Array;
  /** Block time after which its transaction cannot be committed any more. */
  readonly expiresAt: number;
  /** Encoded keywords with their weights, or HPKE-sealed to the indexer, or null for a record that is not indexed. */
  readonly keywords:
    | { readonly plain: readonly Uint8Array[]; readonly weights: Uint8Array | null }
    | { readonly sealed: Uint8Array }
    | null;
}

export class Staging {
  readonly #store: KvStore;
  readonly #key: Uint8Array;
  readonly #random: (length: number) => Uint8Array;

  /** `key`: 32 bytes of the member's keystore. */
  constructor(store: KvStore, key: Uint8Array, random: (length: number) => Uint8Array) {
    this.#store = store;
    this.#key = key.slice();
    this.#random = random;
  }

  /** Durable when resolved. */
  async put(records: readonly StagedRecord[]): Promise<void> {
    await this.#store.write(
      records.map((one) => {
        const nonce = this.#random(12);
        const value = concat(nonce, gcmSeal(this.#key, nonce, AAD, encodeCbor(one)));
        return { table: TABLE, key: rowKey(one.record, one.version), value };
      }),
    );
  }

  get(record: Uint8Array, version: number): StagedRecord | undefined {
    const row = this.#store.get(TABLE, rowKey(record, version));
    return row === undefined ? undefined : this.#open(row);
  }

  async remove(rows: readonly { readonly record: Uint8Array; readonly version: number }[]): Promise<void> {
    const ops: KvOp[] = rows.map(({ record, version }) => ({
      table: TABLE,
      key: rowKey(record, version),
      remove: true,
    }));
    if (ops.length > 0) await this.#store.write(ops);
  }

  /** Everything staged, for the check at start. */
  all(): StagedRecord[] {
    const rows: StagedRecord[] = [];
    for (const [key, value] of this.#store.range(TABLE, {})) {
      if (key.length === KEY_BYTES) rows.push(this.#open(value));
    }
    return rows;
  }

  #open(row: Uint8Array): StagedRecord {
    return decodeCbor(gcmOpen(this.#key, row.subarray(0, 12), AAD, row.subarray(12))) as StagedRecord;
  }
}

function rowKey(record: Uint8Array, version: number): Uint8Array {
  return concat(record, u64be(version));
}
