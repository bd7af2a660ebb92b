/** Segments: every list comes back, at every size edge, page by page and whole, and their form leaks no counts. */
import { describe, expect, test } from 'vitest';
import { toHex, u32be } from '../../src/codec/bytes.ts';
import { sha256 } from '../../src/codec/hash.ts';
import {
  type BuiltSegment,
  buildSegment,
  listInFile,
  type PostingList,
  type SecretList,
  type SegmentMeta,
  SegmentReader,
  secretFromT,
  segmentName,
  segmentShape,
  verifySegmentFile,
} from '../../src/search/index.ts';
import { bucketOf } from '../../src/search/keys.ts';
import { decodeList, encodeList } from '../../src/search/list.ts';
import { readPage, readSlot } from '../../src/search/read.ts';
import { slotLeaf } from '../../src/search/segment.ts';
import { Dice, expectCode, MemoryStore, seededRandom } from './support.ts';

const secret = (i: number) => secretFromT(sha256(u32be(i)));

/** n numbers with gaps of 1 or more that end below `width`. */
function spread(n: number, width: number): PostingList {
  return { ids: Uint32Array.from({ length: n }, (_, i) => Math.floor((i * width) / n)), weights: null };
}

function build(
  width: number,
  lists: readonly PostingList[],
  seed = 'segment',
): BuiltSegment & { lists: SecretList[] } {
  const sealed = lists.map((list, i) => ({ secret: secret(i), list }));
  const input = {
    lo: 1000,
    hi: 1000 + width,
    level: 1,
    time: 5,
    epochs: [{ field: 'w', epoch: 0 }],
    lists: sealed,
  };
  return { ...buildSegment(input, seededRandom(seed)), lists: sealed };
}

async function readBack(
  meta: SegmentMeta,
  reader: SegmentReader,
  one: SecretList,
): Promise<PostingList | undefined> {
  const keys = reader.keysOf(one.secret);
  const page = bucketOf(one.secret.u, meta.bits);
  const content = readPage(meta, (await reader.leaves([page])).get(page) ?? new Uint8Array(0), keys);
  if (content.kind === 'absent') return undefined;
  if (content.kind === 'list') return { ids: content.list.members.ids, weights: content.list.weights };
  const leaf = slotLeaf(meta, content.tier, content.slot);
  const list = readSlot(meta, (await reader.leaves([leaf])).get(leaf) ?? new Uint8Array(0), keys);
  return { ids: list.members.ids, weights: list.weights };
}

/** Equality without the cost of a general comparison of arrays. */
function sameList(a: PostingList | undefined, b: PostingList): boolean {
  if (a === undefined || a.ids.length !== b.ids.length || a.weights?.length !== b.weights?.length)
    return false;
  return (
    a.ids.every((id, i) => id === b.ids[i]) && (a.weights?.every((one, i) => one === b.weights?.[i]) ?? true)
  );
}

async function expectAllLists(built: BuiltSegment & { lists: SecretList[] }): Promise<void> {
  const { meta, file, lists } = built;
  verifySegmentFile(meta, file);
  const store = new MemoryStore();
  await store.putSegment(segmentName(meta), file);
  for (const policy of ['pages', 'whole'] as const) {
    const reader = new SegmentReader(meta, [store], policy);
    for (const one of lists) expect(sameList(await readBack(meta, reader, one), one.list)).toBe(true);
    expect(await readBack(meta, reader, { secret: secret(1_000_000), list: spread(1, 1) })).toBeUndefined();
  }
}

const lengthOf = (list: PostingList, width: number) => encodeList(list, width).length;

describe('lists at the edges', () => {
  const width = 140_000;
  const sizes = [
    1,
    2,
    127,
    128,
    1020,
    1021,
    1022,
    4093,
    4094,
    16_380,
    16_381,
    16_382,
    70_000,
    width - 1,
    width,
  ];
  /** Gaps of 8: one byte a posting, and still shorter than a bitmap. */
  const packed = (n: number): PostingList => ({
    ids: Uint32Array.from({ length: n }, (_, i) => 8 * i),
    weights: null,
  });
  const lists = [...sizes.slice(0, -3).map(packed), ...sizes.map((n) => spread(n, width))];

  test('the sizes meet 1,024 B and both tier edges exactly', () => {
    const lengths = lists.map((list) => lengthOf(list, width));
    for (const edge of [1023, 1024, 1025, 4096, 4097, 16_384, 16_385]) expect(lengths).toContain(edge);
  });

  test('all come back from a large file', async () => {
    const built = build(width, [
      ...lists,
      ...Array.from({ length: 9000 }, (_, i) => spread(1 + (i % 40), width)),
    ]);
    expect(segmentShape(built.meta).hasTree).toBe(true);
    expect(built.meta.tiers.length).toBeGreaterThanOrEqual(3);
    await expectAllLists({ ...built, lists: [...built.lists.slice(0, 300)] });
  });

  test('weights lengthen a list and come back with it', async () => {
    const weighted = [1, 509, 510, 511, 2045, 2046, 2047].map((n) => ({
      ...packed(n),
      weights: Uint8Array.from({ length: n }, (_, i) => 1 + (i % 255)),
    }));
    expect(weighted.map((list) => lengthOf(list, width))).toContain(1025);
    await expectAllLists(build(width, weighted));
  });

  test('a segment of one record, and one of no list', async () => {
    await expectAllLists(build(1, [spread(1, 1), { ids: new Uint32Array(0), weights: null }]));
    await expectAllLists(build(5, []));
  });

  test('random lists in segments of 1 to 20,000 records', async () => {
    const dice = new Dice(7);
    for (const width of [1, 7, 8, 9, 100, 1000, 20_000]) {
      const lists = Array.from({ length: 60 }, () => {
        const density = dice.below(100);
        const ids = Array.from({ length: width }, (_, i) => i).filter(() => dice.below(100) < density);
        return { ids: Uint32Array.from(ids), weights: null };
      }).filter((list) => list.ids.length > 0);
      await expectAllLists(build(width, lists, `random ${width}`));
    }
  });
});

describe('canonical lists', () => {
  const good = Uint32Array.of(1, 200, 201);

  test('another form of the same list is refused', () => {
    const plain = encodeList({ ids: good, weights: null }, 1000);
    expect([...decodeList(plain, 1000, 'exact').members.ids]).toEqual([...good]);
    const cases: [string, number[]][] = [
      ['trailing byte', [...plain, 0]],
      ['cut short', [...plain].slice(0, -1)],
      ['unknown encoding', [4, ...plain.slice(1)]],
      ['varint longer than needed', [0, 0x83, 0, ...plain.slice(2)]],
      ['number beyond the segment', [0, 1, 0xe8, 0x07]],
      ['count beyond the segment', [0, 0xe9, 0x07, ...new Uint8Array(1001)]],
      ['weights missing', [2, ...plain.slice(1)]],
      ['a bitmap where deltas are shorter', [1, 1, 1, ...new Uint8Array(124)]],
      ['a bitmap with another count', [1, 2, 1, ...new Uint8Array(124)]],
    ];
    for (const [name, bytes] of cases) {
      expectCode(() => decodeList(Uint8Array.from(bytes), 1000, 'exact'), 'search.list_malformed');
      expect(name).toBeTruthy();
    }
  });

  test('deltas where a bitmap is shorter, and bits beyond the segment, are refused', () => {
    const deltas = [0, 10, ...new Uint8Array(10)];
    expectCode(() => decodeList(Uint8Array.from(deltas), 20, 'exact'), 'search.list_malformed');
    expectCode(
      () => decodeList(Uint8Array.of(1, 10, 0x55, 0x55, 0x50), 20, 'exact'),
      'search.list_malformed',
    );
    expect(decodeList(Uint8Array.of(1, 10, 0x55, 0x55, 0x05), 20, 'exact').members.size).toBe(10);
  });

  test('a list of every record has no body, and no other form', () => {
    const every = Uint32Array.of(0, 1, 2);
    expect([...encodeList({ ids: every, weights: Uint8Array.of(7, 8, 9) }, 3)]).toEqual([2, 3, 7, 8, 9]);
    expect([...decodeList(Uint8Array.of(0, 3), 3, 'exact').members.ids]).toEqual([...every]);
    expectCode(() => decodeList(Uint8Array.of(0, 3, 0, 0, 0), 3, 'exact'), 'search.list_malformed');
    expectCode(() => decodeList(Uint8Array.of(1, 3, 7), 3, 'exact'), 'search.list_malformed');
    expectCode(() => decodeList(Uint8Array.of(1, 3), 3, 'exact'), 'search.list_malformed');
  });

  test('a slot takes zeros behind the list and nothing else', () => {
    const slot = new Uint8Array(4096);
    slot.set(encodeList({ ids: good, weights: null }, 1000));
    expect(decodeList(slot, 1000, 'slot').members.size).toBe(3);
    slot[4095] = 1;
    expectCode(() => decodeList(slot, 1000, 'slot'), 'search.list_malformed');
  });
});

describe('what a file shows', () => {
  test('flushes of one record with 1 keyword and with 250 have equal file sizes and parameters', () => {
    const forms = [1, 250].map((keywords) => {
      const { meta, file } = build(
        1,
        Array.from({ length: keywords }, () => spread(1, 1)),
      );
      const { bits, cells, pageBytes, tiers, padBytes } = meta;
      return {
        bits: Math.min(bits, 1),
        cells,
        pageBytes,
        tiers,
        padBytes: padBytes + 8192 * (2 ** bits - 1),
        size: file.length,
      };
    });
    expect(forms[0]).toEqual(forms[1]);
    expect(forms[0].size).toBe(16_384);
  });

  test('small files have 16 KiB x 2^k, large ones are above 256 KiB', () => {
    for (const lists of [1, 300, 700, 1500, 3000, 6000, 9000, 12_000]) {
      const { file, meta } = build(
        3000,
        Array.from({ length: lists }, (_, i) => spread(1 + (i % 4), 3000)),
      );
      const small = [16, 32, 64, 128, 256].map((kib) => kib * 1024).includes(file.length);
      expect(small || (segmentShape(meta).leafBytes > 256 * 1024 && segmentShape(meta).hasTree)).toBe(true);
    }
  });

  test('the same lists sealed again have another id and unrelated bytes', () => {
    const lists = [spread(5, 100), spread(50, 100)];
    const [one, two] = [build(100, lists, 'a'), build(100, lists, 'b')];
    expect(segmentName(one.meta)).not.toBe(segmentName(two.meta));
    const equal = one.file.filter((byte, i) => byte === two.file[i]).length;
    expect(equal).toBeLessThan(one.file.length / 128);
  });

  test('a random source that repeats itself still gives other contents another id', () => {
    const repeating = () => (length: number) => new Uint8Array(length).fill(1);
    const input = { lo: 0, hi: 9, level: 0, time: 0, epochs: [] };
    const ids = [3, 4].map((id) => {
      const lists = [{ secret: secret(1), list: { ids: Uint32Array.of(id), weights: null } }];
      return toHex(buildSegment({ ...input, lists }, repeating()).meta.id);
    });
    expect(ids[0]).not.toBe(ids[1]);
  });

  test('a segment covers at most 2^23 records', () => {
    const base = { lo: 0, level: 0, time: 0, epochs: [], lists: [] };
    expect(buildSegment({ ...base, hi: 2 ** 23 }, seededRandom('x')).meta.hi).toBe(2 ** 23);
    expectCode(() => buildSegment({ ...base, hi: 2 ** 23 + 1 }, seededRandom('x')), 'search.too_large');
    expectCode(() => buildSegment({ ...base, hi: 0 }, seededRandom('x')), 'search.too_large');
  });

  test('files are statistically flat: bytes uniform, no block repeats, deflate gains nothing', async () => {
    const { deflateSync } = await import('node:zlib');
    const lists = Array.from({ length: 9000 }, (_, i) => spread(1 + (i % 60), 20_000));
    const files = ['a', 'b'].map((seed) => build(20_000, [...lists, spread(9000, 20_000)], seed));
    const blocks = new Set<string>();
    let count = 0;
    for (const { file, meta } of files) {
      const body = file.subarray(0, segmentShape(meta).leafBytes);
      const histogram = new Float64Array(256);
      for (const byte of body) histogram[byte]++;
      const expected = body.length / 256;
      const chi2 = histogram.reduce((sum, seen) => sum + (seen - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: 350 is beyond the 0.9999 quantile.
      expect(chi2).toBeLessThan(350);
      expect(deflateSync(body).length / body.length).toBeGreaterThanOrEqual(1);
      for (let at = 0; at + 16 <= body.length; at += 16) {
        blocks.add(toHex(body.subarray(at, at + 16)));
        count++;
      }
    }
    expect(blocks.size).toBe(count);
  });

  test('buckets of keywords are uniform', () => {
    const histogram = new Float64Array(32);
    for (let i = 0; i < 20_000; i++) histogram[bucketOf(secret(i).u, 5)]++;
    const chi2 = histogram.reduce((sum, seen) => sum + (seen - 625) ** 2 / 625, 0);
    expect(chi2).toBeLessThan(66);
  });
});

describe('a whole file', () => {
  test('holds the same lists for the indexer', () => {
    const { meta, file, lists } = build(500, [spread(3, 500), spread(499, 500)]);
    for (const { secret: own, list } of lists)
      expect(listInFile(meta, file, own)?.members.ids).toEqual(list.ids);
  });
});
