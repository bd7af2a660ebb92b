/** docs/format/ledger-store.md: the example's keys and values are those of the code, and every table is described. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, u64be } from '../../../src/codec/bytes.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import * as tables from '../../../src/ledger/engine/tables.ts';
import { type KvOp, MemoryStore, STATE } from '../../../src/ledger/index.ts';
import { everyKind } from './every-kind.ts';

const TEXT = readFileSync(new URL('../../../docs/format/ledger-store.md', import.meta.url), 'utf8');

function exampleValues(): Readonly<Record<string, string>> {
  const [, block] = /```\n([\s\S]*?)```/.exec(TEXT) ?? [];
  const values: Record<string, string> = {};
  for (const [, name, value] of (block ?? '').matchAll(/^(\w+) +((?:[0-9a-f]+\s+)+)/gm)) {
    values[name] = value.replace(/\s/g, '');
  }
  return values;
}

describe('docs/format/ledger-store.md', () => {
  it('its example is what the code makes', () => {
    const subject = '00112233445566778899aabbccddeeff';
    const { referenceKey, referenceValue, transactionValue } = tables;
    const row = (reference: tables.Reference) => concat(referenceKey(reference, 256), referenceValue([2]));
    const made = {
      subject: row({ by: 'subject', id: fromHex(subject) }),
      record: row({ by: 'record', id: new Uint8Array(32).fill(0xab) }),
      kind: row({ by: 'kind', id: 'Access' }),
      tx: transactionValue(258, 1),
      nonce: concat(u64be(1_767_225_600_000), encodeCbor([STATE.nonce(subject, '0f'.repeat(16))])),
    };
    const hex = Object.fromEntries(Object.entries(made).map(([name, bytes]) => [name, toHex(bytes)]));
    expect(hex).toEqual(exampleValues());
  });

  it('every table that a ledger writes is named here or with the log and the state tree', async () => {
    const written = new Set<string>();
    class Watched extends MemoryStore {
      override async write(ops: readonly KvOp[]): Promise<void> {
        for (const { table } of ops) written.add(table);
        await super.write(ops);
      }
    }
    await everyKind(new Watched());
    const elsewhere = ['log', 'state', 'state-node'];
    for (const table of [...written].filter((name) => !elsewhere.includes(name))) {
      expect(TEXT).toContain(`| \`${table}\` |`);
    }
    expect([...written].sort()).toContain('nonce-expiry');
  });
});
