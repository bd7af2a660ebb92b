/** What a page-wise client asks for: padded terms, groups of slots for sensitive fields, no request that tells terms apart. */
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/codec/hash.ts';
import {
  type ByteRange,
  buildSegment,
  encodeKeyword,
  type FieldSpec,
  fieldRegistry,
  parseQuery,
  planQuery,
  runQuery,
  type SecretList,
  SegmentReader,
  secretFromT,
  segmentShape,
  sentinel,
} from '../../src/search/index.ts';
import { paddedTerms } from '../../src/search/lookup.ts';
import { CLIENT_KEY, seededRandom } from './support.ts';

const WIDTH = 20_000;
const secretOf = (keyword: Uint8Array) => secretFromT(sha256(keyword));
const field = (sensitive: boolean): FieldSpec => ({
  name: 'w',
  index: { type: 'code', hierarchy: 'none', prefix: null },
  sensitive,
  budget: { perDay: 200, perEpoch: 2000 },
});
const wordOf = (value: string) => encodeKeyword({ field: 'w', type: 'code', system: null, value });

/** Half of the records have the field; 20 lists of a tier, 300 short ones of 900 B. */
function world() {
  const every = (step: number) =>
    Uint32Array.from({ length: Math.floor(WIDTH / 2 / step) }, (_, i) => 2 * step * i);
  const list = (keyword: Uint8Array, ids: Uint32Array): SecretList => ({
    secret: secretOf(keyword),
    list: { ids, weights: null },
  });
  const lists = [list(encodeKeyword(sentinel('w')), every(1))];
  for (let i = 0; i < 20; i++) lists.push(list(wordOf(`long${i}`), every(3)));
  for (let i = 0; i < 300; i++) lists.push(list(wordOf(`short${i}`), every(12)));
  const input = { lo: 0, hi: WIDTH, level: 0, time: 0, epochs: [{ field: 'w', epoch: 0 }], lists };
  return buildSegment(input, seededRandom('lookup'));
}

/** Numbers of the leaves asked for in each request, and their lengths. */
async function requests(text: string, sensitive: boolean): Promise<{ pages: number; slots: number[] }[]> {
  const { meta, file } = world();
  expect(segmentShape(meta).hasTree).toBe(true);
  const seen: { pages: number; slots: number[] }[] = [];
  const slotStart = 2 ** meta.bits * meta.pageBytes;
  const source = {
    fetchWhole: async () => file,
    fetchRanges: async (_: string, ranges: readonly ByteRange[]) => {
      const leaves = ranges.filter(({ offset }) => offset < segmentShape(meta).leafBytes);
      const slots = leaves.filter(({ offset }) => offset >= slotStart);
      seen.push({
        pages: leaves.length - slots.length,
        slots: slots.map(({ offset }) => (offset - slotStart) / 4096),
      });
      return ranges.map(({ offset, length }) => file.subarray(offset, offset + length));
    },
  };
  await runQuery({
    plan: planQuery(parseQuery(text), fieldRegistry([field(sensitive)])),
    unit: 'record',
    clientKey: CLIENT_KEY,
    custodians: [
      {
        manifest: { custodian: 'mercy', seq: 1, segments: [meta] },
        records: WIDTH,
        dead: new Uint32Array(0),
        secretOf,
        readerOf: (one) => new SegmentReader(one, [source]),
      },
    ],
  });
  return seen;
}

describe('a page-wise query', () => {
  test.each([
    [1, 4],
    [4, 4],
    [5, 8],
    [9, 16],
    [33, 64],
  ])('pads %i terms to %i', (count, size) => {
    expect(paddedTerms(count)).toBe(size);
  });

  test('of one term and its sentinel asks for four pages, or fewer only where buckets coincide', async () => {
    for (const text of ['w:short1', 'w:absent', 'w:long1']) {
      const [first] = await requests(text, false);
      expect(first.slots).toEqual([]);
      expect(first.pages).toBeGreaterThanOrEqual(3);
      expect(first.pages).toBeLessThanOrEqual(4);
    }
  });

  test('asks for slots only after all pages, one for each long list', async () => {
    expect((await requests('w:short1 and w:absent', false)).map(({ slots }) => slots.length)).toEqual([0, 1]);
    expect((await requests('w:long1 and w:long2', false)).map(({ slots }) => slots.length)).toEqual([0, 3]);
  });

  test('of a sensitive field asks for whole groups of eight slots', async () => {
    const [, second] = await requests('w:long1', true);
    expect(second.slots.length).toBeGreaterThanOrEqual(5);
    const groups = new Set(second.slots.map((slot) => Math.floor(slot / 8)));
    const { meta } = world();
    const whole = [...groups].flatMap((group) =>
      Array.from({ length: 8 }, (_, i) => 8 * group + i).filter((slot) => slot < meta.tiers[0]),
    );
    expect(second.slots).toEqual(whole.sort((a, b) => a - b));
  });
});
