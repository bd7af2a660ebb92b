/**
 * Backup of a running node and its restoration. Each source makes a consistent copy of itself into a staging
 * directory (links where nothing can change), the copies go chunk by chunk into a repository, and the snapshot
 * that names them is written last: a backup that was interrupted does not exist.
 *
 * Give the sources in the order state, headers, payloads: what the state names is then in the later copies. The
 * consensus log is not backed up: a restored node has lost its memory and is marked so. Backups hold headers and
 * their keys, so erasure is complete only when the backups made before it have expired (within 30 days).
 */
import { existsSync, readdirSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { toHex } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { encodeFrame, FrameDecoder } from '../../codec/frames.ts';
import { flush } from '../durable-files.ts';
import { errnoOf, storageError, wrapStorageFailure } from '../errors.ts';
import { BACKUP_CHUNK_BYTES, type Repository } from './repository.ts';
import { setRestoredMark } from './restored-mark.ts';
import type { BackupSource } from './sources.ts';

/** Chunk names in one row of the table, so that a row stays within a frame. */
const NAMES_A_ROW = 4096;
const SEGMENT_FORM = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;

export interface BackupSummary {
  readonly snapshot: string;
  readonly files: number;
  readonly bytes: number;
  /** Bytes of chunks that the repository did not hold. */
  readonly newBytes: number;
}

/** Up to `NAMES_A_ROW` chunks of one file, beginning at `offset`. */
interface TableRow {
  readonly path: string;
  readonly offset: number;
  readonly names: readonly Uint8Array[];
  readonly bytes: number;
}

/**
 * Backs up `sources` into `repository`, by way of `staging`, a directory on the same file system as the data; it
 * is emptied before and removed afterwards. `now` in ms.
 */
export async function backup(
  sources: readonly BackupSource[],
  repository: Repository,
  staging: string,
  now: number,
): Promise<BackupSummary> {
  for (const { path } of sources) requirePath(path);
  const known = await knownFiles(sources, repository);
  await rm(staging, { recursive: true, force: true });
  try {
    for (const source of sources) {
      const dir = join(staging, source.path);
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await source.copyTo(dir);
    }
    return await store(staging, repository, known, now);
  } catch (cause) {
    // A source's own failure passes as it is; the system's gets a name.
    throw errnoOf(cause) === undefined ? cause : wrapStorageFailure(cause, 'backing up');
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function store(
  staging: string,
  repository: Repository,
  known: ReadonlyMap<string, readonly TableRow[]>,
  now: number,
): Promise<BackupSummary> {
  let files = 0;
  let bytes = 0;
  let newBytes = 0;
  const table = new ChunkedWriter(repository);
  for await (const path of filesBelow(staging, '')) {
    files += 1;
    const before = known.get(path) ?? [];
    const isKept = before.length > 0 && (await hasAll(repository, before));
    const rows = isKept
      ? before
      : readRows(join(staging, path), path, repository, (length) => (newBytes += length));
    for await (const row of rows) {
      bytes += row.bytes;
      await table.write(encodeFrame(encodeCbor([row.path, row.offset, row.bytes, row.names])));
    }
  }
  const names = await table.end();
  const snapshot = await repository.putSnapshot(
    now,
    encodeCbor({ v: 1, time: now, files, bytes, table: names }),
  );
  return { snapshot, files, bytes, newBytes };
}

/** The chunks of one file, stored. An empty file is one row without chunks. */
async function* readRows(
  from: string,
  path: string,
  repository: Repository,
  onNew: (bytes: number) => void,
): AsyncGenerator<TableRow> {
  const file = await open(from, 'r');
  try {
    for (let offset = 0, isLast = false; !isLast; ) {
      const names: Uint8Array[] = [];
      let bytes = 0;
      while (names.length < NAMES_A_ROW) {
        const chunk = await readChunk(file, offset + bytes);
        isLast = chunk.length < BACKUP_CHUNK_BYTES;
        if (chunk.length > 0) {
          const { name, isNew } = await repository.putChunk(chunk);
          if (isNew) onNew(chunk.length);
          names.push(name);
          bytes += chunk.length;
        }
        if (isLast) break;
      }
      yield { path, offset, names, bytes };
      offset += bytes;
    }
  } finally {
    await file.close();
  }
}

async function hasAll(repository: Repository, rows: readonly TableRow[]): Promise<boolean> {
  for (const { names } of rows)
    for (const name of names) if (!(await repository.hasChunk(name))) return false;
  return true;
}

async function readChunk(file: FileHandle, position: number): Promise<Uint8Array> {
  const chunk = new Uint8Array(BACKUP_CHUNK_BYTES);
  let length = 0;
  while (length < chunk.length) {
    const { bytesRead } = await file.read(chunk, length, chunk.length - length, position + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return chunk.subarray(0, length);
}

/** A stream of frames cut into chunks of the repository. */
class ChunkedWriter {
  readonly #repository: Repository;
  readonly #names: Uint8Array[] = [];
  readonly #chunk = new Uint8Array(BACKUP_CHUNK_BYTES);
  #length = 0;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const piece = bytes.subarray(at, at + this.#chunk.length - this.#length);
      this.#chunk.set(piece, this.#length);
      this.#length += piece.length;
      at += piece.length;
      if (this.#length === this.#chunk.length) await this.#flush();
    }
  }

  async end(): Promise<Uint8Array[]> {
    if (this.#length > 0) await this.#flush();
    return this.#names;
  }

  async #flush(): Promise<void> {
    const { name } = await this.#repository.putChunk(this.#chunk.slice(0, this.#length));
    this.#names.push(name);
    this.#length = 0;
  }
}

/** Rows of immutable files in the newest snapshot, by path. */
async function knownFiles(
  sources: readonly BackupSource[],
  repository: Repository,
): Promise<Map<string, TableRow[]>> {
  const known = new Map<string, TableRow[]>();
  const prefixes = sources
    .filter(({ immutable }) => immutable !== undefined)
    .map(({ path, immutable }) => `${path}/${immutable}/`);
  const newest = (await repository.snapshots()).at(-1);
  if (newest === undefined || prefixes.length === 0) return known;
  for await (const row of rowsOf(repository, newest)) {
    if (!prefixes.some((prefix) => row.path.startsWith(prefix))) continue;
    known.set(row.path, [...(known.get(row.path) ?? []), row]);
  }
  return known;
}

async function* filesBelow(root: string, path: string): AsyncGenerator<string> {
  const entries = await readdir(join(root, path), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const below = path === '' ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(root, below);
    else yield below;
  }
}

/** Reads every chunk that `snapshot` names, by default the newest. Throws `storage.corrupt` with chunk and path. */
export async function verifyBackup(
  repository: Repository,
  snapshot?: string,
): Promise<{ files: number; bytes: number }> {
  const paths = new Set<string>();
  let bytes = 0;
  for await (const row of rowsOf(repository, snapshot ?? (await newestOf(repository)))) {
    paths.add(row.path);
    bytes += await readThrough(repository, row, async () => undefined);
  }
  return { files: paths.size, bytes };
}

/**
 * Restores `snapshot` into the empty or absent directory `into` and marks it as restored before anything else.
 * Throws `storage.not_empty`, `storage.not_found`, `storage.corrupt`. `now` in ms.
 */
export async function restore(
  repository: Repository,
  into: string,
  now: number,
  snapshot?: string,
): Promise<{ snapshot: string; files: number; bytes: number }> {
  const name = snapshot ?? (await newestOf(repository));
  if (existsSync(into) && readdirSync(into).length > 0) {
    throw storageError('storage.not_empty', 'restore into an empty directory, then move it into place');
  }
  await mkdir(into, { recursive: true, mode: 0o700 });
  await setRestoredMark(into, { snapshot: name, at: now });
  const paths = new Set<string>();
  const directories = new Set<string>([into]);
  let bytes = 0;
  for await (const row of rowsOf(repository, name)) {
    const path = join(into, ...requirePath(row.path));
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    for (let dir = dirname(path); dir !== into; dir = dirname(dir)) directories.add(dir);
    const file = await open(path, paths.has(row.path) ? 'r+' : 'wx', 0o600);
    try {
      bytes += await readThrough(repository, row, async (chunk, at) => {
        await file.write(chunk, 0, chunk.length, at);
      });
      await file.datasync();
    } finally {
      await file.close();
    }
    paths.add(row.path);
  }
  for (const directory of directories) await flush(directory);
  return { snapshot: name, files: paths.size, bytes };
}

async function readThrough(
  repository: Repository,
  row: TableRow,
  use: (chunk: Uint8Array, at: number) => Promise<void>,
): Promise<number> {
  let length = 0;
  for (const name of row.names) {
    const chunk = await repository.getChunk(name).catch((cause: unknown) => {
      throw storageError('storage.corrupt', `the backup of ${row.path} lacks the chunk ${toHex(name)}`, {
        cause,
        details: { path: row.path, chunk: toHex(name) },
      });
    });
    await use(chunk, row.offset + length);
    length += chunk.length;
  }
  if (length === row.bytes) return length;
  throw storageError('storage.corrupt', `the backup of ${row.path} has ${length} bytes of ${row.bytes}`);
}

/** Removes snapshots made before `before` (ms), except the newest of all, and the chunks that only they used. */
export async function expireBackups(
  repository: Repository,
  before: number,
): Promise<{ snapshots: number; chunks: number }> {
  const names = await repository.snapshots();
  const expired = names.slice(0, -1).filter((name) => Number(name.split('-')[0]) < before);
  for (const name of expired) await repository.removeSnapshot(name);
  const used = new Set<string>();
  for (const name of await repository.snapshots()) {
    for (const chunk of await tableOf(repository, name)) used.add(toHex(chunk));
    for await (const row of rowsOf(repository, name)) for (const chunk of row.names) used.add(toHex(chunk));
  }
  return { snapshots: expired.length, chunks: await repository.removeChunks((name) => used.has(name)) };
}

async function newestOf(repository: Repository): Promise<string> {
  const newest = (await repository.snapshots()).at(-1);
  if (newest === undefined) throw storageError('storage.not_found', 'the repository has no snapshot');
  return newest;
}

async function* rowsOf(repository: Repository, snapshot: string): AsyncGenerator<TableRow> {
  const frames = new FrameDecoder();
  for (const name of await tableOf(repository, snapshot)) {
    for (const frame of frames.push(await repository.getChunk(name))) yield parseRow(frame);
  }
}

async function tableOf(repository: Repository, snapshot: string): Promise<Uint8Array[]> {
  const body = decodeCbor(await repository.getSnapshot(snapshot));
  if (typeof body === 'object' && body !== null && 'v' in body && body.v === 1 && 'table' in body) {
    return chunkNames(body.table);
  }
  throw storageError('storage.backup_malformed', 'expected a snapshot of version 1');
}

function parseRow(frame: Uint8Array): TableRow {
  const row = decodeCbor(frame);
  if (Array.isArray(row)) {
    const [path, offset, bytes, names]: unknown[] = row;
    if (typeof path === 'string' && typeof offset === 'number' && typeof bytes === 'number') {
      return { path, offset, bytes, names: chunkNames(names) };
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
function requirePath(path: string): string[] {
  const segments = path.split('/');
  if (segments.every((segment) => SEGMENT_FORM.test(segment) || segment === '.')) {
    return segments.filter((segment) => segment !== '.');
  }
  throw storageError('storage.backup_malformed', 'expected a relative path of plain segments');
}
