/**
 * Blocks on this disk, keyed by digest: small ones as LMDB values, so that a hundred thousand records take no
 * inode each; larger ones as files, so that LMDB's free list never carries runs of 1 MiB. A file counts only
 * once the index names it, and the index entries of one writer commit together, after everything they name is
 * on disk. A crash leaves at most unnamed files, which a collection removes.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { storageError } from '../errors.ts';
import { type Environment, openEnvironment } from '../lmdb/environment.ts';
import { type FreeSpaceProbe, fileSystemProbe, requireSpace } from '../lmdb/free-space.ts';
import type { KvOp } from '../lmdb/kv.ts';
import type { BlockWriter } from './backend.ts';
import { type BlockFiles, openBlockFiles } from './block-files.ts';
import { blockKey, type CID, keyText, matches } from './cid.ts';

/** Blocks above this are files. Below it an inode, a rename and two flushes cost more than LMDB's pages. */
export const FILE_BLOCK_BYTES_MIN = 256 * 1024;

/** Tables of the payload environment. `dead` and `live` belong to the collector. */
export const BLOCK_TABLES = ['small', 'large', 'dead', 'live', 'meta'] as const;

const INDEX = 'index';
/** Index value of a block that is a file. */
const PRESENT = Uint8Array.of(1);

export interface BlocksOptions {
  /** Check each block against its CID when reading it from this disk (2 GiB/s a core). */
  readonly verify: boolean;
  readonly freeBytes?: FreeSpaceProbe;
}

/** Opens the block area in `dir`; throws what `openEnvironment` throws. */
export function openBlocks(dir: string, options: BlocksOptions): Blocks {
  const env = openEnvironment(join(dir, INDEX), {
    tables: BLOCK_TABLES,
    ...(options.freeBytes && { freeBytes: options.freeBytes }),
  });
  const freeBytes = options.freeBytes ?? fileSystemProbe(env.dir);
  return new Blocks(env, openBlockFiles(dir), freeBytes, options.verify);
}

export class Blocks {
  readonly env: Environment;
  readonly files: BlockFiles;
  readonly #freeBytes: FreeSpaceProbe;
  readonly #verify: boolean;
  /** Keys of writers that have not finished, with how many hold each; a collection leaves them alone. */
  readonly #beingWritten = new Map<string, number>();

  constructor(env: Environment, files: BlockFiles, freeBytes: FreeSpaceProbe, verify: boolean) {
    this.env = env;
    this.files = files;
    this.#freeBytes = freeBytes;
    this.#verify = verify;
  }

  /** Whether the block is here. Does not read it. */
  async has(cid: CID): Promise<boolean> {
    const key = blockKey(cid);
    if (this.env.get('small', key) !== undefined) return true;
    return this.env.get('large', key) !== undefined && this.files.has(keyText(key));
  }

  /** The block, or undefined. Throws `storage.corrupt` with the CID when checking is on and finds a difference. */
  async read(cid: CID): Promise<Uint8Array | undefined> {
    const bytes = await this.#readUnchecked(cid);
    if (bytes === undefined || !this.#verify || matches(cid, bytes)) return bytes;
    throw storageError('storage.corrupt', `the stored block ${cid} is damaged; fetch it from a peer`, {
      details: { cid: cid.toString() },
    });
  }

  async #readUnchecked(cid: CID): Promise<Uint8Array | undefined> {
    const key = blockKey(cid);
    const small = this.env.get('small', key);
    if (small !== undefined) return small;
    return this.env.get('large', key) === undefined ? undefined : this.files.read(keyText(key));
  }

  isBeingWritten(key: string): boolean {
    return this.#beingWritten.has(key);
  }

  /** Kept blocks need no roots here: the collector walks from the ledger's. */
  writer(): BlockWriter {
    const held = new Set<string>();
    const touchedFiles = new Set<string>();
    let ops: KvOp[] = [];

    const hold = (key: string): void => {
      if (held.has(key)) return;
      held.add(key);
      this.#beingWritten.set(key, (this.#beingWritten.get(key) ?? 0) + 1);
    };
    const release = (): void => {
      for (const key of held) {
        const others = (this.#beingWritten.get(key) ?? 1) - 1;
        if (others === 0) this.#beingWritten.delete(key);
        else this.#beingWritten.set(key, others);
      }
      held.clear();
    };
    const flush = async (): Promise<void> => {
      const batch = ops;
      const touched = [...touchedFiles];
      ops = [];
      touchedFiles.clear();
      await this.files.flushDirectories(touched);
      await this.env.write(batch);
    };

    return {
      add: async (cid, bytes) => {
        const key = blockKey(cid);
        const text = keyText(key);
        hold(text);
        if (bytes.length > FILE_BLOCK_BYTES_MIN) {
          if (!(await this.#hasWholeFile(cid))) {
            requireSpace(this.#freeBytes, bytes.length);
            await this.files.write(text, bytes);
          }
          touchedFiles.add(text);
          ops.push({ table: 'large', key, value: PRESENT });
        } else {
          ops.push({ table: 'small', key, value: bytes });
        }
        ops.push({ table: 'dead', key, remove: true });
      },
      flush,
      commit: async () => {
        try {
          await flush();
        } finally {
          release();
        }
      },
      abandon: release,
    };
  }

  /** A repeated put trusts a file only after reading it, so putting an object again mends a damaged one. */
  async #hasWholeFile(cid: CID): Promise<boolean> {
    const key = blockKey(cid);
    if (this.env.get('large', key) === undefined) return false;
    const bytes = await this.files.read(keyText(key));
    return bytes !== undefined && matches(cid, bytes);
  }

  /** Index first: every file that it names is there when the files follow, unless a collection took it since. */
  async copyTo(dir: string): Promise<void> {
    await mkdir(join(dir, INDEX));
    await this.env.copyTo(join(dir, INDEX));
    await this.files.linkInto(dir);
  }

  close(): Promise<void> {
    return this.env.close();
  }
}
