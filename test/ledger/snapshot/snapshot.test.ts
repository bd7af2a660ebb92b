/** Copies, manifests and chunks of a state: whole for states of every shape, and bounded one below and one above. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, toHex, u32be, utf8 } from '../../../src/codec/bytes.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import { encodeLeaf, joinLeaf, leafResult } from '../../../src/ledger/entries/leaf.ts';
import {
  Generations,
  type KvReader,
  MemoryStore,
  STATE_KEY_BYTES_MAX,
  STATE_NODE_TABLE,
  STATE_TABLE,
  STATE_VALUE_BYTES_MAX,
  stateRoot,
  updateState,
} from '../../../src/ledger/index.ts';
import { chunkOf } from '../../../src/ledger/snapshot/chunks.ts';
import {
  buildState,
  CERTIFIED_BYTES_MAX,
  CHUNK_BYTES_MAX,
  copyState,
  decodeCertified,
  decodeChunk,
  decodeManifest,
  decodeSegment,
  encodeCertified,
  encodeManifest,
  encodePair,
  encodeSegment,
  hasChunk,
  LINKS_MAX,
  MANIFEST_BYTES_MAX,
  type Manifest,
  placesOf,
  putChunk,
  SEGMENT_BLOCKS_MAX,
  SNAPSHOT_BYTES_MAX,
} from '../../../src/ledger/snapshot/index.ts';
import { STATE_NODE_BYTES_MAX, stateKeyHash } from '../../../src/ledger/state-tree/node.ts';

const CERTIFIED = { header: new Uint8Array(292), qc: new Uint8Array(9), links: [] };
const nothing = new Uint8Array();

async function stateOf(pairs: readonly (readonly [Uint8Array, Uint8Array])[]): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.write(updateState(store, pairs).ops);
  return store;
}

const codeOf = async (act: () => unknown): Promise<unknown> => {
  try {
    await act();
    return 'none';
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
};

/** Copies `from`, and puts the copy together again elsewhere by way of encoded manifest and chunks. */
async function carried(from: MemoryStore): Promise<{ depth: number; store: Generations }> {
  const copy = await copyState(from, new MemoryStore());
  const { depth, nodes, sizes } = copy;
  const manifest = decodeManifest(encodeManifest({ ...CERTIFIED, depth, nodes, sizes }));
  const places = placesOf(manifest, stateRoot(from));
  const store = new Generations(new MemoryStore());
  for (const [number, child] of places.children.entries()) {
    const chunk = copy.chunk(number);
    expect(chunk.length).toBe(sizes[number]);
    if (child === undefined) continue;
    await putChunk(store, depth, number, child, chunk);
    expect(hasChunk(store, depth, number, child)).toBe(true);
  }
  await buildState(store, depth, places, stateRoot(from));
  return { depth, store };
}

const rows = (store: KvReader, table: string): string[] =>
  [...store.range(table, {})].map((row) => row.map(toHex).join(' '));

describe('a state that was carried over', () => {
  it('is the same, node by node, for states of every shape', async () => {
    const key = fc.uint8Array({ minLength: 1, maxLength: 12 });
    const state = fc.uniqueArray(fc.tuple(key, fc.uint8Array({ maxLength: 40 })), {
      selector: ([one]) => toHex(one),
      maxLength: 400,
    });
    await fc.assert(
      fc.asyncProperty(state, async (pairs) => {
        const from = await stateOf(pairs);
        const { store } = await carried(from);
        for (const table of [STATE_TABLE, STATE_NODE_TABLE])
          if (pairs.length > 0) expect(rows(store.spare, table)).toEqual(rows(from, table));
        expect(stateRoot(store.spare)).toEqual(stateRoot(from));
        // The state in force is not touched.
        expect(rows(store, STATE_TABLE)).toEqual([]);
      }),
      { numRuns: 60, seed: 7 },
    );
  });

  it.each([
    [1, 3],
    [2, 5],
    [3, 65],
  ])('is cut at depth %i when it has %i MiB', async (depth, mebibytes) => {
    const big = Array.from(
      { length: mebibytes },
      (_, i) => [u32be(i), new Uint8Array(STATE_VALUE_BYTES_MAX).fill(i)] as const,
    );
    const small = Array.from({ length: 300 }, (_, i) => [utf8(`key ${i}`), utf8(`value ${i}`)] as const);
    const from = await stateOf([...big, ...small]);
    const carriedOver = await carried(from);
    expect(carriedOver.depth).toBe(depth);
    expect(rows(carriedOver.store.spare, STATE_NODE_TABLE)).toEqual(rows(from, STATE_NODE_TABLE));
  });
});

describe('bounds of a manifest', () => {
  const manifest = (more: Partial<Manifest> = {}): Uint8Array =>
    encodeManifest({
      ...CERTIFIED,
      depth: 1,
      nodes: [new Uint8Array(4)],
      sizes: new Array(16).fill(0),
      ...more,
    });
  const refused = (more: Partial<Manifest>): Promise<unknown> => codeOf(() => decodeManifest(manifest(more)));
  const BAD = 'snapshot.bad_manifest';

  it('chunks and their sum', async () => {
    const sizes = (first: number): number[] => [first, ...new Array(15).fill(0)];
    expect(await refused({ sizes: sizes(CHUNK_BYTES_MAX) })).toBe('none');
    expect(await refused({ sizes: sizes(CHUNK_BYTES_MAX + 1) })).toBe('snapshot.too_large');
    expect(await refused({ sizes: sizes(2 ** 40) })).toBe('snapshot.too_large');
    expect(await refused({ sizes: sizes(-1) })).toBe(BAD);
    const full = SNAPSHOT_BYTES_MAX / CHUNK_BYTES_MAX;
    const many = (last: number): number[] => [
      ...new Array(full).fill(CHUNK_BYTES_MAX),
      last,
      ...new Array(4096 - full - 1).fill(0),
    ];
    expect(await refused({ depth: 3, sizes: many(0) })).toBe('none');
    expect(await refused({ depth: 3, sizes: many(1) })).toBe('snapshot.too_large');
  });

  it('depth, and with it the number of chunks and of nodes', async () => {
    const nodes = (n: number): Uint8Array[] => new Array(n).fill(new Uint8Array(4));
    const sizes = (n: number): number[] => new Array(n).fill(0);
    expect(await refused({ depth: 0, sizes: sizes(1) })).toBe(BAD);
    expect(await refused({ depth: 4, sizes: sizes(65_536) })).toBe(BAD);
    for (const [depth, most] of [
      [1, 1],
      [2, 17],
      [3, 273],
    ]) {
      const chunks = 16 ** depth;
      expect(await refused({ depth, sizes: sizes(chunks), nodes: nodes(most) })).toBe('none');
      expect(await refused({ depth, sizes: sizes(chunks), nodes: nodes(most + 1) })).toBe(BAD);
      expect(await refused({ depth, sizes: sizes(chunks - 1) })).toBe(BAD);
      expect(await refused({ depth, sizes: sizes(chunks + 1) })).toBe(BAD);
    }
    expect(await refused({ nodes: [] })).toBe(BAD);
    expect(await refused({ nodes: [new Uint8Array(STATE_NODE_BYTES_MAX)] })).toBe('none');
    expect(await refused({ nodes: [new Uint8Array(STATE_NODE_BYTES_MAX + 1)] })).toBe(BAD);
  });

  it('changes of validators, and the bytes of all', async () => {
    const link = { header: nothing, qc: nothing, next: { epoch: 1, validators: [] } };
    expect(await refused({ links: new Array(LINKS_MAX).fill(link) })).toBe('none');
    expect(await refused({ links: new Array(LINKS_MAX + 1).fill(link) })).toBe(BAD);
    const without = manifest({ header: new Uint8Array(70_000) }).length - 70_000;
    expect(await refused({ header: new Uint8Array(MANIFEST_BYTES_MAX - without) })).toBe('none');
    expect(await refused({ header: new Uint8Array(MANIFEST_BYTES_MAX - without + 1) })).toBe(
      'cbor.too_large',
    );
    const bytes = (header: number): Uint8Array =>
      encodeCertified({ ...CERTIFIED, header: new Uint8Array(header) });
    const rest = bytes(70_000).length - 70_000;
    expect(await codeOf(() => decodeCertified(bytes(CERTIFIED_BYTES_MAX - rest)))).toBe('none');
    expect(await codeOf(() => decodeCertified(bytes(CERTIFIED_BYTES_MAX - rest + 1)))).toBe('cbor.too_large');
  });

  it('anything of another form', async () => {
    for (const value of [null, 1, [], {}, { v: 2 }, { v: 1, header: 1, qc: nothing, links: [] }])
      expect(await codeOf(() => decodeCertified(encodeCbor(value)))).toBe(BAD);
    expect(await codeOf(() => decodeManifest(encodeCbor({ v: 1, ...CERTIFIED })))).toBe(BAD);
  });

  it('nodes that are left over, missing, or of another tree', async () => {
    const from = await stateOf(
      Array.from({ length: 5000 }, (_, i) => [u32be(i), new Uint8Array(1000)] as const),
    );
    const { depth, nodes, sizes } = await copyState(from, new MemoryStore());
    expect([depth, nodes.length]).toEqual([2, 17]);
    const refusedNodes = (given: readonly Uint8Array[], claimed = sizes): Promise<unknown> =>
      codeOf(() => placesOf({ ...CERTIFIED, depth, nodes: given, sizes: claimed }, stateRoot(from)));
    expect(await refusedNodes(nodes)).toBe('none');
    expect(await refusedNodes([...nodes, nodes[0]])).toBe(BAD);
    expect(await refusedNodes(nodes.slice(0, -1))).toBe(BAD);
    expect(await refusedNodes(nodes.toReversed())).toBe(BAD);
    expect(await refusedNodes(nodes, [0, ...sizes.slice(1)])).toBe(BAD);
  });
});

describe('bounds of chunks and segments', () => {
  it('keys and values of a chunk, their order and their place', async () => {
    const chunk = (key: Uint8Array, value: Uint8Array): Promise<unknown> =>
      codeOf(() => decodeChunk(encodePair(key, value), 1, chunkOf(stateKeyHash(key), 1)));
    const BAD = 'snapshot.bad_chunk';
    expect(await chunk(new Uint8Array(STATE_KEY_BYTES_MAX), nothing)).toBe('none');
    expect(await chunk(new Uint8Array(STATE_KEY_BYTES_MAX + 1), nothing)).toBe(BAD);
    expect(await chunk(new Uint8Array(1), nothing)).toBe('none');
    expect(await chunk(nothing, nothing)).toBe(BAD);
    expect(await chunk(utf8('a'), new Uint8Array(STATE_VALUE_BYTES_MAX))).toBe('none');
    expect(await chunk(utf8('a'), new Uint8Array(STATE_VALUE_BYTES_MAX + 1))).toBe(BAD);
    const [one, two] = Array.from({ length: 100 }, (_, i) => u32be(i))
      .filter((key) => chunkOf(stateKeyHash(key), 1) === 3)
      .sort((a, b) => (toHex(stateKeyHash(a)) < toHex(stateKeyHash(b)) ? -1 : 1))
      .map((key) => encodePair(key, nothing));
    const read = (number: number, ...pairs: Uint8Array[]): Promise<unknown> =>
      codeOf(() => decodeChunk(concat(...pairs), 1, number));
    expect(await read(3, one, two)).toBe('none');
    expect(await read(3, two, one)).toBe(BAD);
    expect(await read(3, one, one)).toBe(BAD);
    expect(await read(4, one)).toBe(BAD);
    for (let length = 1; length < one.length; length++)
      expect(await read(3, one.subarray(0, length))).toBe(BAD);
  });

  it('blocks and proof of a segment', async () => {
    const segment = (blocks: number, hashes: number): Promise<unknown> =>
      codeOf(() =>
        decodeSegment(
          encodeSegment({
            blocks: new Array(blocks).fill({ encoded: nothing, results: [] }),
            proof: new Array(hashes).fill(new Uint8Array(32)),
          }),
        ),
      );
    const BAD = 'snapshot.bad_history';
    expect(await segment(0, 0)).toBe(BAD);
    expect(await segment(1, 0)).toBe('none');
    expect(await segment(SEGMENT_BLOCKS_MAX, 128)).toBe('none');
    expect(await segment(SEGMENT_BLOCKS_MAX + 1, 0)).toBe(BAD);
    expect(await segment(1, 129)).toBe(BAD);
    const whole = encodeSegment({ blocks: [{ encoded: utf8('a'), results: [utf8('b')] }], proof: [] });
    for (let length = 0; length < whole.length; length++)
      expect(await codeOf(() => decodeSegment(whole.subarray(0, length)))).toBe(BAD);
    expect(await codeOf(() => decodeSegment(concat(whole, new Uint8Array(31))))).toBe(BAD);
  });
});

it('a leaf is its parts and its result, whatever their sizes', () => {
  const number = fc.oneof(fc.nat(23), fc.nat(300), fc.nat(70_000), fc.nat(2 ** 31), fc.maxSafeNat());
  const leaf = fc.record({
    height: number,
    index: number,
    time: number,
    tx: fc.oneof(fc.uint8Array({ maxLength: 30 }), fc.uint8Array({ minLength: 200, maxLength: 400 })),
    item: fc.nat(255),
    result: fc.dictionary(fc.string({ maxLength: 5 }), fc.oneof(fc.nat(), fc.boolean(), fc.string())),
  });
  fc.assert(
    fc.property(leaf, (one) => {
      const bytes = encodeLeaf(one);
      expect(leafResult(bytes)).toEqual(encodeCbor(one.result));
      expect(joinLeaf(one, leafResult(bytes))).toEqual(bytes);
    }),
    { numRuns: 500, seed: 3 },
  );
});

it('the example of docs/format/ledger.md is what this code makes', async () => {
  const path = fileURLToPath(new URL('../../../docs/format/ledger.md', import.meta.url));
  const match = /### Example: snapshot\n[\s\S]*?```json\n([\s\S]*?)```/.exec(readFileSync(path, 'utf8'));
  const pairs = [0, 1, 2].map((i) => [utf8(`key/${i}`), utf8(`value ${i}`)] as const);
  const copy = await copyState(await stateOf(pairs), new MemoryStore());
  const chunks = copy.sizes.flatMap((size, i) => (size === 0 ? [] : [[String(i), toHex(copy.chunk(i))]]));
  const segment = encodeSegment({
    blocks: [{ encoded: utf8('block'), results: [encodeCbor({ granted: true })] }],
    proof: [new Uint8Array(32)],
  });
  expect(JSON.parse(match?.[1] ?? 'null')).toEqual({
    depth: copy.depth,
    nodes: copy.nodes.map(toHex),
    sizes: copy.sizes,
    chunks: Object.fromEntries(chunks),
    segment: toHex(segment),
  });
});
