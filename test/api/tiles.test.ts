/** The log in C2SP tiles: an auditor that has only tiles and a checkpoint computes the same root. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseCheckpoint } from '../../src/ledger/verify/index.ts';
import { nodeHash } from '../../src/ledger/verify/rfc6962.ts';
import { startTown, type Town } from '../node/consortium.ts';
import { problemIn } from './shared.ts';

let town: Town;
let authorization: string;

beforeAll(async () => {
  town = await startTown();
  authorization = `Bearer ${await town.token('mercy', 'admin')}`;
});
afterAll(() => town?.close());

const get = (url: string) => town.app('mercy').inject({ url, headers: { authorization } });

/** Root of RFC 9162 section 2.1.1 from leaf hashes. */
function rootOf(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 1) return hashes[0];
  const split = 2 ** Math.floor(Math.log2(hashes.length - 1));
  return nodeHash(rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)));
}

it('gives the root of the checkpoint from the partial tile of its size, and refuses what the log does not have', async () => {
  const { checkpoint } = parseCheckpoint((await get('/v1/ledger/checkpoint')).body);
  expect(checkpoint.size).toBeGreaterThan(1);
  expect(checkpoint.size).toBeLessThan(256);
  const answer = await get(`/v1/ledger/tile/0/000.p/${checkpoint.size}`);
  expect(answer.statusCode).toBe(200);
  expect(answer.headers['cache-control'] ?? '').not.toContain('immutable');
  const bytes = answer.rawPayload;
  expect(bytes.length).toBe(32 * checkpoint.size);
  const hashes = Array.from({ length: checkpoint.size }, (_, i) => bytes.subarray(32 * i, 32 * i + 32));
  expect(Buffer.from(rootOf(hashes)).equals(checkpoint.root)).toBe(true);
  for (const path of [
    '0/000',
    '0/001.p/1',
    '1/000.p/1',
    '0/000.p/256',
    '0/x000/000',
    '9/000',
    '..%2f000',
    'x',
  ])
    expect(problemIn(await get(`/v1/ledger/tile/${path}`)).status, path).toBe(404);
});

it('serves the changes of validators since genesis: none yet', async () => {
  expect((await get('/v1/members')).json().epochs).toEqual([]);
});
