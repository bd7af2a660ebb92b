/**
 * Misbehaving servers, custodians and evaluators (search-security notes, section 7, test 4): every change is refused
 * with the code of the check that caught it, and none yields a shorter answer.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { fromHex, u32be } from '../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../src/codec/cbor.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { cellHead } from '../../src/search/build.ts';
import {
  type ByteRange,
  buildSegment,
  type CustodianIndex,
  decodeManifest,
  encodeKeyword,
  encodeManifest,
  type FieldSpec,
  fieldRegistry,
  type KeywordSecret,
  keywordKey,
  type Manifest,
  manifestHash,
  parseQuery,
  planQuery,
  runQuery,
  type SecretList,
  type SegmentMeta,
  SegmentReader,
  type SegmentSource,
  secretFromT,
  segmentName,
  segmentShape,
  sentinel,
} from '../../src/search/index.ts';
import { bucketOf, listKeys } from '../../src/search/keys.ts';
import { closeFile, leafRange, segmentRoot } from '../../src/search/segment.ts';
import { CLIENT_KEY, Dice, expectCode, rejectionCode, seededRandom } from './support.ts';

const FIELD: FieldSpec = {
  name: 'w',
  index: { type: 'code', hierarchy: 'none', prefix: null },
  sensitive: false,
  budget: { perDay: 200, perEpoch: 2000 },
};
const REGISTRY = fieldRegistry([FIELD]);
const WIDTH = 30_000;
const EPOCHS = [{ field: 'w', epoch: 1 }];

const wordOf = (value: string) => encodeKeyword({ field: 'w', type: 'code', system: null, value });
const secrets = new Map<string, KeywordSecret>();
function secretOf(keyword: Uint8Array): KeywordSecret {
  const key = keywordKey(keyword);
  const known = secrets.get(key) ?? secretFromT(sha256(keyword));
  secrets.set(key, known);
  return known;
}
const every = (step: number) => Uint32Array.from({ length: Math.ceil(WIDTH / step) }, (_, i) => step * i);
const listOf = (keyword: Uint8Array, ids: Uint32Array): SecretList => ({
  secret: secretOf(keyword),
  list: { ids, weights: null },
});

/** Two segments: a large one that is read page by page, and a small one that is fetched whole. */
function honest(): { manifest: Manifest; files: Map<string, Uint8Array> } {
  const dice = new Dice(11);
  const filler = Array.from({ length: 9000 }, (_, i) => {
    const start = dice.below(100);
    return listOf(
      wordOf(`f${i}`),
      Uint32Array.from({ length: 1 + dice.below(30) }, (_, j) => start + 700 * j),
    );
  });
  const lists = [
    listOf(encodeKeyword(sentinel('w')), every(1)),
    listOf(wordOf('common'), every(3)),
    listOf(wordOf('rare'), every(3000)),
    ...filler,
  ];
  const small = [
    listOf(encodeKeyword(sentinel('w')), Uint32Array.of(0, 1, 2)),
    listOf(wordOf('rare'), Uint32Array.of(1)),
  ];
  const base = { level: 0, time: 0, epochs: EPOCHS };
  const built = [
    buildSegment({ ...base, lo: 0, hi: WIDTH, lists }, seededRandom('large')),
    buildSegment({ ...base, lo: WIDTH, hi: WIDTH + 5, lists: small }, seededRandom('small')),
  ];
  const files = new Map(built.map(({ meta, file }) => [segmentName(meta), file]));
  return { manifest: { custodian: 'mercy', seq: 1, segments: built.map(({ meta }) => meta) }, files };
}

let world: ReturnType<typeof honest>;
beforeAll(() => {
  world = honest();
});

const EXPECTED = [...every(3000), WIDTH + 1];
const RECORDS = WIDTH + 5;

/** Answers from `files`, through `twist` for every piece of bytes that a client asks for. */
function sourceOf(
  files: ReadonlyMap<string, Uint8Array>,
  twist: (bytes: Uint8Array, name: string, range: ByteRange | undefined) => Uint8Array = (bytes) => bytes,
): SegmentSource {
  const fileOf = (name: string): Uint8Array => {
    const file = files.get(name);
    if (file === undefined) throw new Error('missing');
    return file;
  };
  return {
    fetchWhole: async (name) => twist(fileOf(name), name, undefined),
    fetchRanges: async (name, ranges) =>
      ranges.map((range) =>
        twist(fileOf(name).slice(range.offset, range.offset + range.length), name, range),
      ),
  };
}

async function query(
  manifest: Manifest,
  sources: readonly SegmentSource[],
  text = 'w:rare and w:common',
  changes: Partial<CustodianIndex> = {},
): Promise<number[]> {
  const index: CustodianIndex = {
    manifest,
    records: RECORDS,
    dead: new Uint32Array(0),
    secretOf: (keyword) => secretOf(keyword),
    readerOf: (meta) => new SegmentReader(meta, sources),
    ...changes,
  };
  const plan = planQuery(parseQuery(text), REGISTRY);
  const result = await runQuery({ plan, unit: 'record', custodians: [index], clientKey: CLIENT_KEY });
  return [...result.records[0].numbers];
}

describe('an honest server', () => {
  test('is read page by page where the file is large', async () => {
    expect(segmentShape(world.manifest.segments[0]).hasTree).toBe(true);
    expect(world.manifest.segments[0].tiers.length).toBeGreaterThan(0);
    expect(await query(world.manifest, [sourceOf(world.files)], 'w:rare')).toEqual(EXPECTED);
    expect(await query(world.manifest, [sourceOf(world.files)])).toEqual(EXPECTED.slice(0, -1));
  });
});

describe('a server that tampers', () => {
  test.each(['pages', 'pages-and-tree'] as const)(
    'with any byte fetched under %s, tree nodes included, is refused',
    async (policy) => {
      const dice = new Dice(3);
      const run = (source: SegmentSource) =>
        query(world.manifest, [source], 'w:rare and w:common', {
          readerOf: (meta) => new SegmentReader(meta, [source], policy),
        });
      for (let i = 0; i < 60; i++) {
        let pieces = 0;
        const counting = sourceOf(world.files, (bytes) => {
          pieces++;
          return bytes;
        });
        await run(counting);
        const target = dice.below(pieces);
        let at = 0;
        const flip = sourceOf(world.files, (bytes) => {
          if (at++ !== target) return bytes;
          const copy = bytes.slice();
          copy[dice.below(copy.length)] ^= 1 << dice.below(8);
          return copy;
        });
        expect(await rejectionCode(run(flip))).toBe('search.segment_root');
      }
    },
  );

  test('with any byte of a whole file, padding included, is refused', async () => {
    const small = segmentName(world.manifest.segments[1]);
    const file = world.files.get(small) ?? new Uint8Array(0);
    for (let at = 0; at < file.length; at += 97) {
      const flip = sourceOf(world.files, (bytes, name) => {
        if (name !== small) return bytes;
        const copy = bytes.slice();
        copy[at] ^= 0x10;
        return copy;
      });
      expect(await rejectionCode(query(world.manifest, [flip]))).toBe('search.segment_root');
    }
  });

  test('by cutting or lengthening pieces is refused', async () => {
    const large = segmentName(world.manifest.segments[0]);
    for (const change of [
      (bytes: Uint8Array) => bytes.slice(0, -1),
      (bytes: Uint8Array) => Uint8Array.from([...bytes, 0]),
    ]) {
      const cutPages = sourceOf(world.files, (bytes, name) => (name === large ? change(bytes) : bytes));
      expect(await rejectionCode(query(world.manifest, [cutPages]))).toBe('search.segment_length');
      const cutFile = sourceOf(world.files, (bytes, name) => (name === large ? bytes : change(bytes)));
      expect(await rejectionCode(query(world.manifest, [cutFile]))).toBe('search.segment_length');
    }
    const fewer: SegmentSource = {
      ...sourceOf(world.files),
      fetchRanges: async (name, ranges) =>
        (await sourceOf(world.files).fetchRanges(name, ranges)).slice(0, -1),
    };
    expect(await rejectionCode(query(world.manifest, [fewer]))).toBe('search.segment_length');
  });

  test('by swapping pages, or serving a page of another segment, is refused', async () => {
    const [large] = world.manifest.segments;
    const file = world.files.get(segmentName(large)) ?? new Uint8Array(0);
    const swapped = sourceOf(world.files, (bytes, name, range) => {
      const isPage = range !== undefined && range.length === large.pageBytes;
      if (name !== segmentName(large) || !isPage) return bytes;
      const other = (range.offset + large.pageBytes) % (2 ** large.bits * large.pageBytes);
      return file.slice(other, other + large.pageBytes);
    });
    expect(await rejectionCode(query(world.manifest, [swapped]))).toBe('search.segment_root');
    const rebuilt = honestAgain();
    const foreign = new Map(world.files);
    foreign.set(segmentName(large), rebuilt);
    expect(await rejectionCode(query(world.manifest, [sourceOf(foreign)]))).toMatch(/segment_(root|length)/);
  });

  test('with a page that was good before is refused, and an honest page after it is taken', async () => {
    const [meta] = world.manifest.segments;
    let isBad = false;
    const source = sourceOf(world.files, (bytes) => (isBad ? bytes.map((byte) => byte ^ 1) : bytes));
    for (const policy of ['pages', 'pages-and-tree'] as const) {
      const reader = new SegmentReader(meta, [source], policy);
      const cost = { requests: 0, bytes: 0, proofBytes: 0 };
      isBad = false;
      await reader.leaves([0, 5], cost);
      isBad = true;
      expect(await rejectionCode(reader.leaves([0]))).toBe('search.segment_root');
      isBad = false;
      const before = cost.proofBytes;
      expect((await reader.leaves([0, 1], cost)).size).toBe(2);
      if (policy === 'pages-and-tree') expect(cost.proofBytes).toBe(before);
      else expect(cost.proofBytes).toBeGreaterThan(before);
    }
  });

  test('by withholding a segment is named, and another copy is asked for the whole batch', async () => {
    const lacking = new Map(world.files);
    lacking.delete(segmentName(world.manifest.segments[0]));
    expect(await rejectionCode(query(world.manifest, [sourceOf(lacking)]))).toBe(
      'search.segment_unavailable',
    );
    let asked: number[] = [];
    const watching: SegmentSource = {
      ...sourceOf(world.files),
      fetchRanges: (name, ranges) => {
        asked.push(ranges.length);
        return sourceOf(world.files).fetchRanges(name, ranges);
      },
    };
    await query(world.manifest, [watching]);
    const alone = asked;
    asked = [];
    expect(await query(world.manifest, [sourceOf(lacking), watching])).toEqual(EXPECTED.slice(0, -1));
    expect(asked).toEqual(alone);
  });
});

/** The large segment's lists sealed a second time. */
function honestAgain(): Uint8Array {
  const lists = [listOf(encodeKeyword(sentinel('w')), every(1)), listOf(wordOf('rare'), every(3000))];
  return buildSegment({ lo: 0, hi: WIDTH, level: 0, time: 0, epochs: EPOCHS, lists }, seededRandom('again'))
    .file;
}

describe('a manifest', () => {
  const encoded = () => encodeManifest(world.manifest);
  const reencode = (change: (form: { segments: Record<string, unknown>[] }) => void): Uint8Array => {
    const form = decodeCbor(encoded()) as { segments: Record<string, unknown>[] };
    change(form);
    return encodeCbor(form);
  };

  test('with any byte flipped is not the one on the ledger', () => {
    const bytes = encoded();
    const expected = { hash: manifestHash(bytes), records: RECORDS };
    expect(decodeManifest(bytes, expected).segments).toHaveLength(2);
    for (let at = 0; at < bytes.length; at++) {
      const copy = bytes.slice();
      copy[at] ^= 1;
      expectCode(() => decodeManifest(copy, expected), 'search.manifest_hash');
    }
    expectCode(() => decodeManifest(bytes.slice(0, -1), expected), 'search.manifest_hash');
  });

  test('of an earlier commit is refused by its hash', () => {
    const old = encodeManifest({ ...world.manifest, segments: world.manifest.segments.slice(0, 1) });
    expectCode(
      () => decodeManifest(old, { hash: manifestHash(encoded()), records: RECORDS }),
      'search.manifest_hash',
    );
  });

  test('without a segment, with a gap, an overlap, another order or beyond the ledger is refused', () => {
    const cases: ((form: { segments: Record<string, unknown>[] }) => void)[] = [
      (form) => form.segments.shift(),
      (form) => form.segments.reverse(),
      (form) => Object.assign(form.segments[1], { lo: WIDTH + 1 }),
      (form) => Object.assign(form.segments[1], { lo: WIDTH - 1 }),
      (form) => Object.assign(form.segments[0], { lo: 1 }),
    ];
    for (const change of cases) expectCode(() => decodeManifest(reencode(change)), 'search.manifest_ranges');
    const bytes = encoded();
    const short = { hash: manifestHash(bytes), records: RECORDS - 1 };
    expectCode(() => decodeManifest(bytes, short), 'search.manifest_ranges');
  });

  test('whose parameters contradict each other is refused', () => {
    const cases: Record<string, unknown>[] = [
      { b: 21 },
      { d: 10_000 },
      { p: 1000 },
      { p: 2 ** 20 + 256 },
      { tiers: [2 ** 20] },
      { pad: 1 },
      { tiers: [1, 0] },
      { hi: WIDTH, lo: WIDTH },
      {
        epochs: [
          ['w', 1],
          ['w', 2],
        ],
      },
      {
        epochs: [
          ['x', 1],
          ['w', 1],
        ],
      },
      { epochs: [['w', -1]] },
      { root: new Uint8Array(31) },
      { id: new Uint8Array(15) },
      { extra: 0 },
      { level: 'one' },
    ];
    for (const change of cases) {
      const bytes = reencode((form) => Object.assign(form.segments[0], change));
      expect(() => decodeManifest(bytes), JSON.stringify(change)).toThrow(/manifest/);
    }
    const large = reencode((form) => Object.assign(form.segments[0], { p: 2 ** 20 }));
    expect(decodeManifest(large).segments[0].pageBytes).toBe(2 ** 20);
    const twice = reencode((form) => Object.assign(form.segments[1], { id: form.segments[0].id }));
    expectCode(() => decodeManifest(twice), 'search.manifest_malformed');
    expectCode(() => decodeManifest(fromHex('00')), 'search.manifest_malformed');
  });

  test('with other parameters for an honest file does not match its root', async () => {
    for (const change of [
      { hi: WIDTH + 1 },
      { level: 3 },
      { epochs: [{ field: 'w', epoch: 2 }] },
      { time: 9 },
    ]) {
      const [large, small] = world.manifest.segments;
      const lo = change.hi ?? WIDTH;
      const manifest = {
        ...world.manifest,
        segments: [
          { ...large, ...change },
          { ...small, lo, hi: RECORDS + 1 },
        ],
      };
      const code = await rejectionCode(
        query(manifest, [sourceOf(world.files)], 'w:rare', { records: RECORDS + 1 }),
      );
      expect(code).toBe('search.segment_root');
    }
  });

  test("that lags is reported, and refused above the caller's bound", async () => {
    const index = (records: number) => ({
      manifest: world.manifest,
      records,
      dead: new Uint32Array(0),
      secretOf,
      readerOf: (meta: SegmentMeta) => new SegmentReader(meta, [sourceOf(world.files)]),
    });
    const plan = planQuery(parseQuery('w:rare'), REGISTRY);
    const run = (records: number, lagMax?: number) =>
      runQuery({
        plan,
        unit: 'record',
        custodians: [index(records)],
        clientKey: CLIENT_KEY,
        ...(lagMax === undefined ? {} : { lagMax }),
      });
    expect((await run(RECORDS + 7)).lag).toEqual([{ custodian: 'mercy', records: 7 }]);
    expect((await run(RECORDS + 7, 7)).lag[0].records).toBe(7);
    expect(await rejectionCode(run(RECORDS + 7, 6))).toBe('search.lag_exceeded');
    expect(await rejectionCode(run(RECORDS - 1))).toBe('search.manifest_ranges');
  });
});

/** A custodian that commits whatever `edit` makes of an honest segment's leaves, with a matching root. */
function dishonest(
  meta: SegmentMeta,
  file: Uint8Array,
  edit: (leaves: Uint8Array) => void,
): [SegmentMeta, Uint8Array] {
  const leaves = file.slice(0, segmentShape(meta).leafBytes);
  edit(leaves);
  const closed = closeFile(meta, leaves);
  return [{ ...meta, root: segmentRoot(meta, closed.treeRoot) }, closed.file];
}

describe('a custodian that commits to a bad segment', () => {
  const rare = secretOf(wordOf('rare'));

  async function answerOf(edit: (leaves: Uint8Array, meta: SegmentMeta) => void): Promise<string> {
    const [large, small] = world.manifest.segments;
    const file = world.files.get(segmentName(large)) ?? new Uint8Array(0);
    const [meta, bad] = dishonest(large, file, (leaves) => edit(leaves, large));
    const files = new Map(world.files).set(segmentName(meta), bad);
    return rejectionCode(query({ ...world.manifest, segments: [meta, small] }, [sourceOf(files)], 'w:rare'));
  }

  function cellAt(
    leaves: Uint8Array,
    meta: SegmentMeta,
    secret: KeywordSecret,
  ): { page: number; cell: number } {
    const { offset } = leafRange(meta, bucketOf(secret.u, meta.bits));
    const { tag } = listKeys(secret.t, meta.id);
    for (let cell = 0; cell < meta.cells; cell++) {
      const at = offset + 14 * cell;
      if (tag.every((byte, i) => leaves[at + i] === byte)) return { page: offset, cell: at };
    }
    throw new Error('the keyword has no cell');
  }

  function rewrite(
    leaves: Uint8Array,
    at: number,
    secret: KeywordSecret,
    meta: SegmentMeta,
    head: number,
    place: number,
  ) {
    const { mask } = listKeys(secret.t, meta.id);
    const plain = [head >>> 8, head & 255, ...u32be(place)];
    leaves.set(
      plain.map((byte, i) => byte ^ mask[i]),
      at + 8,
    );
  }

  test('with one tag twice in a page', async () => {
    const code = await answerOf((leaves, meta) => {
      const { page, cell } = cellAt(leaves, meta, rare);
      const other = cell === page ? page + 14 : page;
      leaves.copyWithin(other, cell, cell + 14);
    });
    expect(code).toBe('search.segment_duplicate_tag');
  });

  test.each([
    ['a length above 1,024', cellHead(-1, 1025), 7000],
    ['an offset among the cells', cellHead(-1, 10), 3],
    ['an offset beyond the page', cellHead(-1, 10), 8190],
    ['a tier that is not there', cellHead(9, 0), 0],
    ['a slot that is not there', cellHead(0, 0), 999],
    ['a slot with a length', cellHead(0, 0) | 1, 0],
  ])('with a cell that has %s', async (_, head, place) => {
    const code = await answerOf((leaves, meta) =>
      rewrite(leaves, cellAt(leaves, meta, rare).cell, rare, meta, head, place),
    );
    expect(code).toBe('search.segment_cell');
  });

  test('with a list that is cut by one byte', async () => {
    const code = await answerOf((leaves, meta) => {
      const { cell } = cellAt(leaves, meta, rare);
      const { mask } = listKeys(rare.t, meta.id);
      const head = ((leaves[cell + 8] ^ mask[0]) << 8) | (leaves[cell + 9] ^ mask[1]);
      leaves[cell + 9] = ((head - 1) & 255) ^ mask[1];
    });
    expect(code).toBe('search.list_malformed');
  });

  test('whose lists are not inside the sentinel, or whose sentinel is missing', async () => {
    const lists = (guard: Uint32Array | undefined): SecretList[] => [
      ...(guard === undefined ? [] : [listOf(encodeKeyword(sentinel('w')), guard)]),
      listOf(wordOf('rare'), Uint32Array.of(1, 4)),
    ];
    for (const guard of [Uint32Array.of(1, 3), new Uint32Array(0), undefined]) {
      const input = { lo: 0, hi: RECORDS, level: 0, time: 0, epochs: EPOCHS, lists: lists(guard) };
      const { meta, file } = buildSegment(input, seededRandom('guard'));
      const source = sourceOf(new Map([[segmentName(meta), file]]));
      const manifest = { ...world.manifest, segments: [meta] };
      expect(await rejectionCode(query(manifest, [source], 'w:rare'))).toBe('search.keys_inconsistent');
    }
  });

  test('with an empty list that is no sentinel', async () => {
    const lists = [
      listOf(encodeKeyword(sentinel('w')), Uint32Array.of(1)),
      listOf(wordOf('rare'), new Uint32Array(0)),
    ];
    const { meta, file } = buildSegment(
      { lo: 0, hi: RECORDS, level: 0, time: 0, epochs: EPOCHS, lists },
      seededRandom('empty'),
    );
    const source = sourceOf(new Map([[segmentName(meta), file]]));
    const code = await rejectionCode(query({ ...world.manifest, segments: [meta] }, [source], 'w:rare'));
    expect(code).toBe('search.keys_inconsistent');
  });
});

describe('wrong keys', () => {
  test('a wrong field key or epoch is told apart from an empty answer', async () => {
    const wrong = (keyword: Uint8Array) => secretFromT(sha256(keyword, Uint8Array.of(1)));
    const code = await rejectionCode(
      query(world.manifest, [sourceOf(world.files)], 'w:rare', { secretOf: wrong }),
    );
    expect(code).toBe('search.keys_inconsistent');
  });

  test('a keyword without a secret fails the query instead of counting as absent', async () => {
    const none = (keyword: Uint8Array) =>
      keywordKey(keyword) === keywordKey(wordOf('rare')) ? undefined : secretOf(keyword);
    const code = await rejectionCode(
      query(world.manifest, [sourceOf(world.files)], 'w:rare', { secretOf: none }),
    );
    expect(code).toBe('search.secret_missing');
  });
});
