/** Consent: given by the patient alone, for a time, taken back at once (DESIGN 3.6). */
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/codec/bytes.ts';
import { STATE } from '../../../src/ledger/index.ts';
import { DAY_MS, recordItem, recordOf, subjectHex, subjectOf, TestLedger } from '../support.ts';

const CONSENT = `consent:${subjectHex('pat')}`;
const held = (ledger: TestLedger) => ledger.engine.get(STATE.attribute(subjectHex('ada'), CONSENT));
const generation = (ledger: TestLedger) => ledger.engine.get(STATE.subject(subjectHex('ada')))?.generation;

async function world(): Promise<TestLedger> {
  const ledger = await TestLedger.open();
  await ledger.openShares();
  await ledger.enrol('pat', 'alder', [], 'patient');
  await ledger.enrol('ada', 'birch', ['role:doctor']);
  return ledger;
}

const ask = async (ledger: TestLedger, ms = 30 * DAY_MS): Promise<Uint8Array> => {
  const body = { patient: subjectOf('pat'), until: ledger.time + ms, purpose: 'treatment' } as const;
  return fromHex((await ledger.put('ada', 'ConsentRequest', body)).id);
};
const accept = (ledger: TestLedger, consent: Uint8Array, until: number | null = null) =>
  ledger.put('pat', 'ConsentAnswer', { consent, answer: 'accept', until });

describe('ConsentRequest', () => {
  it('is of a patient, ends in the future, at most 366 days ahead', async () => {
    const ledger = await world();
    const refused = (name: string, until: number): Promise<string> =>
      ledger.refusal('ada', 'ConsentRequest', { patient: subjectOf(name), until, purpose: 'research' });
    expect(await refused('pat', ledger.time)).toBe('consent.period');
    expect(await refused('pat', ledger.time + 1)).toBe('none');
    expect(await refused('pat', ledger.time + 366 * DAY_MS)).toBe('none');
    expect(await refused('pat', ledger.time + 366 * DAY_MS + 1)).toBe('consent.period');
    expect(await refused('ada', ledger.time + 1)).toBe('subject.kind');
    expect(await refused('nobody', ledger.time + 1)).toBe('subject.unknown');
  });
});

describe('ConsentAnswer', () => {
  it('only the patient answers, once', async () => {
    const ledger = await world();
    const consent = await ask(ledger);
    const body = { consent, answer: 'accept', until: null } as const;
    expect(await ledger.refusal('ada', 'ConsentAnswer', body)).toBe('consent.not_yours');
    expect(await ledger.refusal('pat', 'ConsentAnswer', { ...body, consent: new Uint8Array(32) })).toBe(
      'consent.unknown',
    );
    await ledger.put('pat', 'ConsentAnswer', { ...body, answer: 'reject' });
    expect(await ledger.refusal('pat', 'ConsentAnswer', body)).toBe('consent.state');
    expect(held(ledger)).toBeUndefined();
  });

  it('opens the patient’s records to the key that lists it, until the earlier of both ends', async () => {
    const ledger = await world();
    await ledger.enrol('import', 'alder', ['right:author']);
    const policy = `alder/role:doctor or ${CONSENT}`;
    await ledger.put('import', 'RecordPut', {
      records: [recordItem('a', policy, { patient: subjectOf('pat') })],
    });
    const keyId = await ledger.key('ada', ['birch/role:doctor']);
    const body = {
      keyId,
      generation: 0,
      records: [{ record: recordOf('a'), version: 0 }],
      purpose: 'treatment',
    } as const;
    const reason = async (): Promise<unknown> => (await ledger.put('ada', 'Access', body)).leaf.result;
    expect(await reason()).toEqual({ verdicts: [{ granted: false, reason: 'policy' }] });
    const consent = await ask(ledger);
    const until = ledger.time + 10 * DAY_MS;
    expect((await accept(ledger, consent, until)).leaf.result).toEqual({ generation: 0 });
    expect(held(ledger)).toEqual({ until, ended: false });
    expect(await reason()).toEqual({ verdicts: [{ granted: false, reason: 'policy' }] });
    await ledger.put('ada', 'KeyExtend', { keyId, attributes: [CONSENT] });
    expect(await reason()).toEqual({ verdicts: [{ granted: true, reason: 'ok' }] });
    await ledger.block([], until);
    expect(await reason()).toEqual({ verdicts: [{ granted: false, reason: 'policy' }] });
    expect(generation(ledger)).toBe(0);
  });

  it('comes too late after the request’s own end', async () => {
    const ledger = await world();
    const consent = await ask(ledger, 5000);
    await ledger.block([], ledger.time + 5000);
    const body = { consent, answer: 'accept', until: null } as const;
    expect(await ledger.refusal('pat', 'ConsentAnswer', body)).toBe('consent.period');
  });

  it('given again after its end it grows the generation', async () => {
    const ledger = await world();
    const first = await ask(ledger, DAY_MS);
    await accept(ledger, first);
    await ledger.block([], ledger.time + DAY_MS);
    expect((await accept(ledger, await ask(ledger))).leaf.result).toEqual({ generation: 1 });
  });

  it('a pair has at most 16 running at once', async () => {
    const ledger = await world();
    for (let i = 0; i < 16; i++) await accept(ledger, await ask(ledger));
    const body = { consent: await ask(ledger), answer: 'accept', until: null } as const;
    expect(await ledger.refusal('pat', 'ConsentAnswer', body)).toBe('consent.too_many');
  });
});

describe('ConsentRevoke', () => {
  it('ends the attribute at once and makes the requester’s keys stale', async () => {
    const ledger = await world();
    const consent = await ask(ledger);
    expect(await ledger.refusal('pat', 'ConsentRevoke', { consent })).toBe('consent.state');
    await accept(ledger, consent);
    expect(await ledger.refusal('ada', 'ConsentRevoke', { consent })).toBe('consent.not_yours');
    expect((await ledger.put('pat', 'ConsentRevoke', { consent })).leaf.result).toEqual({ generation: 1 });
    expect(held(ledger)?.ended).toBe(true);
    expect(await ledger.refusal('pat', 'ConsentRevoke', { consent })).toBe('consent.state');
    const issue = { attributes: [CONSENT], stepUp: null };
    expect(await ledger.refusal('ada', 'KeyIssue', issue)).toBe('attribute.not_held');
  });

  it('with another consent of the pair in force the attribute goes on, to that one’s end', async () => {
    const ledger = await world();
    const long = await ask(ledger, 20 * DAY_MS);
    const short = await ask(ledger, 10 * DAY_MS);
    const shortEnd = ledger.engine.get(STATE.consent(Buffer.from(short).toString('hex')))?.until;
    const longEnd = ledger.engine.get(STATE.consent(Buffer.from(long).toString('hex')))?.until;
    await accept(ledger, long);
    await accept(ledger, short);
    expect(held(ledger)?.until).toBe(longEnd);
    expect((await ledger.put('pat', 'ConsentRevoke', { consent: long })).leaf.result).toEqual({
      generation: 0,
    });
    expect(held(ledger)).toEqual({ until: shortEnd, ended: false });
    expect((await ledger.put('pat', 'ConsentRevoke', { consent: short })).leaf.result).toEqual({
      generation: 1,
    });
  });

  it('a patient that a hospital revoked answers no more', async () => {
    const ledger = await world();
    const consent = await ask(ledger);
    const body = { subject: subjectOf('pat'), reason: 'deceased' } as const;
    await ledger.put('operator of alder', 'SubjectRevoke', body);
    expect(await ledger.refusal('pat', 'ConsentAnswer', { consent, answer: 'accept', until: null })).toBe(
      'subject.revoked',
    );
  });
});
