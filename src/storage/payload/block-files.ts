/**
 * Large blocks as files: `files/<first byte>/<digest>` in hexadecimal, written to `tmp/`, flushed, renamed, and
 * their directory flushed before anything refers to them. A file under its final name is therefore whole;
 * whether it counts is for the index in LMDB to say.
 */
import { mkdirSync, rmSync, unlinkSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { flush, writeFlushed } from '../durable-files.ts';
import { errnoOf, wrapStorageFailure } from '../errors.ts';

const FILES = 'files';
const TEMPORARY = 'tmp';

export interface BlockFiles {
  /** Writes and flushes a file; it survives a crash once `flushDirectories` has returned for its directory. */
  write(key: string, bytes: Uint8Array): Promise<void>;
  /** Flushes the directories of `keys`. */
  flushDirectories(keys: Iterable<string>): Promise<void>;
  /** The bytes, undefined if there is no such file. */
  read(key: string): Promise<Uint8Array | undefined>;
  has(key: string): Promise<boolean>;
  /** Synchronous, so that no write can begin between a decision to remove and the removal. */
  removeNow(key: string): void;
  /** Puts every file under its place in `dir` as well: a link, or a copy where links are not possible. */
  linkInto(dir: string): Promise<void>;
  /** Every file there is, with the time of its last change in ms. */
  list(): AsyncGenerator<{ key: string; changedAt: number }>;
}

/** Opens the file area under `dir` and clears what an interrupted write left in `tmp/`. */
export function openBlockFiles(dir: string): BlockFiles {
  const temporary = join(dir, TEMPORARY);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true, mode: 0o700 });
  mkdirSync(join(dir, FILES), { recursive: true, mode: 0o700 });
  let drafts = 0;
  const directoryOf = (key: string) => join(dir, FILES, key.slice(0, 2));
  const pathOf = (key: string) => join(directoryOf(key), key);
  const made = new Set<string>();

  async function makeDirectory(key: string): Promise<void> {
    const directory = directoryOf(key);
    if (made.has(directory)) return;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await flush(join(dir, FILES));
    made.add(directory);
  }

  return {
    async write(key, bytes) {
      const draft = join(temporary, String(drafts++));
      try {
        await makeDirectory(key);
        await writeFlushed(draft, bytes);
        await rename(draft, pathOf(key));
      } catch (cause) {
        await rm(draft, { force: true });
        throw wrapStorageFailure(cause, 'writing a block file');
      }
    },
    async flushDirectories(keys) {
      const directories = new Set<string>();
      for (const key of keys) directories.add(directoryOf(key));
      for (const directory of directories) await flush(directory);
    },
    async read(key) {
      try {
        const bytes = await readFile(pathOf(key));
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      } catch (cause) {
        if (errnoOf(cause) === 'ENOENT') return undefined;
        throw wrapStorageFailure(cause, 'reading a block file');
      }
    },
    async has(key) {
      return (await changeTime(pathOf(key))) !== undefined;
    },
    removeNow(key) {
      try {
        unlinkSync(pathOf(key));
      } catch (cause) {
        if (errnoOf(cause) !== 'ENOENT') throw wrapStorageFailure(cause, 'removing a block file');
      }
    },
    async linkInto(target) {
      for (const shard of await readdir(join(dir, FILES))) {
        await mkdir(join(target, FILES, shard), { recursive: true, mode: 0o700 });
        for (const key of await readdir(join(dir, FILES, shard))) {
          await linkOrCopy(pathOf(key), join(target, FILES, shard, key));
        }
      }
    },
    async *list() {
      for (const shard of await readdir(join(dir, FILES))) {
        for (const key of await readdir(join(dir, FILES, shard))) {
          const changedAt = await changeTime(pathOf(key));
          if (changedAt !== undefined) yield { key, changedAt };
        }
      }
    },
  };
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to).catch((cause: unknown) => {
      if (errnoOf(cause) === 'ENOENT') throw cause;
      return copyFile(from, to);
    });
  } catch (cause) {
    // Collected between the listing and now.
    if (errnoOf(cause) !== 'ENOENT') throw wrapStorageFailure(cause, 'copying a block file');
  }
}

async function changeTime(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw wrapStorageFailure(cause, 'listing block files');
  }
}
