/**
 * A real Kubo daemon that is killed in the middle of work, restarted, or has a full disk: one clear error after bounded attempts,
 * nothing half committed, and the store goes on as soon as the daemon does.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from 'kubo-rpc-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CHUNK_BYTES, kuboStore, openEmbeddedStore } from '../../src/storage/index.ts';
import { SmallDisk } from '../faults/small-disk.ts';
import { type KuboDaemon, kuboBinary, startKubo } from './kubo-daemon.ts';
import { closing, codeOf, collectBytes, expectSame, seededBytes, temporaryDirectory } from './support.ts';

const binary = kuboBinary();
/** How long a caller may wait for the error of a daemon that is gone: four attempts and their pauses. */
const ERROR_MS_MAX = 10_000;
const LARGE = 24;

/** Names of the pins that are ours: a new repository has one of its own, without a name. */
async function pinNames(url: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of create({ url }).pin.ls({ type: 'recursive', names: true }))
    if (name !== undefined) names.push(name);
  return names;
}

/** `count` chunks, calling `between` before the one at `at`. */
async function* chunks(
  name: string,
  count: number,
  at: number,
  between: () => Promise<unknown>,
): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    if (i === at) await between();
    yield seededBytes(`${name} ${i}`, CHUNK_BYTES);
  }
}

async function timed<T>(work: Promise<T>): Promise<{ value: T; ms: number }> {
  const began = performance.now();
  return { value: await work, ms: performance.now() - began };
}

describe.skipIf(binary === undefined)('a Kubo daemon that dies (needs HIPPOCRYPT_KUBO)', () => {
  let daemon: KuboDaemon;
  beforeEach(async () => {
    daemon = await startKubo(binary ?? '');
  });
  afterEach(() => daemon.stop());

  test.each([0, 1, 7, LARGE - 1])(
    'in the middle of a put, before chunk %i: an error at once, no pin, and the same put succeeds after a restart',
    async (at) => {
      const store = closing(await kuboStore({ url: daemon.url }));
      const before = await store.put(seededBytes('before', 5000));
      const failed = await timed(codeOf(store.put(chunks('killed', LARGE, at, () => daemon.kill()))));
      expect(failed.value).toBe('storage.kubo_unreachable');
      expect(failed.ms).toBeLessThan(ERROR_MS_MAX);
      expect(await codeOf(store.has(before.cid))).toBe('storage.kubo_unreachable');

      await daemon.restart();
      expect(await pinNames(daemon.url)).toEqual(['hippocrypt']);
      expectSame(await collectBytes(store.get(before.cid)), seededBytes('before', 5000));
      const again = await store.put(chunks('killed', LARGE, -1, async () => undefined));
      const here = closing(openEmbeddedStore(temporaryDirectory()));
      expect(again.cid).toBe((await here.put(chunks('killed', LARGE, -1, async () => undefined))).cid);
      expect(await store.has(again.cid)).toBe(true);
      // What the killed upload left is nobody's: a collection removes it, and nothing that is kept.
      for (const now of [1, 2]) await store.collect([again.cid], 0, now);
      expect(await store.has(again.cid)).toBe(true);
      expect(await store.has(before.cid)).toBe(false);
    },
  );

  test('in the middle of a bulk import: no record of it is kept', async () => {
    const store = closing(await kuboStore({ url: daemon.url }));
    const items = Array.from({ length: 3000 }, (_, i) => seededBytes(`bulk ${i}`, 4096));
    const putting = codeOf(store.putMany(items));
    await daemon.kill();
    expect(['storage.kubo_unreachable', 'storage.kubo_timeout']).toContain(await putting);
    await daemon.restart();
    expect(await pinNames(daemon.url)).toEqual([]);
    expect(await store.putMany(items)).toHaveLength(3000);
  });

  test('in the middle of a get: what came is right, then one clear error; after a restart the whole', async () => {
    const store = closing(await kuboStore({ url: daemon.url }));
    const bytes = seededBytes('read', 8 * CHUNK_BYTES);
    const { cid } = await store.put(bytes);
    let got = 0;
    const reading = (async () => {
      for await (const chunk of store.get(cid)) {
        expectSame(chunk, bytes.subarray(got, got + chunk.length));
        got += chunk.length;
        if (got === 3 * CHUNK_BYTES) await daemon.kill();
      }
    })();
    const failed = await timed(codeOf(reading));
    expect(failed.value).toBe('storage.kubo_unreachable');
    expect(failed.ms).toBeLessThan(ERROR_MS_MAX);
    expect(got).toBeGreaterThanOrEqual(3 * CHUNK_BYTES);
    expect(got).toBeLessThan(bytes.length);
    await daemon.restart();
    expectSame(await collectBytes(store.get(cid)), bytes);
  });

  test('and comes back within the attempts of a call: the caller notices nothing', async () => {
    const store = closing(await kuboStore({ url: daemon.url, timeoutMs: 20_000 }));
    const { cid } = await store.put(seededBytes('patient', 3000));
    daemon.pause();
    const reading = collectBytes(store.get(cid));
    daemon.resume();
    expectSame(await reading, seededBytes('patient', 3000));
  });
});

const place = mkdtempSync(join(tmpdir(), 'hippocrypt-kubo-disk-'));
const disk = binary === undefined ? undefined : SmallDisk.mount(join(place, 'disk'), 160 * 1024 * 1024);
if (disk === undefined) rmSync(place, { recursive: true, force: true });

describe.skipIf(disk === undefined)(
  'a Kubo daemon whose disk fills up (needs HIPPOCRYPT_KUBO and the right to mount)',
  () => {
    let daemon: KuboDaemon;
    beforeAll(async () => {
      daemon = await startKubo(binary ?? '', {}, disk?.dir);
    });
    afterAll(async () => {
      disk?.empty();
      await daemon.stop();
      disk?.unmount();
      rmSync(place, { recursive: true, force: true });
    });

    test('says storage.full, keeps nothing of the object, gives what it had, and takes objects again when there is room', async () => {
      const store = closing(await kuboStore({ url: daemon.url }));
      const kept = await store.put(seededBytes('kept', 5 * CHUNK_BYTES));
      disk?.fill(8 * 1024 * 1024);
      expect(await codeOf(store.put(chunks('too much', 40, -1, async () => undefined)))).toBe('storage.full');
      expect(await pinNames(daemon.url)).toEqual(['hippocrypt']);
      expectSame(await collectBytes(store.get(kept.cid)), seededBytes('kept', 5 * CHUNK_BYTES));
      disk?.empty();
      const again = await store.put(chunks('too much', 40, -1, async () => undefined));
      expect(await store.has(again.cid)).toBe(true);
    });
  },
);
