import { writeFileSync } from 'node:fs';
import { CarReader } from '@ipld/car';
import { encode, prepare } from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/codec/hash.ts';
import {
  BLOCK_BYTES_MAX,
  type BlockPeer,
  CHUNK_BYTES,
  fetchFromPeers,
  handleIpfsRequest,
  type IpfsResponse,
  openEmbeddedStore,
  type PayloadStore,
  replicasFor,
} from '../../src/storage/index.ts';
import { rawCid } from '../../src/storage/payload/cid.ts';
import {
  closing,
  codeOf,
  collectBytes,
  expectSame,
  filesBelow,
  seededBytes,
  streamOf,
  temporaryDirectory,
} from './support.ts';

const open = () => closing(openEmbeddedStore(temporaryDirectory()));
const CAR = { accept: 'application/vnd.ipld.car' };
const RAW = { accept: 'application/vnd.ipld.raw' };

function ask(store: PayloadStore, url: string, headers: Record<string, string> = {}): Promise<IpfsResponse> {
  const { pathname, searchParams } = new URL(url, 'http://gateway.invalid');
  return handleIpfsRequest(store, { path: pathname, query: searchParams, headers });
}

const bodyOf = ({ body }: IpfsResponse) =>
  body instanceof Uint8Array ? Promise.resolve(body) : collectBytes(body);

async function blocksOf(response: IpfsResponse): Promise<string[]> {
  const reader = await CarReader.fromBytes(await bodyOf(response));
  const names: string[] = [];
  for await (const { cid, bytes } of reader.blocks()) {
    expect(Buffer.compare(cid.multihash.digest, sha256(bytes))).toBe(0);
    names.push(cid.toString());
  }
  return names;
}

/** Stores a basic UnixFS directory over stored objects. */
async function putDirectory(store: PayloadStore, entries: Record<string, string>): Promise<string> {
  const Links = Object.entries(entries).map(([Name, cid]) => ({ Name, Hash: CID.parse(cid), Tsize: 0 }));
  const bytes = encode(prepare({ Data: new UnixFS({ type: 'directory' }).marshal(), Links }));
  const cid = CID.createV1(0x70, createDigest(0x12, sha256(bytes))).toString();
  await store.putBlock(cid, bytes);
  return cid;
}

describe('trustless gateway: raw blocks', () => {
  test('format=raw gives the block with the headers that the specification requires', async () => {
    const store = open();
    const { cid } = await store.put(seededBytes('raw', 1000));
    const response = await ask(store, `/ipfs/${cid}?format=raw`, CAR);
    expect(response.status).toBe(200);
    expectSame(await bodyOf(response), seededBytes('raw', 1000));
    expect(response.headers).toMatchObject({
      'content-type': 'application/vnd.ipld.raw',
      'content-disposition': `attachment; filename="${cid}.bin"`,
      'content-length': '1000',
      'cache-control': 'public, max-age=29030400, immutable',
      'x-content-type-options': 'nosniff',
      etag: `"${cid}.raw"`,
      'accept-ranges': 'bytes',
    });
    expect((await ask(store, `/ipfs/${cid}`, RAW)).status).toBe(200);
  });

  test('If-None-Match answers 304 without a body', async () => {
    const store = open();
    const { cid } = await store.put(seededBytes('etag', 10));
    const response = await ask(store, `/ipfs/${cid}?format=raw`, { 'if-none-match': `"x", W/"${cid}.raw"` });
    expect(response.status).toBe(304);
    expect(await bodyOf(response)).toHaveLength(0);
  });

  test.each([
    ['bytes=0-0', 206, 0, 1, 'bytes 0-0/1000'],
    ['bytes=10-', 206, 10, 1000, 'bytes 10-999/1000'],
    ['bytes=-5', 206, 995, 1000, 'bytes 995-999/1000'],
    ['bytes=990-2000', 206, 990, 1000, 'bytes 990-999/1000'],
    ['bytes=1000-', 416, 0, 0, 'bytes */1000'],
    ['bytes=5-4', 200, 0, 1000, undefined],
    ['bytes=1-2,4-5', 200, 0, 1000, undefined],
  ])('Range: %s answers %i', async (range, status, start, end, contentRange) => {
    const store = open();
    const bytes = seededBytes('range', 1000);
    const { cid } = await store.put(bytes);
    const response = await ask(store, `/ipfs/${cid}?format=raw`, { range });
    expect(response.status).toBe(status);
    expect(response.headers['content-range']).toBe(contentRange);
    expectSame(await bodyOf(response), bytes.slice(start, end));
  });

  test('a missing block is 404, or 412 when only the cache may answer; malformed requests are 400', async () => {
    const store = open();
    const absent = rawCid(seededBytes('absent', 10)).toString();
    const { cid } = await store.put(seededBytes('here', 10));
    expect((await ask(store, `/ipfs/${absent}?format=raw`)).status).toBe(404);
    expect((await ask(store, `/ipfs/${absent}?format=car`)).status).toBe(404);
    const cached = { 'cache-control': 'only-if-cached' };
    expect((await ask(store, `/ipfs/${absent}?format=raw`, cached)).status).toBe(412);
    for (const url of [
      `/ipfs/${cid}`,
      `/ipfs/${cid}?format=json`,
      `/ipfs/${cid}/path?format=raw`,
      '/ipfs/?format=raw',
      '/ipns/name?format=raw',
      '/ipfs/nonsense?format=raw',
      `/ipfs/${cid}/%ff?format=car`,
      `/ipfs/${cid}${'/a'.repeat(33)}?format=car`,
      `/ipfs/${cid}?format=car&dag-scope=some`,
      `/ipfs/${cid}?format=car&entity-bytes=1`,
      `/ipfs/${cid}?format=car&entity-bytes=10:*`,
    ]) {
      expect({ url, status: (await ask(store, url)).status }).toEqual({ url, status: 400 });
    }
  });

  test('the probe of the empty identity CID is answered', async () => {
    const store = open();
    const raw = await ask(store, '/ipfs/bafkqaaa?format=raw');
    expect(raw.status).toBe(200);
    expect(await bodyOf(raw)).toHaveLength(0);
    expect(await blocksOf(await ask(store, '/ipfs/bafkqaaa?format=car'))).toEqual([]);
  });
});

describe('trustless gateway: CAR streams', () => {
  test('dag-scope all, entity and block carry the graph, the file and the root', async () => {
    const store = open();
    const file = await store.put(seededBytes('scopes', 2 * CHUNK_BYTES + 5));
    const url = `/ipfs/${file.cid}?format=car`;
    const all = await ask(store, url);
    expect(all.headers['content-type']).toBe('application/vnd.ipld.car; version=1; order=dfs; dups=n');
    expect(all.headers['content-disposition']).toBe(`attachment; filename="${file.cid}.car"`);
    expect(await blocksOf(all)).toHaveLength(4);
    const entity = await ask(store, `${url}&dag-scope=entity`);
    expect(await blocksOf(entity)).toHaveLength(4);
    const block = await ask(store, `${url}&dag-scope=block`);
    expect(await blocksOf(block)).toEqual([file.cid]);
    expect(new Set([all, entity, block].map(({ headers }) => headers.etag)).size).toBe(3);
  });

  test.each([
    ['0:*', 4],
    ['0:0', 2],
    [`${CHUNK_BYTES - 1}:${CHUNK_BYTES}`, 3],
    [`${CHUNK_BYTES}:${2 * CHUNK_BYTES - 1}`, 2],
    ['-1:*', 2],
    [`-${9 * CHUNK_BYTES}:-${2 * CHUNK_BYTES}`, 2],
    [`5:${99 * CHUNK_BYTES}`, 4],
    ['5:4', 1],
  ])('entity-bytes=%s carries only the %i blocks that verify the range', async (range, count) => {
    const store = open();
    const { cid } = await store.put(seededBytes('entity', 2 * CHUNK_BYTES + 5));
    expect(await blocksOf(await ask(store, `/ipfs/${cid}?format=car&entity-bytes=${range}`))).toHaveLength(
      count,
    );
  });

  test('a path adds the directories on the way, and is 404 where it ends nowhere', async () => {
    const store = open();
    const file = await store.put(seededBytes('in a directory', 50));
    const other = await store.put(seededBytes('other', 50));
    const inner = await putDirectory(store, { 'a b': file.cid, other: other.cid });
    const outer = await putDirectory(store, { inner });
    expect(await blocksOf(await ask(store, `/ipfs/${outer}/inner/a%20b?format=car`))).toEqual([
      outer,
      inner,
      file.cid,
    ]);
    expect(await blocksOf(await ask(store, `/ipfs/${outer}/inner?format=car&dag-scope=entity`))).toEqual([
      outer,
      inner,
    ]);
    expect((await ask(store, `/ipfs/${outer}/nothing?format=car`)).status).toBe(404);
    expect((await ask(store, `/ipfs/${outer}/inner/other/deeper?format=car`)).status).toBe(404);
  });

  test('paths through sharded directories and garbage are refused with a reason', async () => {
    const store = open();
    const Data = new UnixFS({ type: 'hamt-sharded-directory', fanout: 256n, hashType: 0x22n }).marshal();
    const sharded = encode(prepare({ Data, Links: [] }));
    const garbage = seededBytes('garbage', 64);
    for (const [bytes, status] of [
      [sharded, 500],
      [garbage, 404],
    ] as const) {
      const cid = CID.createV1(0x70, createDigest(0x12, sha256(bytes))).toString();
      await store.putBlock(cid, bytes);
      const response = await ask(store, `/ipfs/${cid}/name?format=car`);
      expect(response.status).toBe(status);
      expect(response.headers['content-type']).toContain('text/plain');
      expect((await ask(store, `/ipfs/${cid}?format=raw`)).status).toBe(200);
    }
  });

  test('a missing child breaks the stream off instead of ending it well', async () => {
    const store = open();
    const whole = open();
    const { cid } = await whole.put(seededBytes('hole', 2 * CHUNK_BYTES));
    await store.putBlock(cid, (await whole.getBlock(cid)) ?? new Uint8Array());
    const response = await ask(store, `/ipfs/${cid}?format=car`);
    expect(response.status).toBe(200);
    expect(await codeOf(bodyOf(response))).toBe('storage.not_found');
  });
});

describe('fetching from peers', () => {
  const peerOf = (name: string, store: PayloadStore): BlockPeer => ({
    name,
    async get(path) {
      const { status, body } = await ask(store, path);
      return { status, body: body instanceof Uint8Array ? streamOf([body]) : body };
    },
  });
  const bytes = seededBytes('replica', 3 * CHUNK_BYTES + 1);
  const LIMIT = 10 * CHUNK_BYTES;

  test('an object comes whole from a peer that has it, and small ones as one block', async () => {
    const [here, there] = [open(), open()];
    const large = await there.put(bytes);
    const small = await there.put(seededBytes('small replica', 100));
    const peers = [peerOf('empty', open()), peerOf('there', there)];
    expect(await fetchFromPeers(here, peers, large.cid, LIMIT)).toMatchObject({ blocks: 5 });
    expectSame(await collectBytes(here.get(large.cid)), bytes);
    expect(await fetchFromPeers(here, peers, small.cid, LIMIT)).toEqual({ blocks: 1, bytes: 100 });
    expect(await fetchFromPeers(here, peers, small.cid, LIMIT)).toEqual({ blocks: 0, bytes: 0 });
  });

  test('what one peer lacks comes from the next', async () => {
    const [here, half, whole] = [open(), open(), open()];
    const { cid } = await whole.put(bytes);
    await half.putBlock(cid, (await whole.getBlock(cid)) ?? new Uint8Array());
    await half.put(bytes.subarray(0, CHUNK_BYTES));
    await fetchFromPeers(here, [peerOf('half', half), peerOf('whole', whole)], cid, LIMIT);
    expect(await here.has(cid)).toBe(true);
  });

  test('damaged blocks are mended', async () => {
    const dir = temporaryDirectory();
    const [here, there] = [closing(openEmbeddedStore(dir)), open()];
    const { cid } = await here.put(bytes);
    await there.put(bytes);
    const [one, two] = filesBelow(dir).filter((path) => path.includes('/files/'));
    writeFileSync(one, seededBytes('rot', CHUNK_BYTES));
    writeFileSync(two, '');
    expect(await codeOf(collectBytes(here.get(cid)))).toBe('storage.corrupt');
    expect(await fetchFromPeers(here, [peerOf('there', there)], cid, LIMIT)).toMatchObject({ blocks: 2 });
    expectSame(await collectBytes(here.get(cid)), bytes);
  });

  test('nobody having it is storage.not_found with each reason', async () => {
    const gone: BlockPeer = { name: 'gone', get: () => Promise.reject(new Error('no route')) };
    const cid = rawCid(seededBytes('nowhere', 10)).toString();
    const failure = await fetchFromPeers(open(), [gone, peerOf('empty', open())], cid, LIMIT).catch((e) => e);
    expect(failure).toMatchObject({
      code: 'storage.not_found',
      details: { cid, peers: 'gone: no answer; empty: lacks blocks' },
    });
  });

  test('altered blocks, foreign blocks and endless bodies are refused, and nothing of them is stored', async () => {
    const whole = open();
    const { cid } = await whole.put(bytes);
    const foreign = await whole.put(seededBytes('foreign', 100));
    const altering: BlockPeer = {
      name: 'altering',
      async get(path) {
        const { status, body } = await ask(whole, path);
        const answer = body instanceof Uint8Array ? body.slice() : await collectBytes(body);
        answer[answer.length - 1] ^= 1;
        return { status, body: streamOf([answer]) };
      },
    };
    const stuffing: BlockPeer = {
      name: 'stuffing',
      get: async () => ({ status: 200, body: whole.exportCar([foreign.cid, cid]) }),
    };
    async function* endless() {
      for (;;) yield new Uint8Array(BLOCK_BYTES_MAX / 2);
    }
    const flooding: BlockPeer = { name: 'flooding', get: async () => ({ status: 200, body: endless() }) };
    for (const peer of [altering, stuffing, flooding]) {
      const here = open();
      expect(await codeOf(fetchFromPeers(here, [peer], cid, LIMIT))).toBe('storage.not_found');
      expect(await here.has(foreign.cid)).toBe(false);
      await fetchFromPeers(here, [peer, peerOf('honest', whole)], cid, LIMIT);
      expectSame(await collectBytes(here.get(cid)), bytes);
    }
    const raw = rawCid(seededBytes('small', 10)).toString();
    expect(await codeOf(fetchFromPeers(open(), [flooding], raw, LIMIT))).toBe('storage.not_found');
  });

  test('more bytes than allowed is storage.too_large', async () => {
    const there = open();
    const { cid } = await there.put(bytes);
    const needed = (await collectBytes(there.exportCar([cid]))).length;
    const peers = [peerOf('there', there)];
    expect(await codeOf(fetchFromPeers(open(), peers, cid, bytes.length))).toBe('storage.too_large');
    expect((await fetchFromPeers(open(), peers, cid, needed)).blocks).toBe(5);
  });
});

describe('replicas by rendezvous hashing', () => {
  const members = ['north', 'south', 'east', 'west', 'centre'];
  const cids = Array.from({ length: 400 }, (_, i) => rawCid(seededBytes(`object ${i}`, 8)).toString());

  test('every node computes the same, whatever the order in which it knows the members', () => {
    for (const cid of cids.slice(0, 20)) {
      expect(replicasFor(cid, [...members].reverse(), 3)).toEqual(replicasFor(cid, members, 3));
      expect(new Set(replicasFor(cid, members, 3)).size).toBe(3);
    }
    expect(replicasFor(cids[0], members.slice(0, 2), 3)).toHaveLength(2);
  });

  test('objects spread evenly, and a member that leaves moves only its own', () => {
    const count = new Map(members.map((member) => [member, 0]));
    for (const cid of cids) {
      const before = replicasFor(cid, members, 2);
      for (const member of before) count.set(member, (count.get(member) ?? 0) + 1);
      const after = replicasFor(cid, members.slice(1), 2);
      expect(after).toEqual(expect.arrayContaining(before.filter((member) => member !== members[0])));
    }
    for (const share of count.values())
      expect(share).toBeGreaterThan((0.7 * 2 * cids.length) / members.length);
  });
});
