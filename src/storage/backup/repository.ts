/**
 * A backup repository: encrypted chunks of 1 MiB under keyed names, so that a chunk which many snapshots share is
 * kept once and whoever holds the repository learns sizes and times only; and one encrypted file a snapshot.
 *
 * A repository has a random master key, sealed under a passphrase or key file of the operator's. Chunk keys are
 * derived from the chunk's name, which is an HMAC of its content, so no nonce is ever used for two contents.
 */
import { mkdirSync } from 'node:fs';
import { mkdir, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { GCM_TAG_BYTES, gcmOpen, gcmSeal } from '../../codec/aead.ts';
import { concat, toHex, utf8 } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { hkdfSha256, hmacSha256 } from '../../codec/hash.ts';
import { flush, readIfThere, replaceFile, writeFlushed } from '../durable-files.ts';
import { errnoOf, storageError, wrapStorageFailure } from '../errors.ts';
import { lockDirectory } from '../lmdb/directory-lock.ts';
import { didNotOpen, type Random } from '../secrets/erasable.ts';
import { encodeKdf, newKdf, parseKdf, type Unlock, unlockingKey } from '../secrets/unlock.ts';

/** Plaintext bytes of every chunk of a file but its last, and the most that a chunk has. */
export const BACKUP_CHUNK_BYTES = 1024 * 1024;
export const BACKUP_INFO = {
  master: 'hippocrypt/backup/1',
  name: 'hippocrypt/backup-name/1',
  chunk: 'hippocrypt/backup-chunk/1',
  snapshot: 'hippocrypt/backup-snapshot/1',
} as const;
const NONCE = new Uint8Array(12);
const NO_SALT = new Uint8Array();
const MASTER_AAD = utf8(BACKUP_INFO.master);
const KEY_FILE = 'repository';
const SNAPSHOT_FORM = /^\d{15}-[0-9a-f]{16}$/;

/** Opens or creates the repository in `dir`. Throws `storage.keystore_locked` under another passphrase. */
export async function openRepository(dir: string, unlock: Unlock, random: Random): Promise<Repository> {
  const lock = lockDirectory(dir);
  try {
    mkdirSync(join(lock.dir, 'chunks'), { recursive: true, mode: 0o700 });
    mkdirSync(join(lock.dir, 'snapshots'), { recursive: true, mode: 0o700 });
    const stored = await readIfThere(join(lock.dir, KEY_FILE));
    const master =
      stored === undefined ? await createMaster(lock.dir, unlock, random) : await openMaster(stored, unlock);
    return new Repository(lock.dir, master, random, lock.release);
  } catch (cause) {
    lock.release();
    throw cause;
  }
}

async function createMaster(dir: string, unlock: Unlock, random: Random): Promise<Uint8Array> {
  const kdf = newKdf(unlock, random);
  const master = random(32);
  const key = await sealingKey(kdf, unlock);
  const sealed = gcmSeal(key, NONCE, MASTER_AAD, master);
  await replaceFile(dir, KEY_FILE, encodeCbor({ v: 1, kdf: encodeKdf(kdf), sealed }));
  return master;
}

async function openMaster(stored: Uint8Array, unlock: Unlock): Promise<Uint8Array> {
  const value = decodeStored(stored);
  if (!(value.kdf instanceof Uint8Array) || !(value.sealed instanceof Uint8Array) || value.v !== 1) {
    throw malformed('another shape than {v: 1, kdf, sealed}');
  }
  const key = await sealingKey(parseKdf(value.kdf), unlock);
  try {
    return gcmOpen(key, NONCE, MASTER_AAD, value.sealed);
  } catch (cause) {
    throw storageError(
      'storage.keystore_locked',
      'the backup does not open; check the passphrase or key file',
      {
        cause,
      },
    );
  }
}

/** A salt is drawn for each repository, so this key seals once. */
async function sealingKey(kdf: Parameters<typeof unlockingKey>[0], unlock: Unlock): Promise<Uint8Array> {
  return hkdfSha256(await unlockingKey(kdf, unlock), NO_SALT, BACKUP_INFO.master, 32);
}

export class Repository {
  readonly #dir: string;
  readonly #master: Uint8Array;
  readonly #random: Random;
  readonly #release: () => void;
  readonly #nameKey: Uint8Array;
  /** Chunks seen on disk, so that each is looked for once. */
  readonly #known = new Set<string>();
  readonly #touched = new Set<string>();
  #drafts = 0;

  constructor(dir: string, master: Uint8Array, random: Random, release: () => void) {
    this.#dir = dir;
    this.#master = master;
    this.#random = random;
    this.#release = release;
    this.#nameKey = hkdfSha256(master, NO_SALT, BACKUP_INFO.name, 32);
  }

  /** The name of a chunk with that content. */
  nameOf(bytes: Uint8Array): Uint8Array {
    return hmacSha256(this.#nameKey, bytes);
  }

  /** Stores a chunk unless it is there. Durable after `putSnapshot`. */
  async putChunk(bytes: Uint8Array): Promise<{ name: Uint8Array; isNew: boolean }> {
    const name = this.nameOf(bytes);
    const text = toHex(name);
    if (this.#known.has(text)) return { name, isNew: false };
    // A file under its final name was flushed before; decay is for verifying to find.
    const isWhole = (await sizeOf(this.#chunkPath(text))) === bytes.length + GCM_TAG_BYTES;
    if (!isWhole) {
      const shard = join(this.#dir, 'chunks', text.slice(0, 2));
      await mkdir(shard, { recursive: true, mode: 0o700 });
      const draft = join(this.#dir, 'chunks', `draft-${this.#drafts++}`);
      await writeFlushed(draft, gcmSeal(this.#chunkKey(name), NONCE, name, bytes));
      await rename(draft, this.#chunkPath(text));
      this.#touched.add(shard);
    }
    this.#known.add(text);
    return { name, isNew: !isWhole };
  }

  /** Whether a chunk of that name is there; does not read it. */
  async hasChunk(name: Uint8Array): Promise<boolean> {
    return (await sizeOf(this.#chunkPath(toHex(name)))) !== undefined;
  }

  /** The chunk; throws `storage.corrupt` when it is missing or damaged. */
  async getChunk(name: Uint8Array): Promise<Uint8Array> {
    const sealed = await readIfThere(this.#chunkPath(toHex(name)));
    if (sealed !== undefined) {
      try {
        return gcmOpen(this.#chunkKey(name), NONCE, name, sealed);
      } catch (cause) {
        if (!didNotOpen(cause)) throw cause;
      }
    }
    throw storageError('storage.corrupt', `the chunk ${toHex(name)} of the backup is missing or damaged`, {
      details: { chunk: toHex(name) },
    });
  }

  /** Adds a snapshot; its chunks and itself are on disk when this resolves. */
  async putSnapshot(time: number, body: Uint8Array): Promise<string> {
    for (const directory of [...this.#touched, join(this.#dir, 'chunks')]) await flush(directory);
    this.#touched.clear();
    const salt = this.#random(32);
    const name = `${String(time).padStart(15, '0')}-${toHex(this.#random(8))}`;
    const sealed = gcmSeal(this.#snapshotKey(salt), NONCE, utf8(name), body);
    await replaceFile(join(this.#dir, 'snapshots'), name, concat(salt, sealed));
    return name;
  }

  /** Snapshot names, oldest first; a name begins with its time in ms. */
  async snapshots(): Promise<string[]> {
    return (await readdir(join(this.#dir, 'snapshots'))).filter((name) => SNAPSHOT_FORM.test(name)).sort();
  }

  /** The body of a snapshot. Throws `storage.not_found`, `storage.corrupt`. */
  async getSnapshot(name: string): Promise<Uint8Array> {
    const stored = SNAPSHOT_FORM.test(name)
      ? await readIfThere(join(this.#dir, 'snapshots', name))
      : undefined;
    if (stored === undefined) throw storageError('storage.not_found', 'no snapshot of that name');
    const salt = stored.subarray(0, 32);
    try {
      return gcmOpen(this.#snapshotKey(salt), NONCE, utf8(name), stored.subarray(32));
    } catch (cause) {
      throw storageError('storage.corrupt', `the snapshot ${name} is damaged`, { cause });
    }
  }

  async removeSnapshot(name: string): Promise<void> {
    await unlink(join(this.#dir, 'snapshots', name));
    await flush(join(this.#dir, 'snapshots'));
  }

  /** Removes every chunk, and every unfinished one, for which `isUsed` says no. Answers how many. */
  async removeChunks(isUsed: (name: string) => boolean): Promise<number> {
    let removed = 0;
    for (const shard of await readdir(join(this.#dir, 'chunks'))) {
      const path = join(this.#dir, 'chunks', shard);
      if (shard.startsWith('draft-')) {
        await unlink(path);
        continue;
      }
      for (const name of await readdir(path)) {
        if (isUsed(name)) continue;
        await unlink(join(path, name));
        this.#known.delete(name);
        removed += 1;
      }
    }
    return removed;
  }

  close(): void {
    this.#master.fill(0);
    this.#release();
  }

  #chunkPath(text: string): string {
    return join(this.#dir, 'chunks', text.slice(0, 2), text);
  }

  #chunkKey(name: Uint8Array): Uint8Array {
    return hkdfSha256(this.#master, name, BACKUP_INFO.chunk, 32);
  }

  #snapshotKey(salt: Uint8Array): Uint8Array {
    return hkdfSha256(this.#master, salt, BACKUP_INFO.snapshot, 32);
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined;
    throw wrapStorageFailure(cause, 'looking for a chunk of a backup');
  }
}

function decodeStored(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value = decodeCbor(bytes);
    if (typeof value === 'object' && value !== null) return { ...value };
  } catch (cause) {
    throw malformed('bytes that are no dag-cbor', cause);
  }
  throw malformed('no map');
}

function malformed(got: string, cause?: unknown) {
  return storageError('storage.backup_malformed', `expected a backup repository of version 1, got ${got}`, {
    cause,
  });
}
