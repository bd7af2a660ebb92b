/** The table of a snapshot: which chunks make which file. See docs/format/storage.md. */
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame, FrameDecoder } from '../../codec/frames.ts';
import { storageError } from '../errors.ts';
import { encodePatched, type Patched, parsePatched } from './patches.ts';
import { BACKUP_CHUNK_BYTES, type Repository } from './repository.ts';

/** Chunk names in one row of the table, so that a row stays within a frame. */
export const NAMES_A_ROW = 4096;
const SLOT_CHUNK_BYTES = 64 * 1024;
const SEGMENT_FORM = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;

/** Up to `NAMES_A_ROW` chunks of one file, beginning at `offset`. */
export interface TableRow {
  readonly path: string;
  readonly offset: number;
  readonly names: readonly Uint8Array[];
  readonly bytes: number;
  /** Of the chunks named, by their place in `names`, those that are not stored whole. */
  readonly patched: ReadonlyMap<number, Patched>;
}

/** The names of the chunks that must be in the repository for this row. */
export function* storedChunks({ names, patched }: TableRow): Generator<Uint8Array> {
  for (const [i, name] of names.entries()) {
    const patches = patched.get(i);
    if (patches === undefined) yield name;
    else {
      yield patches.base;
      for (const patch of patches.patches) yield patch.name;
    }
  }
}

/** Plaintext bytes of each chunk but a file's last. Slots are few bytes that change here and there. */
export function chunkBytesOf(path: string): number {
  return path.endsWith('/keys.slots') ? SLOT_CHUNK_BYTES : BACKUP_CHUNK_BYTES;
}

/** Writes rows as frames, cut into chunks of the repository. */
export class TableWriter {
  readonly #repository: Repository;
  readonly #names: Uint8Array[] = [];
  readonly #chunk = new Uint8Array(BACKUP_CHUNK_BYTES);
  #length = 0;
  #hasPatches = false;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  async write(row: TableRow): Promise<void> {
    const { path, offset, bytes: length, names, patched } = row;
    const fields = [path, offset, length, names];
    const bytes = encodeFrame(encodeCbor(patched.size === 0 ? fields : [...fields, encodePatched(patched)]));
    this.#hasPatches ||= patched.size > 0;
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + this.#chunk.length - this.#length);
      this.#chunk.set(piece, this.#length);
      this.#length += piece.length;
      at += piece.length;
      if (this.#length === this.#chunk.length) await this.#flush();
    }
  }

  /** The names of the chunks that hold the table, and the version of a snapshot that has it. */
  async end(): Promise<{ names: Uint8Array[]; version: 1 | 2 }> {
    if (this.#length > 0) await this.#flush();
    return { names: this.#names, version: this.#hasPatches ? 2 : 1 };
  }

  async #flush(): Promise<void> {
    const { name } = await this.#repository.putChunk(this.#chunk.slice(0, this.#length));
    this.#names.push(name);
    this.#length = 0;
  }
}

/** Name of the newest snapshot; throws `storage.not_found`. */
export async function newestOf(repository: Repository): Promise<string> {
  const newest = (await repository.snapshots()).at(-1);
  if (newest === undefined) throw storageError('storage.not_found', 'the repository has no snapshot');
  return newest;
}

/** The rows of a snapshot's table, in order. Throws `storage.corrupt`, `storage.backup_malformed`. */
export async function* rowsOf(repository: Repository, snapshot: string): AsyncGenerator<TableRow> {
  const frames = new FrameDecoder();
  for (const name of await tableOf(repository, snapshot)) {
    for (const frame of frames.push(await repository.getChunk(name))) yield parseRow(frame);
  }
}

/** The names of the chunks that hold a snapshot's table. */
export async function tableOf(repository: Repository, snapshot: string): Promise<Uint8Array[]> {
  const body = decodeCbor(await repository.getSnapshot(snapshot));
  if (typeof body === 'object' && body !== null && 'v' in body && 'table' in body) {
    if (body.v === 1 || body.v === 2) return chunkNames(body.table);
  }
  throw storageError('storage.backup_malformed', 'expected a snapshot of version 1 or 2');
}

function parseRow(frame: Uint8Array): TableRow {
  const row = decodeCbor(frame);
  if (Array.isArray(row)) {
    const [path, offset, bytes, names, patched = []]: unknown[] = row;
    if (typeof path === 'string' && typeof offset === 'number' && typeof bytes === 'number') {
      return { path, offset, bytes, names: chunkNames(names), patched: parsePatched(patched) };
    }
  }
  throw storageError('storage.backup_malformed', 'expected a table row [path, offset, bytes, names]');
}

function chunkNames(value: unknown): Uint8Array[] {
  if (Array.isArray(value) && value.every((name) => name instanceof Uint8Array && name.length === 32))
    return value;
  throw storageError('storage.backup_malformed', 'expected chunk names of 32 bytes');
}

/** The segments of a path below the data directory; whoever made the snapshot does not choose where it lands. */
export function requirePath(path: string): string[] {
  const segments = path.split('/');
  if (segments.every((segment) => SEGMENT_FORM.test(segment) || segment === '.')) {
    return segments.filter((segment) => segment !== '.');
  }
  throw storageError('storage.backup_malformed', 'expected a relative path of plain segments');
}
