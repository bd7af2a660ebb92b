/** A large segment read through a gateway, under each policy: one request a round, the same leaves, and cuts are seen. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Gateway } from '../../src/client/index.ts';
import { segmentSource } from '../../src/client/segment-source.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import type { CodedError } from '../../src/codec/errors.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { memberId } from '../../src/codec/ids.ts';
import {
  buildSegment,
  type FetchPolicy,
  type SegmentMeta,
  SegmentReader,
  secretFromT,
  segmentName,
  segmentShape,
} from '../../src/search/index.ts';
import { startTown, type Town } from '../node/consortium.ts';
import { seededRandom } from '../search/support.ts';
import { Liar } from './liar.ts';

const WIDTH = 30_000;
const LIMIT = 64 * 1024 * 1024;
let town: Town;
let gateway: Gateway;
let meta: SegmentMeta;
let file: Uint8Array;
const asked: string[] = [];
const liar = new Liar();

beforeAll(async () => {
  town = await startTown();
  await town.client('doctor');
  gateway = new Gateway({
    url: town.url('mercy'),
    fetch: (input, init) => {
      asked.push(`${init?.method} ${new URL(String(input)).pathname}`);
      return liar.fetch(input, init);
    },
  });
  gateway.useToken(await town.token('mercy', 'doctor'));
  const lists = Array.from({ length: 400 }, (_, i) => ({
    secret: secretFromT(sha256(utf8(`word ${i}`))),
    list: { ids: Uint32Array.from({ length: 900 }, (_, j) => j * 33 + (i % 33)), weights: null },
  }));
  const input = { lo: 0, hi: WIDTH, level: 0, time: 0, epochs: [{ field: 'w', epoch: 0 }], lists };
  ({ meta, file } = buildSegment(input, seededRandom('large segment')));
  expect(segmentShape(meta).hasTree).toBe(true);
  await (await town.node('mercy').segments(memberId('mercy'))).putSegment(segmentName(meta), file);
});
afterAll(() => town?.close());

it.each<[FetchPolicy, number]>([
  ['pages', 1],
  ['pages-and-tree', 1],
  ['whole', 0],
])('policy %s asks once a round', async (policy, second) => {
  const reader = new SegmentReader(meta, [segmentSource(gateway)], policy);
  asked.length = 0;
  const wanted = [0, 3, 7, segmentShape(meta).leaves - 1];
  const leaves = await reader.leaves(wanted);
  expect([...leaves.keys()]).toEqual(wanted);
  expect(asked).toHaveLength(1);
  await reader.leaves([1]);
  expect(asked).toHaveLength(1 + second);
  expect(leaves.get(3)).toEqual(file.slice(3 * meta.pageBytes, 4 * meta.pageBytes));
});

it('bytes that are fewer, more or others are refused', async () => {
  const changes: ((bytes: Uint8Array) => Uint8Array)[] = [
    (bytes) => bytes.slice(0, bytes.length - 1),
    (bytes) => Uint8Array.from([...bytes, 0]),
    () => new Uint8Array(),
    (bytes) => bytes.map((byte, i) => (i === 5000 ? byte ^ 1 : byte)),
  ];
  const codes: string[] = [];
  for (const change of changes) {
    const reader = new SegmentReader(meta, [segmentSource(gateway)], 'pages');
    const run = liar.during({ path: /\/ranges$/, change }, () => reader.leaves([0, 3]));
    codes.push(
      await run.then(
        () => 'believed',
        (error: CodedError) => error.code,
      ),
    );
  }
  expect(codes).toEqual([
    'search.segment_length',
    'search.segment_length',
    'search.segment_length',
    'search.segment_root',
  ]);
});

it('bounds: 8,192 ranges and 64 MiB together are taken, more are not', async () => {
  const path = `/v1/search/segments/${segmentName(meta)}/ranges`;
  const taken = (ranges: readonly (readonly [number, number])[]): Promise<string> =>
    gateway.bytes('POST', path, { body: { ranges } }).then(
      () => 'taken',
      (error: CodedError) => error.code,
    );
  expect(await taken(Array.from({ length: 8192 }, () => [0, 1] as const))).toBe('taken');
  expect(await taken(Array.from({ length: 8193 }, () => [0, 1] as const))).toBe('request.invalid');
  expect(await taken([[0, LIMIT]])).toBe('taken');
  expect(
    await taken([
      [0, LIMIT],
      [0, 1],
    ]),
  ).toBe('request.invalid');
});
