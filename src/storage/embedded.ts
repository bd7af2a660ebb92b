/**
 * The embedded payload store: UnixFS importer over blocks on this disk, no daemon. Objects of one block, which
 * are nearly all health records, skip the importer; its result for them is a raw block (tests hold the two
 * paths to equal CIDs).
 */
import { importFile } from 'ipfs-unixfs-importer';
import { type Blocks, type BlockWriter, openBlocks } from './blocks.ts';
import { carHeader, carSection, readCar } from './car.ts';
import { blockKey, type CID, keyText, parseCid, rawCid, requireMatch } from './cid.ts';
import { collectBlocks } from './collect.ts';
import { walkDag } from './dag.ts';
import { storageError } from './errors.ts';
import type { FreeSpaceProbe } from './free-space.ts';
import { type ByteRange, CHUNK_BYTES, type PayloadStore, type StoredObject } from './payload-store.ts';
import { fileSize, mustRead, readFileRange } from './unixfs-read.ts';

/** Blocks of one object that are hashed and written at a time: bounds memory, keeps the disk busy. */
const WRITES_AT_ONCE = 4;
/** Bytes of a CAR that may wait for one transaction. */
const CAR_FLUSH_BYTES = 8 * 1024 * 1024;

export interface EmbeddedStoreOptions {
  /** Check each block read from this disk against its CID. Default true; 2 GiB/s a core. */
  readonly verify?: boolean;
  /** Replaces the file system's answer about free space. */
  readonly freeBytes?: FreeSpaceProbe;
}

/** Opens or creates the store in `dir`. One opener a directory (`storage.already_open`, `storage.locked`). */
export function openEmbeddedStore(dir: string, options: EmbeddedStoreOptions = {}): PayloadStore {
  const { verify = true, freeBytes } = options;
  return new EmbeddedStore(openBlocks(dir, { verify, ...(freeBytes && { freeBytes }) }));
}

class EmbeddedStore implements PayloadStore {
  readonly #blocks: Blocks;
  readonly #read: (cid: CID) => Promise<Uint8Array | undefined>;
  #collecting: Promise<unknown> = Promise.resolve();

  constructor(blocks: Blocks) {
    this.#blocks = blocks;
    this.#read = (cid) => blocks.read(cid);
  }

  async put(source: AsyncIterable<Uint8Array> | Uint8Array): Promise<StoredObject> {
    return this.#writing((writer) => addObject(writer, source));
  }

  async putMany(items: readonly Uint8Array[]): Promise<StoredObject[]> {
    return this.#writing(async (writer) => {
      const stored: StoredObject[] = [];
      for (const item of items) stored.push(await addObject(writer, item));
      return stored;
    });
  }

  async *get(text: string, range: ByteRange = {}): AsyncGenerator<Uint8Array> {
    const cid = parseCid(text);
    const size = await fileSize(cid, this.#read);
    const { start, end } = clampRange(range, size);
    yield* readFileRange(cid, this.#read, start, end);
  }

  async has(text: string): Promise<boolean> {
    for await (const cid of walkDag(parseCid(text), this.#read)) {
      if (!(await this.#blocks.has(cid))) return false;
    }
    return true;
  }

  async stat(text: string): Promise<{ size: number; blocks: number }> {
    const root = parseCid(text);
    const size = await fileSize(root, this.#read);
    let blocks = 0;
    for await (const cid of walkDag(root, this.#read)) {
      if (!(await this.#blocks.has(cid))) await mustRead(cid, this.#read);
      blocks += 1;
    }
    return { size, blocks };
  }

  async getBlock(text: string): Promise<Uint8Array | undefined> {
    return this.#blocks.read(parseCid(text));
  }

  async putBlock(text: string, bytes: Uint8Array): Promise<void> {
    const cid = parseCid(text);
    requireMatch(cid, bytes);
    await this.#writing((writer) => writer.add(cid, bytes));
  }

  async *exportCar(cids: readonly string[]): AsyncGenerator<Uint8Array> {
    const roots = cids.map(parseCid);
    yield carHeader(roots);
    const sent = new Set<string>();
    for (const root of roots) {
      for await (const cid of walkDag(root, this.#read)) {
        const key = keyText(blockKey(cid)) + cid.code;
        if (sent.has(key)) continue;
        sent.add(key);
        yield carSection({ cid, bytes: await mustRead(cid, this.#read) });
      }
    }
  }

  async importCar(source: AsyncIterable<Uint8Array>): Promise<string[]> {
    let roots: CID[] = [];
    await this.#writing(async (writer) => {
      let waiting = 0;
      for await (const part of readCar(source)) {
        if ('roots' in part) {
          roots = part.roots;
          continue;
        }
        requireMatch(part.cid, part.bytes);
        await writer.add(part.cid, part.bytes);
        waiting += part.bytes.length;
        if (waiting < CAR_FLUSH_BYTES) continue;
        await writer.flush();
        waiting = 0;
      }
    });
    const names = roots.map((root) => root.toString());
    for (const name of names) {
      if (await this.has(name)) continue;
      throw storageError('storage.not_found', `the CAR names the root ${name} but lacks blocks of it`, {
        details: { cid: name },
      });
    }
    return names;
  }

  collect(
    live: AsyncIterable<string> | Iterable<string>,
    graceMs: number,
    now: number,
  ): Promise<{ removed: number; kept: number }> {
    const run = this.#collecting.then(() => collectBlocks(this.#blocks, live, graceMs, now));
    this.#collecting = run.catch(() => undefined);
    return run;
  }

  async close(): Promise<void> {
    await this.#collecting;
    await this.#blocks.close();
  }

  async #writing<T>(fill: (writer: BlockWriter) => Promise<T>): Promise<T> {
    const writer = this.#blocks.writer();
    try {
      const result = await fill(writer);
      await writer.commit();
      return result;
    } finally {
      writer.abandon();
    }
  }
}

async function addObject(
  writer: BlockWriter,
  source: AsyncIterable<Uint8Array> | Uint8Array,
): Promise<StoredObject> {
  if (source instanceof Uint8Array && source.length <= CHUNK_BYTES) {
    const cid = rawCid(source);
    await writer.add(cid, source);
    return { cid: cid.toString(), size: source.length };
  }
  let size = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of source instanceof Uint8Array ? slices(source) : source) {
      size += chunk.length;
      yield chunk;
    }
  }
  const storage = {
    put: async (cid: CID, bytes: unknown) => {
      if (!(bytes instanceof Uint8Array)) throw new TypeError('the importer hands over whole blocks');
      await writer.add(cid, bytes);
      return cid;
    },
  };
  const { cid } = await importFile({ content: counted() }, storage, {
    profile: 'unixfs-v1-2025',
    blockWriteConcurrency: WRITES_AT_ONCE,
  });
  return { cid: cid.toString(), size };
}

function* slices(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

/** The range within `size`; throws `storage.bad_range` when it begins beyond the end or after its own end. */
export function clampRange({ start = 0, end }: ByteRange, size: number): { start: number; end: number } {
  const last = Math.min(end ?? size, size);
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end ?? size);
  if (whole && start >= 0 && start <= last) return { start, end: last };
  throw storageError('storage.bad_range', `expected a range within ${size} bytes`, { details: { size } });
}
