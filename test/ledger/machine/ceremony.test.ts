/** Key ceremonies on the ledger: who may say what and when, who is waited for and how long, and how one ends. */
import { describe, expect, it } from 'vitest';
import { fromHex } from '../../../src/codec/bytes.ts';
import { type CeremonyState, ceremonyId, type ShareMessage, STATE } from '../../../src/ledger/index.ts';
import {
  bytesOf,
  CHAIN_ID,
  ceremony,
  DAY_MS,
  MEMBER_IDS,
  MINUTE_MS,
  memberOf,
  operatorOf,
  TestLedger,
} from '../support.ts';

const SEALED = MEMBER_IDS.map((one) => bytesOf(`sealed to ${one}`));

const join = (member: string, deals = true): ShareMessage => ({
  kind: 'join',
  body: { hpkeKey: bytesOf(`key of ${member}`), dealing: deals ? bytesOf(`hash of ${member}`) : null },
});
const deal: ShareMessage = { kind: 'deal', body: { opening: bytesOf('opening'), sealed: SEALED } };
const complain = (...dealers: readonly number[]): ShareMessage => ({ kind: 'complain', body: { dealers } });
const close = (phase: CeremonyState['phase']): ShareMessage => ({ kind: 'close', body: { phase } });
const answer: ShareMessage = { kind: 'answer', body: { shares: [{ receiver: 1, share: bytesOf('share') }] } };

const stateOf = (ledger: TestLedger): CeremonyState => {
  const found = ledger.engine.get(STATE.ceremony);
  if (found === undefined) throw new Error('no ceremony');
  return found;
};
const phaseOf = (ledger: TestLedger): string => stateOf(ledger).phase;
const request = (ledger: TestLedger, member: string, step: ShareMessage, id = stateOf(ledger).id) =>
  ledger.request(operatorOf(member), 'ShareStep', { ceremony: id, ...step });
const take = (ledger: TestLedger, member: string, step: ShareMessage) =>
  ledger.block([request(ledger, member, step)]);
const refused = (ledger: TestLedger, member: string, step: ShareMessage, id?: Uint8Array) =>
  ledger.refusalOf(request(ledger, member, step, id));

/** A ledger whose first share epoch is in force, and a ceremony for the next with a window of a minute. */
async function renewing(): Promise<TestLedger> {
  const ledger = await TestLedger.open();
  await ledger.openShares();
  await ledger.renew();
  return ledger;
}

async function joined(members: readonly string[] = MEMBER_IDS): Promise<TestLedger> {
  const ledger = await renewing();
  for (const member of members) await take(ledger, member, join(member));
  return ledger;
}

async function dealt(): Promise<TestLedger> {
  const ledger = await joined();
  for (const member of MEMBER_IDS) await take(ledger, member, deal);
  return ledger;
}

const later = (ledger: TestLedger, ms = MINUTE_MS): Promise<unknown> => ledger.block([], ledger.time + ms);

describe('a ceremony after the first', () => {
  it('begins with the majority’s last approval, one at a time, for all members and nobody else', async () => {
    const ledger = await TestLedger.open();
    const propose = (members: readonly string[], windowMs = MINUTE_MS) =>
      ledger.refusal(operatorOf('alder'), 'Proposal', {
        kind: 'ShareRenew',
        body: { members, windowMs },
        until: ledger.time + DAY_MS,
      });
    expect(await propose(MEMBER_IDS)).toBe('share.none');
    await ledger.openShares();
    expect(await propose(MEMBER_IDS.slice(1))).toBe('share.members');
    expect(await propose([...MEMBER_IDS.slice(1), 'elm'])).toBe('share.members');
    for (const [windowMs, code] of [
      [1000, 'none'],
      [DAY_MS, 'none'],
    ] as const)
      expect(await propose(MEMBER_IDS, windowMs)).toBe(code);
    for (const windowMs of [999, DAY_MS + 1])
      await expect(propose(MEMBER_IDS, windowMs)).rejects.toMatchObject({ code: 'entry.malformed' });
    await ledger.renew();
    expect(stateOf(ledger)).toMatchObject({
      shareEpoch: 1,
      dealers: MEMBER_IDS,
      members: MEMBER_IDS,
      needed: 3,
      threshold: 3,
      phase: 'join',
    });
    expect(await propose(MEMBER_IDS)).toBe('share.ceremony_open');
    const open: ShareMessage = { kind: 'open', body: { windowMs: 1000 } };
    expect(await refused(ledger, 'alder', open)).toBe('share.proposal');
  });

  it('goes from phase to phase when everybody has spoken, each once', async () => {
    const ledger = await renewing();
    expect(await refused(ledger, 'alder', deal)).toBe('share.ceremony');
    await take(ledger, 'alder', join('alder'));
    expect(await refused(ledger, 'alder', join('alder'))).toBe('share.step');
    for (const member of ['birch', 'cedar']) await take(ledger, member, join(member));
    expect(phaseOf(ledger)).toBe('join');
    const [entry] = await take(ledger, 'dogwood', join('dogwood', false));
    expect(entry.leaf.result).toEqual({ phase: 'deal' });
    expect(await refused(ledger, 'dogwood', deal)).toBe('share.step');
    const short: ShareMessage = { kind: 'deal', body: { opening: bytesOf('o'), sealed: SEALED.slice(1) } };
    expect(await refused(ledger, 'alder', short)).toBe('share.step');
    for (const member of ['alder', 'birch', 'cedar']) await take(ledger, member, deal);
    expect(phaseOf(ledger)).toBe('complain');
    expect(await refused(ledger, 'alder', complain(5))).toBe('share.step');
    for (const member of MEMBER_IDS) await take(ledger, member, complain());
    expect(phaseOf(ledger)).toBe('confirm');
    const hold: ShareMessage = { kind: 'hold', body: { proof: new Uint8Array(64) } };
    const { transcript } = stateOf(ledger);
    await take(ledger, 'alder', hold);
    expect(await refused(ledger, 'alder', hold)).toBe('share.step');
    expect(stateOf(ledger)).toMatchObject({ transcript, held: ['alder'] });
    expect(await refused(ledger, 'alder', hold, bytesOf('another'))).toBe('share.ceremony');
  });

  it('asks a dealer to answer whom some complain about, not one whom t do', async () => {
    const ledger = await dealt();
    await take(ledger, 'alder', complain(2, 4));
    await take(ledger, 'birch', complain(4));
    await take(ledger, 'cedar', complain(4));
    await take(ledger, 'dogwood', complain());
    expect(phaseOf(ledger)).toBe('answer');
    for (const other of ['alder', 'dogwood']) expect(await refused(ledger, other, answer)).toBe('share.step');
    await take(ledger, 'birch', answer);
    expect(phaseOf(ledger)).toBe('confirm');
  });

  it('waits its window for the silent, to the millisecond, and goes on without them', async () => {
    const ledger = await joined(MEMBER_IDS.slice(0, 3));
    const since = stateOf(ledger).since;
    expect(await refused(ledger, 'alder', close('join'))).toBe('share.window');
    ledger.time = since + MINUTE_MS - 1;
    expect(await refused(ledger, 'alder', close('join'))).toBe('share.window');
    ledger.time += 1;
    expect(await refused(ledger, 'alder', close('deal'))).toBe('share.ceremony');
    await take(ledger, 'alder', close('join'));
    expect(stateOf(ledger)).toMatchObject({ phase: 'deal', joined: MEMBER_IDS.slice(0, 3) });
    expect(await refused(ledger, 'dogwood', join('dogwood'))).toBe('share.ceremony');
  });

  it('fails when fewer join, or deal, than its result needs, and another may begin', async () => {
    const ledger = await joined(['alder', 'birch']);
    await later(ledger);
    await take(ledger, 'birch', close('join'));
    expect(phaseOf(ledger)).toBe('failed');
    const first = stateOf(ledger);
    await ledger.renew();
    expect(stateOf(ledger)).toMatchObject({ phase: 'join', attempt: first.attempt + 1, shareEpoch: 1 });
    expect(await refused(ledger, 'alder', join('alder'), first.id)).toBe('share.ceremony');
    for (const member of MEMBER_IDS) await take(ledger, member, join(member));
    for (const member of ['alder', 'birch']) await take(ledger, member, deal);
    await later(ledger);
    await take(ledger, 'alder', close('deal'));
    expect(phaseOf(ledger)).toBe('failed');
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBe(0);
  });

  it('is confirmed by all, or by t once the others have had their time; else it fails', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    const body = { ...ceremony(1), transcript: await ledger.toConfirm() };
    const put = (member: string, one = body) => ledger.put(operatorOf(member), 'ShareEpoch', one);
    const other = { ...body, transcript: bytesOf('another run') };
    expect(await ledger.refusal(operatorOf('alder'), 'ShareEpoch', other)).toBe('share.transcript');
    for (const member of ['alder', 'birch']) await put(member);
    await later(ledger);
    expect(await refused(ledger, 'alder', close('confirm'))).toBe('none');
    expect((await put('cedar')).leaf.result).toEqual({ confirmations: 3, active: true });
    expect(stateOf(ledger).phase).toBe('done');
    expect(await refused(ledger, 'alder', close('confirm'))).toBe('share.ceremony');
    expect((await put('dogwood')).leaf.result).toEqual({ confirmations: 4, active: true });
    // Two members that sign different outcomes are no quorum of one.
    const next = { ...ceremony(2), transcript: await ledger.toConfirm() };
    await put('alder', next);
    await put('birch', next);
    await put('cedar', { ...next, commitments: MEMBER_IDS.map((one) => bytesOf(`other ${one}`)) });
    await later(ledger);
    await take(ledger, 'alder', close('confirm'));
    expect(phaseOf(ledger)).toBe('failed');
    expect(ledger.engine.get(STATE.shareConfirmation(2, 'alder'))).toBeUndefined();
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBe(1);
  });

  it('with t confirmations is not closed any more: the next confirmation puts it in force', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    const body = { ...ceremony(1), transcript: await ledger.toConfirm() };
    for (const member of ['alder', 'birch', 'cedar']) {
      const { leaf } = await ledger.put(operatorOf(member), 'ShareEpoch', body);
      expect(leaf.result).toMatchObject({ active: false });
    }
    await later(ledger);
    expect(await refused(ledger, 'dogwood', close('confirm'))).toBe('share.window');
    const again = await ledger.put(operatorOf('alder'), 'ShareEpoch', body);
    expect(again.leaf.result).toEqual({ confirmations: 3, active: true });
  });

  it('keeps the members as they are until its end, or until a majority aborts it', async () => {
    const ledger = await renewing();
    const { id } = stateOf(ledger);
    const until = ledger.time + DAY_MS;
    const operator = {
      subject: bytesOf('elm').slice(0, 16),
      member: 'elm',
      key: { alg: 'ed25519', key: bytesOf('k') },
    };
    const add = {
      member: memberOf('elm'),
      operator: { ...operator, hpkeKey: bytesOf('h') },
      checkpoint: ledger.checkpoint(),
      proof: new Uint8Array(64),
    };
    const change = { kind: 'Reconfig', body: { add, remove: null }, until } as never;
    expect(await ledger.refusal(operatorOf('alder'), 'Proposal', change)).toBe('share.ceremony_open');
    const abort = (ceremony: Uint8Array) => ({ kind: 'ShareAbort', body: { ceremony }, until }) as const;
    expect(await ledger.refusal(operatorOf('alder'), 'Proposal', abort(bytesOf('other')))).toBe(
      'share.ceremony',
    );
    const proposed = await ledger.put(operatorOf('alder'), 'Proposal', abort(id));
    for (const member of ['birch', 'cedar'])
      await ledger.put(operatorOf(member), 'Approval', { proposal: fromHex(proposed.id) });
    expect(phaseOf(ledger)).toBe('failed');
    expect(await ledger.refusal(operatorOf('alder'), 'Proposal', change)).not.toBe('share.ceremony_open');
    expect(await refused(ledger, 'alder', join('alder'))).toBe('share.ceremony');
  });
});

describe('the first ceremony', () => {
  const open: ShareMessage = { kind: 'open', body: { windowMs: MINUTE_MS } };

  it('is begun by any operator, waits for everybody, and needs everybody’s confirmation', async () => {
    const ledger = await TestLedger.open();
    const id = ceremonyId(CHAIN_ID, 0);
    expect(await refused(ledger, 'alder', open, bytesOf('another'))).toBe('share.ceremony');
    await ledger.block([request(ledger, 'birch', open, id)]);
    expect(await refused(ledger, 'alder', open, ceremonyId(CHAIN_ID, 1))).toBe('share.ceremony_open');
    for (const member of MEMBER_IDS.slice(0, 3)) await take(ledger, member, join(member));
    await later(ledger, 2 * MINUTE_MS);
    expect(await refused(ledger, 'alder', close('join'))).toBe('share.window');
    await take(ledger, 'dogwood', join('dogwood'));
    for (const member of MEMBER_IDS.slice(0, 3)) await take(ledger, member, deal);
    await later(ledger);
    await take(ledger, 'alder', close('deal'));
    for (const member of MEMBER_IDS) await take(ledger, member, complain());
    const body = { ...ceremony(0), transcript: stateOf(ledger).transcript };
    for (const member of MEMBER_IDS.slice(0, 3)) await ledger.put(operatorOf(member), 'ShareEpoch', body);
    await later(ledger);
    await ledger.put(operatorOf('alder'), 'ShareEpoch', body);
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBeNull();
    const last = await ledger.put(operatorOf('dogwood'), 'ShareEpoch', body);
    expect(last.leaf.result).toEqual({ confirmations: 4, active: true });
  });
});
