/** What this gateway keeps of custodial subjects' searches, for audits: sealed memos by the hash of their blinded elements. */
import type { SearchJournal } from '../search/index.ts';
import type { KvStore } from '../storage/index.ts';

/** Table of the memos in the node's own environment. */
export const SEARCHES_TABLE = 'searches';

export class StoredJournal implements SearchJournal {
  readonly #store: KvStore;

  constructor(store: KvStore) {
    this.#store = store;
  }

  put(blindedHash: Uint8Array, sealed: Uint8Array): Promise<void> {
    return this.#store.write([{ table: SEARCHES_TABLE, key: blindedHash, value: sealed }]);
  }

  async get(blindedHash: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#store.get(SEARCHES_TABLE, blindedHash);
  }
}
