/** The one access decision: every reason, at commit and again at release (ledger-security rules 23, 24). */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/codec/bytes.ts';
import {
  type CommittedEntry,
  decideAccess,
  decideKey,
  type ReleaseVerdict,
  STATE,
  stillInForce,
} from '../../../src/ledger/index.ts';
import {
  bytesOf,
  ceremony,
  DAY_MS,
  MEMBER_IDS,
  MINUTE_MS,
  operatorOf,
  recordItem,
  recordOf,
  subjectHex,
  subjectOf,
  TestLedger,
} from '../support.ts';

const ALDER = operatorOf('alder');
const DOCTORS = 'alder/role:doctor';

interface World {
  readonly ledger: TestLedger;
  readonly keyId: Uint8Array;
}

async function world(): Promise<World> {
  const ledger = await TestLedger.open();
  await ledger.openShares();
  await ledger.enrol('import', 'alder', ['right:author']);
  await ledger.enrol('ada', 'alder', ['role:doctor', 'unit:a']);
  await ledger.put('import', 'RecordPut', { records: [recordItem('a', DOCTORS), recordItem('b', DOCTORS)] });
  return { ledger, keyId: await ledger.key('ada', [DOCTORS]) };
}

const access = (keyId: Uint8Array, name = 'a', version = 0, generation = 0) => ({
  keyId,
  generation,
  records: [{ record: recordOf(name), version }],
  purpose: 'treatment' as const,
});

const reasonOf = (entry: CommittedEntry): unknown =>
  (entry.leaf.result as { verdicts: { reason: string }[] }).verdicts[0].reason;

function release(ledger: TestLedger, { leaf, transaction }: CommittedEntry): readonly ReleaseVerdict[] {
  if (transaction === undefined) throw new Error('no transaction');
  return stillInForce(ledger.engine.state, { leaf, transaction });
}

describe('Access', () => {
  it('says the first reason that applies', async () => {
    const { ledger, keyId } = await world();
    await ledger.enrol('bob', 'alder', ['role:doctor']);
    const reason = async (name: string, body: ReturnType<typeof access>): Promise<unknown> =>
      reasonOf(await ledger.put(name, 'Access', body));
    expect(await reason('ada', access(keyId))).toBe('ok');
    expect(await reason('ada', access(bytesOf('no key')))).toBe('key_unknown');
    expect(await reason('bob', access(keyId))).toBe('key_not_yours');
    expect(await reason('ada', access(keyId, 'a', 0, 1))).toBe('key_stale');
    expect(await reason('ada', access(keyId, 'none'))).toBe('record_unknown');
    expect(await reason('ada', access(keyId, 'a', 1))).toBe('version_stale');
    await ledger.put('import', 'Erase', { record: recordOf('b'), reason: 'order' });
    expect(await reason('ada', access(keyId, 'b'))).toBe('record_erased');
    await ledger.put('import', 'RecordPut', {
      records: [recordItem('a', 'alder/unit:a', { version: 1 })],
    });
    expect(await reason('ada', access(keyId, 'a', 0))).toBe('version_stale');
    expect(await reason('ada', access(keyId, 'a', 1))).toBe('policy');
    await ledger.put('ada', 'KeyExtend', { keyId, attributes: ['alder/unit:a'] });
    expect(await reason('ada', access(keyId, 'a', 1))).toBe('ok');
  });

  it('counts what the key lists and the subject still holds, at the block’s time', async () => {
    const { ledger } = await world();
    await ledger.enrol('eve', 'alder');
    const until = ledger.time + DAY_MS;
    await ledger.put(ALDER, 'AttributeSet', { subject: subjectOf('eve'), attribute: DOCTORS, until });
    const keyId = await ledger.key('eve', [DOCTORS]);
    const use = { subject: subjectHex('eve'), keyId: toHex(keyId), generation: 0 };
    const opening = { ...use, record: toHex(recordOf('a')), version: 0 };
    expect(decideAccess(ledger.engine.state, opening, until - 1)).toEqual({ granted: true, reason: 'ok' });
    expect(decideAccess(ledger.engine.state, opening, until)).toEqual({ granted: false, reason: 'policy' });
    expect(decideKey(ledger.engine.state, use, until)).toMatchObject({ granted: true, attributes: [] });
    await ledger.block([], until - 5000);
    expect(reasonOf(await ledger.put('eve', 'Access', access(keyId)))).toBe('ok');
    await ledger.block([], until);
    expect(reasonOf(await ledger.put('eve', 'Access', access(keyId)))).toBe('policy');
  });

  it('a key of an earlier share epoch opens nothing', async () => {
    const { ledger, keyId } = await world();
    await ledger.openShares(ceremony(1));
    expect(reasonOf(await ledger.put('ada', 'Access', access(keyId)))).toBe('share_epoch');
    const next = await ledger.key('ada', [DOCTORS]);
    expect(reasonOf(await ledger.put('ada', 'Access', access(next)))).toBe('ok');
    expect(await ledger.refusal('ada', 'KeyExtend', { keyId, attributes: ['alder/unit:a'] })).toBe(
      'share.epoch',
    );
  });
});

describe('release of a committed grant', () => {
  it('is served for 10 minutes of block time, to the millisecond', async () => {
    const { ledger, keyId } = await world();
    const entry = await ledger.put('ada', 'Access', access(keyId));
    const end = entry.leaf.time + 10 * MINUTE_MS;
    expect(release(ledger, entry)).toEqual([{ granted: true, reason: 'ok' }]);
    await ledger.block([], end);
    expect(release(ledger, entry)).toEqual([{ granted: true, reason: 'ok' }]);
    await ledger.block([], end + 1);
    expect(release(ledger, entry)).toEqual([{ granted: false, reason: 'too_late' }]);
  });

  it('a denied one is never served, and a grant falls with what it stood on', async () => {
    const { ledger, keyId } = await world();
    const denied = await ledger.put('ada', 'Access', access(keyId, 'none'));
    expect(release(ledger, denied)).toEqual([{ granted: false, reason: 'not_granted' }]);
    const granted = await ledger.put('ada', 'Access', {
      ...access(keyId),
      records: [
        { record: recordOf('a'), version: 0 },
        { record: recordOf('b'), version: 0 },
      ],
    });
    await ledger.put('import', 'RecordPut', { records: [recordItem('b', DOCTORS, { version: 1 })] });
    expect(release(ledger, granted)).toEqual([
      { granted: true, reason: 'ok' },
      { granted: false, reason: 'version_stale' },
    ]);
    await ledger.put(ALDER, 'AttributeEnd', { subject: subjectOf('ada'), attribute: 'alder/unit:a' });
    expect(release(ledger, granted).map(({ reason }) => reason)).toEqual(['key_stale', 'key_stale']);
    await ledger.put(ALDER, 'SubjectRevoke', { subject: subjectOf('ada'), reason: 'abuse' });
    expect(release(ledger, granted).map(({ reason }) => reason)).toEqual([
      'subject_revoked',
      'subject_revoked',
    ]);
    const [other] = ledger.engine.entries({ kind: 'SubjectRevoke' }, { limit: 1 }).entries;
    expect(release(ledger, other)).toEqual([{ granted: false, reason: 'not_a_grant' }]);
  });
});

describe('BreakGlass', () => {
  const body = (keyId: Uint8Array, name = 'a') => ({
    keyId,
    generation: 0,
    record: recordOf(name),
    version: 0,
    reason: 'life-threat' as const,
    stepUp: 'webauthn',
  });

  it('needs the emergency right, not the policy, and stays open until reviewed', async () => {
    const { ledger } = await world();
    await ledger.enrol('medic', 'birch', ['unit:ambulance', 'right:emergency']);
    await ledger.enrol('officer', 'alder', ['right:privacy']);
    const keyId = await ledger.key('medic', ['birch/unit:ambulance']);
    expect(reasonOf(await ledger.put('medic', 'Access', access(keyId)))).toBe('policy');
    const broken = await ledger.put('medic', 'BreakGlass', body(keyId));
    expect(broken.leaf.result).toEqual({ granted: true, reason: 'ok' });
    expect(release(ledger, broken)).toEqual([{ granted: true, reason: 'ok' }]);
    const key = STATE.breakGlass(broken.id);
    expect(ledger.engine.get(key)?.state).toBe('open');
    const entry = bytesOf('unknown');
    const review = { entry: Buffer.from(broken.id, 'hex'), outcome: 'justified' as const };
    expect(await ledger.refusal('officer', 'BreakGlassReview', { ...review, entry })).toBe(
      'break_glass.unknown',
    );
    expect(await ledger.refusal(operatorOf('birch'), 'BreakGlassReview', review)).toBe('right.missing');
    await ledger.put('officer', 'BreakGlassReview', review);
    expect(ledger.engine.get(key)?.state).toBe('justified');
    expect(await ledger.refusal('officer', 'BreakGlassReview', review)).toBe('break_glass.state');
    await ledger.put(operatorOf('birch'), 'AttributeEnd', {
      subject: subjectOf('medic'),
      attribute: 'birch/right:emergency',
    });
    expect(release(ledger, broken)).toEqual([{ granted: false, reason: 'key_stale' }]);
  });

  it('without the right it is denied, on the ledger, with nothing to review', async () => {
    const { ledger, keyId } = await world();
    const entry = await ledger.put('ada', 'BreakGlass', body(keyId));
    expect(entry.leaf.result).toEqual({ granted: false, reason: 'right' });
    expect(ledger.engine.get(STATE.breakGlass(entry.id))).toBeUndefined();
    expect(release(ledger, entry)).toEqual([{ granted: false, reason: 'not_granted' }]);
    const gone = await ledger.put(ALDER, 'BreakGlass', body(keyId));
    expect(gone.leaf.result).toEqual({ granted: false, reason: 'key_not_yours' });
  });

  it('nobody reviews their own', async () => {
    const { ledger } = await world();
    await ledger.enrol('both', 'alder', ['unit:a', 'right:privacy', 'right:emergency']);
    const keyId = await ledger.key('both', ['alder/unit:a']);
    const broken = await ledger.put('both', 'BreakGlass', body(keyId));
    const review = { entry: Buffer.from(broken.id, 'hex'), outcome: 'justified' as const };
    expect(await ledger.refusal('both', 'BreakGlassReview', review)).toBe('break_glass.own');
  });
});

describe('ShareEpoch', () => {
  it('the first needs every member, on equal bodies; a member’s latest counts', async () => {
    const ledger = await TestLedger.open();
    const body = ceremony();
    const wrong = { ...body, transcript: bytesOf('another run') };
    const put = (member: string, one: typeof body) => ledger.put(operatorOf(member), 'ShareEpoch', one);
    expect((await put('alder', wrong)).leaf.result).toEqual({ confirmations: 1, active: false });
    expect((await put('birch', body)).leaf.result).toEqual({ confirmations: 1, active: false });
    expect((await put('cedar', body)).leaf.result).toEqual({ confirmations: 2, active: false });
    expect((await put('dogwood', body)).leaf.result).toEqual({ confirmations: 3, active: false });
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBeNull();
    expect((await put('alder', body)).leaf.result).toEqual({ confirmations: 4, active: true });
    expect(ledger.engine.get(STATE.chain)).toMatchObject({ shareEpoch: 0, threshold: 3 });
    expect(ledger.engine.get(STATE.share(0))).toMatchObject({ mpk: body.mpk, confirmations: MEMBER_IDS });
    expect(ledger.engine.get(STATE.shareConfirmation(0, 'alder'))).toBeUndefined();
  });

  it('later ones need a quorum, the next number, the quorum as threshold and the same key', async () => {
    const ledger = await TestLedger.open();
    expect(await ledger.refusal(ALDER, 'ShareEpoch', ceremony(1))).toBe('share.epoch');
    expect(await ledger.refusal(ALDER, 'ShareEpoch', { ...ceremony(), threshold: 2 })).toBe('share.members');
    expect(await ledger.refusal(ALDER, 'ShareEpoch', ceremony(0, MEMBER_IDS.slice(0, 3)))).toBe(
      'share.members',
    );
    await ledger.openShares();
    const mpk = bytesOf('another key');
    expect(await ledger.refusal(ALDER, 'ShareEpoch', { ...ceremony(1), mpk })).toBe('share.mpk_changed');
    const body = { ...ceremony(1), transcript: await ledger.toConfirm() };
    for (const member of ['birch', 'cedar', 'alder'])
      await ledger.put(operatorOf(member), 'ShareEpoch', body);
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBe(0);
    await ledger.block([], ledger.time + MINUTE_MS);
    expect((await ledger.put(ALDER, 'ShareEpoch', body)).leaf.result).toEqual({
      confirmations: 3,
      active: true,
    });
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBe(1);
    const late = await ledger.put(operatorOf('dogwood'), 'ShareEpoch', body);
    expect(late.leaf.result).toEqual({ confirmations: 4, active: true });
    const other = { ...body, transcript: bytesOf('another run') };
    expect(await ledger.refusal(operatorOf('dogwood'), 'ShareEpoch', other)).toBe('share.epoch');
    expect(await ledger.refusal('nobody', 'ShareEpoch', body)).toBe('tx.signer');
  });
});
