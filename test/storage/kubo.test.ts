import { create, type KuboRPCClient } from 'kubo-rpc-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  CHUNK_BYTES,
  fetchFromPeers,
  handleIpfsRequest,
  kuboStore,
  openEmbeddedStore,
} from '../../src/storage/index.ts';
import { readCar } from '../../src/storage/payload/car.ts';
import { type KuboDaemon, kuboBinary, startKubo } from './kubo-daemon.ts';
import { payloadContract } from './payload-contract.ts';
import {
  closing,
  codeOf,
  collectBytes,
  expectSame,
  seededBytes,
  streamOf,
  temporaryDirectory,
} from './support.ts';

const binary = kuboBinary();

async function namesOfPins(client: KuboRPCClient): Promise<(string | undefined)[]> {
  const names: (string | undefined)[] = [];
  for await (const { name } of client.pin.ls({ type: 'recursive', names: true })) names.push(name);
  return names;
}

async function blocksOf(car: AsyncIterable<Uint8Array>): Promise<string[]> {
  const cids: string[] = [];
  for await (const part of readCar(car)) if (!('roots' in part)) cids.push(part.cid.toString());
  return cids;
}

describe.skipIf(binary === undefined)('over a real Kubo daemon (needs HIPPOCRYPT_KUBO)', () => {
  const daemons: KuboDaemon[] = [];
  let opened = 0;
  const open = async () => {
    const daemon = daemons[opened++ % daemons.length];
    await daemon.wipe();
    return closing(await kuboStore({ url: daemon.url }));
  };

  beforeAll(async () => {
    for (let i = 0; i < 2; i++) daemons.push(await startKubo(binary ?? ''));
  });
  afterAll(async () => {
    for (const daemon of daemons) await daemon.stop();
  });

  payloadContract('kubo', open);

  test('names every object as the embedded store does, and as `ipfs add` under the profile does', async () => {
    const store = await open();
    const embedded = closing(openEmbeddedStore(temporaryDirectory()));
    const client = create({ url: daemons[(opened - 1) % daemons.length].url });
    const profile = {
      cidVersion: 1,
      rawLeaves: true,
      chunker: `size-${CHUNK_BYTES}`,
      maxFileLinks: 1024,
    } as const;
    for (const size of [0, 1, 5000, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 7]) {
      const bytes = seededBytes(`equal ${size}`, size);
      const { cid } = await store.put(bytes);
      expect((await embedded.put(bytes)).cid).toBe(cid);
      expect((await client.add(bytes, profile)).cid.toString()).toBe(cid);
    }
  });

  test('a file that the daemon added under other settings is read too', async () => {
    const store = await open();
    const client = create({ url: daemons[(opened - 1) % daemons.length].url });
    const bytes = seededBytes('legacy', 700_000);
    const { cid } = await client.add(bytes, { cidVersion: 0, chunker: 'size-262144', rawLeaves: false });
    expectSame(await collectBytes(store.get(cid.toString())), bytes);
  });

  test('pins of others stay when a collection removes ours', async () => {
    const store = await open();
    const client = create({ url: daemons[(opened - 1) % daemons.length].url });
    const theirs = await client.add(seededBytes('theirs', 1000), { cidVersion: 1, rawLeaves: true });
    const ours = await store.put(seededBytes('ours', 1000));
    await store.collect([], 0, 1);
    expect(await store.collect([], 0, 2)).toEqual({ removed: 1, kept: 0 });
    expect(await store.has(ours.cid)).toBe(false);
    expect(await store.has(theirs.cid.toString())).toBe(true);
  });

  test('a bulk import is one pin, and its objects are collected one by one', async () => {
    const store = await open();
    const client = create({ url: daemons[(opened - 1) % daemons.length].url });
    const items = Array.from({ length: 40 }, (_, i) => seededBytes(`bulk ${i}`, 100 + i));
    const cids = (await store.putMany(items)).map(({ cid }) => cid);
    expect(await namesOfPins(client)).toEqual(['hippocrypt']);
    const live = cids.slice(0, 30);
    expect(await store.collect(live, 1000, 0)).toEqual({ removed: 0, kept: 1 });
    expect(await store.collect(live, 1000, 999)).toEqual({ removed: 0, kept: 1 });
    expect(await store.collect(live, 1000, 1000)).toEqual({ removed: 1, kept: 0 });
    for (const [i, cid] of cids.entries()) expect(await store.has(cid)).toBe(i < 30);
    expect(await store.collect(live.slice(0, 3), 0, 2000)).toEqual({ removed: 0, kept: 1 });
    expect(await store.collect(live.slice(0, 3), 0, 3000)).toEqual({ removed: 1, kept: 0 });
    expect(await namesOfPins(client)).toEqual(['hippocrypt', 'hippocrypt', 'hippocrypt']);
    for (const [i, cid] of cids.entries()) expect(await store.has(cid)).toBe(i < 3);
  });

  test('an object that came block by block outlives collections while it is live', async () => {
    const [from, to] = [closing(openEmbeddedStore(temporaryDirectory())), await open()];
    const bytes = seededBytes('block by block', 3 * CHUNK_BYTES);
    const { cid } = await from.put(bytes);
    for await (const part of readCar(from.exportCar([cid]))) {
      if (!('roots' in part)) await to.putBlock(part.cid.toString(), part.bytes);
    }
    for (let now = 0; now < 5; now++) await to.collect([cid], 0, now);
    expectSame(await collectBytes(to.get(cid)), bytes);
    for (let now = 5; now < 8; now++) await to.collect([], 0, now);
    expect(await to.has(cid)).toBe(false);
  });

  test('an upload whose source fails leaves no pin', async () => {
    const store = await open();
    const client = create({ url: daemons[(opened - 1) % daemons.length].url });
    async function* failing() {
      yield seededBytes('half', 3 * CHUNK_BYTES);
      throw new RangeError('the source broke');
    }
    await expect(store.put(failing())).rejects.toThrow('the source broke');
    expect(await namesOfPins(client)).toEqual([]);
  });

  test('neither an erasure nor an upload waits for a sender that sends slowly, and a collection not for long', async () => {
    const daemon = daemons[opened++ % daemons.length];
    await daemon.wipe();
    const store = closing(await kuboStore({ url: daemon.url, timeoutMs: 2_000 }));
    const erased = await store.put(seededBytes('erased', 5000));
    const dead = await store.put(seededBytes('dead', 5000));
    await store.collect([erased.cid], 0, 1);
    const parts = [
      seededBytes('slow 0', CHUNK_BYTES),
      seededBytes('slow 1', CHUNK_BYTES),
      seededBytes('slow 2', 77),
    ];
    let sendRest: () => void = () => undefined;
    const rest = new Promise<void>((resolve) => {
      sendRest = resolve;
    });
    let begun: () => void = () => undefined;
    const sending = new Promise<void>((resolve) => {
      begun = resolve;
    });
    async function* slowly() {
      yield parts[0];
      yield parts[1];
      begun();
      await rest;
      yield parts[2];
    }
    const slow = store.put(slowly());
    await sending;
    expect(await store.remove([erased.cid], [])).toBeGreaterThan(0);
    expect(await store.has(erased.cid)).toBe(false);
    // What is dead stays for a later run, and an upload that comes meanwhile waits no longer than for it.
    const [collected, other] = await Promise.all([
      store.collect([], 0, 2),
      store.put(seededBytes('other', 3000)),
    ]);
    expect(collected.removed).toBe(0);
    expect(await store.has(dead.cid)).toBe(true);
    sendRest();
    const { cid } = await slow;
    expect((await store.collect([cid, other.cid], 0, 3)).removed).toBeGreaterThan(0);
    expect(await store.has(dead.cid)).toBe(false);
    expectSame(await collectBytes(store.get(cid)), new Uint8Array(Buffer.concat(parts)));
    expectSame(await collectBytes(store.get(other.cid)), seededBytes('other', 3000));
  });

  test('an upload that loses a block to an erasure before its end is refused, and can be sent again', async () => {
    const store = await open();
    const block = seededBytes('shared', CHUNK_BYTES);
    const first = await store.put(block);
    let sendRest: () => void = () => undefined;
    const rest = new Promise<void>((resolve) => {
      sendRest = resolve;
    });
    let begun: () => void = () => undefined;
    const sending = new Promise<void>((resolve) => {
      begun = resolve;
    });
    async function* source() {
      yield block;
      yield seededBytes('second', CHUNK_BYTES);
      begun();
      await rest;
      yield seededBytes('third', 10);
    }
    const uploading = store.put(source());
    await sending;
    await store.remove([first.cid], []);
    sendRest();
    const outcome = await uploading.then(
      ({ cid }) => cid,
      (error: unknown) => error,
    );
    if (typeof outcome === 'string')
      expect(await collectBytes(store.get(outcome))).toHaveLength(2 * CHUNK_BYTES + 10);
    else expect(outcome).toMatchObject({ code: expect.stringMatching(/^storage\.(not_found|kubo_failed)$/) });
    const again = await store.put(
      streamOf([block, seededBytes('second', CHUNK_BYTES), seededBytes('third', 10)]),
    );
    expect(await collectBytes(store.get(again.cid))).toHaveLength(2 * CHUNK_BYTES + 10);
  });

  test('a daemon that stops answering is storage.kubo_timeout, for reads and in the middle of an upload', async () => {
    const daemon = await startKubo(binary ?? '');
    try {
      const store = closing(await kuboStore({ url: daemon.url, timeoutMs: 300 }));
      const { cid } = await store.put(seededBytes('before', 100));
      async function* stopping() {
        yield seededBytes('first', CHUNK_BYTES);
        daemon.pause();
        for (let i = 0; i < 64; i++) yield seededBytes('more', CHUNK_BYTES);
      }
      expect(await codeOf(store.put(stopping()))).toBe('storage.kubo_timeout');
      expect(await codeOf(store.getBlock(cid))).toBe('storage.kubo_timeout');
      daemon.resume();
      expectSame(await collectBytes(store.get(cid)), seededBytes('before', 100));
    } finally {
      await daemon.stop();
    }
  });

  describe("beside Kubo's own trustless gateway", () => {
    let daemon: KuboDaemon;
    beforeAll(async () => {
      daemon = await startKubo(binary ?? '', { 'Addresses.Gateway': '/ip4/127.0.0.1/tcp/0' });
    });
    afterAll(() => daemon.stop());

    const get = async (path: string) => {
      const response = await fetch(`${daemon.gatewayUrl}${path}`);
      if (response.body === null) throw new Error('an answer without a body');
      return { status: response.status, body: response.body };
    };

    test('an embedded store fetches an object from it', async () => {
      const bytes = seededBytes('from kubo', 4 * CHUNK_BYTES + 3);
      const { cid } = await closing(await kuboStore({ url: daemon.url })).put(bytes);
      const here = closing(openEmbeddedStore(temporaryDirectory()));
      await fetchFromPeers(here, [{ name: 'kubo', get }], cid, 6 * CHUNK_BYTES);
      expectSame(await collectBytes(here.get(cid)), bytes);
    });

    async function bothCars(query: string): Promise<{ ours: string[]; theirs: string[] }> {
      const bytes = seededBytes('compare', 4 * CHUNK_BYTES + 3);
      const { cid } = await closing(await kuboStore({ url: daemon.url })).put(bytes);
      const here = closing(openEmbeddedStore(temporaryDirectory()));
      await here.put(bytes);
      const path = `/ipfs/${cid}?format=car${query}`;
      const { searchParams } = new URL(path, 'http://gateway.invalid');
      const { body } = await handleIpfsRequest(here, {
        path: `/ipfs/${cid}`,
        query: searchParams,
        headers: {},
      });
      if (body instanceof Uint8Array) throw new Error('a CAR is a stream');
      return { ours: await blocksOf(body), theirs: await blocksOf((await get(path)).body) };
    }

    test.each(['', '&dag-scope=block', '&dag-scope=entity', '&dag-scope=all', '&entity-bytes=0:*'])(
      'our CAR carries the blocks of its CAR in the same order: %s',
      async (query) => {
        const { ours, theirs } = await bothCars(query);
        expect(ours).toEqual(theirs);
      },
    );

    // Kubo's reader fetches ahead and puts what it fetched into the CAR; ours is the minimal set.
    test.each(['0:0', '-1:*', `${CHUNK_BYTES}:${2 * CHUNK_BYTES}`, `5:-${CHUNK_BYTES}`, `0:${2 ** 40}`])(
      'our CAR carries no block that its CAR lacks: entity-bytes=%s',
      async (range) => {
        const { ours, theirs } = await bothCars(`&entity-bytes=${range}`);
        expect(theirs).toEqual(expect.arrayContaining(ours));
        expect(ours.length).toBeGreaterThan(1);
      },
    );
  });

  test('credentials are sent, and refused ones are storage.kubo_refused', async () => {
    const daemon = await startKubo(binary ?? '', {
      'API.Authorizations': { node: { AuthSecret: 'basic:node:secret', AllowedPaths: ['/api/v0'] } },
    });
    try {
      const right = { username: 'node', password: 'secret' };
      const store = closing(await kuboStore({ url: daemon.url, credentials: right }));
      const { cid } = await store.put(seededBytes('auth', 100));
      expect(await store.has(cid)).toBe(true);
      for (const wrong of [{ username: 'node', password: 'guess' }, { bearer: 'guess' }]) {
        const refused = closing(await kuboStore({ url: daemon.url, credentials: wrong }));
        expect(await codeOf(refused.put(streamOf([seededBytes('auth', 10)])))).toBe('storage.kubo_refused');
        expect(await codeOf(refused.has(cid))).toBe('storage.kubo_refused');
      }
    } finally {
      await daemon.stop();
    }
  });
});

test('without a daemon every call is storage.kubo_unreachable', async () => {
  const store = closing(await kuboStore({ url: 'http://127.0.0.1:9' }));
  expect(await codeOf(store.put(seededBytes('nobody', 10)))).toBe('storage.kubo_unreachable');
  expect(await codeOf(store.has('bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'))).toBe(
    'storage.kubo_unreachable',
  );
});
