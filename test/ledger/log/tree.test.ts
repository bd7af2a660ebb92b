/** The tiled log against RFC 6962 computed straight from its definition, and its proofs against the verifiers. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toHex, u32be } from '../../../src/codec/bytes.ts';
import {
  frontierMatches,
  LOG_TABLE,
  LogTree,
  parseTilePath,
  tileKey,
  tilePath,
  tileWidth,
} from '../../../src/ledger/log/index.ts';
import { MemoryStore } from '../../../src/ledger/ports.ts';
import {
  EMPTY_LOG_ROOT,
  leafHash,
  nodeHash,
  verifyConsistency,
  verifyInclusion,
} from '../../../src/ledger/verify/rfc6962.ts';

const leaves = (count: number, from = 0): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => leafHash(u32be(from + i)));

/** MTH of RFC 6962 section 2.1, word for word. */
function definition(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return EMPTY_LOG_ROOT;
  if (hashes.length === 1) return hashes[0];
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return nodeHash(definition(hashes.slice(0, k)), definition(hashes.slice(k)));
}

/** A tree of `count` leaves in a store, written in blocks of the given sizes over and over. */
async function grow(
  count: number,
  blocks: readonly number[],
): Promise<{ tree: LogTree; store: MemoryStore }> {
  const store = new MemoryStore();
  let tree = LogTree.open(store);
  for (let i = 0; tree.size < count; i++) {
    const size = Math.min(blocks[i % blocks.length], count - tree.size);
    const next = tree.append(leaves(size, tree.size));
    await store.write(next.ops);
    tree = next.tree.settled(store);
  }
  return { tree, store };
}

describe('root', () => {
  test('is that of the definition at every size to 600, however the leaves are cut into blocks', async () => {
    const all = leaves(600);
    const store = new MemoryStore();
    let tree = LogTree.open(store);
    for (let size = 1; size <= 600; size++) {
      tree = tree.append([all[size - 1]]).tree;
      expect(toHex(tree.root())).toBe(toHex(definition(all.slice(0, size))));
    }
    const blocks = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(blocks, fc.integer({ min: 0, max: 600 }), async (sizes, count) => {
        const grown = await grow(count, sizes);
        expect(toHex(grown.tree.root())).toBe(toHex(definition(all.slice(0, count))));
        expect(toHex(LogTree.open(grown.store).root())).toBe(toHex(grown.tree.root()));
      }),
      { numRuns: 30 },
    );
  });

  test('of nothing is SHA-256 of nothing, and appending nothing writes nothing', () => {
    const tree = LogTree.open(new MemoryStore());
    expect(toHex(tree.root())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(tree.append([]).ops).toEqual([]);
  });
});

describe('append', () => {
  test('commits nothing: two blocks over one tree do not see each other, and both may be dropped', async () => {
    const { tree, store } = await grow(300, [100]);
    const before = toHex(tree.root());
    const one = tree.append(leaves(70, 1000));
    const two = tree.append(leaves(70, 2000));
    expect(toHex(one.root)).not.toBe(toHex(two.root));
    expect(toHex(tree.root())).toBe(before);
    expect(toHex(LogTree.open(store).root())).toBe(before);
    expect(toHex(tree.append(leaves(70, 1000)).root)).toBe(toHex(one.root));
  });

  test('gives proofs of undecided leaves before anything is written, also across several blocks', () => {
    let tree = LogTree.open(new MemoryStore());
    for (let i = 0; i < 10; i++) tree = tree.append(leaves(77, tree.size)).tree;
    for (const index of [0, 255, 256, 511, 512, 769]) {
      const leaf = leafHash(u32be(index));
      expect(verifyInclusion(leaf, index, 770, tree.inclusionProof(index), tree.root())).toBe(true);
    }
  });

  test('answers the same before its operations are written as after', async () => {
    const { tree, store } = await grow(250, [250]);
    const next = tree.append(leaves(300, 250));
    await store.write(next.ops);
    const opened = LogTree.open(store);
    expect(opened.size).toBe(550);
    expect(toHex(opened.root())).toBe(toHex(next.root));
    expect(opened.consistencyProof(250).map(toHex)).toEqual(next.tree.consistencyProof(250).map(toHex));
    expect(next.tree.inclusionProof(333).map(toHex)).toEqual(opened.inclusionProof(333).map(toHex));
  });

  test('refuses what is not a hash', () => {
    expect(() => LogTree.open(new MemoryStore()).append([new Uint8Array(31)])).toThrow('32 bytes');
  });
});

describe('proofs', () => {
  test('every inclusion proof verifies for its own leaf, index, size and root only', async () => {
    const { tree } = await grow(530, [530]);
    const size = fc.integer({ min: 1, max: 530 });
    fc.assert(
      fc.property(size, fc.nat(), fc.nat(), (n, a, b) => {
        const index = a % n;
        const other = b % n;
        const root = tree.rootAt(n);
        const proof = tree.inclusionProof(index, n);
        expect(proof.length).toBeLessThanOrEqual(Math.ceil(Math.log2(n)));
        expect(verifyInclusion(leafHash(u32be(index)), index, n, proof, root)).toBe(true);
        expect(verifyInclusion(leafHash(u32be(other)), index, n, proof, root)).toBe(other === index);
        expect(verifyInclusion(leafHash(u32be(index)), other, n, proof, root)).toBe(other === index);
        if (n < 530) {
          expect(verifyInclusion(leafHash(u32be(index)), index, n, proof, tree.rootAt(n + 1))).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('every consistency proof verifies for its own sizes and roots only', async () => {
    const { tree } = await grow(530, [530]);
    const size = fc.integer({ min: 1, max: 530 });
    fc.assert(
      fc.property(size, size, size, (a, b, c) => {
        const [size1, size2] = a <= b ? [a, b] : [b, a];
        const proof = tree.consistencyProof(size1, size2);
        const [root1, root2] = [tree.rootAt(size1), tree.rootAt(size2)];
        expect(verifyConsistency(size1, size2, proof, root1, root2)).toBe(true);
        expect(verifyConsistency(size1, size2, proof, tree.rootAt(c), root2)).toBe(c === size1);
        if (c !== size2) expect(verifyConsistency(size1, size2, proof, root1, tree.rootAt(c))).toBe(false);
      }),
      { numRuns: 300 },
    );
  });

  test('a tree that grew on can still prove its past', async () => {
    const { tree, store } = await grow(300, [300]);
    const [root, proof] = [tree.root(), tree.inclusionProof(7).map(toHex)];
    const later = tree.append(leaves(400, 300));
    await store.write(later.ops);
    expect(tree.inclusionProof(7).map(toHex)).toEqual(proof);
    expect(toHex(later.tree.rootAt(300))).toBe(toHex(root));
  });

  test('a size or an index beyond the tree is refused', async () => {
    const { tree } = await grow(10, [10]);
    expect(() => tree.inclusionProof(10)).toThrow('leaf index');
    expect(() => tree.inclusionProof(-1)).toThrow('leaf index');
    expect(() => tree.inclusionProof(0, 11)).toThrow('size');
    expect(() => tree.consistencyProof(11)).toThrow('size');
    expect(tree.inclusionProof(9)).toHaveLength(2);
  });
});

describe('remembered nodes', () => {
  test('are those of decided blocks only: a dropped block leaves nothing behind', async () => {
    const { tree, store } = await grow(300, [300]);
    const [, other] = [tree.append(leaves(300, 1000)), tree.append(leaves(300, 2000))].map(
      ({ tree: next }) => {
        for (let index = 0; index < 600; index += 7) {
          const leaf = next.leafHash(index);
          expect(verifyInclusion(leaf, index, 600, next.inclusionProof(index), next.root())).toBe(true);
        }
        return next;
      },
    );
    const decided = tree.append(leaves(300, 2000));
    await store.write(decided.ops);
    const settled = decided.tree.settled(store);
    expect(toHex(settled.root())).toBe(toHex(other.root()));
    for (let index = 0; index < 600; index++) {
      const proof = settled.inclusionProof(index);
      expect(proof.map(toHex)).toEqual(LogTree.open(store).inclusionProof(index).map(toHex));
      expect(verifyInclusion(settled.leafHash(index), index, 600, proof, settled.root())).toBe(true);
    }
  });

  test('follow a tile as it grows, block by block', async () => {
    const store = new MemoryStore();
    let tree = LogTree.open(store);
    for (const size of [1, 3, 200, 1, 51, 1, 255, 256, 90]) {
      const next = tree.append(leaves(size, tree.size));
      await store.write(next.ops);
      tree = next.tree.settled(store);
      for (let index = 0; index < tree.size; index += 5) {
        const proof = tree.inclusionProof(index);
        expect(verifyInclusion(leafHash(u32be(index)), index, tree.size, proof, tree.root())).toBe(true);
      }
    }
  });

  test('are bounded: a proof holds also where thousands of tiles were asked for before', async () => {
    const { tree } = await grow(80_000, [80_000]);
    for (let index = 0; index < 80_000; index += 200) tree.inclusionProof(index);
    expect(verifyInclusion(leafHash(u32be(3)), 3, 80_000, tree.inclusionProof(3), tree.root())).toBe(true);
  });
});

describe('tiles', () => {
  test('hold what C2SP tlog-tiles says, and lower tiles hash to the rows above them', async () => {
    const { tree } = await grow(600, [37]);
    expect(tree.tile(0, 0)).toHaveLength(256 * 32);
    expect(tree.tile(0, 2)).toHaveLength(88 * 32);
    expect(tree.tile(1, 0)).toHaveLength(2 * 32);
    expect(toHex(tree.tile(1, 0, 1))).toBe(toHex(definition(leaves(256))));
    expect(toHex(tree.tile(0, 2, 1))).toBe(toHex(leafHash(u32be(512))));
    expect(() => tree.tile(0, 2, 89)).toThrow('at most 88');
    expect(() => tree.tile(0, 3)).toThrow('at most 0');
    expect(() => tree.tile(9, 0)).toThrow('at most 0');
  });

  test('have the paths of the specification, and no others', () => {
    expect(tilePath(0, 1234067)).toBe('tile/0/x001/x234/067');
    expect(tilePath(1, 0, 7)).toBe('tile/1/000.p/7');
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6 }),
        fc.nat(),
        fc.integer({ min: 1, max: 256 }),
        (level, index, width) => {
          expect(parseTilePath(tilePath(level, index, width))).toEqual({ level, index, width });
        },
      ),
    );
    const others = [
      'tile/0/x000/001',
      'tile/0/1',
      'tile/0/000.p/256',
      'tile/0/000.p/0',
      'tile/7/000',
      'tile/0/000/',
    ];
    const worse = [
      'tile/00/000',
      'tile/0/x001/x2/067',
      '/tile/0/000',
      'tile/0/x999/x999/x999/x999/x999/999',
      '../../x',
    ];
    for (const path of [...others, ...worse]) expect(parseTilePath(path), path).toBeUndefined();
    expect(tileWidth(1, 0, 70_000)).toBe(256);
    expect(tileWidth(1, 1, 70_000)).toBe(17);
  });

  test('that are missing or short stop the node with a name for it', async () => {
    const { tree, store } = await grow(300, [300]);
    await store.write([{ table: LOG_TABLE, key: tileKey(0, 1), value: new Uint8Array(32) }]);
    expect(() => tree.inclusionProof(299)).toThrow(
      'expected 44 hashes in log tile 0/1, found 1; restore the node',
    );
  });
});

describe('frontier', () => {
  test('of a snapshot is taken only under the root it came with', async () => {
    const { tree, store } = await grow(331, [331]);
    const bytes = store.get(LOG_TABLE, Uint8Array.of(0)) ?? new Uint8Array();
    expect(bytes).toHaveLength(8 + 5 * 32);
    expect(frontierMatches(bytes, 331, tree.root())).toBe(true);
    expect(frontierMatches(bytes, 330, tree.root())).toBe(false);
    expect(frontierMatches(bytes, 331, tree.rootAt(330))).toBe(false);
    for (let i = 0; i < bytes.length; i++) {
      const bent = bytes.slice();
      bent[i] ^= 1;
      expect(frontierMatches(bent, 331, tree.root())).toBe(false);
    }
    expect(frontierMatches(bytes.subarray(0, 100), 331, tree.root())).toBe(false);
  });
});
