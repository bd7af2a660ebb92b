/** Who is enrolled by whom, what attributes do to generations, and who may grant what (docs/entries.md). */
import { describe, expect, it } from 'vitest';
import { STATE, subjectProofMessage } from '../../../src/ledger/index.ts';
import { TRANSACTION_COST_MAX } from '../../../src/ledger/machine/meter.ts';
import {
  bytesOf,
  DAY_MS,
  enrolment,
  MINUTE_MS,
  operatorOf,
  recordItem,
  recordOf,
  signerOf,
  subjectHex,
  subjectOf,
  TestLedger,
} from '../support.ts';

const ALDER = operatorOf('alder');
const BIRCH = operatorOf('birch');
const set = (name: string, attribute: string, until: number | null = null) => ({
  subject: subjectOf(name),
  attribute,
  until,
});
const end = (name: string, attribute: string) => ({ subject: subjectOf(name), attribute });
const generation = (ledger: TestLedger, name: string): number | undefined =>
  ledger.engine.get(STATE.subject(subjectHex(name)))?.generation;

describe('SubjectPut', () => {
  it('a registrar enrols subjects of its own member, once each', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('reg', 'alder', ['right:registrar']);
    await ledger.put('reg', 'SubjectPut', enrolment('ada', 'alder'));
    expect(ledger.engine.get(STATE.subject(subjectHex('ada')))).toMatchObject({
      member: 'alder',
      generation: 0,
      revoked: false,
      keys: [{ alg: 'ed25519', retired: false }],
    });
    expect(await ledger.refusal('reg', 'SubjectPut', enrolment('ada', 'alder'))).toBe('subject.exists');
    expect(await ledger.refusal('reg', 'SubjectPut', enrolment('bob', 'birch'))).toBe('right.missing');
    expect(await ledger.refusal('ada', 'SubjectPut', enrolment('bob', 'alder'))).toBe('right.missing');
  });

  it('the new key must have signed for this subject and member, and be of prime order', async () => {
    const ledger = await TestLedger.open();
    const body = enrolment('ada', 'alder');
    expect(await ledger.refusal(ALDER, 'SubjectPut', { ...body, subject: subjectOf('bob') })).toBe(
      'subject.proof',
    );
    expect(
      await ledger.refusal(ALDER, 'SubjectPut', { ...body, proof: enrolment('bob', 'alder').proof }),
    ).toBe('subject.proof');
    const identity = Uint8Array.of(1, ...new Uint8Array(31));
    expect(
      await ledger.refusal(ALDER, 'SubjectPut', { ...body, key: { alg: 'ed25519', key: identity } }),
    ).toBe('signature.bad_key');
  });

  it('a patient holds its own pseudonym from the start', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('pat', 'alder', [], 'patient');
    const own = `patient:${subjectHex('pat')}`;
    await expect(ledger.key('pat', [own])).resolves.toHaveLength(32);
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('pat', own))).toBe('attribute.reserved');
    expect(await ledger.refusal(ALDER, 'AttributeEnd', end('pat', own))).toBe('attribute.reserved');
  });
});

describe('SubjectKeyPut', () => {
  const keyPut = (name: string, more: { retire?: readonly number[]; seed?: string } = {}) => {
    const signer = signerOf(more.seed ?? `${name} second`);
    const key = signer.publicKey;
    const proof = signer.sign(subjectProofMessage('test-net', subjectOf(name), 'alder', key));
    return { subject: subjectOf(name), key, hpkeKey: bytesOf('hpke'), proof, retire: more.retire ?? [] };
  };

  it('appends a key; a retired one signs nothing more, the new one does', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    const issue = { attributes: ['alder/role:doctor'], stepUp: null };
    await ledger.put(ALDER, 'SubjectKeyPut', keyPut('ada', { retire: [0] }));
    expect(await ledger.refusal('ada', 'KeyIssue', issue)).toBe('tx.signer');
    expect(await ledger.refusal('ada', 'KeyIssue', issue, { keyIx: 1 })).toBe('tx.signature');
    expect(await ledger.refusal('ada', 'KeyIssue', issue, { keyIx: 2 })).toBe('tx.signer');
  });

  it('at most 8 keys, and only known ones are retired', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    for (let i = 1; i < 8; i++) await ledger.put(ALDER, 'SubjectKeyPut', keyPut('ada', { seed: `key ${i}` }));
    expect(await ledger.refusal(ALDER, 'SubjectKeyPut', keyPut('ada', { seed: 'ninth' }))).toBe(
      'subject.keys',
    );
    await ledger.enrol('bob', 'alder');
    expect(await ledger.refusal(ALDER, 'SubjectKeyPut', keyPut('bob', { retire: [1] }))).toBe('subject.keys');
    expect(await ledger.refusal(BIRCH, 'SubjectKeyPut', keyPut('bob'))).toBe('right.missing');
  });
});

describe('a right to count', () => {
  const RIGHT = 'alder/right:counts';
  const custodial = (name: string) => ({ ...enrolment(name, 'alder'), custody: 'gateway' as const });
  const secondKey = (name: string) => {
    const signer = signerOf(`${name} second`);
    const key = signer.publicKey;
    const proof = signer.sign(subjectProofMessage('test-net', subjectOf(name), 'alder', key));
    return { subject: subjectOf(name), key, hpkeKey: bytesOf('hpke'), proof, retire: [] };
  };

  it('is for subjects in a gateway’s custody: who has keys of its own would open what is counted', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    await ledger.put(ALDER, 'SubjectPut', custodial('eve'));
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('ada', RIGHT))).toBe('right.custody');
    expect(await ledger.refusal(BIRCH, 'AttributeSet', set('eve', 'birch/right:counts'))).toBe('none');
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('eve', RIGHT))).toBe('none');
  });

  it('and a key of one’s own are never held together, whichever came first', async () => {
    const ledger = await TestLedger.open();
    for (const name of ['eve', 'bob']) await ledger.put(ALDER, 'SubjectPut', custodial(name));
    await ledger.put(ALDER, 'AttributeSet', set('eve', RIGHT));
    expect(await ledger.refusal(ALDER, 'SubjectKeyPut', secondKey('eve'))).toBe('right.custody');
    await ledger.put(ALDER, 'SubjectKeyPut', secondKey('bob'));
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('bob', RIGHT))).toBe('right.custody');
    await ledger.put(ALDER, 'AttributeEnd', end('eve', RIGHT));
    await ledger.put(ALDER, 'SubjectKeyPut', secondKey('eve'));
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('eve', RIGHT))).toBe('right.custody');
  });
});

describe('AttributeSet and AttributeEnd', () => {
  it('only the issuer’s registrar grants, only registered labels and legal values', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const refused = (by: string, attribute: string): Promise<string> =>
      ledger.refusal(by, 'AttributeSet', set('ada', attribute));
    expect(await refused(BIRCH, 'birch/role:doctor')).toBe('none');
    expect(await refused(BIRCH, 'alder/role:doctor')).toBe('right.missing');
    expect(await refused(ALDER, 'alder/unknown:x')).toBe('policy.unknown_label');
    expect(await refused(ALDER, 'alder/role:king')).toBe('policy.attribute');
    expect(await refused(ALDER, 'alder/age:70000')).toBe('policy.attribute');
    expect(await refused(ALDER, 'study:x')).toBe('attribute.issuer');
    expect(await refused(ALDER, 'alder/role:"doctor"')).toBe('attribute.not_canonical');
    expect(await refused(ALDER, 'alder/right:owner')).toBe('attribute.reserved');
    for (const label of ['consent', 'patient']) {
      expect(await refused(ALDER, `${label}:${subjectHex('ada')}`)).toBe('attribute.reserved');
    }
    for (const label of ['gate', 'emergency', 'epoch']) {
      expect(await refused(ALDER, `alder/${label}:x`)).toBe('attribute.reserved');
    }
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('nobody', 'alder/role:doctor'))).toBe(
      'subject.unknown',
    );
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('ada', 'alder/role:doctor', ledger.time))).toBe(
      'attribute.until',
    );
    expect(
      await ledger.refusal(ALDER, 'AttributeSet', set('ada', 'alder/role:doctor', ledger.time + 1)),
    ).toBe('none');
  });

  it('a registrar gives rights below its own; registrar and operator only an operator gives', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('reg', 'alder', ['right:registrar']);
    await ledger.enrol('ada', 'alder');
    const refused = (by: string, right: string): Promise<string> =>
      ledger.refusal(by, 'AttributeSet', set('ada', `alder/right:${right}`));
    expect(await refused('reg', 'author')).toBe('none');
    expect(await refused('reg', 'registrar')).toBe('right.missing');
    expect(await refused('reg', 'operator')).toBe('right.missing');
    expect(await refused(ALDER, 'operator')).toBe('none');
    expect(await ledger.refusal('reg', 'AttributeEnd', end(ALDER, 'alder/right:operator'))).toBe(
      'right.missing',
    );
  });

  it('a right counts for the subject’s own member alone', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'birch');
    await ledger.put(ALDER, 'AttributeSet', set('ada', 'alder/right:author'));
    const records = [recordItem('a', 'alder/role:doctor')];
    expect(await ledger.refusal('ada', 'RecordPut', { records })).toBe('right.missing');
  });

  it('the generation grows when something is taken away or returns, not by adding or expiry', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const put = (attribute: string, until: number | null = null) =>
      ledger.put(ALDER, 'AttributeSet', set('ada', attribute, until));
    expect((await put('alder/unit:a')).leaf.result).toEqual({ generation: 0 });
    expect((await put('alder/unit:b')).leaf.result).toEqual({ generation: 0 });
    expect((await put('alder/unit:b')).leaf.result).toEqual({ generation: 0 });
    expect((await ledger.put(ALDER, 'AttributeEnd', end('ada', 'alder/unit:b'))).leaf.result).toEqual({
      generation: 1,
    });
    expect(await ledger.refusal(ALDER, 'AttributeEnd', end('ada', 'alder/unit:b'))).toBe(
      'attribute.not_held',
    );
    expect((await put('alder/unit:b')).leaf.result).toEqual({ generation: 2 });
    const until = ledger.time + 5000;
    expect((await put('alder/unit:c', until)).leaf.result).toEqual({ generation: 2 });
    await ledger.block([], until);
    expect(generation(ledger, 'ada')).toBe(2);
    expect(await ledger.refusal(ALDER, 'AttributeEnd', end('ada', 'alder/unit:c'))).toBe(
      'attribute.not_held',
    );
    expect((await put('alder/unit:c')).leaf.result).toEqual({ generation: 3 });
  });

  it('a second value of a number, level or finite label grows it; a number has one value at a time', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder', ['age:40']);
    expect((await ledger.put(ALDER, 'AttributeSet', set('ada', 'alder/age:41'))).leaf.result).toEqual({
      generation: 1,
    });
    const held = (): unknown => ledger.engine.get(STATE.held(subjectHex('ada')));
    expect(held()).toEqual(['alder/age:41']);
    expect(ledger.engine.get(STATE.attribute(subjectHex('ada'), 'alder/age:40'))).toMatchObject({
      ended: true,
    });
    await ledger.put(BIRCH, 'AttributeSet', set('ada', 'birch/age:40'));
    expect(generation(ledger, 'ada')).toBe(1);
    await ledger.put(ALDER, 'AttributeSet', set('ada', 'alder/role:doctor'));
    expect(generation(ledger, 'ada')).toBe(1);
    await ledger.put(ALDER, 'AttributeSet', set('ada', 'alder/role:nurse'));
    expect(generation(ledger, 'ada')).toBe(2);
    expect(held()).toEqual(['alder/age:41', 'alder/role:doctor', 'alder/role:nurse', 'birch/age:40']);
  });

  it('a second value grows it even when the first has expired: keys may hold both', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const until = ledger.time + 5000;
    await ledger.put(ALDER, 'AttributeSet', set('ada', 'alder/role:doctor', until));
    await ledger.block([], until + 1);
    await ledger.put(ALDER, 'AttributeSet', set('ada', 'alder/role:nurse'));
    expect(generation(ledger, 'ada')).toBe(1);
  });

  it('holds at most 192 attributes of its own member; expired ones make room', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const until = ledger.time + DAY_MS;
    const many = Array.from({ length: 192 }, (_, i) =>
      set('ada', `alder/unit:u${i}`, i === 0 ? until : null),
    );
    for (let i = 0; i < 192; i += 64) await ledger.put(ALDER, 'AttributeSet', many.slice(i, i + 64));
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('ada', 'alder/unit:more'))).toBe(
      'attribute.too_many',
    );
    await ledger.block([], until);
    await ledger.put(ALDER, 'AttributeSet', set('ada', 'alder/unit:more'));
    expect(generation(ledger, 'ada')).toBe(1);
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('ada', 'alder/unit:evenmore'))).toBe(
      'attribute.too_many',
    );
  });

  it('of another member a subject holds at most 16, and no second value', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const many = Array.from({ length: 17 }, (_, i) => set('ada', `birch/unit:u${i}`));
    expect(await ledger.refusal(BIRCH, 'AttributeSet', many)).toBe('attribute.too_many');
    await ledger.put(BIRCH, 'AttributeSet', many.slice(0, 15));
    await ledger.put(BIRCH, 'AttributeSet', set('ada', 'birch/age:40'));
    expect(await ledger.refusal(BIRCH, 'AttributeSet', set('ada', 'birch/unit:more'))).toBe(
      'attribute.too_many',
    );
    await ledger.put(BIRCH, 'AttributeEnd', end('ada', 'birch/unit:u1'));
    expect(await ledger.refusal(BIRCH, 'AttributeSet', set('ada', 'birch/age:41'))).toBe(
      'attribute.second_value',
    );
    await ledger.put(BIRCH, 'AttributeEnd', end('ada', 'birch/age:40'));
    expect(await ledger.refusal(BIRCH, 'AttributeSet', set('ada', 'birch/age:41'))).toBe('none');
    for (const member of ['cedar', 'dogwood']) {
      const theirs = Array.from({ length: 16 }, (_, i) => set('ada', `${member}/unit:u${i}`));
      await ledger.put(operatorOf(member), 'AttributeSet', theirs);
    }
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('ada', 'alder/unit:a'))).toBe('none');
  });
});

describe('SubjectRevoke', () => {
  it('takes every attribute and the voice', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    const issue = { attributes: ['alder/role:doctor'], stepUp: null };
    expect(await ledger.refusal('ada', 'KeyIssue', issue)).toBe('none');
    const body = { subject: subjectOf('ada'), reason: 'lost-key' } as const;
    expect(await ledger.refusal(BIRCH, 'SubjectRevoke', body)).toBe('right.missing');
    expect((await ledger.put(ALDER, 'SubjectRevoke', body)).leaf.result).toEqual({ generation: 1 });
    expect(await ledger.refusal('ada', 'KeyIssue', issue)).toBe('subject.revoked');
    expect(await ledger.refusal(ALDER, 'SubjectRevoke', body)).toBe('subject.revoked');
    expect(await ledger.refusal(ALDER, 'AttributeSet', set('ada', 'alder/unit:x'))).toBe('subject.revoked');
  });
});

describe('KeyIssue and KeyExtend', () => {
  it('a key lists what is held, and grows within its generation', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder', ['role:doctor', 'unit:a']);
    const issue = { attributes: ['alder/role:doctor'], stepUp: 'webauthn' };
    expect(await ledger.refusal('ada', 'KeyIssue', issue)).toBe('share.none');
    await ledger.openShares();
    const entry = await ledger.put('ada', 'KeyIssue', issue);
    expect(entry.leaf.result).toEqual({ generation: 0, shareEpoch: 0 });
    expect(ledger.engine.get(STATE.key(entry.id))).toMatchObject({
      subject: subjectOf('ada'),
      attributes: ['alder/role:doctor'],
    });
    expect(await ledger.refusal('ada', 'KeyIssue', { ...issue, attributes: ['alder/unit:b'] })).toBe(
      'attribute.not_held',
    );
    const keyId = await ledger.key('ada', ['alder/role:doctor']);
    const extend = { keyId, attributes: ['alder/unit:a'] };
    await ledger.put('ada', 'KeyExtend', extend);
    expect(await ledger.refusal('ada', 'KeyExtend', { ...extend, keyId: bytesOf('none') })).toBe(
      'key.unknown',
    );
    expect(await ledger.refusal(ALDER, 'KeyExtend', extend)).toBe('key.not_yours');
    expect(await ledger.refusal('ada', 'KeyExtend', { ...extend, attributes: ['alder/unit:b'] })).toBe(
      'attribute.not_held',
    );
    await ledger.put(ALDER, 'AttributeEnd', end('ada', 'alder/unit:a'));
    expect(await ledger.refusal('ada', 'KeyExtend', { ...extend, attributes: ['alder/role:doctor'] })).toBe(
      'key.stale',
    );
  });
});

describe('the envelope', () => {
  const body = { cids: ['bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'] };

  it('names this chain, ends after the block and at most 10 minutes later', async () => {
    const ledger = await TestLedger.open();
    const refused = (more: { expiresAt?: number; chainId?: string }): Promise<string> =>
      ledger.refusal(ALDER, 'Stored', body, more);
    expect(await refused({ chainId: 'other' })).toBe('tx.chain');
    expect(await refused({ expiresAt: ledger.time })).toBe('tx.expiry');
    expect(await refused({ expiresAt: ledger.time + 1 })).toBe('none');
    expect(await refused({ expiresAt: ledger.time + 10 * MINUTE_MS })).toBe('none');
    expect(await refused({ expiresAt: ledger.time + 10 * MINUTE_MS + 1 })).toBe('tx.expiry');
  });

  it('a nonce is remembered for 10 minutes of block time, longer than any transaction lives', async () => {
    const ledger = await TestLedger.open();
    const nonce = new Uint8Array(16).fill(9);
    const key = STATE.nonce(subjectHex(ALDER), '09'.repeat(16));
    const taken = ledger.time;
    const expiresAt = taken + 10 * MINUTE_MS;
    await ledger.put(ALDER, 'Stored', body, { nonce, expiresAt });
    expect(await ledger.refusal(ALDER, 'Stored', body, { nonce, expiresAt })).toBe('tx.duplicate');
    expect(await ledger.refusal(ALDER, 'Stored', body, { nonce })).toBe('tx.nonce_reused');
    expect(await ledger.refusal(BIRCH, 'Stored', body, { nonce })).toBe('none');
    await ledger.block([], taken + 10 * MINUTE_MS);
    expect(ledger.engine.get(key)).toBeDefined();
    expect(await ledger.refusal(ALDER, 'Stored', body, { nonce, expiresAt })).toBe('tx.expiry');
    await ledger.block([], taken + 10 * MINUTE_MS + 1);
    expect(ledger.engine.get(key)).toBeUndefined();
    expect(await ledger.refusal(ALDER, 'Stored', body, { nonce, expiresAt })).toBe('tx.expiry');
    expect(await ledger.refusal(ALDER, 'Stored', body, { nonce })).toBe('none');
  });

  it('a list is one transaction: one refused item refuses all', async () => {
    const ledger = await TestLedger.open();
    await ledger.enrol('ada', 'alder');
    const items = [set('ada', 'alder/unit:a'), set('ada', 'birch/unit:b')];
    expect(await ledger.refusal(ALDER, 'AttributeSet', items)).toBe('right.missing');
    expect(ledger.engine.get(STATE.held(subjectHex('ada')))).toBeUndefined();
    const entry = await ledger.put(ALDER, 'AttributeSet', [items[0], set('ada', 'alder/unit:c')]);
    expect(entry.leaf.item).toBe(0);
    expect(ledger.engine.get(STATE.held(subjectHex('ada')))).toEqual(['alder/unit:a', 'alder/unit:c']);
  });

  it('a transaction that would take too long is refused, and a block takes no more than its share', async () => {
    const ledger = await TestLedger.open();
    await ledger.openShares();
    await ledger.enrol('import', 'alder', ['right:author']);
    await ledger.enrol('ada', 'alder', ['role:doctor']);
    const text = (i: number): string =>
      Array.from({ length: 250 }, (_, j) => `alder/unit:u${i}x${j}${'y'.repeat(60)}`).join(' or ');
    const names = Array.from({ length: 40 }, (_, i) => `r${i}`);
    const items = names.map((name, i) => recordItem(name, text(i)));
    for (let i = 0; i < 40; i += 8)
      await ledger.put('import', 'RecordPut', { records: items.slice(i, i + 8) });
    // As docs/entries.md counts: the item, one attribute listed and held, and reading and judging each record.
    const costOf = (count: number): number =>
      items
        .slice(0, count)
        .map(({ policy }) => 8 + Math.ceil(policy.length / 64) + 1 + Math.ceil(policy.length / 8))
        .reduce((sum, one) => sum + one, 10 + 1 + 1);
    const keyId = await ledger.key('ada', ['alder/role:doctor']);
    const ask = (count: number) => ({
      keyId,
      generation: 0,
      records: names.slice(0, count).map((name) => ({ record: recordOf(name), version: 0 })),
      purpose: 'treatment' as const,
    });
    expect(costOf(40)).toBeGreaterThan(TRANSACTION_COST_MAX);
    expect(await ledger.refusal('ada', 'Access', ask(40))).toBe('tx.too_costly');
    const most = names.findIndex((_, i) => costOf(i + 1) > TRANSACTION_COST_MAX);
    expect(await ledger.refusal('ada', 'Access', ask(most))).toBe('none');
    expect(await ledger.refusal('ada', 'Access', ask(most + 1))).toBe('tx.too_costly');
    // Two and a half of the largest fill a block.
    const [one, two, three] = [0, 1, 2].map(() => ledger.request('ada', 'Access', ask(most)));
    const context = { height: ledger.engine.head.height + 1, time: ledger.time, proposer: 0 };
    expect((await ledger.engine.execute({ ...context, batchHash: 'two' }, [one, two])).ok).toBe(true);
    expect(await ledger.engine.execute({ ...context, batchHash: 'three' }, [one, two, three])).toEqual({
      ok: false,
      reason: 'block.too_costly',
      fits: 2,
    });
  });
});
