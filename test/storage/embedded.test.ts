import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { exporter } from 'ipfs-unixfs-exporter';
import { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import { CHUNK_BYTES, openEmbeddedStore, SPACE_RESERVE_BYTES } from '../../src/storage/index.ts';
import { payloadContract } from './payload-contract.ts';
import {
  chachaStream,
  closing,
  codeOf,
  collectBytes,
  expectSame,
  filesBelow,
  seededBytes,
  sharedFile,
  streamOf,
  temporaryDirectory,
} from './support.ts';

const open = () => closing(openEmbeddedStore(temporaryDirectory()));

payloadContract('embedded', async () => open());

interface Vector {
  readonly text?: string;
  readonly seed?: string;
  readonly size?: number;
  readonly cid: string;
}
const vectorFile = sharedFile('vectors/unixfs/vectors.json');
const vectors: readonly Vector[] =
  vectorFile === undefined ? [] : JSON.parse(readFileSync(vectorFile, 'utf8')).profiles['unixfs-v1-2025'];

describe.skipIf(vectorFile === undefined)('CIDs that Kubo publishes (needs the shared vectors)', () => {
  test.each(vectors)('$cid', async ({ text, seed = '', size = 0, cid }) => {
    const store = open();
    const source = text === undefined ? chachaStream(seed, size) : [new TextEncoder().encode(text)];
    expect((await store.put(streamOf(source))).cid).toBe(cid);
    if (text !== undefined) expect((await store.put(new TextEncoder().encode(text))).cid).toBe(cid);
  });
});

describe('reading', () => {
  test('gives the bytes that ipfs-unixfs-exporter gives', async () => {
    const store = open();
    const bytes = seededBytes('exporter', 3 * CHUNK_BYTES + 11);
    const { cid } = await store.put(bytes);
    const blockstore = {
      async *get(inner: CID) {
        const block = await store.getBlock(inner.toString());
        if (block !== undefined) yield block;
      },
    };
    const entry = await exporter(CID.parse(cid), blockstore);
    if (entry.type !== 'file') throw new TypeError('expected a file');
    expectSame(await collectBytes(entry.content()), await collectBytes(store.get(cid)));
  });

  test('an object survives closing and opening', async () => {
    const dir = temporaryDirectory();
    const store = openEmbeddedStore(dir);
    const bytes = seededBytes('reopen', 2 * CHUNK_BYTES + 1);
    const { cid } = await store.put(bytes);
    await store.close();
    expectSame(await collectBytes(closing(openEmbeddedStore(dir)).get(cid)), bytes);
  });
});

describe('damage on disk', () => {
  const bytes = seededBytes('damage', 2 * CHUNK_BYTES);
  async function stored() {
    const dir = temporaryDirectory();
    const store = openEmbeddedStore(dir);
    const { cid } = await store.put(bytes);
    const file = filesBelow(dir).find((path) => path.includes('/files/'));
    if (file === undefined) throw new Error('a block of 1 MiB is a file');
    return { dir, store, cid, file };
  }

  test('a flipped bit is storage.corrupt with the CID of the block, and putting again mends it', async () => {
    const { store, cid, file } = await stored();
    closing(store);
    const block = readFileSync(file);
    block[12345] ^= 4;
    writeFileSync(file, block);
    const failure = await collectBytes(store.get(cid)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'storage.corrupt' });
    const named = (failure as { details: { cid: string } }).details.cid;
    expect(Buffer.from(CID.parse(named).multihash.digest).toString('hex')).toBe(file.split('/').at(-1));
    await store.put(bytes);
    expectSame(await collectBytes(store.get(cid)), bytes);
  });

  test('a torn file is storage.corrupt', async () => {
    const { store, cid, file } = await stored();
    closing(store);
    writeFileSync(file, readFileSync(file).subarray(0, 5000));
    expect(await codeOf(collectBytes(store.get(cid)))).toBe('storage.corrupt');
  });

  test('a missing file is storage.not_found, and has says no', async () => {
    const { store, cid, file } = await stored();
    closing(store);
    rmSync(file);
    expect(await codeOf(collectBytes(store.get(cid)))).toBe('storage.not_found');
    expect(await store.has(cid)).toBe(false);
  });

  test('without verify a flipped bit passes: the reader has to check', async () => {
    const { dir, store, cid, file } = await stored();
    await store.close();
    const block = readFileSync(file);
    block[0] ^= 1;
    writeFileSync(file, block);
    const trusting = closing(openEmbeddedStore(dir, { verify: false }));
    expect(Buffer.compare(await collectBytes(trusting.get(cid)), bytes)).not.toBe(0);
  });
});

describe('a full disk', () => {
  test('put is storage.full before the reserve is touched; reading and collecting go on', async () => {
    let free = 2 * SPACE_RESERVE_BYTES;
    const store = closing(openEmbeddedStore(temporaryDirectory(), { freeBytes: () => free }));
    const { cid } = await store.put(seededBytes('before', 2 * CHUNK_BYTES));
    free = SPACE_RESERVE_BYTES + 1000;
    expect(await codeOf(store.put(seededBytes('large', 2 * CHUNK_BYTES)))).toBe('storage.full');
    expect(await codeOf(store.put(seededBytes('small', 100)))).toBe('storage.full');
    expect((await store.stat(cid)).blocks).toBe(3);
    await store.collect([], 0, 1);
    expect((await store.collect([], 0, 2)).removed).toBe(3);
    free = 2 * SPACE_RESERVE_BYTES;
    expect(await store.has((await store.put(seededBytes('small', 100))).cid)).toBe(true);
  });
});

describe('many and at once', () => {
  test('20,000 small records take no inode each and come back', async () => {
    const dir = temporaryDirectory();
    const store = closing(openEmbeddedStore(dir));
    const batch = (from: number) => Array.from({ length: 1000 }, (_, i) => record(from + i));
    for (let from = 0; from < 20_000; from += 1000) await store.putMany(batch(from));
    expect(filesBelow(dir).length).toBeLessThan(10);
    const { cid } = await store.put(record(12_345));
    expectSame(await collectBytes(store.get(cid)), record(12_345));
  });

  test('puts of one object at once, beside a collection, all end with the object there', async () => {
    const store = open();
    const bytes = seededBytes('at once', 2 * CHUNK_BYTES);
    await store.put(bytes);
    await store.collect([], 100, 0);
    const [{ cid }] = await Promise.all([
      store.put(bytes),
      store.collect([], 100, 200),
      store.put(bytes),
      store.collect([], 100, 210),
      store.put(bytes),
    ]);
    expectSame(await collectBytes(store.get(cid)), bytes);
  });
});

function record(i: number): Uint8Array {
  const bytes = new Uint8Array(512);
  new DataView(bytes.buffer).setUint32(0, i);
  return bytes;
}
