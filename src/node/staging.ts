/**
 * Records on their way to the ledger. What was stored for a record is durable here before its transaction is submitted,
 * so that a crash at any point leaves either a committed record whose keywords are known, or an orphan that is
 * removed once its transaction cannot be committed any more. Keywords are patient data: rows are sealed under a key of
 * the keystore and a key slot each, so that one that is removed, because the index covers the record or the record was
 * erased, cannot be read out of free pages by who holds the keystore.
 *
 * A record that is put again after a crash is sealed again, under another header, while the first transaction may still
 * be ordered somewhere: so a row stands for one header, and both are kept until the ledger has decided.
 */
import { concat, equalBytes, u64be } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { type ErasableOptions, type ErasableStore, openErasable } from '../storage/index.ts';

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
  readonly #store: ErasableStore;
  readonly #key: Uint8Array;

  private constructor(store: ErasableStore, key: Uint8Array) {
    this.#store = store;
    this.#key = key;
  }

  /** Opens or creates the rows in `dir`. `key`: 32 bytes of the member's keystore. Throws what `openErasable` throws. */
  static async open(dir: string, key: Uint8Array, options: ErasableOptions): Promise<Staging> {
    return new Staging(await openErasable(dir, options), key.slice());
  }

  /** Durable when resolved. */
  put(rows: readonly (StagedRecord | StagedPolicy)[]): Promise<void> {
    return this.#store.put(
      rows.map((row) => ({ key: rowKey(row), bytes: encodeCbor(row), pepper: this.#key })),
    );
  }

  /** The staged record of a version: the one under `headerHash` if there are several. */
  get(record: Uint8Array, version: number, headerHash: Uint8Array): StagedRecord | undefined {
    const keys = this.#store.keys({
      gte: concat(record, u64be(version)),
      lt: concat(record, u64be(version + 1)),
    });
    let found: StagedRecord | undefined;
    for (const key of keys) {
      const row = this.#open(key);
      if (row === undefined || row.cid === null) continue;
      if (found === undefined || equalBytes(row.headerHash, headerHash)) found = row;
    }
    return found;
  }

  /** Resolved means that the rows are gone from this disk. */
  remove(rows: readonly StagedHeader[]): Promise<void> {
    return this.#store.erase(rows.map(rowKey));
  }

  /** Removes what is staged of a record, in every version. */
  removeRecord(record: Uint8Array): Promise<void> {
    const lt = concat(record, new Uint8Array(8).fill(0xff));
    return this.#store.erase([...this.#store.keys({ gte: record, lt })]);
  }

  /** Everything staged, for the sweep. */
  all(): (StagedRecord | StagedPolicy)[] {
    return [...this.#store.keys()].flatMap((key) => this.#open(key) ?? []);
  }

  /** A consistent copy into the empty directory `dir`, for a backup. */
  copyTo(dir: string): Promise<void> {
    return this.#store.copyTo(dir);
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  #open(key: Uint8Array): StagedRecord | StagedPolicy | undefined {
    const bytes = this.#store.get(key, this.#key);
    return bytes === undefined ? undefined : (decodeCbor(bytes) as StagedRecord | StagedPolicy);
  }
}

function rowKey({ record, version, headerHash }: StagedHeader): Uint8Array {
  return concat(record, u64be(version), headerHash);
}
