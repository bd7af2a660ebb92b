/** Proposals, membership, leadership: what a majority or a quorum of members decides. */
import { describe, expect, it } from 'vitest';
import { equalBytes, fromHex, utf8 } from '../../../src/codec/bytes.ts';
import { admissionMessage, type EntryBodies, REFUSALS, STATE } from '../../../src/ledger/index.ts';
import {
  applyTo,
  bytesOf,
  CHAIN_ID,
  CID,
  ceremony,
  DAY_MS,
  enrolment,
  genesisDocument,
  memberOf,
  operatorOf,
  recordItem,
  recordOf,
  signerOf,
  subjectHex,
  subjectOf,
  TestLedger,
  validatorOf,
} from '../support.ts';

const ALDER = operatorOf('alder');

type ProposalBody = EntryBodies['Proposal'];

const propose = (ledger: TestLedger, kind: ProposalBody['kind'], body: object, ms = DAY_MS): ProposalBody =>
  ({ kind, body, until: ledger.time + ms }) as ProposalBody;

/** Proposes as alder and approves as the others, until it is executed. */
async function decide(
  ledger: TestLedger,
  kind: ProposalBody['kind'],
  body: object,
  members: readonly string[] = ['birch', 'cedar'],
): Promise<readonly unknown[]> {
  const { id, leaf } = await ledger.put(ALDER, 'Proposal', propose(ledger, kind, body));
  const results: unknown[] = [leaf.result];
  for (const member of members) {
    results.push((await ledger.put(operatorOf(member), 'Approval', { proposal: fromHex(id) })).leaf.result);
  }
  return results;
}

const admission = (ledger: TestLedger, id = 'elm', checkpoint = ledger.checkpoint()) => {
  const operator = {
    subject: subjectOf(operatorOf(id)),
    member: id,
    key: signerOf(operatorOf(id)).publicKey,
    hpkeKey: bytesOf(`hpke ${operatorOf(id)}`),
  };
  const proof = validatorOf(id).sign(admissionMessage(CHAIN_ID, memberOf(id), operator, checkpoint));
  return { add: { member: memberOf(id), operator, checkpoint, proof }, remove: null };
};

describe('Proposal and Approval', () => {
  it('takes effect in the block of the majority’s last approval', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const body = { subject: subjectOf('ada'), attribute: 'study:heart', until: null };
    expect(await decide(ledger, 'AttributeSet', body, ['birch'])).toEqual([
      { approvals: 1, executed: false },
      { approvals: 2, executed: false },
    ]);
    expect(ledger.engine.get(STATE.held(subjectHex('ada')))).toBeUndefined();
    const [open] = ledger.engine.entries({ kind: 'Proposal' }, { limit: 1 }).entries;
    const approve = { proposal: fromHex(open.id) };
    expect(await ledger.refusal(ALDER, 'Approval', approve)).toBe('proposal.approved');
    const last = await ledger.put(operatorOf('dogwood'), 'Approval', approve);
    expect(last.leaf.result).toEqual({ approvals: 3, executed: true });
    expect(ledger.engine.get(STATE.held(subjectHex('ada')))).toEqual(['study:heart']);
    expect(await ledger.refusal(operatorOf('cedar'), 'Approval', approve)).toBe('proposal.closed');
  });

  it('a shared attribute is granted by proposals only and ended by the subject’s own registrar', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const own = { subject: subjectOf('ada'), attribute: 'alder/unit:x', until: null };
    expect(await ledger.refusal(ALDER, 'Proposal', propose(ledger, 'AttributeSet', own))).toBe(
      'attribute.issuer',
    );
    await decide(ledger, 'AttributeSet', { ...own, attribute: 'study:heart' });
    const end = { subject: subjectOf('ada'), attribute: 'study:heart' };
    expect(await ledger.refusal(operatorOf('birch'), 'AttributeEnd', end)).toBe('right.missing');
    expect((await ledger.put(ALDER, 'AttributeEnd', end)).leaf.result).toEqual({ generation: 1 });
  });

  it('ends at its time, at most 90 days ahead, and is the operators’', async () => {
    const ledger = await TestLedger.open();
    const labels = { labels: [{ label: 'ward', type: 'text', width: null, values: null, shared: false }] };
    const refused = (ms: number, by = ALDER): Promise<string> =>
      ledger.refusal(by, 'Proposal', propose(ledger, 'RegistryPut', labels, ms));
    expect(await refused(0)).toBe('proposal.until');
    expect(await refused(90 * DAY_MS)).toBe('none');
    expect(await refused(90 * DAY_MS + 1)).toBe('proposal.until');
    await ledger.enrol('reg', 'alder', ['right:registrar']);
    expect(await refused(DAY_MS, 'reg')).toBe('right.missing');
    const { id } = await ledger.put(ALDER, 'Proposal', propose(ledger, 'RegistryPut', labels, 5000));
    const approve = { proposal: fromHex(id) };
    expect(await ledger.refusal(operatorOf('birch'), 'Approval', approve)).toBe('none');
    await ledger.block([], ledger.time + 5000);
    expect(await ledger.refusal(operatorOf('birch'), 'Approval', approve)).toBe('proposal.closed');
    const unknown = { proposal: bytesOf('none') };
    expect(await ledger.refusal(operatorOf('birch'), 'Approval', unknown)).toBe('proposal.unknown');
  });

  it('the registry grows, and what is fixed stays', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const ward = { label: 'ward', type: 'text', width: null, values: null, shared: false };
    const set = { subject: subjectOf('ada'), attribute: 'alder/ward:w3', until: null };
    expect(await ledger.refusal(ALDER, 'AttributeSet', set)).toBe('policy.unknown_label');
    await decide(ledger, 'RegistryPut', { labels: [ward] });
    expect(await ledger.refusal(ALDER, 'AttributeSet', set)).toBe('none');
    const role = { label: 'role', type: 'text', width: null, shared: false };
    const refused = (values: readonly string[]): Promise<string> =>
      ledger.refusal(ALDER, 'Proposal', propose(ledger, 'RegistryPut', { labels: [{ ...role, values }] }));
    expect(await refused(['doctor', 'nurse'])).toBe('policy.registry');
    expect(await refused(['doctor', 'lab', 'nurse', 'porter'])).toBe('none');
    await decide(ledger, 'RegistryPut', {
      labels: [{ ...role, values: ['doctor', 'lab', 'nurse', 'porter'] }],
    });
    const porter = { ...set, attribute: 'alder/role:porter' };
    expect(await ledger.refusal(ALDER, 'AttributeSet', porter)).toBe('none');
  });
});

describe('Reconfig', () => {
  it('adds a member with a quorum; its validator votes two heights later', async () => {
    const ledger = await TestLedger.open();
    const { id } = await ledger.put(ALDER, 'Proposal', propose(ledger, 'Reconfig', admission(ledger)));
    const approve = { proposal: fromHex(id) };
    await ledger.put(operatorOf('birch'), 'Approval', approve);
    const batch = [ledger.request(operatorOf('cedar'), 'Approval', approve)];
    const height = ledger.engine.head.height + 1;
    const context = { height, time: ledger.time, proposer: 0, batchHash: 'r' };
    const result = await ledger.engine.execute(context, batch);
    const keys = ['alder', 'birch', 'cedar', 'dogwood', 'elm'].map((one) => memberOf(one).validatorKey);
    expect(result).toMatchObject({ ok: true, nextValidators: keys, barred: [] });
    await applyTo(ledger.engine, height, ledger.time, batch);
    ledger.time += 1000;
    expect(ledger.engine.get(STATE.validators(1))?.from).toBe(height + 2);
    expect(
      await ledger.refusal(ALDER, 'Proposal', propose(ledger, 'Reconfig', admission(ledger, 'fir'))),
    ).toBe('reconfig.pending');
    expect(ledger.engine.get(STATE.chain)?.validatorEpoch).toBe(0);
    await ledger.block([]);
    expect(ledger.engine.get(STATE.chain)?.validatorEpoch).toBe(0);
    await ledger.block([]);
    expect(ledger.engine.get(STATE.chain)?.validatorEpoch).toBe(1);
    await ledger.put(operatorOf('elm'), 'SubjectPut', enrolment('eve', 'elm'));
    expect(await ledger.refusal(ALDER, 'Proposal', propose(ledger, 'Reconfig', admission(ledger)))).toBe(
      'reconfig.members',
    );
  });

  it('removes a member down to four; its operator has no rights afterwards', async () => {
    const five = ['alder', 'birch', 'cedar', 'dogwood', 'elm'];
    const ledger = await TestLedger.open({ document: genesisDocument(five) });
    await ledger.openShares(ceremony(0, five));
    await ledger.enrol('eve', 'elm', ['unit:a', 'right:emergency']);
    await ledger.enrol('import', 'alder', ['right:author']);
    await ledger.put('import', 'RecordPut', { records: [recordItem('a', 'alder/role:doctor')] });
    const keyId = await ledger.key('eve', ['elm/unit:a']);
    const glass = {
      keyId,
      generation: 0,
      record: recordOf('a'),
      version: 0,
      reason: 'other',
      stepUp: 'otp',
    } as const;
    expect((await ledger.put('eve', 'BreakGlass', glass)).leaf.result).toMatchObject({ granted: true });
    const remove = { add: null, remove: 'elm' };
    expect(await decide(ledger, 'Reconfig', remove, ['birch', 'cedar', 'dogwood'])).toEqual([
      { approvals: 1, executed: false },
      { approvals: 2, executed: false },
      { approvals: 3, executed: false },
      { approvals: 4, executed: true },
    ]);
    expect(ledger.engine.get(STATE.members)).toEqual(five.slice(0, 4));
    expect(await ledger.refusal(operatorOf('elm'), 'Stored', { cids: [CID] })).toBe('right.missing');
    const denied = { granted: false, reason: 'right' };
    expect((await ledger.put('eve', 'BreakGlass', glass)).leaf.result).toEqual(denied);
    await ledger.block([]);
    await ledger.block([]);
    const again = propose(ledger, 'Reconfig', { add: null, remove: 'dogwood' });
    expect(await ledger.refusal(ALDER, 'Proposal', again)).toBe('reconfig.members');
    const back = propose(ledger, 'Reconfig', admission(ledger, 'elm'));
    expect(await ledger.refusal(ALDER, 'Proposal', back)).toBe('reconfig.members');
    expect(
      await ledger.refusal(ALDER, 'Proposal', propose(ledger, 'Reconfig', admission(ledger, 'fir'))),
    ).toBe('none');
  });

  it('a newcomer proves its validator key and takes nobody’s name, key or subject', async () => {
    const ledger = await TestLedger.open();
    const refused = (body: object): Promise<string> =>
      ledger.refusal(ALDER, 'Proposal', propose(ledger, 'Reconfig', body));
    const { add } = admission(ledger);
    expect(await refused({ add: { ...add, proof: new Uint8Array(64) }, remove: null })).toBe('subject.proof');
    const named = { ...add.member, id: 'birch' };
    expect(await refused({ add: { ...add, member: named }, remove: null })).toBe('reconfig.members');
    const keyed = { ...add.member, validatorKey: memberOf('birch').validatorKey };
    expect(await refused({ add: { ...add, member: keyed }, remove: null })).toBe('reconfig.members');
    const operator = { ...add.operator, subject: subjectOf(ALDER) };
    expect(await refused({ add: { ...add, operator }, remove: null })).toBe('subject.exists');
  });
});

describe('a newcomer’s checkpoint', () => {
  it('is a quorum’s and at most 256 blocks old when it is proposed, not when the last approves', async () => {
    const ledger = await TestLedger.open();
    const refused = (checkpoint: string): Promise<string> =>
      ledger.refusal(ALDER, 'Proposal', propose(ledger, 'Reconfig', admission(ledger, 'elm', checkpoint)));
    const three = ['alder', 'birch', 'cedar'];
    expect(await refused(ledger.checkpoint(three))).toBe('none');
    expect(await refused(ledger.checkpoint(three.slice(1)))).toBe('reconfig.checkpoint');
    expect(await refused(ledger.checkpoint(['alder', 'birch', 'elm']))).toBe('reconfig.checkpoint');
    expect(await refused('a checkpoint\n')).toBe('reconfig.checkpoint');
    const early = ledger.checkpoint();
    const change = propose(ledger, 'Reconfig', admission(ledger, 'elm', early));
    const { id } = await ledger.put(ALDER, 'Proposal', { ...change, until: ledger.time + 30 * DAY_MS });
    while (ledger.engine.head.height < 255) await ledger.block([]);
    expect(await refused(early)).toBe('none');
    await ledger.block([]);
    expect(await refused(early)).toBe('reconfig.checkpoint');
    for (const member of ['birch', 'cedar'])
      await ledger.put(operatorOf(member), 'Approval', { proposal: fromHex(id) });
    expect(ledger.engine.get(STATE.members)).toContain('elm');
  });
});

describe('MemberPut', () => {
  it('an operator replaces the contact data of its own member, never the validator key', async () => {
    const ledger = await TestLedger.open();
    const body = (member: string) => ({
      member,
      url: 'https://new.example',
      linkKey: bytesOf('link'),
      hpkeKey: bytesOf('hpke'),
      indexerKey: bytesOf('indexer'),
    });
    await ledger.put(ALDER, 'MemberPut', body('alder'));
    expect(ledger.engine.get(STATE.member('alder'))).toEqual({
      ...memberOf('alder'),
      ...body('alder'),
      member: undefined,
      index: 0,
    });
    expect(await ledger.refusal(ALDER, 'MemberPut', body('birch'))).toBe('right.missing');
  });
});

describe('Evidence', () => {
  /** Stands for the ordering engine's own check: `[epoch, height]` and a validator's name. */
  const culpritOf = (evidence: Uint8Array) => {
    const [epoch, height, member] = Buffer.from(evidence).toString().split('/');
    return member === undefined
      ? undefined
      : { key: memberOf(member).validatorKey, epoch: Number(epoch), height: Number(height) };
  };

  it('bars a validator from leading, once for each height, until governance clears it', async () => {
    const ledger = await TestLedger.open({ culpritOf });
    const put = (text: string) => ledger.request(ALDER, 'Evidence', { evidence: utf8(text) });
    expect(await ledger.refusalOf(put('nothing'))).toBe('evidence.invalid');
    expect(await ledger.refusalOf(put('1/5/birch'))).toBe('evidence.invalid');
    expect(await ledger.refusalOf(put('0/5/elm'))).toBe('evidence.invalid');
    const context = { height: 1, time: ledger.time, proposer: 0, batchHash: 'e' };
    const barred = async (
      batch: readonly Uint8Array[],
      name: string,
    ): Promise<readonly Uint8Array[] | undefined> => {
      const next = { ...context, height: ledger.engine.head.height + 1, time: ledger.time, batchHash: name };
      const result = await ledger.engine.execute(next, batch);
      return result.ok ? result.barred : undefined;
    };
    const first = put('0/5/birch');
    const keys = (await barred([first], 'a')) ?? [];
    expect(keys).toHaveLength(1);
    expect(equalBytes(keys[0], memberOf('birch').validatorKey)).toBe(true);
    await ledger.block([first]);
    expect(ledger.engine.get(STATE.eligibility('birch'))).toEqual({ since: 1 });
    expect(await ledger.refusalOf(put('0/5/birch'))).toBe('evidence.known');
    await ledger.block([put('0/6/birch')]);
    expect(ledger.engine.get(STATE.eligibility('birch'))).toEqual({ since: 1 });
    await decide(ledger, 'EligibilityClear', { member: 'birch' });
    expect(ledger.engine.get(STATE.eligibility('birch'))).toBeUndefined();
    expect(await ledger.refusalOf(put('0/6/birch'))).toBe('evidence.known');
    const clear = propose(ledger, 'EligibilityClear', { member: 'birch' });
    expect(await ledger.refusal(ALDER, 'Proposal', clear)).toBe('member.unknown');
  });
});

describe('refusals', () => {
  it('every code has a message that says what to do or what is wrong', () => {
    for (const [code, message] of Object.entries(REFUSALS)) {
      expect(code).toMatch(/^[a-z_]+\.[a-z_]+$/);
      expect(message).toMatch(/^[A-Za-z].* .*\.$/);
    }
  });
});
