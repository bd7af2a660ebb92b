/** Where payloads lie and who may fetch them: a Kubo daemon as a member's store, and the node's trustless gateway. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CarReader } from '@ipld/car';
import { create } from 'kubo-rpc-client';
import { CID } from 'multiformats/cid';
import { sha256 } from 'multiformats/hashes/sha2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memberId } from '../../../src/codec/ids.ts';
import { collectIndexes } from '../../../src/node/housekeeping.ts';
import { openPayloads } from '../../../src/node/payloads.ts';
import { segmentName } from '../../../src/search/index.ts';
import { readCar } from '../../../src/storage/payload/car.ts';
import { rawCid } from '../../../src/storage/payload/cid.ts';
import { type KuboDaemon, kuboBinary, startKubo } from '../../storage/kubo-daemon.ts';
import { codeOf, collectBytes, filesBelow, temporaryDirectory } from '../../storage/support.ts';
import { startTown, type Town } from '../consortium.ts';
import { eraseRecord, openText, putTexts } from './people.ts';

/** Longer than one block, so that its CID names a DAG. */
const LONG_TEXT = 'a line of a long note\n'.repeat(70_000);

const binary = kuboBinary();
const rawCidOf = (bytes: Uint8Array): string => rawCid(bytes).toString();

/** Reads a CAR with the reference implementation and checks every block against its CID. */
async function checkedCar(bytes: Uint8Array): Promise<{ roots: string[]; blocks: Map<string, Uint8Array> }> {
  const reader = await CarReader.fromBytes(bytes);
  const blocks = new Map<string, Uint8Array>();
  for await (const { cid, bytes: block } of reader.blocks()) {
    const digest = await sha256.digest(block);
    expect(Buffer.compare(digest.digest, cid.multihash.digest)).toBe(0);
    blocks.set(cid.toString(), block);
  }
  return { roots: (await reader.getRoots()).map(String), blocks };
}

describe('the trustless gateway of a node', () => {
  let town: Town;
  let token: string;
  let short: string;
  let long: string;
  const get = (url: string, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
    town.app('mercy').inject({ method, url, headers: { authorization: `Bearer ${token}`, ...headers } });

  beforeAll(async () => {
    town = await startTown();
    const [first, second] = await putTexts(town, ['a short note', LONG_TEXT]);
    [short, long] = [first.cid, second.cid];
    token = await town.token('mercy', 'import');
  });
  afterAll(() => town?.close());

  it('refuses strangers', async () => {
    for (const method of ['GET', 'HEAD'] as const) {
      const answer = await town.app('mercy').inject({ method, url: `/ipfs/${short}?format=raw` });
      expect(answer.statusCode).toBe(401);
      expect(answer.rawPayload.length === 0 || !answer.body.includes('bafk')).toBe(true);
    }
  });

  it('gives the sealed bytes of a record as a raw block that hashes to its CID', async () => {
    const answer = await get(`/ipfs/${short}?format=raw`);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/vnd.ipld.raw',
      'content-length': String(answer.rawPayload.length),
      etag: `"${short}.raw"`,
      'x-content-type-options': 'nosniff',
      'x-ipfs-path': `/ipfs/${short}`,
      'cache-control': 'private, max-age=29030400, immutable',
    });
    const digest = await sha256.digest(answer.rawPayload);
    expect(CID.createV1(0x55, digest).toString()).toBe(short);
    expect(answer.rawPayload.includes('a short note')).toBe(false);
  });

  it('answers HEAD, a range and a known tag without the rest', async () => {
    const whole = await get(`/ipfs/${short}?format=raw`);
    const head = await get(`/ipfs/${short}?format=raw`, {}, 'HEAD');
    expect([head.statusCode, head.headers['content-length'], head.rawPayload.length]).toEqual([
      200,
      String(whole.rawPayload.length),
      0,
    ]);
    const part = await get(`/ipfs/${short}?format=raw`, { range: 'bytes=4-9' });
    expect(part.statusCode).toBe(206);
    expect(part.headers['content-range']).toBe(`bytes 4-9/${whole.rawPayload.length}`);
    expect(part.rawPayload).toEqual(whole.rawPayload.subarray(4, 10));
    const known = await get(`/ipfs/${short}?format=raw`, { 'if-none-match': `"${short}.raw"` });
    expect([known.statusCode, known.rawPayload.length]).toEqual([304, 0]);
  });

  it('gives a long record as a CAR that the reference implementation reads, whole or a range of it', async () => {
    const answer = await get(`/ipfs/${long}?format=car`);
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toBe('application/vnd.ipld.car; version=1; order=dfs; dups=n');
    const whole = await checkedCar(answer.rawPayload);
    expect(whole.roots).toEqual([long]);
    expect(whole.blocks.size).toBe(3);
    const part = await checkedCar((await get(`/ipfs/${long}?format=car&entity-bytes=0:9`)).rawPayload);
    expect(part.roots).toEqual([long]);
    expect(part.blocks.size).toBe(2);
  });

  it('speaks of what it lacks and of what it does not understand as the specification says', async () => {
    const absent = CID.createV1(0x55, await sha256.digest(Buffer.from('nobody stored this'))).toString();
    expect((await get(`/ipfs/${absent}?format=raw`)).statusCode).toBe(404);
    const cached = await get(`/ipfs/${absent}?format=raw`, { 'cache-control': 'only-if-cached' });
    expect(cached.statusCode).toBe(412);
    expect((await get('/ipfs/nonsense?format=raw')).statusCode).toBe(400);
    expect((await get(`/ipfs/${short}`)).statusCode).toBe(400);
    expect((await get(`/ipfs/${short}?format=raw`, { range: 'bytes=999999999-' })).statusCode).toBe(416);
  });
});

describe('the file with the credentials of a Kubo daemon', () => {
  it('is read in the two forms that Kubo knows, and refused in any other', async () => {
    const authFile = join(temporaryDirectory(), 'kubo.auth');
    const open = async (text: string): Promise<unknown> => {
      await writeFile(authFile, text);
      return openPayloads({ kind: 'kubo', url: 'http://127.0.0.1:1', authFile }, '.');
    };
    for (const text of ['bearer:token\n', 'basic:user:pass:word\n'])
      expect(await codeOf(open(text))).toBe('nothing was thrown');
    for (const text of ['', 'token', 'bearer:', 'bearer:a:b', 'basic:user', 'digest:user:password'])
      expect(await codeOf(open(text)), text).toBe('config.invalid');
  });
});

describe('a gateway opened to strangers', () => {
  it('gives ciphertext without a session, and lets caches share it', async () => {
    const town = await startTown({ publicIpfs: true });
    try {
      const [{ cid }] = await putTexts(town, ['a note']);
      const answer = await town.app('mercy').inject({ url: `/ipfs/${cid}?format=raw` });
      expect(answer.statusCode).toBe(200);
      expect(answer.headers['cache-control']).toMatch(/^public,/);
    } finally {
      await town.close();
    }
  });
});

describe.skipIf(binary === undefined)(
  'a Kubo daemon as the store of one member (needs HIPPOCRYPT_KUBO)',
  () => {
    let town: Town;
    let daemon: KuboDaemon;
    let other: KuboDaemon;
    let repos: string;

    beforeAll(async () => {
      repos = await mkdtemp(join(tmpdir(), 'hippocrypt-repos-'));
      daemon = await startKubo(binary ?? '', {}, repos);
      other = await startKubo(binary ?? '');
      town = await startTown({
        payloads: (member) => (member === 'mercy' ? { kind: 'kubo', url: daemon.url } : { kind: 'embedded' }),
      });
    });
    afterAll(async () => {
      await town?.close();
      await daemon?.stop();
      await other?.stop();
      await rm(repos, { recursive: true, force: true });
    });

    it('seals and opens records, the blocks being pinned at the daemon under the CID of the ledger', async () => {
      const [short, long] = await putTexts(town, ['kept by Kubo', LONG_TEXT]);
      expect(await openText(town, short.record)).toBe('kept by Kubo');
      expect(await openText(town, long.record)).toBe(LONG_TEXT);
      const client = create({ url: daemon.url });
      const pinned = new Set<string>();
      for await (const { cid } of client.pin.ls()) pinned.add(cid.toString());
      for (const { cid } of [short, long]) expect(pinned).toContain(cid);
    });

    it('gives the CIDs that the embedded store gives for the same sealed bytes', async () => {
      const put = await putTexts(town, ['the same bytes', LONG_TEXT]);
      for (const { cid } of put) {
        const sealed = await collectBytes(town.node('mercy').payloads.get(cid));
        expect((await town.node('st-luke').payloads.put(sealed)).cid).toBe(cid);
      }
    });

    it('keeps index segments there too: pinned, searched, read back, mended, and collected once a purge has replaced them', async () => {
      const mercy = town.node('mercy');
      const id = memberId('mercy');
      const condition = (text: string): string =>
        JSON.stringify({ resourceType: 'Condition', code: { text } });
      const [gone, kept] = await putTexts(town, [condition('first'), condition('second')]);
      await town.settled();
      const client = create({ url: daemon.url });
      const pinned = async (): Promise<Set<string>> => {
        const cids = new Set<string>();
        for await (const { cid } of client.pin.ls()) cids.add(cid.toString());
        return cids;
      };
      const listed = () => mercy.replicas.listed(id).map(segmentName).sort();
      const folder = await mercy.segments(id);
      expect((await folder.names()).sort()).toEqual(expect.arrayContaining(listed()));
      expect(existsSync(join(mercy.options.dir, 'index', 'mercy'))).toBe(false);
      const researcher = await town.people.enrol({
        name: 'researcher',
        member: 'mercy',
        kind: 'person',
        attributes: ['mercy/role:researcher'],
        custody: 'client',
      });
      /** Records that a private search finds, its pages read from the daemon. */
      const found = async (): Promise<readonly string[]> => {
        const options = { unit: 'record', custodians: ['mercy'] } as const;
        return (await researcher.search.query('text:first or text:second', options)).records.map(
          (hit) => hit.record,
        );
      };
      expect(await found()).toEqual([gone.record, kept.record]);
      const files = await town.node('st-luke').segments(id);
      for (const name of listed()) {
        const bytes = await folder.getSegment(name);
        expect(Buffer.compare(bytes, await files.getSegment(name))).toBe(0);
        const ranges = [
          { offset: 3, length: 6 },
          { offset: bytes.length - 2, length: 9 },
        ];
        expect(await folder.getRanges(name, ranges)).toEqual([bytes.subarray(3, 9), bytes.subarray(-2)]);
        expect(await pinned()).toContain(rawCidOf(bytes));
      }

      // One is lost, then its block is changed on the daemon's disk: a round of reading back fetches it from a copy.
      const [lost] = listed();
      const whole = await folder.getSegment(lost);
      await folder.deleteSegment(lost);
      await mercy.scrub.round();
      expect(mercy.scrub.status()).toMatchObject({ damaged: 0 });
      expect(Buffer.compare(await folder.getSegment(lost), whole)).toBe(0);
      for (const path of filesBelow(repos).filter((name) => name.endsWith('.data'))) {
        const bytes = readFileSync(path);
        if (rawCidOf(new Uint8Array(bytes)) !== rawCidOf(whole)) continue;
        bytes[bytes.length >> 1] ^= 1;
        writeFileSync(path, bytes);
      }
      expect(await codeOf(folder.getSegment(lost))).toBe('storage.corrupt');
      await mercy.scrub.round();
      expect(mercy.scrub.status()).toMatchObject({ damaged: 0 });
      expect(Buffer.compare(await folder.getSegment(lost), whole)).toBe(0);
      expect(await found()).toEqual([gone.record, kept.record]);

      const before = await Promise.all(listed().map(async (name) => rawCidOf(await folder.getSegment(name))));
      await eraseRecord(town, gone.record);
      await mercy.erasure.idle();
      await mercy.indexService().purge();
      for (const now of [1, 2]) await collectIndexes({ ...mercy, indexes: mercy.indexService() }, 0, now);
      for (let run = 0; run < 2; run++) await mercy.records.collect(0, Date.now());
      const after = await pinned();
      expect(before.every((cid) => after.has(cid))).toBe(false);
      for (const name of listed()) expect(after).toContain(rawCidOf(await folder.getSegment(name)));
      expect(await found()).toEqual([kept.record]);
    });

    it('mends blocks that the disk of the daemon has changed, alone or in a bundle, from the copies', async () => {
      const mercy = town.node('mercy');
      const texts = [
        'alone and damaged',
        LONG_TEXT,
        ...Array.from({ length: 10 }, (_, i) => `of a bundle ${i}`),
      ];
      const [alone] = await putTexts(town, texts.slice(0, 1));
      const rest = await putTexts(town, texts.slice(1));
      await Promise.all([...town.consortium.nodes.values()].map((node) => node.replication.flush()));
      const sealed = await collectBytes(mercy.payloads.get(alone.cid));
      const blocks = new Set<string>();
      for await (const part of readCar(mercy.payloads.exportCar([alone, ...rest].map(({ cid }) => cid))))
        if (!('roots' in part)) blocks.add(rawCidOf(part.bytes));
      for (const path of filesBelow(repos).filter((name) => name.endsWith('.data'))) {
        const bytes = readFileSync(path);
        // Not the bundles, which no copy could mend.
        if (!blocks.has(rawCidOf(new Uint8Array(bytes)))) continue;
        bytes[Math.floor(bytes.length / 2)] ^= 1;
        writeFileSync(path, bytes);
      }
      expect(await codeOf(collectBytes(mercy.payloads.get(alone.cid)))).toBe('storage.corrupt');
      await mercy.scrub.round();
      expect(mercy.scrub.status()).toMatchObject({ damaged: 0, named: [] });
      expect(Buffer.compare(await collectBytes(mercy.payloads.get(alone.cid)), sealed)).toBe(0);
      for (const [i, one] of [alone, ...rest].entries())
        expect(await openText(town, one.record)).toBe(texts[i]);
    });

    it('lets another Kubo take a record from the trustless gateway and check it', async () => {
      const [{ cid }] = await putTexts(town, [LONG_TEXT]);
      const token = await town.token('mercy', 'import');
      const answer = await fetch(`${town.url('mercy')}/ipfs/${cid}?format=car`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const car = new Uint8Array(await answer.arrayBuffer());
      const client = create({ url: other.url });
      const roots: string[] = [];
      for await (const { root } of client.dag.import([car])) {
        expect(root.pinErrorMsg).toBe('');
        roots.push(root.cid.toString());
      }
      expect(roots).toEqual([cid]);
      const theirs = await collectBytes(client.cat(cid));
      const ours = await collectBytes(town.node('mercy').payloads.get(cid));
      expect(Buffer.compare(theirs, ours)).toBe(0);
    });
  },
);
