import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  HEADER_BYTES_MAX,
  headerHash,
  openHeaderStore,
  SPACE_RESERVE_BYTES,
} from '../../src/storage/index.ts';
import { closing, codeOf, diskHolds, seededBytes, seededRandom, temporaryDirectory } from './support.ts';

const header = (name: string, size = 700) => {
  const bytes = seededBytes(name, size);
  return { hash: headerHash(bytes), bytes };
};

describe('headers are addressed by hash', () => {
  test('one and many come back after reopening; putting again changes nothing', async () => {
    const dir = temporaryDirectory();
    const random = seededRandom('headers');
    const store = await openHeaderStore(dir, { random });
    const [one, two, three] = [header('one'), header('two'), header('three', 40_000)];
    await store.put(one.hash, one.bytes);
    await store.putMany([two, three, two, one]);
    await store.close();
    const again = closing(await openHeaderStore(dir, { random }));
    for (const { hash, bytes } of [one, two, three]) expect(await again.get(hash)).toEqual(bytes);
    expect(await again.get(header('four').hash)).toBeUndefined();
  });

  test('bytes under a foreign hash and headers above the limit are refused', async () => {
    const store = closing(await openHeaderStore(temporaryDirectory(), { random: seededRandom('h') }));
    expect(await codeOf(store.put(header('one').hash, header('two').bytes))).toBe('storage.hash_mismatch');
    const large = header('large', HEADER_BYTES_MAX);
    await store.put(large.hash, large.bytes);
    const larger = header('larger', HEADER_BYTES_MAX + 1);
    expect(await codeOf(store.put(larger.hash, larger.bytes))).toBe('storage.block_too_large');
  });
});

describe('deletion destroys', () => {
  test('no file of the store holds the header, its sealed bytes open under nothing, and its slot is zero', async () => {
    const dir = temporaryDirectory();
    const random = seededRandom('erase');
    const slotKey = seededRandom('erase')(32);
    const store = closing(await openHeaderStore(dir, { random }));
    const gone = header('gone');
    const kept = header('kept');
    await store.put(gone.hash, gone.bytes);
    await store.put(kept.hash, kept.bytes);
    expect(diskHolds(dir, slotKey)).toBe(true);
    await store.delete(gone.hash);
    expect(diskHolds(dir, slotKey)).toBe(false);
    expect(diskHolds(dir, gone.bytes.subarray(0, 24))).toBe(false);
    expect(await store.get(gone.hash)).toBeUndefined();
    expect(store.has(gone.hash)).toBe(false);
    expect(await store.get(kept.hash)).toEqual(kept.bytes);
  });

  test('a full disk does not stop deletion', async () => {
    let free = 2 * SPACE_RESERVE_BYTES;
    const options = { random: seededRandom('full'), freeBytes: () => free };
    const store = closing(await openHeaderStore(temporaryDirectory(), options));
    const one = header('one');
    await store.put(one.hash, one.bytes);
    free = 0;
    await store.delete(one.hash);
    expect(await store.get(one.hash)).toBeUndefined();
  });

  test('slots of deleted headers are used again, and never mixed up', async () => {
    const dir = temporaryDirectory();
    const store = closing(await openHeaderStore(dir, { random: seededRandom('again') }));
    const many = Array.from({ length: 1100 }, (_, i) => header(`h${i}`, 100));
    await store.putMany(many);
    const size = readFileSync(join(dir, 'keys.slots')).length;
    for (const { hash } of many.slice(0, 90)) await store.delete(hash);
    await store.putMany(Array.from({ length: 90 }, (_, i) => header(`new${i}`, 100)));
    expect(readFileSync(join(dir, 'keys.slots')).length).toBe(size);
    for (const { hash, bytes } of many.slice(90)) expect(await store.get(hash)).toEqual(bytes);
    expect(await store.get(header('new89', 100).hash)).toEqual(header('new89', 100).bytes);
  });

  test('a crash between overwriting the slot and removing the row is finished at the next opening', async () => {
    const dir = temporaryDirectory();
    const random = seededRandom('crash');
    const store = await openHeaderStore(dir, { random });
    const one = header('one');
    await store.put(one.hash, one.bytes);
    await store.close();
    const slots = readFileSync(join(dir, 'keys.slots'));
    writeFileSync(join(dir, 'keys.slots'), Buffer.alloc(slots.length));
    const again = closing(await openHeaderStore(dir, { random }));
    expect(again.has(one.hash)).toBe(false);
    await again.put(one.hash, one.bytes);
    expect(await again.get(one.hash)).toEqual(one.bytes);
  });

  test('a key whose row never committed is emptied at the next opening', async () => {
    const dir = temporaryDirectory();
    await (await openHeaderStore(dir, { random: seededRandom('orphan') })).close();
    const orphan = seededBytes('orphan key', 32);
    writeFileSync(join(dir, 'keys.slots'), Buffer.concat([orphan, Buffer.alloc(32)]));
    await (await openHeaderStore(dir, { random: seededRandom('orphan') })).close();
    expect(diskHolds(dir, orphan)).toBe(false);
  });

  test('a damaged slot is storage.corrupt, not a wrong header', async () => {
    const dir = temporaryDirectory();
    const store = await openHeaderStore(dir, { random: seededRandom('flip') });
    const one = header('one');
    await store.put(one.hash, one.bytes);
    await store.close();
    const path = join(dir, 'keys.slots');
    const slots = readFileSync(path);
    slots[0] ^= 1;
    writeFileSync(path, slots);
    const again = closing(await openHeaderStore(dir, { random: seededRandom('flip2') }));
    expect(await codeOf(again.get(one.hash))).toBe('storage.corrupt');
  });
});
