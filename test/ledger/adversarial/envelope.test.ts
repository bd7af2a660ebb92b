/** What a signature is good for: one transaction, once, in time, by that key, on this chain (ledger-security 18, 19). */
import { p256 } from '@noble/curves/nist.js';
import { describe, expect, test } from 'vitest';
import { concat, toHex } from '../../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../../src/codec/cbor.ts';
import type { Signer } from '../../../src/codec/signature.ts';
import {
  decodeRequest,
  encodeRequest,
  STATE,
  signedMessage,
  signTransaction,
  subjectProofMessage,
  type TransactionDraft,
} from '../../../src/ledger/index.ts';
import {
  bytesOf,
  CHAIN_ID,
  enrolment,
  MINUTE_MS,
  operatorOf,
  signerOf,
  subjectHex,
  subjectOf,
  TestLedger,
} from '../support.ts';

const operator = operatorOf('alder');
const set = (name: string, role = 'doctor') =>
  ({ subject: subjectOf(name), attribute: `alder/role:${role}`, until: null }) as const;

/** A ledger in which ada is enrolled. */
async function open(): Promise<TestLedger> {
  const ledger = await TestLedger.open();
  await ledger.enrol('ada', 'alder');
  return ledger;
}

type Fields = { tx: Uint8Array; sig: Uint8Array };

describe('replay', () => {
  test('of a committed request is refused in the next block, in the same block, and after it expired', async () => {
    const ledger = await open();
    const request = ledger.request(operator, 'AttributeSet', set('ada'));
    await expect(ledger.block([request, request])).rejects.toThrow('tx.duplicate');
    await ledger.block([request]);
    expect(await ledger.refusalOf(request)).toBe('tx.duplicate');
    ledger.time += 2 * MINUTE_MS;
    expect(await ledger.refusalOf(request)).toBe('tx.expiry');
    await ledger.block([]);
    // The nonce is forgotten by now, and the end that the signature covers still stands.
    expect(await ledger.refusalOf(request)).toBe('tx.expiry');
  });

  test('of a nonce by another transaction of the same subject is refused with its own code', async () => {
    const ledger = await open();
    const nonce = bytesOf('n').slice(0, 16);
    await ledger.put(operator, 'AttributeSet', set('ada'), { nonce });
    expect(await ledger.refusal(operator, 'AttributeSet', set('ada', 'nurse'), { nonce })).toBe(
      'tx.nonce_reused',
    );
    await ledger.enrol('second', 'alder', ['right:operator']);
    expect(await ledger.refusal('second', 'AttributeSet', set('ada', 'nurse'), { nonce })).toBe('none');
  });

  test('under another signature of the same transaction is the same transaction', async () => {
    const ledger = await open();
    // Two valid P-256 signatures over the same bytes: the first by the usual nonce, the second by another.
    const seed = bytesOf('p256 seed');
    const key = { alg: 'p256', key: p256.getPublicKey(seed, true) } as const;
    const sign = (extra: Uint8Array): Signer => ({
      publicKey: key,
      sign: (message) => p256.sign(message, seed, { lowS: true, extraEntropy: extra }),
    });
    const subject = subjectOf('phone');
    const proof = sign(bytesOf('a')).sign(subjectProofMessage(CHAIN_ID, subject, 'alder', key));
    const put = { ...enrolment('phone', 'alder'), key, proof };
    await ledger.put(operator, 'SubjectPut', put);
    await ledger.put(operator, 'AttributeSet', { ...set('phone'), attribute: 'alder/right:registrar' });
    const draft = {
      chainId: CHAIN_ID,
      subject,
      keyIx: 0,
      nonce: bytesOf('p').slice(0, 16),
      expiresAt: ledger.time + MINUTE_MS,
      type: 'AttributeSet',
      body: set('ada'),
    } as TransactionDraft<'AttributeSet'>;
    const [one, two] = ['a', 'b'].map((name) => signTransaction(sign(bytesOf(name)), draft));
    expect(Buffer.compare(one.sig, two.sig)).not.toBe(0);
    await ledger.block([encodeRequest(one)]);
    expect(await ledger.refusalOf(encodeRequest(two))).toBe('tx.duplicate');
    const [r, s] = [two.sig.subarray(0, 32), two.sig.subarray(32)];
    const high = p256.Point.Fn.ORDER - BigInt(`0x${Buffer.from(s).toString('hex')}`);
    const malleated = concat(r, Buffer.from(high.toString(16).padStart(64, '0'), 'hex'));
    const fresh = { ...draft, nonce: bytesOf('q').slice(0, 16) };
    const good = signTransaction(sign(bytesOf('c')), fresh);
    expect(await ledger.refusalOf(encodeRequest(good))).toBe('none');
    expect(await ledger.refusalOf(encodeRequest({ tx: two.tx, sig: malleated }))).not.toBe('none');
  });
});

describe('the signer', () => {
  test('is who the transaction says, with that key, on this chain', async () => {
    const ledger = await open();
    const request = ledger.request(operator, 'AttributeSet', set('ada'));
    const { tx } = decodeCbor(request) as Fields;
    const by = (name: string) => encodeRequest({ tx, sig: signerOf(name).sign(signedMessage(tx)) });
    expect(await ledger.refusalOf(by('ada'))).toBe('tx.signature');
    expect(await ledger.refusalOf(encodeRequest({ tx, sig: new Uint8Array(64) }))).toBe('tx.signature');
    const bare = encodeRequest({ tx, sig: signerOf(operator).sign(tx) });
    expect(await ledger.refusalOf(bare)).toBe('tx.signature');
    expect(await ledger.refusal('nobody', 'AttributeSet', set('ada'))).toBe('tx.signer');
    expect(await ledger.refusal(operator, 'AttributeSet', set('ada'), { keyIx: 1 })).toBe('tx.signer');
    expect(await ledger.refusal(operator, 'AttributeSet', set('ada'), { chainId: 'other-net' })).toBe(
      'tx.chain',
    );
    expect(await ledger.refusalOf(request)).toBe('none');
  });

  test('with a retired key, or revoked, says nothing any more, also later in the same block', async () => {
    const ledger = await open();
    await ledger.enrol('registrar', 'alder', ['right:registrar']);
    const key = signerOf('new key').publicKey;
    const subject = subjectOf('registrar');
    const proof = signerOf('new key').sign(subjectProofMessage(CHAIN_ID, subject, 'alder', key));
    const put = { subject, key, hpkeKey: bytesOf('h'), proof, retire: [0] };
    const before = ledger.request('registrar', 'AttributeSet', set('ada'));
    const retire = ledger.request(operator, 'SubjectKeyPut', put);
    await expect(ledger.block([retire, before])).rejects.toThrow('tx.signer');
    await ledger.block([retire]);
    expect(await ledger.refusalOf(before)).toBe('tx.signer');
    const revoke = ledger.request(operator, 'SubjectRevoke', { subject, reason: 'left' });
    await ledger.block([revoke]);
    expect(await ledger.refusalOf(before)).toBe('subject.revoked');
    expect(ledger.engine.get(STATE.subject(subjectHex('registrar')))?.revoked).toBe(true);
    expect(await ledger.refusal(operator, 'SubjectPut', enrolment('registrar', 'alder'))).toBe(
      'subject.exists',
    );
  });

  test('of an enrolment must hold the key that is enrolled', async () => {
    const ledger = await open();
    const good = enrolment('eve', 'alder');
    const of = (more: Partial<typeof good>) => ledger.refusal(operator, 'SubjectPut', { ...good, ...more });
    expect(await of({ proof: enrolment('ada', 'alder').proof })).toBe('subject.proof');
    expect(await of({ key: signerOf('ada').publicKey })).toBe('subject.proof');
    expect(await of({ subject: subjectOf('other') })).toBe('subject.proof');
    expect(await of({ key: { alg: 'ed25519', key: new Uint8Array(32) } })).toBe('signature.bad_key');
    const one = new Uint8Array(32);
    one[0] = 1;
    expect(await of({ key: { alg: 'ed25519', key: one } })).toBe('signature.bad_key');
    expect(await of({})).toBe('none');
  });
});

describe('the end of a transaction', () => {
  test('lies after the block and at most ten minutes ahead of it', async () => {
    const ledger = await open();
    const at = (expiresAt: number) => ledger.refusal(operator, 'AttributeSet', set('ada'), { expiresAt });
    const { time } = ledger;
    expect(await at(time)).toBe('tx.expiry');
    expect(await at(time + 1)).toBe('none');
    expect(await at(time + 10 * MINUTE_MS)).toBe('none');
    expect(await at(time + 10 * MINUTE_MS + 1)).toBe('tx.expiry');
  });
});

describe('a list', () => {
  test('is refused whole when one item is, and leaves no trace', async () => {
    const ledger = await open();
    const before = ledger.engine.head;
    const bad = [set('ada'), set('ada', 'nurse'), set('nobody')];
    await expect(ledger.block([ledger.request(operator, 'AttributeSet', bad)])).rejects.toThrow(
      'subject.unknown',
    );
    expect(ledger.engine.head).toEqual(before);
    const good = await ledger.block([ledger.request(operator, 'AttributeSet', bad.slice(0, 2))]);
    expect(good.map(({ leaf }) => leaf.item)).toEqual([0, 1]);
    const again = encodeRequest({ tx: good[0].leaf.tx, sig: new Uint8Array(64) });
    expect(toHex(good[1].leaf.tx)).toBe(toHex(decodeRequest(again).id));
  });

  test('has one to sixty-four items', async () => {
    const ledger = await open();
    const list = (n: number) => Array.from({ length: n }, () => set('ada'));
    expect(await ledger.refusal(operator, 'AttributeSet', list(64))).toBe('none');
    expect(() => ledger.request(operator, 'AttributeSet', list(65))).toThrow('64');
    const { tx, sig } = decodeCbor(ledger.request(operator, 'AttributeSet', list(1))) as Fields;
    const empty = encodeCbor({ ...(decodeCbor(tx) as object), body: [] });
    expect(await ledger.refusalOf(encodeCbor({ tx: empty, sig }))).toBe('entry.malformed');
  });
});

describe('bytes of a request', () => {
  test('with any byte changed, cut off or added are refused', async () => {
    const ledger = await open();
    const request = new Uint8Array(ledger.request(operator, 'AttributeSet', set('ada')));
    expect(await ledger.refusalOf(request)).toBe('none');
    for (let at = 0; at < request.length; at++) {
      const bent = request.slice();
      bent[at] ^= 1 << (at % 8);
      expect(await ledger.refusalOf(bent), `byte ${at}`).not.toBe('none');
    }
    expect(await ledger.refusalOf(request.subarray(0, -1))).toBe('cbor.malformed');
    expect(await ledger.refusalOf(Uint8Array.of(...request, 0))).toBe('cbor.malformed');
    expect(await ledger.refusalOf(new Uint8Array())).toBe('cbor.malformed');
  });
});
