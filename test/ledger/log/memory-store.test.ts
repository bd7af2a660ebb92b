/** The store in memory against a plain list: order, bounds, limit, direction, last write wins. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareBytes, toHex } from '../../../src/codec/bytes.ts';
import { type KvOp, MemoryStore } from '../../../src/ledger/ports.ts';

const key = fc.uint8Array({ minLength: 1, maxLength: 2, max: 3 });
const op = fc.tuple(
  fc.constantFrom('a', 'b'),
  key,
  fc.option(fc.uint8Array({ maxLength: 2 }), { nil: undefined }),
);
const range = fc.record(
  { gte: key, lt: key, limit: fc.integer({ min: 0, max: 5 }), reverse: fc.boolean() },
  { requiredKeys: [] },
);

test('reads what was written, as a sorted list would', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { maxLength: 30 }), range, async (writes, wanted) => {
      const store = new MemoryStore();
      const plain = new Map<string, [Uint8Array, Uint8Array]>();
      const ops: KvOp[] = [];
      for (const [table, at, value] of writes) {
        if (value === undefined) ops.push({ table, key: at, remove: true });
        else ops.push({ table, key: at, value });
        if (table !== 'a') continue;
        if (value === undefined) plain.delete(toHex(at));
        else plain.set(toHex(at), [at, value]);
      }
      await store.write(ops);
      const rows = [...plain.values()]
        .filter(([at]) => wanted.gte === undefined || compareBytes(at, wanted.gte) >= 0)
        .filter(([at]) => wanted.lt === undefined || compareBytes(at, wanted.lt) < 0)
        .sort(([a], [b]) => (wanted.reverse === true ? -1 : 1) * compareBytes(a, b));
      expect([...store.range('a', wanted)]).toEqual(rows.slice(0, wanted.limit ?? rows.length));
      for (const [at, value] of plain.values()) expect(store.get('a', at)).toEqual(value);
      expect(store.get('c', Uint8Array.of(1))).toBeUndefined();
    }),
    { numRuns: 300 },
  );
});
