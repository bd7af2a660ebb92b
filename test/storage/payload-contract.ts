/** The claims that every payload store holds to; the embedded one and Kubo run the same list. */
import { CarReader } from '@ipld/car';
import { describe, expect, test } from 'vitest';
import { BLOCK_BYTES_MAX, CHUNK_BYTES, type PayloadStore } from '../../src/storage/index.ts';
import { rawCid } from '../../src/storage/payload/cid.ts';
import { chachaStream, codeOf, collectBytes, expectSame, seededBytes, streamOf } from './support.ts';

/** Sizes around one chunk, several chunks, and the empty object. */
const SIZES = [0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 7];

/** Runs the list; `open` gives an empty store that is closed by the caller's test hooks. */
export function payloadContract(name: string, open: () => Promise<PayloadStore>): void {
  describe(`${name}: payload store contract`, () => {
    test('what is put is got, whole, and put as stream or bytes names it alike', async () => {
      const store = await open();
      for (const size of SIZES) {
        const bytes = seededBytes(`size ${size}`, size);
        const stored = await store.put(bytes);
        expect(stored.size).toBe(size);
        expectSame(await collectBytes(store.get(stored.cid)), bytes);
        const streamed = await store.put(streamOf(chachaStream(`size ${size}`, size, 60_001)));
        expect(streamed).toEqual(stored);
        expect(await store.has(stored.cid)).toBe(true);
        expect((await store.stat(stored.cid)).size).toBe(size);
      }
    });

    test('stat counts distinct blocks', async () => {
      const store = await open();
      const distinct = await store.put(seededBytes('distinct', 3 * CHUNK_BYTES));
      expect(await store.stat(distinct.cid)).toEqual({ size: 3 * CHUNK_BYTES, blocks: 4 });
      const repeated = await store.put(new Uint8Array(3 * CHUNK_BYTES));
      expect(await store.stat(repeated.cid)).toEqual({ size: 3 * CHUNK_BYTES, blocks: 2 });
    });

    test('a range gives exactly its bytes', async () => {
      const store = await open();
      const bytes = seededBytes('ranges', 3 * CHUNK_BYTES + 7);
      const { cid } = await store.put(bytes);
      const cuts = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, bytes.length];
      for (const start of cuts) {
        for (const end of cuts) {
          if (start > end) continue;
          expectSame(await collectBytes(store.get(cid, { start, end })), bytes.slice(start, end));
        }
      }
      expectSame(await collectBytes(store.get(cid, { start: 5 })), bytes.slice(5));
      const beyond = { start: bytes.length - 2, end: bytes.length + 99 };
      expectSame(await collectBytes(store.get(cid, beyond)), bytes.slice(-2));
    });

    test('a range outside the object is storage.bad_range', async () => {
      const store = await open();
      const { cid } = await store.put(seededBytes('small', 10));
      for (const range of [{ start: 11 }, { start: -1 }, { start: 5, end: 4 }, { start: 0.5 }]) {
        expect(await codeOf(collectBytes(store.get(cid, range)))).toBe('storage.bad_range');
      }
    });

    test('what is not here is storage.not_found, and has says no', async () => {
      const store = await open();
      const cid = rawCid(seededBytes('absent', 10)).toString();
      expect(await store.has(cid)).toBe(false);
      expect(await store.getBlock(cid)).toBeUndefined();
      expect(await codeOf(collectBytes(store.get(cid)))).toBe('storage.not_found');
      expect(await codeOf(store.stat(cid))).toBe('storage.not_found');
      expect(await codeOf(collectBytes(store.exportCar([cid])))).toBe('storage.not_found');
    });

    test('text that is no stored kind of CID is storage.bad_cid', async () => {
      const store = await open();
      const sha512 =
        'bafkrgqe3ohjcjplc6n4f3fwunlj6upltggn7xqujbsvnvyw764srszz4u4rshq6ztos4chl4plgg4ffyyxnayrtdi5oc4xb2332g645433aeg';
      for (const text of ['', 'nonsense', 'b'.repeat(4096), sha512]) {
        expect(await codeOf(store.getBlock(text))).toBe('storage.bad_cid');
      }
    });

    test('putMany stores each item under the CID that put gives it', async () => {
      const store = await open();
      const items = Array.from({ length: 50 }, (_, i) => seededBytes(`item ${i}`, 200 + i));
      items.push(seededBytes('large item', CHUNK_BYTES + 5), items[0]);
      const stored = await store.putMany(items);
      expect(stored.map(({ size }) => size)).toEqual(items.map((item) => item.length));
      for (const [i, { cid }] of stored.entries()) {
        expectSame(await collectBytes(store.get(cid)), items[i]);
      }
      expect(stored[0]).toEqual(stored.at(-1));
      expect(await store.putMany([])).toEqual([]);
    });

    test('a block goes in only under its own CID and within the limit', async () => {
      const store = await open();
      const bytes = seededBytes('block', 500);
      const cid = rawCid(bytes).toString();
      expect(await codeOf(store.putBlock(cid, seededBytes('other', 500)))).toBe('storage.hash_mismatch');
      expect(await store.getBlock(cid)).toBeUndefined();
      await store.putBlock(cid, bytes);
      expectSame(await store.getBlock(cid), bytes);
      const atLimit = new Uint8Array(BLOCK_BYTES_MAX);
      await store.putBlock(rawCid(atLimit).toString(), atLimit);
      const above = new Uint8Array(BLOCK_BYTES_MAX + 1);
      expect(await codeOf(store.putBlock(rawCid(above).toString(), above))).toBe('storage.block_too_large');
    });

    test('a source that fails leaves nothing visible, and its error comes through', async () => {
      const store = await open();
      const bytes = seededBytes('fails', 2 * CHUNK_BYTES);
      async function* failing() {
        yield bytes;
        throw new RangeError('the source broke');
      }
      await expect(store.put(failing())).rejects.toThrow('the source broke');
      const { cid } = await store.put(seededBytes('after', 10));
      expect(await store.has(cid)).toBe(true);
    });

    test('a CAR carries complete objects into another store', async () => {
      const [from, to] = [await open(), await open()];
      const large = await from.put(seededBytes('car', 2 * CHUNK_BYTES + 9));
      const small = await from.put(seededBytes('car small', 99));
      const car = await collectBytes(from.exportCar([large.cid, small.cid]));
      const reader = await CarReader.fromBytes(car);
      expect((await reader.getRoots()).map(String)).toEqual([large.cid, small.cid]);
      const roots = await to.importCar(streamOf(cut(car, 70_001)));
      expect(roots).toEqual([large.cid, small.cid]);
      expectSame(await collectBytes(to.get(large.cid)), seededBytes('car', 2 * CHUNK_BYTES + 9));
      expect(await to.has(small.cid)).toBe(true);
    });

    test('a CAR with a flipped bit, a cut end or a missing block is refused by name', async () => {
      const [from, to] = [await open(), await open()];
      const bytes = seededBytes('bad car', 2 * CHUNK_BYTES);
      const { cid } = await from.put(bytes);
      const car = await collectBytes(from.exportCar([cid]));
      const flipped = car.slice();
      flipped[flipped.length - 1] ^= 1;
      expect(await codeOf(to.importCar(streamOf([flipped])))).toBe('storage.hash_mismatch');
      expect(await codeOf(to.importCar(streamOf([car.slice(0, -1)])))).toBe('storage.car_malformed');
      expect(await codeOf(to.importCar(streamOf([])))).toBe('storage.car_malformed');
      const lastSection = CHUNK_BYTES + 36 + 3;
      expect(await codeOf(to.importCar(streamOf([car.slice(0, -lastSection)])))).toBe('storage.not_found');
      expect(await to.has(cid)).toBe(false);
    });

    test('collection removes what no live CID reaches, not before a second look after the grace', async () => {
      const store = await open();
      const live = await store.put(seededBytes('live', 2 * CHUNK_BYTES));
      const dead = await store.put(seededBytes('dead', 2 * CHUNK_BYTES));
      const small = await store.put(seededBytes('dead small', 100));
      const day = 86_400_000;
      expect((await store.collect([live.cid], day, 1000)).removed).toBe(0);
      expect((await store.collect([live.cid], day, day)).removed).toBe(0);
      expect(await store.has(dead.cid)).toBe(true);
      expect((await store.collect([live.cid], day, day + 1000)).removed).toBeGreaterThan(0);
      expect(await store.has(dead.cid)).toBe(false);
      expect(await store.has(small.cid)).toBe(false);
      expectSame(await collectBytes(store.get(live.cid)), seededBytes('live', 2 * CHUNK_BYTES));
    });

    test('removal takes objects at once, and no block that a live one shares', async () => {
      const store = await open();
      const shared = seededBytes('shared', 2 * CHUNK_BYTES);
      const own = seededBytes('own', CHUNK_BYTES);
      const doomed = await store.put(streamOf([shared, own]));
      const live = await store.put(shared);
      const small = await store.put(seededBytes('small', 300));
      const [, bystander] = await store.putMany([seededBytes('a', 300), seededBytes('b', 300)]);
      // Two leaves stay with the live object: the root and one leaf go, and the small one.
      expect(await store.remove([doomed.cid, small.cid], [live.cid, bystander.cid])).toBe(3);
      for (const { cid } of [doomed, small]) expect(await store.has(cid)).toBe(false);
      expectSame(await collectBytes(store.get(live.cid)), shared);
      expectSame(await collectBytes(store.get(bystander.cid)), seededBytes('b', 300));
      expect(await store.remove([doomed.cid], [live.cid])).toBe(0);
      expect((await store.put(streamOf([shared, own]))).cid).toBe(doomed.cid);
      expectSame((await collectBytes(store.get(doomed.cid))).subarray(2 * CHUNK_BYTES), own);
    });

    test('removal of one object of a bulk import leaves the others', async () => {
      const store = await open();
      const items = Array.from({ length: 20 }, (_, i) => seededBytes(`one of many ${i}`, 200));
      const cids = (await store.putMany(items)).map(({ cid }) => cid);
      expect(await store.remove([cids[7]], [...cids.slice(0, 7), ...cids.slice(8)])).toBe(1);
      for (const now of [1, 2])
        await store.collect(
          cids.filter((_, i) => i !== 7),
          0,
          now,
        );
      for (const [i, cid] of cids.entries()) expect(await store.has(cid)).toBe(i !== 7);
    });

    test('storing again clears the mark of the first look', async () => {
      const store = await open();
      const bytes = seededBytes('again', 2 * CHUNK_BYTES);
      const { cid } = await store.put(bytes);
      await store.collect([], 1000, 0);
      await store.put(bytes);
      expect((await store.collect([], 1000, 5000)).removed).toBe(0);
      expect(await store.has(cid)).toBe(true);
      await store.collect([], 1000, 9000);
      expect(await store.has(cid)).toBe(false);
    });

    test('a list of live objects that breaks off removes nothing', async () => {
      const store = await open();
      const { cid } = await store.put(seededBytes('kept', 100));
      await store.collect([], 0, 0);
      async function* broken(): AsyncGenerator<string> {
        yield cid;
        throw new Error('the ledger is away');
      }
      await expect(store.collect(broken(), 0, 10)).rejects.toThrow('the ledger is away');
      expect(await store.has(cid)).toBe(true);
    });
  });
}

function* cut(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}
