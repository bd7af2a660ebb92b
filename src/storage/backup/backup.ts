/**
 * Backup of a running node. Each source makes a consistent copy of itself into a staging
 * directory (links where nothing can change), the copies go chunk by chunk into a repository, and the snapshot
 * that names them is written last: a backup that was interrupted does not exist.
 *
 * Give the sources in the order state, headers, payloads: what the state names is then in the later copies. The
 * consensus log is not backed up: a restored node has lost its memory and is marked so. Backups hold headers and
 * their keys, so erasure is complete only when the backups made before it have expired (within 30 days); key slots are in
 * chunks that only the snapshots have which held them.
 */
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeCbor } from '../../codec/cbor.ts';
import { errnoOf, wrapStorageFailure } from '../errors.ts';
import { type ChunkSink, DatabaseChunks, WholeChunks } from './chunks.ts';
import type { Patched } from './patches.ts';
import type { Repository } from './repository.ts';
import type { BackupSource } from './sources.ts';
import {
  chunkBytesOf,
  NAMES_A_ROW,
  requirePath,
  rowsOf,
  storedChunks,
  type TableRow,
  TableWriter,
} from './table.ts';

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
  known: Known,
  now: number,
): Promise<BackupSummary> {
  let files = 0;
  let bytes = 0;
  let newBytes = 0;
  const onNew = (length: number): void => {
    newBytes += length;
  };
  const table = new TableWriter(repository);
  for await (const path of filesBelow(staging, '')) {
    files += 1;
    const before = known.immutable.get(path) ?? [];
    const isKept = before.length > 0 && (await hasAll(repository, before));
    const chunks = isDatabase(path)
      ? new DatabaseChunks(repository, onNew, known.databases.get(path) ?? [], now)
      : new WholeChunks(repository, onNew);
    const rows = isKept ? before : readRows(join(staging, path), path, chunks);
    for await (const row of rows) {
      bytes += row.bytes;
      await table.write(row);
    }
  }
  const { names, version } = await table.end();
  const snapshot = await repository.putSnapshot(
    now,
    encodeCbor({ v: version, time: now, files, bytes, table: names }),
  );
  return { snapshot, files, bytes, newBytes };
}

/** The chunks of one file, stored. An empty file is one row without chunks. */
async function* readRows(from: string, path: string, chunks: ChunkSink): AsyncGenerator<TableRow> {
  const file = await open(from, 'r');
  const chunkBytes = chunkBytesOf(path);
  try {
    for (let offset = 0, isLast = false; !isLast; ) {
      const names: Uint8Array[] = [];
      const patched = new Map<number, Patched>();
      let bytes = 0;
      while (names.length < NAMES_A_ROW) {
        const chunk = await readChunk(file, offset + bytes, chunkBytes);
        isLast = chunk.length < chunkBytes;
        if (chunk.length > 0) {
          const stored = await chunks.put(chunk, offset + bytes);
          if (stored.patched !== undefined) patched.set(names.length, stored.patched);
          names.push(stored.name);
          bytes += chunk.length;
        }
        if (isLast) break;
      }
      await chunks.flush();
      yield { path, offset, names, bytes, patched };
      offset += bytes;
    }
  } finally {
    await file.close();
  }
}

async function hasAll(repository: Repository, rows: readonly TableRow[]): Promise<boolean> {
  for (const row of rows)
    for (const name of storedChunks(row)) if (!(await repository.hasChunk(name))) return false;
  return true;
}

async function readChunk(file: FileHandle, position: number, bytes: number): Promise<Uint8Array> {
  const chunk = new Uint8Array(bytes);
  let length = 0;
  while (length < chunk.length) {
    const { bytesRead } = await file.read(chunk, length, chunk.length - length, position + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return chunk.subarray(0, length);
}

/** Of the newest snapshot, by path: rows of files that never change, and of databases. */
interface Known {
  readonly immutable: ReadonlyMap<string, readonly TableRow[]>;
  readonly databases: ReadonlyMap<string, readonly TableRow[]>;
}

async function knownFiles(sources: readonly BackupSource[], repository: Repository): Promise<Known> {
  const immutable = new Map<string, TableRow[]>();
  const databases = new Map<string, TableRow[]>();
  const prefixes = sources
    .filter((source) => source.immutable !== undefined)
    .map((source) => `${source.path}/${source.immutable}/`);
  const newest = (await repository.snapshots()).at(-1);
  if (newest === undefined) return { immutable, databases };
  for await (const row of rowsOf(repository, newest)) {
    const isImmutable = prefixes.some((prefix) => row.path.startsWith(prefix));
    if (!isImmutable && !isDatabase(row.path)) continue;
    const rows = isImmutable ? immutable : databases;
    rows.set(row.path, [...(rows.get(row.path) ?? []), row]);
  }
  return { immutable, databases };
}

function isDatabase(path: string): boolean {
  return path.endsWith('/data.mdb');
}

async function* filesBelow(root: string, path: string): AsyncGenerator<string> {
  const entries = await readdir(join(root, path), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const below = path === '' ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(root, below);
    else yield below;
  }
}
