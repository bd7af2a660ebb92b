/** How the chunks of a file go into a repository: whole, or of a database by the pages that have changed. */
import { equalBytes } from '../../codec/bytes.ts';
import { ChunkReader, differingPages, PATCHED_MS_MAX, PackWriter, type Patched } from './patches.ts';
import { BACKUP_CHUNK_BYTES, type Repository } from './repository.ts';
import type { TableRow } from './table.ts';

/** A chunk under the name of its content. */
export interface StoredChunk {
  readonly name: Uint8Array;
  readonly patched?: Patched;
}

/** Takes the chunks of one file in order. What `put` answers is complete after `flush`. */
export interface ChunkSink {
  put(bytes: Uint8Array, offset: number): Promise<StoredChunk>;
  flush(): Promise<void>;
}

export class WholeChunks implements ChunkSink {
  readonly #repository: Repository;
  readonly #onNew: (bytes: number) => void;

  constructor(repository: Repository, onNew: (bytes: number) => void) {
    this.#repository = repository;
    this.#onNew = onNew;
  }

  async put(bytes: Uint8Array): Promise<StoredChunk> {
    const { name, isNew } = await this.#repository.putChunk(bytes);
    if (isNew) this.#onNew(bytes.length);
    return { name };
  }

  async flush(): Promise<void> {
    // Every chunk stands for itself.
  }
}

/** The chunks of a database file, against those that the last snapshot has of it. */
export class DatabaseChunks implements ChunkSink {
  readonly #repository: Repository;
  readonly #whole: WholeChunks;
  readonly #packs: PackWriter;
  readonly #reader: ChunkReader;
  readonly #before = new Map<number, StoredChunk & { readonly length: number }>();
  readonly #now: number;

  /** `before` are the file's rows in the last snapshot; `now` in ms. */
  constructor(
    repository: Repository,
    onNew: (bytes: number) => void,
    before: readonly TableRow[],
    now: number,
  ) {
    this.#repository = repository;
    this.#whole = new WholeChunks(repository, onNew);
    this.#packs = new PackWriter(repository, onNew);
    this.#reader = new ChunkReader(repository);
    this.#now = now;
    for (const row of before) {
      for (const [i, name] of row.names.entries()) {
        const at = i * BACKUP_CHUNK_BYTES;
        const patched = row.patched.get(i);
        const length = Math.min(BACKUP_CHUNK_BYTES, row.bytes - at);
        this.#before.set(row.offset + at, { name, length, ...(patched !== undefined && { patched }) });
      }
    }
  }

  async put(bytes: Uint8Array, offset: number): Promise<StoredChunk> {
    const before = this.#before.get(offset);
    if (before === undefined) return this.#whole.put(bytes);
    const name = this.#repository.nameOf(bytes);
    if (equalBytes(name, before.name) && (await this.#isKept(before.patched)))
      return { name, patched: before.patched };
    if (await this.#repository.hasChunk(name)) return this.#whole.put(bytes);
    const old = await this.#reader.find(before.name, before.patched, before.length);
    const pages = old && differingPages(bytes, old, before.patched, this.#now);
    if (pages === undefined || pages.length === 0) return this.#whole.put(bytes);
    const { base, since, patches } = before.patched ?? { base: before.name, since: this.#now, patches: [] };
    const patch = await this.#packs.add(bytes, pages);
    return { name, patched: { base, since, patches: [...patches, patch] } };
  }

  flush(): Promise<void> {
    return this.#packs.flush();
  }

  async #isKept(patched: Patched | undefined): Promise<boolean> {
    if (patched === undefined || this.#now - patched.since > PATCHED_MS_MAX) return false;
    for (const name of [patched.base, ...patched.patches.map((patch) => patch.name)])
      if (!(await this.#repository.hasChunk(name))) return false;
    return true;
  }
}
