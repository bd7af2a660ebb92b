/**
 * Records on their way to the ledger. What was stored for a record is durable here before its transaction is submitted,
 * so that a crash at any point leaves either a committed record whose keywords are known, or an orphan that is
 * removed once its transaction cannot be committed any more. Rows are sealed under a key of the keystore, because
 * keywords are patient data; they go when the index covers the record.
 *
 * A record that is put again after a crash is sealed again, under another header, while the first transaction may still
 * be ordered somewhere: so a row stands for one header, and both are kept until the ledger has decided.
 */
import { gcmOpen, gcmSeal } from '../codec/aead.ts';
import { concat, equalBytes, u64be, utf8 } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import type { KvOp, KvStore } from '../storage/index.ts';

const TABLE = 'staged';
const AAD = utf8('hippocrypt/staged/1');

export interface StagedHeader {
  readonly record: Uint8Array;
  readonly version: number;
  readonly headerHash: Uint8Array;
  /** Block time after which its transaction cannot be committed any more. */
  readonly expiresAt: number;
}

export interface StagedRecord extends StagedHeader {
  readonly cid: string;
  /** Encoded keywords with their weights, or HPKE-sealed to the indexer, or null for a record that is not indexed. */
  readonly keywords:
    | { readonly plain: readonly Uint8Array[]; readonly weights: Uint8Array | null }
    | { readonly sealed: Uint8Array }
    | null;
}

/** A header of a policy change: no payload and no keywords of its own. */
export interface StagedPolicy extends StagedHeader {
  readonly cid: null;
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
  async put(rows: readonly (StagedRecord | StagedPolicy)[]): Promise<void> {
    await this.#store.write(
      rows.map((row) => {
        const nonce = this.#random(12);
        const value = concat(nonce, gcmSeal(this.#key, nonce, AAD, encodeCbor(row)));
        return { table: TABLE, key: rowKey(row), value };
      }),
    );
  }

  /** The staged record of a version: the one under `headerHash` if there are several. */
  get(record: Uint8Array, version: number, headerHash: Uint8Array): StagedRecord | undefined {
    const prefix = concat(record, u64be(version));
    let found: StagedRecord | undefined;
    for (const [, value] of this.#store.range(TABLE, {
      gte: prefix,
      lt: concat(record, u64be(version + 1)),
    })) {
      const row = this.#open(value);
      if (row.cid === null) continue;
      if (found === undefined || equalBytes(row.headerHash, headerHash)) found = row;
    }
    return found;
  }

  async remove(rows: readonly StagedHeader[]): Promise<void> {
    const ops: KvOp[] = rows.map((row) => ({ table: TABLE, key: rowKey(row), remove: true }));
    if (ops.length > 0) await this.#store.write(ops);
  }

  /** Removes what is staged of a record, in every version. */
  async removeRecord(record: Uint8Array): Promise<void> {
    const end = concat(record, new Uint8Array(8).fill(0xff));
    const ops: KvOp[] = Array.from(this.#store.range(TABLE, { gte: record, lt: end }), ([key]) => ({
      table: TABLE,
      key,
      remove: true,
    }));
    if (ops.length > 0) await this.#store.write(ops);
  }

  /** Everything staged, for the sweep. */
  all(): (StagedRecord | StagedPolicy)[] {
    return Array.from(this.#store.range(TABLE, {}), ([, value]) => this.#open(value));
  }

  #open(row: Uint8Array): StagedRecord | StagedPolicy {
    const bytes = gcmOpen(this.#key, row.subarray(0, 12), AAD, row.subarray(12));
    return decodeCbor(bytes) as StagedRecord | StagedPolicy;
  }
}

function rowKey({ record, version, headerHash }: StagedHeader): Uint8Array {
  return concat(record, u64be(version), headerHash);
}
