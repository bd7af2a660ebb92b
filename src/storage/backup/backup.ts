/**
 * Backup of a running node. Each source makes a consistent copy of itself into a staging
 * directory (links where nothing can change), the copies go chunk by chunk into a repository, and the snapshot
 * that names them is written last: a backup that was interrupted does not exist.
 *
 * Give the sources in the order state, headers, payloads: what the state names is then in the later copies. The
 * consensus log is not backed up: a restored node has lost its memory and is marked so. Backups hold headers and
 * their keys, so erasure is complete only when the backups made before it have expired (within 30 days).
 */
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeCbor } from '../../codec/cbor.ts';
import { errnoOf, wrapStorageFailure } from '../errors.ts';
import { BACKUP_CHUNK_BYTES, type Repository } from './repository.ts';
import type { BackupSource } from './sources.ts';
import { NAMES_A_ROW, requirePath, rowsOf, type TableRow, TableWriter } from './table.ts';

export interface BackupSummary {
  readonly snapshot: string;
  readonly files: number;
  readonly bytes: number;
  /** Bytes of chunks that the repository did not hold. */
  readonly newBytes: number;
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
  const table = new TableWriter(repository);
  for await (const path of filesBelow(staging, '')) {
    files += 1;
    const before = known.get(path) ?? [];
    const isKept = before.length > 0 && (await hasAll(repository, before));
    const rows = isKept
      ? before
      : readRows(join(staging, path), path, repository, (length) => (newBytes += length));
    for await (const row of rows) {
      bytes += row.bytes;
      await table.write(row);
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
