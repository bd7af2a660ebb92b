/** Two members with equal state and different memories decide alike: what differs halts a height for good. */
import { describe, expect, test } from 'vitest';
import { toHex, utf8 } from '../../../src/codec/bytes.ts';
import { LedgerEngine, MemoryStore } from '../../../src/ledger/index.ts';
import { policyOf } from '../../../src/ledger/machine/policies.ts';
import {
  bytesOf,
  genesisDocument,
  operatorOf,
  policy,
  recordItem,
  recordOf,
  signGenesis,
  subjectOf,
  TestLedger,
} from '../support.ts';

const onListenerError = (error: unknown): never => {
  throw error;
};

/** What a member that has just restarted over the same store says to a batch. */
async function afterRestart(store: MemoryStore, ledger: TestLedger, batch: readonly Uint8Array[]) {
  const genesis = signGenesis(genesisDocument());
  const engine = await LedgerEngine.open({ store, genesis, onListenerError });
  const at = {
    height: engine.head.height + 1,
    time: ledger.time,
    proposer: 0,
    batchHash: toHex(bytesOf('batch')),
  };
  return engine.execute(at, batch);
}

async function warm(ledger: TestLedger, batch: readonly Uint8Array[]) {
  const { head } = ledger.engine;
  const at = { height: head.height + 1, time: ledger.time, proposer: 0, batchHash: toHex(bytesOf('batch')) };
  return ledger.engine.execute(at, batch);
}

/** The canonical bytes of `alder/unit:n<six digits>`, without parsing a text for each. */
const template = policy('alder/unit:n000000');
function numbered(n: number): Uint8Array {
  const bytes = new Uint8Array(template);
  const at = bytes.length - 6;
  bytes.set(utf8(String(n).padStart(6, '0')), at);
  return bytes;
}

describe('a member that restarted and one that did not', () => {
  test('agree on an access to records under one costly policy, put while many other policies came by', async () => {
    const store = new MemoryStore();
    const ledger = await TestLedger.open({ store });
    await ledger.openShares();
    await ledger.enrol('import', 'alder', ['right:author']);
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    const units = Array.from({ length: 240 }, (_, i) => `alder/unit:u${i}${'x'.repeat(230)}`);
    const costly = ['alder/role:doctor', ...units].join(' or ');
    const names = Array.from({ length: 16 }, (_, i) => `r${i}`);
    for (const [round, name] of names.entries()) {
      await ledger.put('import', 'RecordPut', { records: [recordItem(name, costly)] });
      for (let i = 0; i < 4100; i++) policyOf(numbered(round * 5000 + i));
    }
    const keyId = await ledger.key('ada', ['alder/role:doctor']);
    const records = names.map((name) => ({ record: recordOf(name), version: 0 }));
    const request = ledger.request('ada', 'Access', { keyId, generation: 0, records, purpose: 'treatment' });
    expect(await warm(ledger, [request])).toEqual(await afterRestart(store, ledger, [request]));
  });

  test('agree on roots after every kind of change, block by block', async () => {
    const store = new MemoryStore();
    const ledger = await TestLedger.open({ store });
    await ledger.openShares();
    await ledger.enrol('import', 'alder', ['right:author']);
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    await ledger.enrol('pat', 'alder', [], 'patient');
    const keyId = await ledger.key('ada', ['alder/role:doctor']);
    const until = ledger.time + 3_600_000;
    const batches = [
      () => [ledger.request('import', 'RecordPut', { records: [recordItem('a', 'alder/role:doctor')] })],
      () => [
        ledger.request('ada', 'Access', {
          keyId,
          generation: 0,
          records: [{ record: recordOf('a'), version: 0 }],
          purpose: 'research',
        }),
        ledger.request('ada', 'ConsentRequest', { patient: subjectOf('pat'), until, purpose: 'research' }),
      ],
      () => [
        ledger.request(operatorOf('alder'), 'Proposal', {
          kind: 'RegistryPut',
          body: { labels: [{ label: 'ward', type: 'text', width: null, values: ['a', 'b'], shared: false }] },
          until,
        }),
      ],
      () => [ledger.request('import', 'Erase', { record: recordOf('a'), reason: 'error' })],
      () => [],
    ];
    for (const batch of batches) {
      const requests = batch();
      const mine = await warm(ledger, requests);
      expect(mine.ok).toBe(true);
      expect(await afterRestart(store, ledger, requests)).toEqual(mine);
      await ledger.block(requests);
    }
  });
});
