/** FieldKeyPut and Search: who may have keywords evaluated, and how many (search-security section 3). */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/codec/bytes.ts';
import {
  couldSearch,
  decideHits,
  decideSearch,
  fieldRecordId,
  outlivesGrant,
  STATE,
  stillInForce,
} from '../../../src/ledger/index.ts';
import {
  bytesOf,
  DAY_MS,
  enrolment,
  genesisDocument,
  LABELS,
  operatorOf,
  policy,
  recordItem,
  subjectHex,
  subjectOf,
  TestLedger,
} from '../support.ts';

const ALDER = operatorOf('alder');

const field = (epoch: number, more: object = {}) => ({
  field: 'Condition.code',
  epoch,
  publicKey: bytesOf(`voprf ${epoch}`),
  policy: policy('alder/role:doctor'),
  headerHash: bytesOf(`field header ${epoch}`),
  spec: new Uint8Array(),
  budgetDay: 40,
  budgetEpoch: 64,
  ...more,
});
const search = (epoch = 0, count = 8) => ({
  custodian: 'alder',
  field: 'Condition.code',
  epoch,
  count,
  blindedHash: bytesOf('blinded'),
  purpose: 'research' as const,
});

async function world(): Promise<TestLedger> {
  const ledger = await TestLedger.open();
  await ledger.openShares();
  await ledger.put(ALDER, 'FieldKeyPut', field(0));
  await ledger.enrol('ada', 'alder', ['role:doctor']);
  return ledger;
}

const reason = async (ledger: TestLedger, body = search(), name = 'ada'): Promise<unknown> =>
  ((await ledger.put(name, 'Search', body)).leaf.result as { reason: string }).reason;

describe('FieldKeyPut', () => {
  it('opens the next epoch of the custodian’s field, and the record that seals its key', async () => {
    const ledger = await world();
    expect(await ledger.refusal(ALDER, 'FieldKeyPut', field(0))).toBe('field.epoch');
    expect(await ledger.refusal(ALDER, 'FieldKeyPut', field(2))).toBe('field.epoch');
    expect(await ledger.refusal(ALDER, 'FieldKeyPut', field(1, { policy: policy('alder/x:y') }))).toBe(
      'policy.unknown_label',
    );
    await ledger.put(ALDER, 'FieldKeyPut', field(1));
    const id = toHex(fieldRecordId('alder', 'Condition.code', 1));
    expect(ledger.engine.get(STATE.record(id))).toMatchObject({
      custodian: 'alder',
      version: 0,
      cid: null,
      indexNo: null,
      headerHash: bytesOf('field header 1'),
    });
    const key = STATE.field('alder', 'Condition.code');
    expect(ledger.engine.get(key)).toMatchObject({
      epoch: 1,
      publicKey: bytesOf('voprf 1'),
      before: { epoch: 0, publicKey: bytesOf('voprf 0') },
    });
    await ledger.enrol('import', 'alder', ['right:author']);
    const record = fieldRecordId('alder', 'Condition.code', 1);
    const next = { records: [recordItem('x', 'alder/role:doctor', { record, version: 1 })] };
    expect(await ledger.refusal('import', 'RecordPut', next)).toBe('record.field_key');
    expect(await ledger.refusal('import', 'Erase', { record, reason: 'error' })).toBe('record.field_key');
  });

  it('its key is opened through Access like a record, never by breaking the glass', async () => {
    const ledger = await world();
    await ledger.put(ALDER, 'AttributeSet', {
      subject: subjectOf('ada'),
      attribute: 'alder/right:emergency',
      until: null,
    });
    const keyId = await ledger.key('ada', ['alder/role:doctor']);
    const record = fieldRecordId('alder', 'Condition.code', 0);
    const open = { keyId, generation: 0, records: [{ record, version: 0 }], purpose: 'research' } as const;
    expect((await ledger.put('ada', 'Access', open)).leaf.result).toMatchObject({
      verdicts: [{ granted: true }],
    });
    const glass = { keyId, generation: 0, record, version: 0, reason: 'other', stepUp: 'otp' } as const;
    expect((await ledger.put('ada', 'BreakGlass', glass)).leaf.result).toEqual({
      granted: false,
      reason: 'policy',
    });
  });

  it('a record put in its way is replaced', async () => {
    const ledger = await world();
    await ledger.enrol('squatter', 'birch', ['right:author']);
    const record = fieldRecordId('alder', 'Condition.code', 1);
    const item = recordItem('x', 'birch/role:doctor', { record });
    await ledger.put('squatter', 'RecordPut', { records: [item] });
    await ledger.put(ALDER, 'FieldKeyPut', field(1));
    expect(ledger.engine.get(STATE.record(toHex(record)))?.custodian).toBe('alder');
    expect(ledger.engine.get(STATE.indexNo('birch', 0))?.dead).toBe(0);
  });
});

describe('Search', () => {
  it('is decided by what the searcher holds now', async () => {
    const ledger = await world();
    await ledger.enrol('bob', 'birch', ['role:doctor']);
    expect(await reason(ledger)).toBe('ok');
    expect(await reason(ledger, search(), 'bob')).toBe('policy');
    expect(await reason(ledger, { ...search(), field: 'other' })).toBe('field_unknown');
    expect(await reason(ledger, search(1))).toBe('epoch_stale');
    await ledger.put(ALDER, 'AttributeEnd', { subject: subjectOf('ada'), attribute: 'alder/role:doctor' });
    expect(await reason(ledger)).toBe('policy');
  });

  it('by a right to count alone shows no hits; with a grant of its own beside it, it does', async () => {
    const right = { label: 'right', type: 'text', width: null, values: null, shared: false } as const;
    const document = { ...genesisDocument(), labels: [...LABELS, right] };
    const ledger = await TestLedger.open({ document });
    const counted = policy('alder/role:doctor or alder/right:counts');
    await ledger.put(ALDER, 'FieldKeyPut', field(0, { policy: counted }));
    await ledger.put(ALDER, 'SubjectPut', { ...enrolment('eve', 'alder'), custody: 'gateway' });
    const use = { subject: subjectHex('eve'), custodian: 'alder', field: 'Condition.code' };
    const told = () => [
      decideSearch(ledger.engine.state, { ...use, epoch: 0, count: 0 }, ledger.time).granted,
      decideHits(ledger.engine.state, use, ledger.time),
    ];
    const attribute = (text: string) => ({ subject: subjectOf('eve'), attribute: `alder/${text}` });
    expect(told()).toEqual([false, false]);
    await ledger.put(ALDER, 'AttributeSet', { ...attribute('right:counts'), until: null });
    expect(told()).toEqual([true, false]);
    expect(await reason(ledger, search(), 'eve')).toBe('ok');
    await ledger.put(ALDER, 'AttributeSet', { ...attribute('role:doctor'), until: null });
    expect(told()).toEqual([true, true]);
    await ledger.put(ALDER, 'AttributeEnd', attribute('right:counts'));
    expect(told()).toEqual([true, true]);
    expect(decideHits(ledger.engine.state, { ...use, field: 'other' }, ledger.time)).toBe(false);
  });

  it('counts granted evaluations by day and by epoch; a denied one costs nothing', async () => {
    const ledger = await world();
    const used = () => ledger.engine.get(STATE.budget(subjectHex('ada'), 'alder', 'Condition.code'));
    for (let i = 0; i < 5; i++) expect(await reason(ledger)).toBe('ok');
    expect(used()).toMatchObject({ used: 40, usedEpoch: 40, epoch: 0 });
    expect(await reason(ledger, search(0, 1))).toBe('budget');
    expect(used()).toMatchObject({ used: 40, usedEpoch: 40 });
    await ledger.block([], Math.ceil(ledger.time / DAY_MS) * DAY_MS);
    for (let i = 0; i < 3; i++) expect(await reason(ledger)).toBe('ok');
    expect(used()).toMatchObject({ used: 24, usedEpoch: 64 });
    expect(await reason(ledger, search(0, 1))).toBe('budget');
    await ledger.put(ALDER, 'FieldKeyPut', field(1));
    expect(await reason(ledger, search(1, 16))).toBe('ok');
    expect(used()).toMatchObject({ used: 40, epoch: 1, usedEpoch: 16 });
  });

  it('the epoch before is served for a day after the turn', async () => {
    const ledger = await world();
    const turn = (await ledger.put(ALDER, 'FieldKeyPut', field(1))).leaf.time;
    expect(await reason(ledger, search(0, 1))).toBe('ok');
    await ledger.block([], turn + DAY_MS - 2000);
    expect(await reason(ledger, search(0, 1))).toBe('ok');
    await ledger.block([], turn + DAY_MS);
    expect(await reason(ledger, search(0, 1))).toBe('epoch_stale');
    expect(await reason(ledger, search(1, 1))).toBe('ok');
  });

  it('a revocation says whose epochs are over: of who satisfies the policy still, or had keywords evaluated', async () => {
    const ledger = await world();
    await ledger.enrol('bob', 'birch', ['role:doctor']);
    await ledger.enrol('eve', 'alder', ['role:doctor']);
    const could = (name: string, fieldName = 'Condition.code') =>
      couldSearch(
        ledger.engine.state,
        { subject: subjectHex(name), custodian: 'alder', field: fieldName },
        ledger.time,
      );
    expect(await reason(ledger, search(), 'eve')).toBe('ok');
    await ledger.put(ALDER, 'AttributeEnd', { subject: subjectOf('eve'), attribute: 'alder/role:doctor' });
    for (const name of ['ada', 'eve'])
      await ledger.put(ALDER, 'SubjectRevoke', { subject: subjectOf(name), reason: 'left' });
    expect(['ada', 'eve', 'bob'].map((name) => could(name))).toEqual([true, true, false]);
    expect(could('ada', 'other')).toBe(false);
    await ledger.put(ALDER, 'FieldKeyPut', field(1));
    expect(['ada', 'eve'].map((name) => could(name))).toEqual([true, false]);
  });

  it('who had keywords evaluated and lost the grant outlives it, by an end or by time, until the epoch turns', async () => {
    const ledger = await world();
    const until = ledger.time + DAY_MS;
    await ledger.enrol('eve', 'alder', ['role:doctor']);
    await ledger.enrol('bob', 'alder');
    await ledger.enrol('dan', 'alder', ['role:doctor']);
    const timed = { subject: subjectOf('bob'), attribute: 'alder/role:doctor', until };
    await ledger.put(ALDER, 'AttributeSet', timed);
    for (const name of ['ada', 'eve', 'bob']) expect(await reason(ledger, search(0, 1), name)).toBe('ok');
    const outlived = () =>
      ['ada', 'eve', 'bob', 'dan'].filter((name) =>
        outlivesGrant(
          ledger.engine.state,
          { subject: subjectHex(name), custodian: 'alder', field: 'Condition.code' },
          ledger.time,
        ),
      );
    expect(outlived()).toEqual([]);
    for (const name of ['eve', 'dan'])
      await ledger.put(ALDER, 'AttributeEnd', { subject: subjectOf(name), attribute: 'alder/role:doctor' });
    expect(outlived()).toEqual(['eve']);
    await ledger.block([], until);
    expect(outlived()).toEqual(['eve', 'bob']);
    await ledger.put(ALDER, 'AttributeSet', { ...timed, until: null });
    expect(outlived()).toEqual(['eve']);
    await ledger.put(ALDER, 'FieldKeyPut', field(1));
    expect(outlived()).toEqual([]);
  });

  it('an evaluation is released while the grant holds, whatever the budget has become', async () => {
    const ledger = await world();
    const { leaf, transaction } = await ledger.put('ada', 'Search', search(0, 32));
    await ledger.put('ada', 'Search', search(0, 8));
    if (transaction === undefined) throw new Error('no transaction');
    const verdict = () => stillInForce(ledger.engine.state, { leaf, transaction });
    expect(verdict()).toEqual([{ granted: true, reason: 'ok' }]);
    await ledger.put(ALDER, 'SubjectRevoke', { subject: subjectOf('ada'), reason: 'left' });
    expect(verdict()).toEqual([{ granted: false, reason: 'subject_revoked' }]);
  });
});
