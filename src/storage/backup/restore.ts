/** What is done with backups that have been made: verifying, restoring, letting them expire. */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { flush } from '../durable-files.ts';
import { storageError } from '../errors.ts';
import { ChunkReader } from './patches.ts';
import type { Repository } from './repository.ts';
import { setRestoredMark } from './restored-mark.ts';
import {
  chunkBytesOf,
  newestOf,
  requirePath,
  rowsOf,
  storedChunks,
  type TableRow,
  tableOf,
} from './table.ts';

/** Reads every chunk that `snapshot` names, by default the newest. Throws `storage.corrupt` with chunk and path. */
export async function verifyBackup(
  repository: Repository,
  snapshot?: string,
): Promise<{ files: number; bytes: number }> {
  const paths = new Set<string>();
  const chunks = new ChunkReader(repository);
  let bytes = 0;
  for await (const row of rowsOf(repository, snapshot ?? (await newestOf(repository)))) {
    paths.add(row.path);
    bytes += await readThrough(chunks, row, async () => undefined);
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
  const chunks = new ChunkReader(repository);
  let bytes = 0;
  for await (const row of rowsOf(repository, name)) {
    const path = join(into, ...requirePath(row.path));
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    for (let dir = dirname(path); dir !== into; dir = dirname(dir)) directories.add(dir);
    const file = await open(path, paths.has(row.path) ? 'r+' : 'wx', 0o600);
    try {
      bytes += await readThrough(chunks, row, async (chunk, at) => {
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
  chunks: ChunkReader,
  row: TableRow,
  use: (chunk: Uint8Array, at: number) => Promise<void>,
): Promise<number> {
  let length = 0;
  for (const [i, name] of row.names.entries()) {
    const left = Math.min(chunkBytesOf(row.path), row.bytes - length);
    const chunk = await chunks.read(name, row.patched.get(i), left).catch((cause: unknown) => {
      // A patched chunk is more than one: the one that is missing is named, if one is.
      const lacking = (cause instanceof CodedError ? cause.details.chunk : undefined) ?? toHex(name);
      throw storageError('storage.corrupt', `the backup of ${row.path} lacks the chunk ${lacking}`, {
        cause,
        details: { path: row.path, chunk: lacking },
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
    for await (const row of rowsOf(repository, name))
      for (const chunk of storedChunks(row)) used.add(toHex(chunk));
  }
  return { snapshots: expired.length, chunks: await repository.removeChunks((name) => used.has(name)) };
}
