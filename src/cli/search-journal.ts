/** What this machine keeps of its searches for audits: one sealed file a batch, beside the profile, for the owner's eyes. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SearchJournal } from '../client/index.ts';
import { toHex } from '../codec/bytes.ts';
import { hasCode } from '../codec/errors.ts';

export class FileJournal implements SearchJournal {
  readonly #dir: string;

  /** Beside the profile at `path`. */
  constructor(path: string) {
    this.#dir = join(dirname(path), 'searches');
  }

  async put(blindedHash: Uint8Array, sealed: Uint8Array): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await writeFile(this.#path(blindedHash), sealed, { mode: 0o600, flush: true });
  }

  async get(blindedHash: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      return new Uint8Array(await readFile(this.#path(blindedHash)));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  #path(blindedHash: Uint8Array): string {
    return join(this.#dir, toHex(blindedHash));
  }
}
