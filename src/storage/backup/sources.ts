/** What a backup is made of: stores that copy themselves while they are in use, and what lies still. */
import { copyFile, link, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type DirectoryLock, LOCK_FILE, lockDirectory } from '../lmdb/directory-lock.ts';

/** Something of a node that can be copied while it is in use. */
export interface BackupSource {
  /** Its place below the data directory, segments of letters, digits, `.`, `_`, `-`. */
  readonly path: string;
  /** Puts a consistent copy into the directory `dir`, which exists and is empty. */
  copyTo(dir: string): Promise<void>;
  /** Directory below which a file never changes under its name, so that a later backup need not read it again. */
  readonly immutable?: string;
}

/** Files that belong to whoever has a directory open, not to its content. */
const NOT_CONTENT = new Set([LOCK_FILE, 'lock.mdb']);

/** A source that is one plain file, such as a configuration; `path` includes its name. */
export function plainFile(path: string, from: string): BackupSource {
  const name = path.split('/').at(-1) ?? path;
  return { path: dirname(path), copyTo: (dir) => copyFile(from, join(dir, name)) };
}

/**
 * A directory of a node that is not running, with the stores in it. Copying takes the lock of every environment
 * below it, so a running node makes it fail with `storage.locked` instead of giving a torn copy.
 */
export function stoppedDirectory(path: string, from: string, immutable?: string): BackupSource {
  return {
    path,
    ...(immutable !== undefined && { immutable }),
    async copyTo(dir) {
      const locks: DirectoryLock[] = [];
      try {
        await lockEnvironments(from, locks);
        await copyTree(from, dir, (below) => immutable !== undefined && below.startsWith(`${immutable}/`));
      } finally {
        for (const lock of locks) lock.release();
      }
    },
  };
}

async function lockEnvironments(dir: string, locks: DirectoryLock[]): Promise<void> {
  const entries = await readdir(dir, { withFileTypes: true });
  if (entries.some(({ name }) => name === 'data.mdb')) locks.push(lockDirectory(dir));
  for (const entry of entries) if (entry.isDirectory()) await lockEnvironments(join(dir, entry.name), locks);
}

async function copyTree(
  from: string,
  to: string,
  isImmutable: (below: string) => boolean,
  below = '',
): Promise<void> {
  for (const entry of await readdir(join(from, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) {
      await mkdir(join(to, path), { mode: 0o700 });
      await copyTree(from, to, isImmutable, path);
    } else if (isImmutable(path)) {
      await link(join(from, path), join(to, path)).catch(() => copyFile(join(from, path), join(to, path)));
    } else if (!NOT_CONTENT.has(entry.name)) {
      await copyFile(join(from, path), join(to, path));
    }
  }
}
