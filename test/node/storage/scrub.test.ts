/** Reading back: torn files, flipped bits and missing blocks are found, mended from other members, or told with the record's name. */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../../src/codec/bytes.ts';
import { CodedError } from '../../../src/codec/errors.ts';
import { memberId } from '../../../src/codec/ids.ts';
import { STATE } from '../../../src/ledger/index.ts';
import type { MemberNode } from '../../../src/node/member.ts';
import { replicasFor } from '../../../src/storage/index.ts';
import { collectBytes } from '../../storage/support.ts';
import { startTown, type Town } from '../consortium.ts';
import { openText, type PutRecord, putTexts } from './people.ts';

const OTHERS = ['st-luke', 'county-general', 'university'];
/** Two leaves of more than 256 kB and a node above them: files and a row. */
const LONG_TEXT = 'a line of a long note\n'.repeat(70_000);

let town: Town;
let mercy: MemberNode;
beforeAll(async () => {
  town = await startTown();
  mercy = town.node('mercy');
});
afterAll(() => town?.close());

const holderOf = ({ cid }: PutRecord): MemberNode => town.node(replicasFor(cid, OTHERS, 1)[0]);
const headerHash = (record: string): Uint8Array => {
  const state = mercy.ledger.state(STATE.record(record));
  if (state === undefined) throw new Error('no such record');
  return state.headerHash;
};
async function put(...texts: string[]): Promise<PutRecord[]> {
  const made = await putTexts(town, texts);
  const height = mercy.ledger.tip().height;
  for (const node of town.consortium.nodes.values()) {
    await node.ledger.reached(height, 10_000);
    await node.replication.flush();
  }
  return made;
}
/** The files of large blocks under a node's store. */
function blockFiles(node: MemberNode): string[] {
  const dir = join(node.options.dir, 'blocks', 'files');
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.length > 64)
    .map((name) => join(dir, name));
}
function flip(path: string): void {
  const bytes = readFileSync(path);
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  writeFileSync(path, bytes);
}
/** Changes a bit of a header's slot, so that the row does not open: the raw door under the store. */
function spoilHeaders(node: MemberNode): void {
  const path = join(node.options.dir, 'headers', 'keys.slots');
  const slots = readFileSync(path);
  for (let at = 0; at < slots.length; at += 32) {
    if (slots.subarray(at, at + 32).some((byte) => byte !== 0)) slots[at] ^= 1;
  }
  writeFileSync(path, slots);
}
const told = (name: string) => town.events.filter((event) => event.name === name).map(({ fields }) => fields);

describe('a round of a node whose disk is sound', () => {
  it('reads back every header, block, segment and companion that it should hold, and finds nothing', async () => {
    const [short, long] = await put('a short one', LONG_TEXT);
    await town.settled();
    for (const node of town.consortium.nodes.values()) await node.scrub.round();
    const { checked, bytes, mended, damaged, endedAt } = mercy.scrub.status();
    expect({ mended, damaged }).toEqual({ mended: 0, damaged: 0 });
    expect(checked).toBeGreaterThan(4);
    expect(bytes).toBeGreaterThan(LONG_TEXT.length);
    expect(endedAt).not.toBeNull();
    for (const one of [short, long]) expect(await holderOf(one).payloads.has(one.cid)).toBe(true);
  });

  it('keeps to its rate', async () => {
    const [one] = await put('paced');
    const began = performance.now();
    await mercy.scrub.round();
    const seconds = (performance.now() - began) / 1000;
    expect(await openText(town, one.record)).toBe('paced');
    expect(LONG_TEXT.length / seconds).toBeLessThan(6 * 1024 * 1024);
  });
});

describe('damage', () => {
  it('by flipped bits, a torn file and a missing one is mended from the other holder', async () => {
    const [, long] = await put('beside it', `${LONG_TEXT}!`);
    const sealed = await collectBytes(mercy.payloads.get(long.cid));
    for (const spoil of [flip, (path: string) => truncateSync(path, 1000), (path: string) => rmSync(path)]) {
      for (const path of blockFiles(mercy)) spoil(path);
      const before = mercy.scrub.status().mended;
      await mercy.scrub.round();
      expect(mercy.scrub.status()).toMatchObject({ damaged: 0, named: [] });
      expect(mercy.scrub.status().mended).toBeGreaterThan(before);
      expect(Buffer.compare(await collectBytes(mercy.payloads.get(long.cid)), sealed)).toBe(0);
    }
    expect(told('scrub.mended').some(({ of, what }) => of === long.record && what === 'payload')).toBe(true);
  });

  it('of small blocks and of the node above the leaves is mended too', async () => {
    const [short, long] = await put('a row of the index', `${LONG_TEXT}?`);
    const sealed = await collectBytes(mercy.payloads.get(short.cid));
    // All that this store holds goes: rows, inner nodes and files.
    for (const now of [1, 2]) await mercy.payloads.collect([], 0, now);
    expect(await mercy.payloads.has(short.cid)).toBe(false);
    await mercy.scrub.round();
    expect(mercy.scrub.status().damaged).toBe(0);
    expect(Buffer.compare(await collectBytes(mercy.payloads.get(short.cid)), sealed)).toBe(0);
    expect(await mercy.payloads.has(long.cid)).toBe(true);
  });

  it('of headers is mended, and they open again', async () => {
    const [one] = await put('whose header is spoilt');
    spoilHeaders(mercy);
    await expect(mercy.headers.get(headerHash(one.record))).rejects.toMatchObject({
      code: 'storage.corrupt',
    });
    await mercy.scrub.round();
    // Keys of search fields are headers too, and have their copies.
    expect(mercy.scrub.status()).toMatchObject({ damaged: 0, named: [] });
    expect(await mercy.headers.get(headerHash(one.record))).toBeDefined();
    expect(await openText(town, one.record)).toBe('whose header is spoilt');
  });

  it('of segments and companions is mended from the copies', async () => {
    await town.settled();
    const names = (await (await mercy.segments(memberId('mercy'))).names()).sort();
    expect(names.length).toBeGreaterThan(0);
    const before = mercy.scrub.status().damaged;
    for (const folder of ['index/mercy', 'vault']) {
      for (const [i, name] of names.entries()) {
        const path = join(mercy.options.dir, folder, name);
        if (i % 2 === 0) flip(path);
        else rmSync(path);
      }
    }
    await mercy.scrub.round();
    expect(mercy.scrub.status().damaged).toBe(before);
    for (const name of names) expect(await mercy.companions.check(name)).toBeGreaterThan(0);
    expect((await (await mercy.segments(memberId('mercy'))).names()).sort()).toEqual(names);
  });

  it('that no member can mend is told with the record, and forgotten once it is whole again', async () => {
    const [long] = await put(`${LONG_TEXT}.`);
    const path = blockFiles(holderOf(long)).find((file) => !blockFiles(mercy).includes(file)) ?? '';
    expect(path).not.toBe('');
    for (const member of OTHERS) town.consortium.links.setDown(memberId(member), true);
    const spoilt = blockFiles(mercy).map((file) => ({ file, bytes: readFileSync(file) }));
    for (const { file } of spoilt) flip(file);
    await mercy.scrub.round();
    const { damaged, named } = mercy.scrub.status();
    expect(damaged).toBeGreaterThan(0);
    expect(named).toContainEqual({ of: long.record, what: 'payload', code: 'storage.corrupt' });
    expect(told('scrub.damaged').some(({ of }) => of === long.record)).toBe(true);
    await expect(collectBytes(mercy.payloads.get(long.cid))).rejects.toMatchObject({
      code: 'storage.corrupt',
    });
    for (const member of OTHERS) town.consortium.links.setDown(memberId(member), false);
    await mercy.scrub.round();
    expect(mercy.scrub.status().named.some(({ of }) => of === long.record)).toBe(false);
    expect((await mercy.copies.payload(long.record as never)).size).toBeGreaterThan(LONG_TEXT.length);
  });

  it('met by a reader in the middle of a stream is mended on the way', async () => {
    const [long] = await put(`${LONG_TEXT}:`);
    const sealed = await collectBytes(mercy.payloads.get(long.cid));
    for (const path of blockFiles(mercy)) flip(path);
    const headers = { authorization: `Bearer ${await town.token('mercy', 'admin')}` };
    const answer = await town.app('mercy').inject({ url: `/v1/records/${long.record}/payload`, headers });
    expect(answer.statusCode).toBe(200);
    expect(toHex(answer.rawPayload.subarray(0, 64))).toBe(toHex(sealed.subarray(0, 64)));
    expect(Buffer.compare(answer.rawPayload, sealed)).toBe(0);
  });

  it('of one block of a large payload costs that block, asked for as a trustless gateway is', async () => {
    const [long] = await put(`${LONG_TEXT};`);
    const sealed = await collectBytes(mercy.payloads.get(long.cid));
    for (const member of OTHERS) {
      const { link } = town.node(member).options;
      // No whole payload is to be had.
      for (const op of ['payload', 'copies'])
        link.serve('headers', op, () =>
          Promise.reject(new CodedError('storage.not_found', 'only blocks here')),
        );
    }
    const { bytes } = mercy.ledger.state(STATE.record(long.record)) ?? { bytes: 0 };
    expect(bytes).toBe(sealed.length);
    for (const path of blockFiles(mercy)) flip(path);
    await mercy.scrub.round();
    expect(mercy.scrub.status()).toMatchObject({ damaged: 0, named: [] });
    expect(Buffer.compare(await collectBytes(mercy.payloads.get(long.cid)), sealed)).toBe(0);
  });

  it('is in the metrics', async () => {
    const { body } = await town.app('mercy').inject({ url: '/metrics' });
    expect(body).toMatch(/hippocrypt_scrub_things\{[^}]*state="mended"[^}]*\} [1-9]/);
  });
});
