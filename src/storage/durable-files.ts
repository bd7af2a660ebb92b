/** Files whose bytes, and names, are on disk when a call resolves. */
import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, wrapStorageFailure } from './errors.ts';

/** Writes beside, flushes, renames, flushes the directory: the file is whole or absent. */
export async function replaceFile(directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const draft = join(directory, `${name}.new`);
  await writeFlushed(draft, bytes);
  await rename(draft, join(directory, name));
  await flush(directory);
}

/** The file's bytes, undefined if there is none. */
export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw wrapStorageFailure(cause, 'reading a file');
  }
}

async function withFile(
  path: string,
  flags: string,
  use: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags, 0o600);
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

/** Creates `path` with `bytes` and flushes them; the name itself needs a flush of the directory. */
export function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  return withFile(path, 'w', async (file) => {
    await file.writeFile(bytes);
    await file.datasync();
  });
}

/** Flushes a directory, so that names made or renamed in it survive a crash. */
export function flush(directory: string): Promise<void> {
  return withFile(directory, 'r', (handle) => handle.sync());
}
