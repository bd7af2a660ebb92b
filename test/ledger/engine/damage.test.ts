/** A bit of a stored entry that a disk has changed: every read names the entry and gives none of the damaged bytes. */
import { expect, it } from 'vitest';
import { u64be } from '../../../src/codec/bytes.ts';
import { hasCode } from '../../../src/codec/errors.ts';
import { ENTRY_TABLE } from '../../../src/ledger/engine/tables.ts';
import { MemoryStore } from '../../../src/ledger/index.ts';
import { decodeLine, exportLines, PBFT_LITE } from '../../../src/ledger/verify/index.ts';
import { everyKind } from './every-kind.ts';

it('a flipped bit anywhere in a stored entry is told by every read of it', async () => {
  const store = new MemoryStore();
  const { engine } = await everyKind(store);
  const index = engine.head.size - 1;
  const entry = engine.entryAt(index);
  const bytes = store.get(ENTRY_TABLE, u64be(index));
  if (entry === undefined || bytes === undefined) throw new Error('the log has no last entry');
  const isNamed = (error: unknown): boolean =>
    hasCode(error, 'ledger.damaged') && String(error).includes(`entry ${index} `);
  for (let at = 0; at < bytes.length; at++) {
    const damaged = new Uint8Array(bytes);
    damaged[at] ^= 1 << (at % 8);
    await store.write([{ table: ENTRY_TABLE, key: u64be(index), value: damaged }]);
    expect(() => engine.entry(entry.id)).toThrow(expect.toSatisfy(isNamed));
    expect(() => engine.entryAt(index)).toThrow(expect.toSatisfy(isNamed));
    expect(() => engine.entries({}, { limit: 10 })).toThrow(expect.toSatisfy(isNamed));
  }
  await store.write([{ table: ENTRY_TABLE, key: u64be(index), value: bytes }]);
  expect(engine.entry(entry.id)).toEqual(entry);
});

it('an export has a line for every block, also for one that cannot be read any more, which no verifier takes for a block', async () => {
  const store = new MemoryStore();
  const { engine } = await everyKind(store);
  const source = {
    chainId: engine.chainId,
    height: engine.head.height,
    genesisLeaf: engine.entryAt(0)?.bytes ?? new Uint8Array(),
    block: (height: number) => engine.block(height),
    validators: () => undefined,
    checkpoint: () => undefined,
  };
  const good = [...exportLines(source, PBFT_LITE)];
  const index = Math.floor(engine.head.size / 2);
  const height = engine.entryAt(index)?.leaf.height ?? 0;
  const bytes = store.get(ENTRY_TABLE, u64be(index));
  if (bytes === undefined) throw new Error('the log has no such entry');
  // The first byte of the leaf's dag-cbor says how many fields it has.
  const damaged = new Uint8Array(bytes);
  damaged[0] ^= 1;
  await store.write([{ table: ENTRY_TABLE, key: u64be(index), value: damaged }]);
  const lines = [...exportLines(source, PBFT_LITE)];
  expect(lines.map((line, i) => line === good[i])).toEqual(good.map((_, i) => i !== height));
  expect(lines[height]).toBe(JSON.stringify({ height, damaged: 'ledger.damaged' }));
  expect(decodeLine(lines[height]).kind).toBe('damaged');
});
