/**
 * The payload port over any block backend: UnixFS by ipfs-unixfs-importer under profile unixfs-v1-2025, ranges,
 * CARs. Objects of one block, which are nearly all health records, skip the importer; its result for them is a
 * raw block (tests hold the two paths to equal CIDs). Hashing is always done here, never left to a daemon.
 */
import { importFile } from 'ipfs-unixfs-importer';
import { hasCode } from '../../codec/errors.ts';
import { storageError } from '../errors.ts';
import type { BlockBackend, BlockWriter } from './backend.ts';
import { carHeader, carSection, readCar } from './car.ts';
import { blockName, type CID, DAG_PB_CODEC, parseCid, rawCid, requireMatch } from './cid.ts';
import { type ReadBlock, walkDag } from './dag.ts';
import { type ByteRange, CHUNK_BYTES, type PayloadStore, type StoredObject } from './payload-store.ts';
import { fileSize, mustRead, readFileRange } from './unixfs-read.ts';

/** Blocks of one object that are hashed and written at a time: bounds memory, keeps the disk busy. */
const WRITES_AT_ONCE = 4;
/** Bytes of a CAR that may wait for one transaction. */
const CAR_FLUSH_BYTES = 8 * 1024 * 1024;

/** The port over `backend`, which it closes. */
export function unixfsStore(backend: BlockBackend): PayloadStore {
  return new UnixfsStore(backend);
}

class UnixfsStore implements PayloadStore {
  readonly #backend: BlockBackend;
  readonly #read: ReadBlock;
  #collecting: Promise<unknown> = Promise.resolve();

  constructor(backend: BlockBackend) {
    this.#backend = backend;
    this.#read = (cid) => backend.read(cid);
  }

  async put(source: AsyncIterable<Uint8Array> | Uint8Array): Promise<StoredObject> {
    const [stored] = await this.#storing(async (writer) => [await addObject(writer, source)]);
    return stored;
  }

  async putMany(items: readonly Uint8Array[]): Promise<StoredObject[]> {
    return this.#storing(async (writer) => {
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
      if (!(await this.#backend.has(cid))) return false;
    }
    return true;
  }

  async stat(text: string): Promise<{ size: number; blocks: number }> {
    const root = parseCid(text);
    const size = await fileSize(root, this.#read);
    let blocks = 0;
    for await (const cid of walkDag(root, this.#read)) {
      if (!(await this.#backend.has(cid))) await mustRead(cid, this.#read);
      blocks += 1;
    }
    return { size, blocks };
  }

  async getBlock(text: string): Promise<Uint8Array | undefined> {
    return this.#backend.read(parseCid(text));
  }

  async putBlock(text: string, bytes: Uint8Array): Promise<void> {
    const cid = parseCid(text);
    requireMatch(cid, bytes);
    await this.#backend.putBlock(cid, bytes);
  }

  async discardDamaged(text: string): Promise<void> {
    const root = parseCid(text);
    const damaged: CID[] = [];
    const readWhole: ReadBlock = async (cid) => {
      try {
        return await this.#backend.read(cid);
      } catch (error) {
        if (!hasCode(error, 'storage.corrupt')) throw error;
        damaged.push(cid);
        return undefined;
      }
    };
    // The walk reads inner nodes only; what lies below a damaged one is found once that one is whole.
    for await (const cid of walkDag(root, readWhole)) if (cid.code !== DAG_PB_CODEC) await readWhole(cid);
    if (damaged.length > 0) await this.#backend.discard(root, damaged);
  }

  async *exportCar(cids: readonly string[]): AsyncGenerator<Uint8Array> {
    const roots = cids.map(parseCid);
    yield carHeader(roots);
    const sent = new Set<string>();
    for (const root of roots) {
      for await (const cid of walkDag(root, this.#read)) {
        const key = blockName(cid);
        if (sent.has(key)) continue;
        sent.add(key);
        yield carSection({ cid, bytes: await mustRead(cid, this.#read) });
      }
    }
  }

  async importCar(source: AsyncIterable<Uint8Array>): Promise<string[]> {
    const writer = await this.#backend.writer();
    try {
      const roots = await addCar(writer, source);
      await writer.flush();
      for (const root of roots) await this.#requireComplete(root);
      await writer.commit(roots);
      return roots.map((root) => root.toString());
    } finally {
      writer.abandon();
    }
  }

  remove(cids: readonly string[], live: AsyncIterable<string> | Iterable<string>): Promise<number> {
    return this.#alone(() => this.#backend.remove(cids.map(parseCid), live));
  }

  collect(
    live: AsyncIterable<string> | Iterable<string>,
    graceMs: number,
    now: number,
  ): Promise<{ removed: number; kept: number }> {
    return this.#alone(() => this.#backend.collect(live, graceMs, now));
  }

  /** One removal of any kind at a time. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#collecting.then(work);
    this.#collecting = run.catch(() => undefined);
    return run;
  }

  async close(): Promise<void> {
    await this.#collecting;
    await this.#backend.close();
  }

  async #storing(fill: (writer: BlockWriter) => Promise<StoredObject[]>): Promise<StoredObject[]> {
    const writer = await this.#backend.writer();
    try {
      const stored = await fill(writer);
      await writer.commit(stored.map(({ cid }) => parseCid(cid)));
      return stored;
    } finally {
      writer.abandon();
    }
  }

  async #requireComplete(root: CID): Promise<void> {
    for await (const cid of walkDag(root, this.#read)) {
      if (await this.#backend.has(cid)) continue;
      throw storageError('storage.not_found', `the CAR names the root ${root} but lacks the block ${cid}`, {
        details: { cid: cid.toString() },
      });
    }
  }
}

async function addCar(writer: BlockWriter, source: AsyncIterable<Uint8Array>): Promise<CID[]> {
  let roots: CID[] = [];
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
  return roots;
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
