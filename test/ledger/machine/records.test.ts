/** RecordPut, PolicyChange, Erase, Destroyed, IndexCommit: versions, index numbers and their deaths. */
import { describe, expect, it } from 'vitest';
import { toHex, u64be } from '../../../src/codec/bytes.ts';
import { sha256 } from '../../../src/codec/hash.ts';
import { STATE } from '../../../src/ledger/index.ts';
import { bytesOf, CID, operatorOf, policy, recordItem, recordOf, subjectOf, TestLedger } from '../support.ts';

const ALDER = operatorOf('alder');
const DOCTORS = 'alder/role:doctor';
const record = (ledger: TestLedger, name: string) => ledger.engine.get(STATE.record(toHex(recordOf(name))));

async function withAuthor(): Promise<TestLedger> {
  const ledger = await TestLedger.open();
  await ledger.enrol('import', 'alder', ['right:author']);
  return ledger;
}

describe('RecordPut', () => {
  it('gives each record the custodian’s next number, in list order, indexed or not', async () => {
    const ledger = await withAuthor();
    await ledger.enrol('other', 'birch', ['right:author']);
    const put = (by: string, ...names: string[]) =>
      ledger.put(by, 'RecordPut', {
        records: names.map((name) => recordItem(name, DOCTORS, { indexed: name !== 'b' })),
      });
    expect((await put('import', 'a', 'b')).leaf.result).toEqual({ indexNos: [0, 1] });
    expect((await put('other', 'x')).leaf.result).toEqual({ indexNos: [0] });
    expect((await put('import', 'c')).leaf.result).toEqual({ indexNos: [2] });
    expect(ledger.engine.get(STATE.indexNo('alder', 1))).toEqual({
      record: recordOf('b'),
      patient: null,
      dead: null,
    });
    expect(record(ledger, 'x')).toMatchObject({ custodian: 'birch', indexNo: 0, erased: false });
  });

  it('a new version kills the old number and folds it into the digest', async () => {
    const ledger = await withAuthor();
    const put = (name: string, version: number) =>
      ledger.put('import', 'RecordPut', { records: [recordItem(name, DOCTORS, { version })] });
    await put('a', 0);
    await put('b', 0);
    await put('b', 1);
    await put('a', 1);
    expect(record(ledger, 'a')).toMatchObject({ version: 1, indexNo: 3 });
    expect(ledger.engine.get(STATE.indexNo('alder', 0))?.dead).toBe(1);
    expect(ledger.engine.get(STATE.indexNo('alder', 1))?.dead).toBe(0);
    const digest = sha256(sha256(new Uint8Array(32), u64be(1)), u64be(0));
    expect(ledger.engine.get(STATE.dead('alder'))).toEqual({ count: 2, digest });
  });

  it('folds record and patient of each number into the digest', async () => {
    const ledger = await withAuthor();
    await ledger.enrol('pat', 'alder', [], 'patient');
    const patient = subjectOf('pat');
    await ledger.put('import', 'RecordPut', {
      records: [recordItem('a', DOCTORS, { patient }), recordItem('b', DOCTORS)],
    });
    const one = sha256(new Uint8Array(32), recordOf('a'), Uint8Array.of(1), patient);
    const digest = sha256(one, recordOf('b'), Uint8Array.of(0));
    expect(ledger.engine.get(STATE.numbers('alder'))).toEqual({ count: 2, digest });
  });

  it('versions follow each other, by the same custodian', async () => {
    const ledger = await withAuthor();
    await ledger.enrol('other', 'birch', ['right:author']);
    const refused = (by: string, version: number): Promise<string> =>
      ledger.refusal(by, 'RecordPut', { records: [recordItem('a', DOCTORS, { version })] });
    expect(await refused('import', 1)).toBe('record.version');
    await ledger.put('import', 'RecordPut', { records: [recordItem('a', DOCTORS)] });
    expect(await refused('import', 0)).toBe('record.version');
    expect(await refused('import', 2)).toBe('record.version');
    expect(await refused('other', 1)).toBe('record.custodian');
    expect(await refused('import', 1)).toBe('none');
  });

  it('one that is refused refuses the list and takes no number', async () => {
    const ledger = await withAuthor();
    const records = [recordItem('a', DOCTORS), recordItem('b', DOCTORS, { version: 5 })];
    expect(await ledger.refusal('import', 'RecordPut', { records })).toBe('record.version');
    expect(ledger.engine.get(STATE.counter('alder'))).toBeUndefined();
  });

  it('the policy parses, names registered labels and fits its gate', async () => {
    const ledger = await withAuthor();
    const refused = (text: string, gate: 'record' | 'none' = 'record'): Promise<string> =>
      ledger.refusal('import', 'RecordPut', { records: [recordItem('a', text, { gate })] });
    expect(await refused('alder/nothing:x')).toBe('policy.unknown_label');
    expect(await refused('alder/unit != x')).toBe('policy.not_finite');
    expect(await refused('alder/role != doctor')).toBe('none');
    expect(await refused('alder/role != doctor', 'none')).toBe('policy.offline');
    expect(await refused('not alder/role:doctor', 'none')).toBe('policy.offline');
    expect(await refused(`${DOCTORS} or consent:${'00'.repeat(16)}`, 'none')).toBe('policy.offline');
    expect(await refused(DOCTORS, 'none')).toBe('none');
    const bytes = policy(DOCTORS).slice(1);
    const records = [recordItem('a', DOCTORS, { policy: bytes })];
    expect(await ledger.refusal('import', 'RecordPut', { records })).toBe('policy.malformed');
  });
});

describe('PolicyChange', () => {
  const change = (version: number, more: object = {}) => ({
    record: recordOf('a'),
    version,
    headerHash: bytesOf('new header'),
    policy: policy('alder/role:nurse'),
    gate: 'record' as const,
    cid: null,
    bytes: null,
    commitment: null,
    ...more,
  });

  it('replaces header and policy, keeps payload and number', async () => {
    const ledger = await withAuthor();
    await ledger.put('import', 'RecordPut', { records: [recordItem('a', DOCTORS)] });
    expect(await ledger.refusal('import', 'PolicyChange', change(0))).toBe('record.version');
    await ledger.put('import', 'PolicyChange', change(1));
    expect(record(ledger, 'a')).toMatchObject({
      version: 1,
      cid: CID,
      indexNo: 0,
      headerHash: bytesOf('new header'),
    });
    const rekey = { cid: `${CID.slice(0, -1)}a`, bytes: 9, commitment: bytesOf('other') };
    await ledger.put('import', 'PolicyChange', change(2, rekey));
    expect(record(ledger, 'a')).toMatchObject({ version: 2, indexNo: 0, ...rekey });
  });

  it('is for authors of the custodian, live records and good policies', async () => {
    const ledger = await withAuthor();
    await ledger.enrol('other', 'birch', ['right:author']);
    expect(await ledger.refusal('import', 'PolicyChange', change(1))).toBe('record.unknown');
    await ledger.put('import', 'RecordPut', { records: [recordItem('a', DOCTORS)] });
    expect(await ledger.refusal('other', 'PolicyChange', change(1))).toBe('record.custodian');
    const bad = change(1, { policy: policy('alder/nothing:x') });
    expect(await ledger.refusal('import', 'PolicyChange', bad)).toBe('policy.unknown_label');
    await ledger.put('import', 'Erase', { record: recordOf('a'), reason: 'order' });
    expect(await ledger.refusal('import', 'PolicyChange', change(1))).toBe('record.erased');
  });
});

describe('Erase, Destroyed', () => {
  it('makes a tombstone whose number is dead; only then is destruction receipted', async () => {
    const ledger = await withAuthor();
    await ledger.enrol('officer', 'alder', ['right:privacy']);
    await ledger.enrol('stranger', 'birch', ['right:privacy']);
    await ledger.put('import', 'RecordPut', { records: [recordItem('a', DOCTORS)] });
    const destroyed = { record: recordOf('a'), kinds: ['header', 'payload'] as const };
    expect(await ledger.refusal(ALDER, 'Destroyed', destroyed)).toBe('record.not_erased');
    const body = { record: recordOf('a'), reason: 'patient-request' } as const;
    expect(await ledger.refusal('stranger', 'Erase', body)).toBe('record.custodian');
    await ledger.put('officer', 'Erase', body);
    expect(record(ledger, 'a')?.erased).toBe(true);
    expect(ledger.engine.get(STATE.indexNo('alder', 0))?.dead).toBe(0);
    expect(await ledger.refusal('officer', 'Erase', body)).toBe('record.erased');
    const next = [recordItem('a', DOCTORS, { version: 1 })];
    expect(await ledger.refusal('import', 'RecordPut', { records: next })).toBe('record.erased');
    expect(await ledger.refusal(operatorOf('birch'), 'Destroyed', destroyed)).toBe('none');
    expect(await ledger.refusal('officer', 'Destroyed', destroyed)).toBe('right.missing');
  });
});

describe('IndexCommit', () => {
  it('manifests follow each other and cover only numbers that exist', async () => {
    const ledger = await withAuthor();
    await ledger.enrol('indexer', 'alder', ['right:indexer']);
    await ledger.put('import', 'RecordPut', {
      records: [recordItem('a', DOCTORS), recordItem('b', DOCTORS)],
    });
    const body = (seq: number, covered: number) => ({
      seq,
      covered,
      manifestHash: bytesOf(`manifest ${seq}`),
    });
    expect(await ledger.refusal('indexer', 'IndexCommit', body(2, 2))).toBe('index.seq');
    expect(await ledger.refusal('indexer', 'IndexCommit', body(1, 3))).toBe('index.covered');
    await ledger.put('indexer', 'IndexCommit', body(1, 2));
    expect(ledger.engine.get(STATE.index('alder'))).toMatchObject(body(1, 2));
    expect(await ledger.refusal('indexer', 'IndexCommit', body(1, 2))).toBe('index.seq');
    expect(await ledger.refusal('import', 'IndexCommit', body(2, 2))).toBe('right.missing');
  });
});
