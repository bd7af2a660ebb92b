/**
 * Chunks of a database file by what has changed in them. LMDB writes the few pages that a change touches, and they lie all over
 * its file; so a chunk of which at most half the pages differ from what the last snapshot has is kept as that one's chunk and
 * the pages that differ. Pages of several chunks go into one pack, an ordinary chunk of the repository.
 *
 * A patched chunk keeps pages that nothing names any more, as LMDB does in its free pages. So this is for databases alone, never
 * for key slots, and a base is given up after `PATCHED_MS_MAX`.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { hasCode } from '../../codec/errors.ts';
import { storageError } from '../errors.ts';
import { BACKUP_CHUNK_BYTES, type Repository } from './repository.ts';

/** LMDB's page where the system's page is 4 KiB; others are patched just as well. */
export const PAGE_BYTES = 4096;
/** Packs that one chunk may be spread over, so that a restore reads few. */
export const PATCHES_MAX = 32;
/** After this long a chunk is stored whole again, so that what it replaced can expire. */
export const PATCHED_MS_MAX = 30 * 24 * 60 * 60_000;
/** Packs held at a time. */
const PACKS_HELD = 8;

/** Pages of one chunk, in order and each once, that stand one after the other from `offset` in the chunk `name`. */
export interface Patch {
  readonly name: Uint8Array;
  readonly offset: number;
  /** Page numbers within the chunk: a byte each. */
  readonly pages: Uint8Array;
}

/** A chunk that is `base` with pages of patches over it, later ones last. */
export interface Patched {
  readonly base: Uint8Array;
  /** When `base` was first patched, in ms. */
  readonly since: number;
  readonly patches: readonly Patch[];
}

/** The differing pages, if they are worth a patch; undefined when the chunk is better stored whole. */
export function differingPages(
  bytes: Uint8Array,
  before: Uint8Array,
  known: Patched | undefined,
  now: number,
): Uint8Array | undefined {
  if (bytes.length % PAGE_BYTES !== 0 || before.length > bytes.length) return undefined;
  if (known !== undefined && now - known.since > PATCHED_MS_MAX) return undefined;
  const patches = known?.patches ?? [];
  if (patches.length >= PATCHES_MAX) return undefined;
  const most = bytes.length / PAGE_BYTES / 2 - patches.reduce((sum, { pages }) => sum + pages.length, 0);
  const pages: number[] = [];
  for (let page = 0; page * PAGE_BYTES < bytes.length; page++) {
    if (equalBytes(pageOf(bytes, page), pageOf(before, page))) continue;
    if (pages.length + 1 > most) return undefined;
    pages.push(page);
  }
  return Uint8Array.from(pages);
}

function pageOf(bytes: Uint8Array, page: number): Uint8Array {
  return bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
}

/** Collects pages into packs. What `add` answers is complete after `flush`. */
export class PackWriter {
  readonly #repository: Repository;
  readonly #onNew: (bytes: number) => void;
  readonly #pack = new Uint8Array(BACKUP_CHUNK_BYTES);
  #length = 0;
  #open: { name: Uint8Array }[] = [];

  constructor(repository: Repository, onNew: (bytes: number) => void) {
    this.#repository = repository;
    this.#onNew = onNew;
  }

  async add(bytes: Uint8Array, pages: Uint8Array): Promise<Patch> {
    if (this.#length + pages.length * PAGE_BYTES > this.#pack.length) await this.flush();
    const patch = { name: new Uint8Array(), offset: this.#length, pages };
    for (const page of pages) {
      this.#pack.set(pageOf(bytes, page), this.#length);
      this.#length += PAGE_BYTES;
    }
    this.#open.push(patch);
    return patch;
  }

  async flush(): Promise<void> {
    if (this.#open.length === 0) return;
    const pack = this.#pack.slice(0, this.#length);
    const { name, isNew } = await this.#repository.putChunk(pack);
    if (isNew) this.#onNew(pack.length);
    for (const patch of this.#open) patch.name = name;
    this.#open = [];
    this.#length = 0;
  }
}

/** Reads chunks that may be patched; holds the packs that it read last. */
export class ChunkReader {
  readonly #repository: Repository;
  readonly #packs = new Map<string, Uint8Array>();

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** The `length` bytes that `name` is the name of. Throws `storage.corrupt` when a part of it is missing or damaged. */
  async read(name: Uint8Array, patched: Patched | undefined, length: number): Promise<Uint8Array> {
    if (patched === undefined) return this.#repository.getChunk(name);
    const bytes = new Uint8Array(length);
    const base = await this.#repository.getChunk(patched.base);
    bytes.set(base.subarray(0, length));
    for (const patch of patched.patches) {
      const pack = await this.#pack(patch.name);
      for (const [i, page] of patch.pages.entries()) {
        const at = patch.offset + i * PAGE_BYTES;
        if (at + PAGE_BYTES > pack.length || (page + 1) * PAGE_BYTES > length) throw notWhole();
        bytes.set(pack.subarray(at, at + PAGE_BYTES), page * PAGE_BYTES);
      }
    }
    if (!equalBytes(this.#repository.nameOf(bytes), name)) throw notWhole();
    return bytes;
  }

  /** As `read`; undefined when it cannot be read: then it is stored whole again. */
  async find(
    name: Uint8Array,
    patched: Patched | undefined,
    length: number,
  ): Promise<Uint8Array | undefined> {
    try {
      return await this.read(name, patched, length);
    } catch (error) {
      if (hasCode(error, 'storage.corrupt')) return undefined;
      throw error;
    }
  }

  async #pack(name: Uint8Array): Promise<Uint8Array> {
    const key = String(name);
    const known = this.#packs.get(key) ?? (await this.#repository.getChunk(name));
    this.#packs.delete(key);
    this.#packs.set(key, known);
    for (const oldest of this.#packs.keys()) {
      if (this.#packs.size <= PACKS_HELD) break;
      this.#packs.delete(oldest);
    }
    return known;
  }
}

function notWhole() {
  return storageError('storage.corrupt', 'a patched chunk of the backup does not give what it is named by');
}

/** As it stands in a row: `[number in the row, base, since, [[pack, offset, pages], ..]]` each. */
export function encodePatched(patched: ReadonlyMap<number, Patched>): unknown[] {
  return [...patched].map(([at, { base, since, patches }]) => [
    at,
    base,
    since,
    patches.map(({ name, offset, pages }) => [name, offset, pages]),
  ]);
}

/** Throws `storage.backup_malformed`. */
export function parsePatched(value: unknown): Map<number, Patched> {
  if (!Array.isArray(value)) throw malformed();
  return new Map(
    value.map((one: unknown): [number, Patched] => {
      const [at, base, since, patches]: unknown[] = Array.isArray(one) ? one : [];
      if (!isCount(at) || !isCount(since) || !isName(base) || !Array.isArray(patches)) throw malformed();
      return [at, { base, since, patches: patches.map(parsePatch) }];
    }),
  );
}

function parsePatch(value: unknown): Patch {
  const [name, offset, pages]: unknown[] = Array.isArray(value) ? value : [];
  if (!isName(name) || !isCount(offset) || !(pages instanceof Uint8Array)) throw malformed();
  return { name, offset, pages };
}

function isName(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === 32;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function malformed() {
  return storageError(
    'storage.backup_malformed',
    'expected patches [number, base, since, [[pack, offset, pages]]]',
  );
}
