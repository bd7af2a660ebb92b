/**
 * The fetch policy `direct`: pages from the custodian through the own gateway. Off, and on only between members whose
 * configurations both say so; what the custodian gets is a segment and ranges, and what it gives is verified like any copy.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Gateway, Hippocrypt } from '../../src/client/index.ts';
import { segmentSource } from '../../src/client/segment-source.ts';
import { concat, utf8 } from '../../src/codec/bytes.ts';
import { encodeCbor } from '../../src/codec/cbor.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { memberId } from '../../src/codec/ids.ts';
import {
  DIRECT_BYTES_MAX,
  DIRECT_RANGES_MAX,
  decodeRangesRequest,
  encodeRangesRequest,
} from '../../src/node/direct-fetch.ts';
import {
  buildSegment,
  type SegmentMeta,
  SegmentReader,
  secretFromT,
  segmentName,
  segmentShape,
} from '../../src/search/index.ts';
import { leafRange } from '../../src/search/segment.ts';
import { PASSWORD, startTown, type Town } from '../node/consortium.ts';
import { seededRandom } from '../search/support.ts';
import { codeOf } from './liar.ts';

const MERCY = memberId('mercy');
const QUERY = 'type:Condition';
const OF_MERCY = { unit: 'record', custodians: ['mercy'] } as const;

describe('between members', () => {
  let town: Town;
  let researcher: Hippocrypt;
  let meta: SegmentMeta;
  let file: Uint8Array;

  beforeAll(async () => {
    town = await startTown({ directFetch: ['mercy', 'university'] });
    const attributes = ['mercy/role:researcher'];
    const person = { name: 'researcher', kind: 'person', attributes, custody: 'client' } as const;
    researcher = await town.people.enrol({ ...person, member: 'university' });
    await town.client('import');
    await town.client('visitor');
    const doctor = await town.client('doctor');
    const content = utf8('{"resourceType":"Condition","code":{"text":"asthma"}}');
    await doctor.records.put([{ content, patient: null, policy: 'mercy/role:doctor' }]);
    await town.settled();
    const lists = Array.from({ length: 400 }, (_, i) => ({
      secret: secretFromT(sha256(utf8(`word ${i}`))),
      list: { ids: Uint32Array.from({ length: 900 }, (_, j) => j * 33 + (i % 33)), weights: null },
    }));
    const input = { lo: 0, hi: 30_000, level: 0, time: 0, epochs: [{ field: 'w', epoch: 0 }], lists };
    ({ meta, file } = buildSegment(input, seededRandom('direct segment')));
    await (await town.node('mercy').segments(MERCY)).putSegment(segmentName(meta), file);
  });
  afterAll(() => town?.close());

  async function gatewayOf(member: string, account: string): Promise<Gateway> {
    const gateway = new Gateway({ url: town.url(member) });
    gateway.useToken(await town.token(member, account));
    return gateway;
  }

  it('is refused where one of the two has not turned it on, at the asker before anything is asked', async () => {
    const visitor = await gatewayOf('st-luke', 'visitor');
    const { link } = town.node('st-luke').options;
    const asked = vi.spyOn(link, 'request');
    expect(await codeOf(segmentSource(visitor, 'mercy').fetchWhole(segmentName(meta)))).toBe(
      'search.direct_off',
    );
    expect(asked.mock.calls.filter(([, , op]) => op === 'ranges')).toEqual([]);
    asked.mockRestore();
    const own = researcher.gateway;
    expect(await codeOf(segmentSource(own, 'st-luke').fetchWhole(segmentName(meta)))).toBe(
      'search.direct_off',
    );
    expect(await codeOf(segmentSource(own, 'mercy').fetchWhole('0'.repeat(32)))).toBe('index.unknown');
  });

  it('shows the custodian a segment and ranges, no subject; what it gives is verified', async () => {
    const { link } = town.node('university').options;
    const asked = vi.spyOn(link, 'request');
    const wanted = [0, 3, segmentShape(meta).leaves - 1];
    const reader = new SegmentReader(meta, [segmentSource(researcher.gateway, 'mercy')], 'pages');
    const leaves = await reader.leaves(wanted);
    for (const leaf of wanted) {
      const { offset, length } = leafRange(meta, leaf);
      expect(leaves.get(leaf)).toEqual(file.subarray(offset, offset + length));
    }
    const requests = asked.mock.calls.filter(([, , op]) => op === 'ranges');
    asked.mockRestore();
    expect(requests).toHaveLength(1);
    const [to, channel, , body] = requests[0];
    expect([to, channel]).toEqual([MERCY, 'headers']);
    const { name, ranges } = decodeRangesRequest(body);
    expect(name).toBe(segmentName(meta));
    expect(body).toEqual(encodeRangesRequest(name, ranges));

    const folder = await town.node('mercy').segments(MERCY);
    const bad = file.slice();
    bad[leafRange(meta, 3).offset] ^= 1;
    await folder.putSegment(segmentName(meta), bad);
    expect(await codeOf(reader.leaves(wanted))).toBe('search.segment_root');
    await folder.putSegment(segmentName(meta), file);
  });

  it('answers a search without any copy at the own node; the default needs one', async () => {
    const connect = (indexFetch: 'direct' | 'pages'): Promise<Hippocrypt> =>
      Hippocrypt.connect({
        url: town.url('university'),
        account: 'researcher',
        password: PASSWORD,
        device: researcher.context.device,
        indexFetch,
      });
    expect((await researcher.search.query(QUERY, OF_MERCY)).records).toHaveLength(1);
    const copies = await town.node('university').segments(MERCY);
    for (const name of await copies.names()) await copies.deleteSegment(name);
    const direct = await connect('direct');
    const found = await direct.search.query(QUERY, OF_MERCY);
    expect([found.records.length, found.missing]).toEqual([1, []]);
    const refused = codeOf((await connect('pages')).search.query(QUERY, OF_MERCY));
    expect(await refused).toBe('search.segment_unavailable');
  });
});

describe('a request for ranges', () => {
  const name = 'ab'.repeat(16);
  const refusal = (bytes: Uint8Array): string => {
    try {
      decodeRangesRequest(bytes);
      return 'taken';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };

  it('is a segment with ranges within the bounds, or the whole of it', () => {
    const one = { offset: 7, length: DIRECT_BYTES_MAX };
    expect(decodeRangesRequest(encodeRangesRequest(name, [one]))).toEqual({ name, ranges: [one] });
    expect(decodeRangesRequest(encodeRangesRequest(name, null))).toEqual({ name, ranges: null });
    const many = Array.from({ length: DIRECT_RANGES_MAX }, (_, i) => ({ offset: i, length: 1 }));
    expect(decodeRangesRequest(encodeRangesRequest(name, many)).ranges).toHaveLength(DIRECT_RANGES_MAX);
    expect(refusal(encodeRangesRequest(name, [...many, one]))).toBe('link.malformed');
    expect(refusal(encodeRangesRequest(name, [one, { offset: 0, length: 1 }]))).toBe('link.malformed');
  });

  it('is refused in any other form', () => {
    for (const value of [
      name,
      [name],
      [name, [[1]]],
      [name, [[-1, 1]]],
      [name, [[0, 0]]],
      [name, [['0', 1]]],
      [1, null],
    ])
      expect(refusal(encodeCbor(value))).toBe('link.malformed');
    expect(refusal(encodeCbor(['../keystore', null]))).toBe('index.unknown');
    expect(refusal(concat(encodeCbor([name, null]), utf8('x')))).toMatch(/^cbor\./);
  });
});
