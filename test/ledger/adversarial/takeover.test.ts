/** What one right, or one member, must not become: each attack is made of valid signatures and legal bytes. */
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import { STATE, subjectProofMessage } from '../../../src/ledger/index.ts';
import {
  CHAIN_ID,
  ceremony,
  enrolment,
  genesisDocument,
  MEMBER_IDS,
  operatorOf,
  signerOf,
  subjectHex,
  subjectOf,
  TestLedger,
} from '../support.ts';

/** A key of the attacker's own, put on somebody else's subject. */
function stolenKey(subject: string, member: string, thief: string, retire: readonly number[] = []) {
  const key = signerOf(thief).publicKey;
  const proof = signerOf(thief).sign(subjectProofMessage(CHAIN_ID, subjectOf(subject), member, key));
  return { subject: subjectOf(subject), key, hpkeKey: new Uint8Array(32), proof, retire };
}

describe('a registrar', () => {
  test('does not become operator by adding its own key to the operator', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('registrar', 'alder', ['right:registrar']);
    const body = stolenKey(operatorOf('alder'), 'alder', 'registrar');
    expect(await ledger.refusal('registrar', 'SubjectKeyPut', body)).toBe('right.missing');
  });

  test('does not become another registrar, nor lock the operator or another registrar out', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('registrar', 'alder', ['right:registrar']);
    await ledger.enrol('other', 'alder', ['right:registrar']);
    expect(await ledger.refusal('registrar', 'SubjectKeyPut', stolenKey('other', 'alder', 'registrar'))).toBe(
      'right.missing',
    );
    for (const victim of [operatorOf('alder'), 'other']) {
      const body = { subject: subjectOf(victim), reason: 'left' } as const;
      expect(await ledger.refusal('registrar', 'SubjectRevoke', body)).toBe('right.missing');
      expect(await ledger.refusal(operatorOf('alder'), 'SubjectRevoke', body)).toBe('none');
    }
  });

  test('still adds keys to, and revokes, those who hold neither right', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('registrar', 'alder', ['right:registrar']);
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    expect(await ledger.refusal('registrar', 'SubjectKeyPut', stolenKey('ada', 'alder', 'new device'))).toBe(
      'none',
    );
    const revoke = { subject: subjectOf('ada'), reason: 'left' } as const;
    expect(await ledger.refusal('registrar', 'SubjectRevoke', revoke)).toBe('none');
  });

  test('grants no right above its own, to itself or others, and takes none away', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('registrar', 'alder', ['right:registrar']);
    await ledger.enrol('ada', 'alder');
    for (const name of ['registrar', 'ada']) {
      for (const right of ['operator', 'registrar']) {
        const body = { subject: subjectOf(name), attribute: `alder/right:${right}`, until: null };
        expect(await ledger.refusal('registrar', 'AttributeSet', body)).toBe('right.missing');
      }
    }
    const end = { subject: subjectOf(operatorOf('alder')), attribute: 'alder/right:operator' };
    expect(await ledger.refusal('registrar', 'AttributeEnd', end)).toBe('right.missing');
  });

  test('has no say over the subjects and the issuer of another member', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('registrar', 'alder', ['right:registrar']);
    await ledger.enrol('bob', 'birch', ['role:doctor']);
    const refusals = [
      await ledger.refusal('registrar', 'SubjectPut', enrolment('eve', 'birch')),
      await ledger.refusal('registrar', 'SubjectKeyPut', stolenKey('bob', 'birch', 'registrar')),
      await ledger.refusal('registrar', 'SubjectRevoke', { subject: subjectOf('bob'), reason: 'abuse' }),
      await ledger.refusal('registrar', 'AttributeSet', {
        subject: subjectOf('registrar'),
        attribute: 'birch/role:doctor',
        until: null,
      }),
      await ledger.refusal('registrar', 'AttributeEnd', {
        subject: subjectOf('bob'),
        attribute: 'birch/role:doctor',
      }),
    ];
    expect(refusals).toEqual(refusals.map(() => 'right.missing'));
  });

  test("does not make the keys of another member's subject stale by granting it things", async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    await ledger.key('ada', ['alder/role:doctor']);
    for (const age of [1, 2, 3]) {
      const body = { subject: subjectOf('ada'), attribute: `birch/age:${age}`, until: null };
      await ledger.put(operatorOf('birch'), 'AttributeSet', body).catch(() => undefined);
    }
    expect(ledger.engine.get(STATE.subject(subjectHex('ada')))?.generation).toBe(0);
  });

  test("does not use up the attributes of another member's subject", async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const units = Array.from({ length: 64 }, (_, i) => i);
    for (let part = 0; part < 4; part++) {
      const list = units.map((i) => ({
        subject: subjectOf('ada'),
        attribute: `birch/unit:u${part * 64 + i}`,
        until: null,
      }));
      await ledger.put(operatorOf('birch'), 'AttributeSet', list).catch(() => undefined);
    }
    const own = { subject: subjectOf('ada'), attribute: 'alder/role:doctor', until: null };
    expect(await ledger.refusal(operatorOf('alder'), 'AttributeSet', own)).toBe('none');
  });
});

describe('one operator', () => {
  test('does not move the consortium to a share epoch of its own', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    for (const members of [['alder'], ['alder', 'birch'], ['alder', 'birch', 'cedar']]) {
      const body = ceremony(1, members);
      await ledger.put(operatorOf('alder'), 'ShareEpoch', body).catch(() => undefined);
      expect(ledger.engine.get(STATE.chain)?.shareEpoch, members.join()).toBe(0);
    }
  });

  test('nor do two of four', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    const body = ceremony(1, ['alder', 'birch']);
    for (const member of body.members) {
      await ledger.put(operatorOf(member), 'ShareEpoch', body).catch(() => undefined);
    }
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBe(0);
  });

  test('a quorum moves it to the next epoch under the same master key, and to no other', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    const other = { ...ceremony(1), mpk: new Uint8Array(32) };
    expect(await ledger.refusal(operatorOf('alder'), 'ShareEpoch', other)).toBe('share.mpk_changed');
    expect(await ledger.refusal(operatorOf('alder'), 'ShareEpoch', ceremony(2))).toBe('share.epoch');
    const low = { ...ceremony(1), threshold: 2 };
    expect(await ledger.refusal(operatorOf('alder'), 'ShareEpoch', low)).toBe('share.members');
    expect(await ledger.refusal(operatorOf('alder'), 'ShareEpoch', ceremony(1))).toBe('share.ceremony');
    const body = { ...ceremony(1), transcript: await ledger.toConfirm() };
    for (const [i, member] of ['alder', 'birch', 'cedar', 'dogwood'].entries()) {
      const { leaf } = await ledger.put(operatorOf(member), 'ShareEpoch', body);
      expect(leaf.result).toEqual({ confirmations: i + 1, active: i === 3 });
    }
    expect(ledger.engine.get(STATE.chain)?.shareEpoch).toBe(1);
  });

  test('does not confirm twice, nor approve a proposal twice, with two operators', async () => {
    const ledger = await TestLedger.open();
    const operator = operatorOf('alder');
    await ledger.enrol('second', 'alder', ['right:operator']);
    await ledger.openShares();
    const confirmed = { ...ceremony(1), transcript: await ledger.toConfirm() };
    for (const name of [operator, 'second']) {
      const { leaf } = await ledger.put(name, 'ShareEpoch', confirmed);
      expect(leaf.result).toEqual({ confirmations: 1, active: false });
    }
    const put = { subject: subjectOf('second'), attribute: 'study:s1', until: null };
    const until = ledger.time + 60_000;
    const { id } = await ledger.put(operator, 'Proposal', { kind: 'AttributeSet', body: put, until });
    const proposal = fromHex(id);
    expect(await ledger.refusal('second', 'Approval', { proposal })).toBe('proposal.approved');
    expect(ledger.engine.get(STATE.attribute(toHex(subjectOf('second')), 'study:s1'))).toBeUndefined();
  });

  test('does not grant a shared attribute, under its own issuer or none', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const grant = (attribute: string) =>
      ledger.refusal(operatorOf('alder'), 'AttributeSet', {
        subject: subjectOf('ada'),
        attribute,
        until: null,
      });
    expect(await grant('study:s1')).toBe('attribute.issuer');
    expect(await grant('alder/study:s1')).not.toBe('none');
  });
});

describe('a former member', () => {
  test('has no rights left, and its approvals count no more', async () => {
    const document = genesisDocument([...MEMBER_IDS, 'elm']);
    const ledger = await TestLedger.open({ document });
    await ledger.enrol('eve', 'elm', ['right:registrar', 'right:author']);
    const until = ledger.time + 10 * 60_000;
    const operator = operatorOf('alder');
    const grant = { subject: subjectOf('eve'), attribute: 'study:s1', until: null };
    const shared = await ledger.put(operatorOf('elm'), 'Proposal', {
      kind: 'AttributeSet',
      body: grant,
      until,
    });
    const remove = { kind: 'Reconfig', body: { add: null, remove: 'elm' }, until } as const;
    const { id } = await ledger.put(operator, 'Proposal', remove);
    for (const member of ['birch', 'cedar', 'dogwood']) {
      await ledger.put(operatorOf(member), 'Approval', { proposal: fromHex(id) });
    }
    expect(ledger.engine.get(STATE.members)).toEqual(MEMBER_IDS);
    expect(await ledger.refusal(operatorOf('elm'), 'SubjectPut', enrolment('new', 'elm'))).toBe(
      'right.missing',
    );
    const more = { subject: subjectOf('eve'), attribute: 'elm/role:doctor', until: null };
    expect(await ledger.refusal('eve', 'AttributeSet', more)).toBe('right.missing');
    expect(await ledger.refusal(operatorOf('elm'), 'Approval', { proposal: fromHex(id) })).toBe(
      'right.missing',
    );
    // Three of four are a majority; the former member's own approval is not one of them.
    const votes: unknown[] = [];
    for (const member of ['alder', 'birch', 'cedar']) {
      const { leaf } = await ledger.put(operatorOf(member), 'Approval', { proposal: fromHex(shared.id) });
      votes.push(leaf.result.executed);
    }
    expect(votes).toEqual([false, false, true]);
  });
});
