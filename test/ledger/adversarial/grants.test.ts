/** Access, generations, consent and break-glass at their edges: what must be denied, and when a grant ends. */
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import {
  type CommittedEntry,
  decideAccess,
  type EntryBodies,
  STATE,
  stillInForce,
  type TransactionEntry,
} from '../../../src/ledger/index.ts';
import {
  ceremony,
  DAY_MS,
  MINUTE_MS,
  operatorOf,
  policy,
  recordItem,
  recordOf,
  subjectHex,
  subjectOf,
  TestLedger,
} from '../support.ts';

const patientHex = subjectHex('pat');
const operator = operatorOf('alder');

/** Doctors ada and bob of alder, patient pat, an import service, and records under a role and under consent. */
async function open(): Promise<TestLedger> {
  const ledger = await TestLedger.open();
  await ledger.openShares();
  await ledger.enrol('import', 'alder', ['right:author']);
  await ledger.enrol('ada', 'alder', ['role:doctor']);
  await ledger.enrol('bob', 'alder', ['role:doctor']);
  await ledger.enrol('pat', 'alder', [], 'patient');
  await ledger.put('import', 'RecordPut', {
    records: [
      recordItem('r', 'alder/role:doctor'),
      recordItem('c', `consent:${patientHex}`, { patient: subjectOf('pat') }),
      recordItem('own', `patient:${patientHex} or alder/role:nurse`, { patient: subjectOf('pat') }),
    ],
  });
  return ledger;
}

const access = (
  keyId: Uint8Array,
  record: string,
  more: { generation?: number; version?: number } = {},
): EntryBodies['Access'] => ({
  keyId,
  generation: more.generation ?? 0,
  records: [{ record: recordOf(record), version: more.version ?? 0 }],
  purpose: 'treatment',
});

/** The reasons of an Access entry. */
async function ask(ledger: TestLedger, name: string, body: EntryBodies['Access']): Promise<string[]> {
  const { leaf } = await ledger.put(name, 'Access', body);
  const { verdicts } = leaf.result as { verdicts: { granted: boolean; reason: string }[] };
  for (const { granted, reason } of verdicts) expect(granted).toBe(reason === 'ok');
  return verdicts.map(({ reason }) => reason);
}

/** pat's consent for `name`, accepted; its id. */
async function consent(ledger: TestLedger, name: string, until: number, shorter: number | null = null) {
  const body = { patient: subjectOf('pat'), until, purpose: 'treatment' } as const;
  const { id } = await ledger.put(name, 'ConsentRequest', body);
  const answer = { consent: fromHex(id), answer: 'accept', until: shorter } as const;
  await ledger.put('pat', 'ConsentAnswer', answer);
  return fromHex(id);
}

const inTip = (ledger: TestLedger, entry: CommittedEntry): string[] =>
  stillInForce(ledger.engine.state, entry as TransactionEntry).map(({ reason }) => reason);

describe('a key', () => {
  test('opens nothing for another subject, however it was learnt', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    expect(await ask(ledger, 'bob', access(key, 'r'))).toEqual(['key_not_yours']);
    expect(await ask(ledger, 'ada', access(recordOf('no key'), 'r'))).toEqual(['key_unknown']);
    expect(await ask(ledger, 'ada', access(key, 'r'))).toEqual(['ok']);
    const extend = { keyId: key, attributes: ['alder/role:doctor'] };
    expect(await ledger.refusal('bob', 'KeyExtend', extend)).toBe('key.not_yours');
  });

  test('holds only what it lists: an attribute that the subject has but the key has not opens nothing', async () => {
    const ledger = await open();
    await ledger.put(operator, 'AttributeSet', {
      subject: subjectOf('ada'),
      attribute: 'alder/unit:u1',
      until: null,
    });
    const key = await ledger.key('ada', ['alder/unit:u1']);
    expect(await ask(ledger, 'ada', access(key, 'r'))).toEqual(['policy']);
    expect(await ledger.refusal('ada', 'KeyIssue', { attributes: ['alder/role:nurse'], stepUp: null })).toBe(
      'attribute.not_held',
    );
    for (const attribute of ['birch/role:doctor', `patient:${patientHex}`, `consent:${patientHex}`]) {
      expect(await ledger.refusal('ada', 'KeyIssue', { attributes: [attribute], stepUp: null })).not.toBe(
        'none',
      );
    }
  });

  test('that leaves an attribute out does not make `!=` and `not` forget it', async () => {
    const ledger = await open();
    const set = (role: string, until: number | null = null) =>
      ledger.put(operator, 'AttributeSet', {
        subject: subjectOf('ada'),
        attribute: `alder/role:${role}`,
        until,
      });
    const texts = [
      'alder/role:doctor and alder/role != nurse',
      'not alder/role:nurse',
      'not alder/role in {nurse}',
    ];
    const records = texts.map((text, i) => recordItem(`ne${i}`, text));
    await ledger.put('import', 'RecordPut', { records });
    const all = (keyId: Uint8Array, generation: number): EntryBodies['Access'] => ({
      keyId,
      generation,
      records: texts.map((_, i) => ({ record: recordOf(`ne${i}`), version: 0 })),
      purpose: 'treatment',
    });
    const alone = await ledger.key('ada', ['alder/role:doctor']);
    expect(await ask(ledger, 'ada', all(alone, 0))).toEqual(['ok', 'ok', 'ok']);
    await set('nurse', ledger.time + 10 * MINUTE_MS);
    const silent = await ledger.key('ada', ['alder/role:doctor']);
    expect(await ask(ledger, 'ada', all(silent, 1))).toEqual(['policy', 'policy', 'policy']);
    // It stands against them for the generation, also after it ran out: the key still says what it said.
    ledger.time += 20 * MINUTE_MS;
    expect(await ask(ledger, 'ada', all(silent, 1))).toEqual(['policy', 'policy', 'policy']);
  });

  test('carries no rights', async () => {
    const ledger = await open();
    const attributes = ['alder/right:operator'];
    expect(await ledger.refusal(operator, 'KeyIssue', { attributes, stepUp: null })).not.toBe('none');
  });

  test('of an earlier share epoch opens nothing after the next is in force', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    const before = await ledger.put('ada', 'Access', access(key, 'r'));
    await ledger.openShares(ceremony(1));
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBe(1);
    expect(await ask(ledger, 'ada', access(key, 'r'))).toEqual(['share_epoch']);
    expect(inTip(ledger, before)).toEqual(['share_epoch']);
    const extend = { keyId: key, attributes: ['alder/role:doctor'] };
    expect(await ledger.refusal('ada', 'KeyExtend', extend)).toBe('share.epoch');
  });
});

describe('generations', () => {
  const generation = (ledger: TestLedger, name = 'ada') =>
    ledger.engine.get(STATE.subject(subjectHex(name)))?.generation;
  const set = (ledger: TestLedger, attribute: string, until: number | null = null) =>
    ledger.put(operator, 'AttributeSet', {
      subject: subjectOf('ada'),
      attribute: `alder/${attribute}`,
      until,
    });

  test('stay while a subject only gains, and while an attribute merely runs out', async () => {
    const ledger = await open();
    await set(ledger, 'unit:u1');
    await set(ledger, 'unit:u2', ledger.time + MINUTE_MS);
    await set(ledger, 'age:30');
    expect(generation(ledger)).toBe(0);
    ledger.time += 2 * MINUTE_MS;
    await ledger.block([]);
    expect(generation(ledger)).toBe(0);
  });

  test('grow when a number changes, a finite label gets a second value, an ended or expired one returns', async () => {
    const ledger = await open();
    await set(ledger, 'age:30');
    await set(ledger, 'age:31');
    expect(generation(ledger)).toBe(1);
    expect(ledger.engine.get(STATE.attribute(subjectHex('ada'), 'alder/age:30'))?.ended).toBe(true);
    await set(ledger, 'role:nurse');
    expect(generation(ledger)).toBe(2);
    await set(ledger, 'unit:u1', ledger.time + 1000);
    ledger.time += MINUTE_MS;
    await set(ledger, 'unit:u1');
    expect(generation(ledger)).toBe(3);
    await ledger.put(operator, 'AttributeEnd', { subject: subjectOf('ada'), attribute: 'alder/unit:u1' });
    expect(generation(ledger)).toBe(4);
    await set(ledger, 'unit:u1');
    expect(generation(ledger)).toBe(5);
  });

  test('of a level: a higher one replaces the lower, and keys of the lower are stale', async () => {
    const ledger = await open();
    await set(ledger, 'clearance:1');
    const key = await ledger.key('ada', ['alder/clearance:1']);
    await set(ledger, 'clearance:2');
    expect(generation(ledger)).toBe(1);
    expect(await ledger.refusal('ada', 'KeyExtend', { keyId: key, attributes: ['alder/clearance:2'] })).toBe(
      'key.stale',
    );
  });

  test('an old generation number, or a made-up one, with a current key is stale', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    expect(await ask(ledger, 'ada', access(key, 'r', { generation: 1 }))).toEqual(['key_stale']);
    await ledger.put(operator, 'AttributeSet', {
      subject: subjectOf('ada'),
      attribute: 'alder/role:lab',
      until: null,
    });
    expect(await ask(ledger, 'ada', access(key, 'r', { generation: 1 }))).toEqual(['key_stale']);
    expect(await ask(ledger, 'ada', access(key, 'r', { generation: 0 }))).toEqual(['key_stale']);
  });
});

describe('revocation', () => {
  test('denies at once, ends grants that are not yet served, and lets the subject sign nothing', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    const granted = await ledger.put('ada', 'Access', access(key, 'r'));
    expect(inTip(ledger, granted)).toEqual(['ok']);
    await ledger.put(operator, 'SubjectRevoke', { subject: subjectOf('ada'), reason: 'abuse' });
    expect(inTip(ledger, granted)).toEqual(['subject_revoked']);
    expect(await ledger.refusal('ada', 'Access', access(key, 'r'))).toBe('subject.revoked');
    const use = { subject: subjectHex('ada'), keyId: toHex(key), record: toHex(recordOf('r')), version: 0 };
    for (const generation of [0, 1]) {
      const verdict = decideAccess(ledger.engine.state, { ...use, generation }, ledger.time);
      expect(verdict.granted).toBe(false);
    }
    const back = { subject: subjectOf('ada'), attribute: 'alder/role:doctor', until: null };
    expect(await ledger.refusal(operator, 'AttributeSet', back)).toBe('subject.revoked');
  });

  test('of an attribute between the access and the release is seen by the release, also within one block', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    const end = { subject: subjectOf('ada'), attribute: 'alder/role:doctor' };
    const [opened] = await ledger.block([
      ledger.request('ada', 'Access', access(key, 'r')),
      ledger.request(operator, 'AttributeEnd', end),
    ]);
    expect(opened.leaf.result).toEqual({ verdicts: [{ granted: true, reason: 'ok' }] });
    expect(inTip(ledger, opened)).toEqual(['key_stale']);
  });

  test('a grant is served for ten minutes of block time and no longer', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    const granted = await ledger.put('ada', 'Access', access(key, 'r'));
    await ledger.block([], granted.leaf.time + 10 * MINUTE_MS);
    expect(inTip(ledger, granted)).toEqual(['ok']);
    await ledger.block([], granted.leaf.time + 10 * MINUTE_MS + 1);
    expect(inTip(ledger, granted)).toEqual(['too_late']);
  });

  test('a denied entry stays denied, whatever comes later', async () => {
    const ledger = await open();
    await ledger.put(operator, 'AttributeSet', {
      subject: subjectOf('ada'),
      attribute: 'alder/unit:u1',
      until: null,
    });
    const key = await ledger.key('ada', ['alder/unit:u1']);
    const denied = await ledger.put('ada', 'Access', access(key, 'r'));
    await ledger.put('ada', 'KeyExtend', { keyId: key, attributes: ['alder/role:doctor'] });
    expect(await ask(ledger, 'ada', access(key, 'r'))).toEqual(['ok']);
    expect(inTip(ledger, denied)).toEqual(['not_granted']);
  });
});

describe('records', () => {
  test('of an old version, erased, or under a changed policy are not released on an older grant', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    const granted = await ledger.put('ada', 'Access', access(key, 'r'));
    const change = {
      record: recordOf('r'),
      version: 1,
      headerHash: recordOf('new header'),
      policy: policy('alder/role:nurse'),
      gate: 'record',
      cid: null,
      bytes: null,
      commitment: null,
    } as const;
    await ledger.put('import', 'PolicyChange', change);
    expect(inTip(ledger, granted)).toEqual(['version_stale']);
    expect(await ask(ledger, 'ada', access(key, 'r'))).toEqual(['version_stale']);
    expect(await ask(ledger, 'ada', access(key, 'r', { version: 1 }))).toEqual(['policy']);
    await ledger.put('import', 'Erase', { record: recordOf('r'), reason: 'order' });
    expect(await ask(ledger, 'ada', access(key, 'r', { version: 1 }))).toEqual(['record_erased']);
    expect(await ledger.refusal('import', 'PolicyChange', { ...change, version: 2 })).toBe('record.erased');
    const again = { records: [recordItem('r', 'alder/role:doctor', { version: 2 })] };
    expect(await ledger.refusal('import', 'RecordPut', again)).toBe('record.erased');
  });

  test('are changed by authors of their custodian alone, one version at a time', async () => {
    const ledger = await open();
    await ledger.enrol('thief', 'birch', ['right:author', 'right:privacy']);
    const put = (name: string, version: number) =>
      ledger.refusal(name, 'RecordPut', { records: [recordItem('r', 'birch/role:doctor', { version })] });
    expect(await put('thief', 1)).toBe('record.custodian');
    expect(await put('import', 0)).toBe('record.version');
    expect(await put('import', 2)).toBe('record.version');
    expect(await put('ada', 1)).toBe('right.missing');
    const erase = { record: recordOf('r'), reason: 'error' } as const;
    expect(await ledger.refusal('thief', 'Erase', erase)).toBe('record.custodian');
    expect(await ledger.refusal('ada', 'Erase', erase)).toBe('right.missing');
    expect(await put('import', 1)).toBe('none');
  });
});

describe('consent', () => {
  test('is given by the patient of the request alone, once', async () => {
    const ledger = await open();
    const body = { patient: subjectOf('pat'), until: ledger.time + DAY_MS, purpose: 'treatment' } as const;
    const { id } = await ledger.put('ada', 'ConsentRequest', body);
    const answer = { consent: fromHex(id), answer: 'accept', until: null } as const;
    for (const name of ['ada', 'bob', operator]) {
      expect(await ledger.refusal(name, 'ConsentAnswer', answer)).toBe('consent.not_yours');
    }
    await ledger.put('pat', 'ConsentAnswer', answer);
    expect(await ledger.refusal('pat', 'ConsentAnswer', answer)).toBe('consent.state');
    expect(await ledger.refusal('ada', 'ConsentRevoke', { consent: fromHex(id) })).toBe('consent.not_yours');
    const direct = { subject: subjectOf('ada'), attribute: `consent:${patientHex}`, until: null };
    expect(await ledger.refusal(operator, 'AttributeSet', direct)).toBe('attribute.reserved');
    const prefixed = { ...direct, attribute: `alder/consent:${patientHex}` };
    expect(await ledger.refusal(operator, 'AttributeSet', prefixed)).not.toBe('none');
    const posing = { ...direct, attribute: `patient:${patientHex}` };
    expect(await ledger.refusal(operator, 'AttributeSet', posing)).toBe('attribute.reserved');
  });

  test('opens until its end and not a millisecond longer, and not for another subject', async () => {
    const ledger = await open();
    const until = ledger.time + 10 * MINUTE_MS;
    await consent(ledger, 'ada', until);
    const key = await ledger.key('ada', [`consent:${patientHex}`]);
    const granted = await ledger.put('ada', 'Access', access(key, 'c'));
    expect(granted.leaf.result).toEqual({ verdicts: [{ granted: true, reason: 'ok' }] });
    ledger.time = until - 1;
    expect(await ask(ledger, 'ada', access(key, 'c'))).toEqual(['ok']);
    ledger.time = until;
    expect(await ask(ledger, 'ada', access(key, 'c'))).toEqual(['policy']);
    expect(inTip(ledger, granted)).not.toEqual(['ok']);
    const other = [`consent:${patientHex}`];
    expect(await ledger.refusal('bob', 'KeyIssue', { attributes: other, stepUp: null })).toBe(
      'attribute.not_held',
    );
  });

  test('ends at the earlier of what was asked and what was given', async () => {
    const ledger = await open();
    const asked = ledger.time + DAY_MS;
    await consent(ledger, 'ada', asked, ledger.time + 10 * MINUTE_MS);
    const held = () => ledger.engine.get(STATE.attribute(subjectHex('ada'), `consent:${patientHex}`));
    expect(held()?.until).toBeLessThan(asked);
    await consent(ledger, 'bob', asked, asked + DAY_MS);
    expect(ledger.engine.get(STATE.attribute(subjectHex('bob'), `consent:${patientHex}`))?.until).toBe(asked);
  });

  test('revoked ends access at once and makes the key stale; a second one of the pair keeps it', async () => {
    const ledger = await open();
    const one = await consent(ledger, 'ada', ledger.time + DAY_MS);
    const two = await consent(ledger, 'ada', ledger.time + DAY_MS);
    const key = await ledger.key('ada', [`consent:${patientHex}`]);
    await ledger.put('pat', 'ConsentRevoke', { consent: one });
    expect(await ask(ledger, 'ada', access(key, 'c'))).toEqual(['ok']);
    const granted = await ledger.put('ada', 'Access', access(key, 'c'));
    await ledger.put('pat', 'ConsentRevoke', { consent: two });
    expect(inTip(ledger, granted)).toEqual(['key_stale']);
    expect(await ask(ledger, 'ada', access(key, 'c'))).toEqual(['key_stale']);
    expect(await ledger.refusal('pat', 'ConsentRevoke', { consent: two })).toBe('consent.state');
  });

  test('given again after it ran out is a new generation', async () => {
    const ledger = await open();
    const until = ledger.time + 5 * MINUTE_MS;
    await consent(ledger, 'ada', until);
    const key = await ledger.key('ada', [`consent:${patientHex}`]);
    ledger.time = until + 1;
    await consent(ledger, 'ada', ledger.time + DAY_MS);
    expect(await ask(ledger, 'ada', access(key, 'c'))).toEqual(['key_stale']);
  });

  test('asked for too long, of a non-patient, or answered after its end is refused', async () => {
    const ledger = await open();
    const body = {
      patient: subjectOf('pat'),
      until: ledger.time + 366 * DAY_MS,
      purpose: 'treatment',
    } as const;
    expect(await ledger.refusal('ada', 'ConsentRequest', body)).toBe('none');
    expect(await ledger.refusal('ada', 'ConsentRequest', { ...body, until: body.until + 1 })).toBe(
      'consent.period',
    );
    expect(await ledger.refusal('ada', 'ConsentRequest', { ...body, until: ledger.time })).toBe(
      'consent.period',
    );
    expect(await ledger.refusal('ada', 'ConsentRequest', { ...body, patient: subjectOf('bob') })).toBe(
      'subject.kind',
    );
    const { id } = await ledger.put('ada', 'ConsentRequest', { ...body, until: ledger.time + MINUTE_MS });
    ledger.time += 2 * MINUTE_MS;
    const answer = { consent: fromHex(id), answer: 'accept', until: null } as const;
    expect(await ledger.refusal('pat', 'ConsentAnswer', answer)).toBe('consent.period');
  });

  test('of a revoked grantee opens nothing, nor can one be accepted for it', async () => {
    const ledger = await open();
    const body = { patient: subjectOf('pat'), until: ledger.time + DAY_MS, purpose: 'treatment' } as const;
    const { id } = await ledger.put('ada', 'ConsentRequest', body);
    await ledger.put(operator, 'SubjectRevoke', { subject: subjectOf('ada'), reason: 'left' });
    const answer = { consent: fromHex(id), answer: 'accept', until: null } as const;
    expect(await ledger.refusal('pat', 'ConsentAnswer', answer)).toBe('subject.revoked');
  });
});

describe('break-glass', () => {
  const glass = (keyId: Uint8Array, record = 'own'): EntryBodies['BreakGlass'] => ({
    keyId,
    generation: 0,
    record: recordOf(record),
    version: 0,
    reason: 'life-threat',
    stepUp: 'webauthn',
  });

  test('needs the right, one own current key, and names one record of its current version', async () => {
    const ledger = await open();
    const key = await ledger.key('ada', ['alder/role:doctor']);
    const ask = async (name: string, body: EntryBodies['BreakGlass']) =>
      (await ledger.put(name, 'BreakGlass', body)).leaf.result;
    expect(await ask('ada', glass(key))).toEqual({ granted: false, reason: 'right' });
    const right = { subject: subjectOf('ada'), attribute: 'alder/right:emergency', until: null };
    await ledger.put(operator, 'AttributeSet', right);
    expect(await ask('ada', glass(key))).toEqual({ granted: true, reason: 'ok' });
    expect(await ask('bob', glass(key))).toEqual({ granted: false, reason: 'key_not_yours' });
    expect(await ask('ada', { ...glass(key), version: 1 })).toEqual({
      granted: false,
      reason: 'version_stale',
    });
    expect(await ask('ada', glass(key, 'none'))).toEqual({ granted: false, reason: 'record_unknown' });
    expect(() => ledger.request('ada', 'BreakGlass', { ...glass(key), stepUp: '' })).toThrow('stepUp');
  });

  test("is reviewed once, by the custodian's privacy officer, not by who broke it; a denied one by nobody", async () => {
    const ledger = await open();
    for (const right of ['emergency', 'privacy']) {
      const body = { subject: subjectOf('ada'), attribute: `alder/right:${right}`, until: null };
      await ledger.put(operator, 'AttributeSet', body);
    }
    await ledger.enrol('officer', 'alder', ['right:privacy']);
    await ledger.enrol('stranger', 'birch', ['right:privacy']);
    const key = await ledger.key('ada', ['alder/role:doctor']);
    const { id } = await ledger.put('ada', 'BreakGlass', glass(key));
    const review = { entry: fromHex(id), outcome: 'unjustified' } as const;
    expect(await ledger.refusal('ada', 'BreakGlassReview', review)).toBe('break_glass.own');
    expect(await ledger.refusal('stranger', 'BreakGlassReview', review)).toBe('right.missing');
    expect(await ledger.refusal('bob', 'BreakGlassReview', review)).toBe('right.missing');
    await ledger.put('officer', 'BreakGlassReview', review);
    expect(await ledger.refusal('officer', 'BreakGlassReview', review)).toBe('break_glass.state');
    const denied = await ledger.put(
      'bob',
      'BreakGlass',
      glass(await ledger.key('bob', ['alder/role:doctor'])),
    );
    const none = { entry: fromHex(denied.id), outcome: 'justified' } as const;
    expect(await ledger.refusal('officer', 'BreakGlassReview', none)).toBe('break_glass.unknown');
  });
});
