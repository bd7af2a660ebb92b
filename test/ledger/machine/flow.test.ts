/** The main flow on the state machine: enrol, key, seal, open, search, share with consent, erase. */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/codec/bytes.ts';
import { STATE } from '../../../src/ledger/index.ts';
import { bytesOf, operatorOf, recordItem, recordOf, subjectHex, TestLedger } from '../support.ts';

describe('the main flow', () => {
  it('a doctor opens what the policy allows, until the attribute ends', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('import', 'alder', ['right:author']);
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    const keyId = await ledger.key('ada', ['alder/role:doctor']);
    const put = await ledger.put('import', 'RecordPut', {
      records: [recordItem('a', 'alder/role:doctor'), recordItem('b', 'alder/role:nurse')],
    });
    expect(put.leaf.result).toEqual({ indexNos: [0, 1] });
    const access = {
      keyId,
      generation: 0,
      records: [
        { record: recordOf('a'), version: 0 },
        { record: recordOf('b'), version: 0 },
        { record: recordOf('c'), version: 0 },
      ],
      purpose: 'treatment',
    } as const;
    const opened = await ledger.put('ada', 'Access', access);
    expect(opened.leaf.result).toEqual({
      verdicts: [
        { granted: true, reason: 'ok' },
        { granted: false, reason: 'policy' },
        { granted: false, reason: 'record_unknown' },
      ],
    });
    const ended = await ledger.put(operatorOf('alder'), 'AttributeEnd', {
      subject: bytesOf('subject ada').slice(0, 16),
      attribute: 'alder/role:doctor',
    });
    expect(ended.leaf.result).toEqual({ generation: 1 });
    const stale = await ledger.put('ada', 'Access', access);
    expect(stale.leaf.result).toMatchObject({ verdicts: [{ granted: false, reason: 'key_stale' }, {}, {}] });
    expect(ledger.engine.get(STATE.key(toHex(keyId)))?.generation).toBe(0);
    expect(ledger.engine.get(STATE.subject(subjectHex('ada')))?.generation).toBe(1);
  });
});
