/** What one block may make a member do is bounded by what it is charged, not by what the member happens to remember. */
import { expect, test } from 'vitest';
import { toHex } from '../../../src/codec/bytes.ts';
import { bytesOf, recordItem, recordOf, TestLedger } from '../support.ts';

test('reading records is paid for: a few kilobytes of accesses do not make a restarted member read megabytes', async () => {
  const ledger = await TestLedger.open();
  await ledger.openShares();
  await ledger.enrol('import', 'alder', ['right:author']);
  await ledger.enrol('ada', 'alder', ['role:doctor']);
  const units = Array.from({ length: 50 }, (_, i) => `alder/unit:u${i}${'x'.repeat(220)}`);
  const long = ['alder/role:doctor', ...units].join(' or ');
  const names = Array.from({ length: 256 }, (_, i) => `r${i}`);
  for (let i = 0; i < names.length; i += 16) {
    await ledger.put('import', 'RecordPut', {
      records: names.slice(i, i + 16).map((name) => recordItem(name, long)),
    });
  }
  const keyId = await ledger.key('ada', ['alder/role:doctor']);
  const records = names.map((name) => ({ record: recordOf(name), version: 0 }));
  const accesses = Array.from({ length: 32 }, () =>
    ledger.request('ada', 'Access', { keyId, generation: 0, records, purpose: 'treatment' }),
  );
  const execute = (batch: readonly Uint8Array[]) =>
    ledger.engine.execute(
      {
        height: ledger.engine.head.height + 1,
        time: ledger.time,
        proposer: 0,
        batchHash: toHex(bytesOf(`batch of ${batch.length}`)),
      },
      batch,
    );
  expect(await execute(accesses.slice(0, 1))).toMatchObject({ ok: true });
  expect(await execute(accesses)).toMatchObject({ ok: false, reason: 'block.too_costly' });
});
