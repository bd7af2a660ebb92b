/** Blocks and streams that a peer made to mislead or to exhaust. */
import { encode, prepare } from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/codec/hash.ts';
import { CHUNK_BYTES, openEmbeddedStore, type PayloadStore } from '../../src/storage/index.ts';
import { CAR_HEADER_BYTES_MAX, carHeader, carSection, readCar } from '../../src/storage/payload/car.ts';
import { BLOCK_BYTES_MAX, type CID as Cid, rawCid } from '../../src/storage/payload/cid.ts';
import { DAG_DEPTH_MAX } from '../../src/storage/payload/dag.ts';
import {
  closing,
  codeOf,
  collectBytes,
  expectSame,
  seededBytes,
  streamOf,
  temporaryDirectory,
} from './support.ts';

const open = () => closing(openEmbeddedStore(temporaryDirectory()));

/** Stores a UnixFS file node over `children` with claimed sizes. */
async function putNode(
  store: PayloadStore,
  children: readonly { cid: string; size: number }[],
  type: 'file' | 'directory' = 'file',
): Promise<string> {
  const blockSizes = children.map(({ size }) => BigInt(size));
  const Data = new UnixFS({ type, blockSizes }).marshal();
  const Links = children.map(({ cid }) => ({ Name: '', Hash: CID.parse(cid), Tsize: 0 }));
  const bytes = encode(prepare({ Data, Links }));
  const cid = CID.createV1(0x70, createDigest(0x12, sha256(bytes))).toString();
  await store.putBlock(cid, bytes);
  return cid;
}

async function drain(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source) void _;
}

describe('graphs', () => {
  test('a node that claims other sizes than its children have is storage.bad_dag', async () => {
    const store = open();
    const { cid, size } = await store.put(seededBytes('leaf', 1000));
    for (const claimed of [size - 1, size + 1, 2 ** 52]) {
      const root = await putNode(store, [{ cid, size: claimed }]);
      expect(await codeOf(collectBytes(store.get(root, { end: 10 })))).toBe('storage.bad_dag');
    }
    const honest = await putNode(store, [{ cid, size }]);
    expectSame(await collectBytes(store.get(honest)), seededBytes('leaf', 1000));
  });

  test('a graph that doubles at every level is walked once a block, and read only as far as asked', async () => {
    const store = open();
    let { cid, size } = await store.put(seededBytes('bomb', 64));
    for (let level = 0; level < DAG_DEPTH_MAX - 1; level++) {
      cid = await putNode(store, [
        { cid, size },
        { cid, size },
      ]);
      size *= 2;
    }
    expect(await store.has(cid)).toBe(true);
    expect((await store.stat(cid)).blocks).toBe(DAG_DEPTH_MAX);
    expect(await collectBytes(store.get(cid, { start: size - 100 }))).toHaveLength(100);
    const deeper = await putNode(store, [{ cid, size }]);
    expect(await codeOf(store.has(deeper))).toBe('storage.bad_dag');
    expect(await codeOf(collectBytes(store.get(deeper, { end: 1 })))).toBe('storage.bad_dag');
  });

  test('a directory and a node of garbage are not read as files', async () => {
    const store = open();
    const directory = await putNode(store, [], 'directory');
    expect(await codeOf(collectBytes(store.get(directory)))).toBe('storage.bad_dag');
    const garbage = seededBytes('garbage', 100);
    const cid = CID.createV1(0x70, createDigest(0x12, sha256(garbage))).toString();
    await store.putBlock(cid, garbage);
    expect(await codeOf(collectBytes(store.get(cid)))).toBe('storage.bad_dag');
    expect(await codeOf(store.has(cid))).toBe('storage.bad_dag');
  });

  test('links to kinds of blocks that are not stored here are storage.bad_dag', async () => {
    const store = open();
    const identity = CID.createV1(0x55, createDigest(0, new Uint8Array(4))).toString();
    const root = await putNode(store, [{ cid: identity, size: 4 }]);
    expect(await codeOf(store.has(root))).toBe('storage.bad_dag');
  });
});

describe('CAR streams', () => {
  const read = (...chunks: Uint8Array[]) => drain(readCar(streamOf(chunks)));

  test('a section at the limit is read and one above is refused before it is buffered', async () => {
    const atLimit = new Uint8Array(BLOCK_BYTES_MAX);
    await read(carHeader([]), carSection({ cid: rawCid(atLimit), bytes: atLimit }));
    let given = 0;
    async function* announced() {
      yield carHeader([]);
      yield Uint8Array.of(0xff, 0xff, 0xff, 0x7f);
      for (; given < 100; given++) yield new Uint8Array(CHUNK_BYTES);
    }
    expect(await codeOf(drain(readCar(announced())))).toBe('storage.car_malformed');
    expect(given).toBe(0);
  });

  test('a header at the limit is read and one above is refused', async () => {
    const roots = (count: number): Cid[] => Array.from({ length: count }, () => rawCid(new Uint8Array()));
    const perRoot = carHeader(roots(1001)).length - carHeader(roots(1000)).length;
    const fitting = Math.floor(CAR_HEADER_BYTES_MAX / perRoot) - 1;
    await read(carHeader(roots(fitting)));
    expect(await codeOf(read(carHeader(roots(fitting + 3))))).toBe('storage.car_malformed');
  });

  test('torn, empty, overlong and foreign forms are storage.car_malformed', async () => {
    const block = seededBytes('block', 100);
    const whole = Buffer.concat([carHeader([]), carSection({ cid: rawCid(block), bytes: block })]);
    const version2 = Uint8Array.from(Buffer.from('0aa16776657273696f6e02', 'hex'));
    for (const bytes of [
      whole.subarray(0, -1),
      whole.subarray(0, carHeader([]).length + 1),
      Buffer.concat([whole, Buffer.of(0)]),
      Buffer.concat([whole, Buffer.of(0x85)]),
      Buffer.concat([carHeader([]), Buffer.of(0x80, 0x80, 0x80, 0x80, 0x00)]),
      Buffer.concat([carHeader([]), Buffer.of(3, 1, 2, 3)]),
      version2,
      Buffer.of(1, 0xff),
    ]) {
      expect(await codeOf(read(new Uint8Array(bytes)))).toBe('storage.car_malformed');
    }
  });

  test('a stream cut anywhere into any pieces reads alike', async () => {
    const blocks = [0, 1, 127, 128, 5000].map((size) => seededBytes(`cut ${size}`, size));
    const sections = blocks.map((bytes) => carSection({ cid: rawCid(bytes), bytes }));
    const car = new Uint8Array(Buffer.concat([carHeader([rawCid(blocks[1])]), ...sections]));
    for (const size of [1, 2, 3, 7, 64, 1000, car.length]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < car.length; at += size) pieces.push(car.slice(at, at + size));
      const got: Uint8Array[] = [];
      for await (const part of readCar(streamOf(pieces))) if (!('roots' in part)) got.push(part.bytes);
      expect(got).toEqual(blocks);
    }
  });
});

describe('a reader that is slow', () => {
  test('does not make the store read ahead: 192 MiB pass through at a few blocks of memory', async () => {
    const store = open();
    const size = 192 * CHUNK_BYTES;
    const block = seededBytes('slow', CHUNK_BYTES);
    async function* source() {
      for (let i = 0; i < 192; i++) {
        block[i] ^= 255;
        yield block.slice();
      }
    }
    const { cid } = await store.put(source());
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    let length = 0;
    for await (const chunk of store.get(cid)) {
      length += chunk.length;
      // Several turns of the loop in which a greedy reader would fetch on.
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    }
    expect(length).toBe(size);
    expect(peak).toBeLessThan(100 * CHUNK_BYTES);
  });
});
