/** The state tree: one root for one set of pairs, and proofs that say what is so and nothing else. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concat, toHex, u32be, utf8 } from '../../../src/codec/bytes.ts';
import { DOMAIN } from '../../../src/codec/domains.ts';
import { taggedHash } from '../../../src/codec/hash.ts';
import { type KvOp, MemoryStore } from '../../../src/ledger/ports.ts';
import {
  decodeStateProof,
  encodeStateProof,
  proveState,
  STATE_KEY_BYTES_MAX,
  STATE_NODE_TABLE,
  STATE_TABLE,
  STATE_VALUE_BYTES_MAX,
  stateRoot,
  updateState,
  verifyStateProof,
} from '../../../src/ledger/state-tree/index.ts';
import {
  nibbleAt,
  STATE_RADIX,
  stateKeyHash,
  stateNodeHash,
  stateValueHash,
} from '../../../src/ledger/state-tree/node.ts';

type Pairs = ReadonlyMap<string, string>;
type Batch = readonly (readonly [string, string | undefined])[];

const encode = (batch: Batch): [Uint8Array, Uint8Array | undefined][] =>
  batch.map(([key, value]) => [utf8(key), value === undefined ? undefined : utf8(value)]);

/** The tree written down from its definition: recursion over the whole set, no store and no history. */
function definition(pairs: Pairs): Uint8Array {
  const all = [...pairs].map(([key, value]) => ({
    key: stateKeyHash(utf8(key)),
    value: stateValueHash(utf8(value)),
  }));
  const node = (set: typeof all, depth: number): Uint8Array => {
    const groups = Array.from({ length: STATE_RADIX }, (_, i) =>
      set.filter((pair) => nibbleAt(pair.key, depth) === i),
    );
    const bits = (test: (group: typeof all) => boolean): number =>
      groups.reduce((map, group, i) => map | (test(group) ? 1 << i : 0), 0);
    const maps = (bits((group) => group.length > 0) * 65536 + bits((group) => group.length === 1)) >>> 0;
    const parts = groups.map((group) => {
      if (group.length === 0) return new Uint8Array();
      if (group.length === 1) return concat(group[0].key, group[0].value);
      return node(group, depth + 1);
    });
    return stateNodeHash(concat(u32be(maps), ...parts));
  };
  return node(all, 0);
}

async function apply(store: MemoryStore, batch: Batch): Promise<Uint8Array> {
  const { root, ops } = updateState(store, encode(batch));
  await store.write(ops);
  return root;
}

const rows = (store: MemoryStore): string[] =>
  [STATE_TABLE, STATE_NODE_TABLE].flatMap((table) =>
    [...store.range(table, {})].map(([key, value]) => `${table} ${toHex(key)} ${toHex(value)}`),
  );

// Few keys, so that batches meet: sets, overwrites and removals of the same key.
const key = fc.integer({ min: 0, max: 60 }).map((n) => `key/${n}`);
const change = fc.tuple(key, fc.option(fc.string({ maxLength: 8 }), { nil: undefined }));
const batch = fc.uniqueArray(change, { selector: ([k]) => k, maxLength: 40 });

describe('root', () => {
  test('is that of the definition after any batches, and the store holds nothing but that tree', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { maxLength: 8 }), async (batches) => {
        const store = new MemoryStore();
        const pairs = new Map<string, string>();
        for (const changes of batches) {
          const root = await apply(store, changes);
          for (const [k, v] of changes) {
            if (v === undefined) pairs.delete(k);
            else pairs.set(k, v);
          }
          expect(toHex(root)).toBe(toHex(definition(pairs)));
          expect(toHex(stateRoot(store))).toBe(toHex(root));
        }
        const fresh = new MemoryStore();
        await apply(fresh, [...pairs]);
        // A history leaves no trace, except that a root node once written stays, empty, when all keys are gone.
        if (pairs.size > 0) expect(rows(store)).toEqual(rows(fresh));
      }),
      { numRuns: 200 },
    );
  });

  test('does not depend on the order of changes in a batch, and neither do the operations', () => {
    fc.assert(
      fc.property(
        batch.chain((b) => fc.tuple(fc.constant(b), fc.shuffledSubarray(b, { minLength: b.length }))),
        ([one, two]) => {
          const show = (ops: readonly KvOp[]): string[] =>
            ops.map((op) => `${op.table} ${toHex(op.key)} ${'value' in op ? toHex(op.value) : '-'}`).sort();
          const [a, b] = [one, two].map((changes) => updateState(new MemoryStore(), encode(changes)));
          expect(toHex(a.root)).toBe(toHex(b.root));
          expect(show(a.ops)).toEqual(show(b.ops));
        },
      ),
      { numRuns: 100 },
    );
  });

  test('of a block that is dropped leaves no trace in the next one', async () => {
    const [store, other] = [new MemoryStore(), new MemoryStore()];
    const all: Batch = [...Array(200)].map((_, i) => [`a/${i}`, 'x'] as const);
    await apply(store, all);
    await apply(other, all);
    const changes: Batch = [
      ['a/3', undefined],
      ['b', '1'],
    ];
    const dropped = updateState(
      store,
      encode([...all.map(([key]) => [key, undefined] as const), ['c', '1']]),
    );
    const first = await apply(store, changes);
    expect(toHex(first)).toBe(toHex(await apply(other, changes)));
    expect(rows(store)).toEqual(rows(other));
    expect(toHex(dropped.root)).toBe(toHex(definition(new Map([['c', '1']]))));
  });

  test('of an empty batch and of removing what is not there is the old one', async () => {
    const store = new MemoryStore();
    const root = await apply(store, [
      ['a', '1'],
      ['b', '2'],
    ]);
    expect(toHex(updateState(store, []).root)).toBe(toHex(root));
    expect(toHex(updateState(store, encode([['zzz', undefined]])).root)).toBe(toHex(root));
    expect(toHex(stateRoot(new MemoryStore()))).toBe(toHex(definition(new Map())));
  });
});

describe('proofs', () => {
  const pairs = new Map([...Array(500)].map((_, i) => [`record/${i}`, `value ${i}`] as const));

  test('show membership and absence, and no other value of the key', async () => {
    const store = new MemoryStore();
    const root = await apply(store, [...pairs]);
    for (let i = 0; i < 1000; i++) {
      const name = utf8(`record/${i}`);
      const value = pairs.get(`record/${i}`);
      const proof = decodeStateProof(encodeStateProof(proveState(store, name)));
      expect(verifyStateProof(root, name, value === undefined ? undefined : utf8(value), proof)).toBe(true);
      expect(verifyStateProof(root, name, value === undefined ? utf8('') : undefined, proof)).toBe(false);
      expect(verifyStateProof(root, name, utf8('value 1x'), proof)).toBe(false);
    }
  });

  test('of one key do not pass for another', async () => {
    const store = new MemoryStore();
    const root = await apply(store, [...pairs]);
    for (let i = 0; i < 200; i++) {
      const proof = proveState(store, utf8(`record/${i}`));
      const other = `record/${i + 1}` as const;
      // Two keys that end in one node have the same proof, and only then.
      const same = encodeStateProof(proof).join() === encodeStateProof(proveState(store, utf8(other))).join();
      expect(verifyStateProof(root, utf8(other), utf8(pairs.get(other) ?? ''), proof)).toBe(same);
      expect(verifyStateProof(root, utf8(other), undefined, proof)).toBe(false);
    }
  });

  test('fail with any byte changed, a node cut off or one too many', async () => {
    const store = new MemoryStore();
    const root = await apply(store, [...pairs]);
    for (const [name, value] of [
      ['record/7', utf8('value 7')],
      ['absent', undefined],
    ] as const) {
      const proof = proveState(store, utf8(name));
      expect(verifyStateProof(root, utf8(name), value, proof)).toBe(true);
      for (const [i, node] of proof.entries()) {
        for (let at = 0; at < node.length; at++) {
          const bent = [...proof];
          bent[i] = node.slice();
          bent[i][at] ^= 1 << (at % 8);
          expect(verifyStateProof(root, utf8(name), value, bent)).toBe(false);
        }
      }
      expect(verifyStateProof(root, utf8(name), value, proof.slice(0, -1))).toBe(false);
      expect(verifyStateProof(root, utf8(name), value, [...proof, proof[0]])).toBe(false);
      expect(verifyStateProof(root, utf8(name), value, [])).toBe(false);
    }
  });

  test('of a state gone by do not pass under the new root', async () => {
    const store = new MemoryStore();
    await apply(store, [...pairs]);
    const proof = proveState(store, utf8('record/7'));
    const root = await apply(store, [['record/7', undefined]]);
    expect(verifyStateProof(root, utf8('record/7'), utf8('value 7'), proof)).toBe(false);
    expect(verifyStateProof(root, utf8('record/7'), undefined, proveState(store, utf8('record/7')))).toBe(
      true,
    );
  });

  test('of an empty state show absence', () => {
    const store = new MemoryStore();
    expect(verifyStateProof(stateRoot(store), utf8('a'), undefined, proveState(store, utf8('a')))).toBe(true);
    expect(verifyStateProof(stateRoot(store), utf8('a'), utf8(''), proveState(store, utf8('a')))).toBe(false);
  });

  test('encoded otherwise are refused', () => {
    const good = encodeStateProof([new Uint8Array(4)]);
    expect(decodeStateProof(good)).toHaveLength(1);
    expect(() => decodeStateProof(good.subarray(1))).toThrow('cbor');
    expect(() => decodeStateProof(encodeStateProof(Array(65).fill(new Uint8Array(4))))).toThrow(
      'state proof',
    );
  });
});

describe('hashes', () => {
  test('are the tagged hashes of the format, for short and long strings alike', () => {
    for (const length of [0, 1, 32, 1028, 4070, 4071, 4072, 4073, 4096, 100_000]) {
      const bytes = new Uint8Array(length).fill(length % 251);
      expect(toHex(stateKeyHash(bytes))).toBe(toHex(taggedHash(DOMAIN.stateKey, bytes)));
      expect(toHex(stateValueHash(bytes))).toBe(toHex(taggedHash(DOMAIN.stateLeaf, bytes)));
      expect(toHex(stateNodeHash(bytes))).toBe(toHex(taggedHash(DOMAIN.stateNode, bytes)));
    }
  });
});

describe('bounds', () => {
  test('keys and values are taken up to their limits and refused above', () => {
    const store = new MemoryStore();
    const value = new Uint8Array(1);
    const set = (k: Uint8Array, v: Uint8Array) => () => updateState(store, [[k, v]]);
    expect(set(new Uint8Array(STATE_KEY_BYTES_MAX), value)).not.toThrow();
    expect(set(new Uint8Array(STATE_KEY_BYTES_MAX + 1), value)).toThrow('key of 1 to');
    expect(set(new Uint8Array(0), value)).toThrow('key of 1 to');
    expect(set(value, new Uint8Array(STATE_VALUE_BYTES_MAX))).not.toThrow();
    expect(set(value, new Uint8Array(STATE_VALUE_BYTES_MAX + 1))).toThrow('at most');
  });

  test('a key twice in a batch is refused', () => {
    expect(() =>
      updateState(
        new MemoryStore(),
        encode([
          ['a', '1'],
          ['a', '2'],
        ]),
      ),
    ).toThrow('once');
  });

  test('a store that lost a node is named as damaged', async () => {
    const store = new MemoryStore();
    const all = (value: string): Batch => [...Array(100)].map((_, i) => [`k/${i}`, value] as const);
    await apply(store, all('v'));
    const [lost] = [...store.range(STATE_NODE_TABLE, { gte: Uint8Array.of(1) })];
    await store.write([{ table: STATE_NODE_TABLE, key: lost[0], remove: true }]);
    expect(() => updateState(store, encode(all('w')))).toThrow('missing');
    expect(() => all('').map(([key]) => proveState(store, utf8(key)))).toThrow('missing');
    await store.write([{ table: STATE_NODE_TABLE, key: lost[0], value: lost[1].subarray(1) }]);
    expect(() => updateState(store, encode(all('w')))).toThrow('two bit maps');
  });
});
