/**
 * Record headers of this node, addressed by their hash. Erasing a record means deleting its header on every
 * node, so a header must not come back out of free pages: see erasable.ts for what deletion does and for what
 * it cannot reach. Headers are ABE ciphertext and public among members; the slot key is there for erasure, not
 * for secrecy.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { DOMAIN } from '../../codec/domains.ts';
import { taggedHash } from '../../codec/hash.ts';
import { storageError } from '../errors.ts';
import { didNotOpen, type ErasableOptions, type ErasableStore, openErasable } from './erasable.ts';

/** A policy of 256 leaves gives a header of about 60 kB. */
export const HEADER_BYTES_MAX = 1024 * 1024;
const NO_PEPPER = new Uint8Array();

export interface HeaderStore {
  /** Throws `storage.hash_mismatch` unless `hash` is the record-header hash of `bytes`. Resolved = durable. */
  put(hash: Uint8Array, bytes: Uint8Array): Promise<void>;
  /** The same for many, in one transaction. */
  putMany(headers: readonly { readonly hash: Uint8Array; readonly bytes: Uint8Array }[]): Promise<void>;
  /** The header, undefined if absent or deleted. Throws `storage.corrupt` when the stored bytes are damaged. */
  get(hash: Uint8Array): Promise<Uint8Array | undefined>;
  has(hash: Uint8Array): boolean;
  /** Resolved means that the header cannot be read any more by anyone who reads this disk from now on. */
  delete(hash: Uint8Array): Promise<void>;
  /** A consistent copy into the empty directory `dir`, for a backup. */
  copyTo(dir: string): Promise<void>;
  close(): Promise<void>;
}

/** Hash of a header's bytes, as on the ledger. */
export function headerHash(bytes: Uint8Array): Uint8Array {
  return taggedHash(DOMAIN.headerHash, bytes);
}

/** Opens or creates the store in `dir`; throws what `openEnvironment` throws. */
export async function openHeaderStore(dir: string, options: ErasableOptions): Promise<HeaderStore> {
  return new Headers(await openErasable(dir, options));
}

class Headers implements HeaderStore {
  readonly #store: ErasableStore;

  constructor(store: ErasableStore) {
    this.#store = store;
  }

  put(hash: Uint8Array, bytes: Uint8Array): Promise<void> {
    return this.putMany([{ hash, bytes }]);
  }

  async putMany(
    headers: readonly { readonly hash: Uint8Array; readonly bytes: Uint8Array }[],
  ): Promise<void> {
    for (const { hash, bytes } of headers) requireHeader(hash, bytes);
    const absent = headers.filter(({ hash }) => !this.#store.has(hash));
    await this.#store.put(absent.map(({ hash, bytes }) => ({ key: hash, bytes, pepper: NO_PEPPER })));
  }

  async get(hash: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      const bytes = this.#store.get(hash, NO_PEPPER);
      if (bytes === undefined || equalBytes(headerHash(bytes), hash)) return bytes;
    } catch (cause) {
      if (!didNotOpen(cause)) throw cause;
    }
    throw storageError('storage.corrupt', 'the stored header is damaged; delete it and fetch it from a peer');
  }

  has(hash: Uint8Array): boolean {
    return this.#store.has(hash);
  }

  delete(hash: Uint8Array): Promise<void> {
    return this.#store.erase([hash]);
  }

  copyTo(dir: string): Promise<void> {
    return this.#store.copyTo(dir);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function requireHeader(hash: Uint8Array, bytes: Uint8Array): void {
  if (bytes.length > HEADER_BYTES_MAX) {
    throw storageError('storage.block_too_large', `expected a header of at most ${HEADER_BYTES_MAX} bytes`, {
      details: { max: HEADER_BYTES_MAX, got: bytes.length },
    });
  }
  if (equalBytes(headerHash(bytes), hash)) return;
  throw storageError('storage.hash_mismatch', 'the header is not the one that the hash names');
}
