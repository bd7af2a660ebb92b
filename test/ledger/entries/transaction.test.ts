/** Transactions as bytes: strict decoding, bounds one below and one above, ids and signatures (docs/entries.md). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, toHex, utf8 } from '../../../src/codec/bytes.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import { sha256 } from '../../../src/codec/hash.ts';
import { verifySignature } from '../../../src/codec/signature.ts';
import {
  bounds,
  decodeGenesis,
  decodeLeaf,
  decodeRequest,
  decodeTransaction,
  ENTRY_TYPES,
  type EntryType,
  encodeLeaf,
  encodeRequest,
  encodeTransaction,
  entryId,
  fieldRecordId,
  REQUEST_BYTES_MAX,
  signTransaction,
  subjectProofMessage,
  type TransactionDraft,
  transactionId,
} from '../../../src/ledger/index.ts';
import {
  bytesOf,
  genesisDocument,
  recordItem,
  START_MS,
  signerOf,
  signGenesis,
  subjectOf,
} from '../support.ts';
import { SAMPLES } from './samples.ts';

const HEAD = {
  chainId: 'test-net',
  subject: subjectOf('ada'),
  keyIx: 0,
  nonce: new Uint8Array(16),
  expiresAt: START_MS,
};
const draft = (type: EntryType, body: unknown): TransactionDraft =>
  ({ ...HEAD, type, body }) as unknown as TransactionDraft;
const bytesWith = (more: object): Uint8Array =>
  encodeCbor({ v: 1, ...HEAD, type: 'Stored', body: SAMPLES.Stored, ...more });
const codeOf = (run: () => unknown): string => {
  try {
    run();
    return 'none';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
};
const decoding = (more: object): string => codeOf(() => decodeTransaction(bytesWith(more)));

describe('bodies', () => {
  it.each(ENTRY_TYPES)('%s: decodes to what was encoded, with no field missing or added', (type) => {
    const body = SAMPLES[type];
    const { bodies, ...rest } = decodeTransaction(encodeTransaction(draft(type, body)));
    expect(rest).toEqual({ ...HEAD, type });
    expect(bodies).toEqual([body]);
    for (const name of Object.keys(body)) {
      const { [name]: _, ...others } = body as unknown as Record<string, unknown>;
      expect(
        codeOf(() => encodeTransaction(draft(type, others))),
        `without ${name}`,
      ).toBe('entry.malformed');
      const wrong = { ...body, [name]: { no: 'such value' } };
      expect(
        codeOf(() => encodeTransaction(draft(type, wrong))),
        `wrong ${name}`,
      ).toBe('entry.malformed');
    }
    expect(codeOf(() => encodeTransaction(draft(type, { ...body, extra: 1 })))).toBe('entry.malformed');
  });

  it('hold to their bounds, one below and one above', () => {
    const encoding = (type: EntryType, more: object): string =>
      codeOf(() => encodeTransaction(draft(type, { ...SAMPLES[type], ...more })));
    const repeat = <T>(length: number, make: (i: number) => T): T[] =>
      Array.from({ length }, (_, i) => make(i));
    const issue = (length: number): string =>
      encoding('KeyIssue', { attributes: repeat(length, (i) => `alder/unit:u${i}`) });
    expect([issue(0), issue(1), issue(256), issue(257)]).toEqual([
      'entry.malformed',
      'none',
      'none',
      'entry.malformed',
    ]);
    const records = (length: number): string =>
      encoding('RecordPut', { records: repeat(length, (i) => recordItem(`r${i}`, 'alder/role:doctor')) });
    expect([records(0), records(256), records(257)]).toEqual(['entry.malformed', 'none', 'entry.malformed']);
    const attribute = (length: number): string =>
      encoding('AttributeEnd', { attribute: 'é'.repeat(length / 2) });
    expect([attribute(bounds.ATTRIBUTE_BYTES_MAX), attribute(bounds.ATTRIBUTE_BYTES_MAX + 2)]).toEqual([
      'none',
      'entry.malformed',
    ]);
    for (const count of [1, 2, 4, 8, 16, 32]) expect(encoding('Search', { count })).toBe('none');
    for (const count of [0, 3, 33, 64]) expect(encoding('Search', { count })).toBe('entry.malformed');
    const budget = (budgetDay: number): string => encoding('FieldKeyPut', { budgetDay });
    expect([budget(0), budget(1), budget(bounds.BUDGET_MAX), budget(bounds.BUDGET_MAX + 1)]).toEqual([
      'entry.malformed',
      'none',
      'none',
      'entry.malformed',
    ]);
    const spec = (length: number): string => encoding('FieldKeyPut', { spec: new Uint8Array(length) });
    expect([spec(bounds.FIELD_SPEC_BYTES_MAX), spec(bounds.FIELD_SPEC_BYTES_MAX + 1)]).toEqual([
      'none',
      'entry.malformed',
    ]);
    const evidence = (length: number): string => encoding('Evidence', { evidence: new Uint8Array(length) });
    expect([
      evidence(0),
      evidence(bounds.EVIDENCE_BYTES_MAX),
      evidence(bounds.EVIDENCE_BYTES_MAX + 1),
    ]).toEqual(['entry.malformed', 'none', 'entry.malformed']);
  });

  it('a rekey gives cid, bytes and commitment together', () => {
    const change = (more: object): string =>
      codeOf(() => encodeTransaction(draft('PolicyChange', { ...SAMPLES.PolicyChange, ...more })));
    expect(change({ cid: null, bytes: null, commitment: null })).toBe('none');
    expect(change({ cid: null })).toBe('entry.malformed');
    expect(change({ bytes: null, commitment: null })).toBe('entry.malformed');
  });

  it('names that stand in state keys hold no separator', () => {
    const fieldKey = { ...SAMPLES.FieldKeyPut, field: 'a/b' };
    expect(codeOf(() => encodeTransaction(draft('FieldKeyPut', fieldKey)))).toBe('entry.malformed');
    const search = { ...SAMPLES.Search, custodian: 'a/b' };
    expect(codeOf(() => encodeTransaction(draft('Search', search)))).toBe('id.malformed');
  });

  it('a proposal’s body is of its kind; Genesis, RegistryPut and Reconfig are no transactions', () => {
    const proposal = { ...SAMPLES.Proposal, kind: 'RegistryPut' };
    expect(codeOf(() => encodeTransaction(draft('Proposal', proposal)))).toBe('entry.malformed');
    const both = { add: SAMPLES.Proposal.body, remove: 'alder' };
    expect(codeOf(() => encodeTransaction(draft('Proposal', { ...SAMPLES.Proposal, body: both })))).toBe(
      'entry.malformed',
    );
    for (const type of ['Genesis', 'RegistryPut', 'Reconfig', 'toString', '__proto__']) {
      expect(decoding({ type })).toBe('entry.unknown_type');
    }
  });
});

describe('the transaction', () => {
  it('has exactly its fields and version 1', () => {
    expect(decoding({})).toBe('none');
    expect(decoding({ v: 2 })).toBe('entry.malformed');
    expect(decoding({ more: 1 })).toBe('entry.malformed');
    expect(decoding({ subject: new Uint8Array(15) })).toBe('entry.malformed');
    expect(decoding({ nonce: new Uint8Array(17) })).toBe('entry.malformed');
    expect(decoding({ expiresAt: -1 })).toBe('entry.malformed');
    expect(decoding({ expiresAt: 1.5 })).toBe('entry.malformed');
    expect([decoding({ keyIx: 7 }), decoding({ keyIx: 8 })]).toEqual(['none', 'entry.malformed']);
    expect(decoding({ chainId: 'Upper' })).toBe('entry.malformed');
    expect(decoding({ chainId: 'x'.repeat(64) })).toBe('none');
    expect(decoding({ chainId: 'x'.repeat(65) })).toBe('entry.malformed');
  });

  it('carries one map or a list of 1 to 64', () => {
    const list = (length: number): string => decoding({ body: new Array(length).fill(SAMPLES.Stored) });
    expect([list(0), list(1), list(64), list(65)]).toEqual([
      'entry.malformed',
      'none',
      'none',
      'entry.malformed',
    ]);
    expect(decoding({ body: [SAMPLES.Stored, SAMPLES.Erase] })).toBe('entry.malformed');
    expect(decoding({ body: [[SAMPLES.Stored]] })).toBe('entry.malformed');
  });

  it('is at most 512 KiB', () => {
    expect(codeOf(() => decodeTransaction(new Uint8Array(bounds.TRANSACTION_BYTES_MAX + 1)))).toBe(
      'tx.too_large',
    );
    expect(codeOf(() => decodeTransaction(new Uint8Array(bounds.TRANSACTION_BYTES_MAX)))).toBe(
      'cbor.malformed',
    );
    expect(codeOf(() => decodeRequest(new Uint8Array(REQUEST_BYTES_MAX + 1)))).toBe('cbor.too_large');
  });

  it('any changed, missing or added byte gives another id or no transaction, and no good signature', () => {
    const signer = signerOf('ada');
    const { tx, sig } = signTransaction(signer, draft('Access', SAMPLES.Access));
    const { message, id } = decodeRequest(encodeRequest({ tx, sig }));
    expect(verifySignature(signer.publicKey, message, sig)).toBe(true);
    fc.assert(
      fc.property(fc.nat(tx.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = tx.slice();
        changed[at] ^= mask;
        expect(toHex(transactionId(changed))).not.toBe(toHex(id));
        const request = encodeRequest({ tx: changed, sig });
        try {
          const parsed = decodeRequest(request);
          expect(verifySignature(signer.publicKey, parsed.message, sig)).toBe(false);
        } catch (error) {
          expect((error as { code?: string }).code).toMatch(/^(cbor|entry|id)\./);
        }
      }),
      { numRuns: 200 },
    );
    expect(codeOf(() => decodeRequest(concat(encodeRequest({ tx, sig }), Uint8Array.of(0))))).toBe(
      'cbor.malformed',
    );
  });

  it('a request of any size decodes to what was encoded, and only in canonical form', () => {
    const bodyOf = (length: number) => ({ evidence: new Uint8Array(length) });
    for (const length of [1, 20, 60, 95, 96, 97, 300, 65_000, bounds.EVIDENCE_BYTES_MAX]) {
      const signed = signTransaction(signerOf('ada'), draft('Evidence', bodyOf(length)));
      const request = encodeRequest(signed);
      expect(request).toEqual(encodeCbor({ tx: signed.tx, sig: signed.sig }));
      expect(decodeRequest(request)).toMatchObject(signed);
    }
    const { tx, sig } = signTransaction(signerOf('ada'), draft('Evidence', bodyOf(1)));
    expect(tx.length).toBeLessThan(256);
    const long = concat(Uint8Array.of(0xa2, 0x62, 0x74, 0x78, 0x59, 0, tx.length), tx);
    const padded = concat(long, Uint8Array.of(0x63, 0x73, 0x69, 0x67, 0x58, 0x40), sig);
    expect(codeOf(() => decodeRequest(padded))).toBe('cbor.malformed');
  });

  it('random bytes are refused with a code, never with another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(codeOf(() => decodeRequest(bytes))).toMatch(/^(cbor|entry|id|tx)\./);
        expect(codeOf(() => decodeTransaction(bytes))).toMatch(/^(cbor|entry|id|tx)\./);
        expect(codeOf(() => decodeLeaf(bytes))).toMatch(/^(cbor|entry)\./);
        expect(codeOf(() => decodeGenesis(bytes))).toMatch(/^(cbor|entry|id)\./);
      }),
      { numRuns: 300 },
    );
  });

  it('the id does not depend on the signature, and is bound to its domain', () => {
    const tx = encodeTransaction(draft('Stored', SAMPLES.Stored));
    const tag = utf8('hippocrypt/tx-id/1');
    expect(transactionId(tx)).toEqual(sha256(Uint8Array.of(tag.length), tag, tx));
  });
});

describe('the leaf', () => {
  it('is encoded as the generic canonical encoder would, for every size of number and any result', () => {
    const number = fc.oneof(fc.nat(30), fc.nat(70_000), fc.maxSafeNat());
    const result = fc.dictionary(fc.string({ maxLength: 8 }), fc.oneof(fc.nat(), fc.boolean(), fc.string()));
    fc.assert(
      fc.property(
        number,
        number,
        number,
        fc.uint8Array({ maxLength: 70_000 }),
        fc.nat(63),
        result,
        (...parts) => {
          const [height, index, time, tx, item, given] = parts;
          const leaf = { height, index, time: time % 8_640_000_000_000_000, tx, item, result: { ...given } };
          const bytes = encodeLeaf(leaf);
          expect(bytes).toEqual(encodeCbor({ v: 1, ...leaf }));
          expect(decodeLeaf(bytes)).toEqual(leaf);
          expect(entryId(bytes)).toEqual(sha256(Uint8Array.of(0), bytes));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('has exactly its fields', () => {
    const leaf = { v: 1, height: 1, index: 1, time: 1, tx: new Uint8Array(), item: 0, result: {} };
    const decodingLeaf = (more: object): string => codeOf(() => decodeLeaf(encodeCbor({ ...leaf, ...more })));
    expect(decodingLeaf({})).toBe('none');
    for (const name of Object.keys(leaf)) expect(decodingLeaf({ [name]: 'x' }), name).toBe('entry.malformed');
    expect(decodingLeaf({ more: 1 })).toBe('entry.malformed');
    expect([decodingLeaf({ item: 63 }), decodingLeaf({ item: 64 })]).toEqual(['none', 'entry.malformed']);
  });
});

describe('derived ids and messages', () => {
  it('a field record’s id is bound to custodian, field and epoch', () => {
    const ids = [
      fieldRecordId('alder', 'code', 0),
      fieldRecordId('alder', 'code', 1),
      fieldRecordId('alder', 'codes', 0),
      fieldRecordId('birch', 'code', 0),
    ].map(toHex);
    expect(new Set(ids).size).toBe(4);
  });

  it('a proof of possession is bound to chain, subject, member and key', () => {
    const key = signerOf('ada').publicKey;
    const messages = [
      subjectProofMessage('a', subjectOf('ada'), 'alder', key),
      subjectProofMessage('b', subjectOf('ada'), 'alder', key),
      subjectProofMessage('a', subjectOf('bob'), 'alder', key),
      subjectProofMessage('a', subjectOf('ada'), 'birch', key),
      subjectProofMessage('a', subjectOf('ada'), 'alder', { ...key, key: bytesOf('x') }),
    ].map(toHex);
    expect(new Set(messages).size).toBe(5);
  });

  it('a signed genesis decodes to its document', () => {
    const document = genesisDocument();
    const { decoded, signatures } = decodeGenesis(signGenesis(document));
    expect(decoded).toEqual(document);
    expect(signatures).toHaveLength(4);
    expect(codeOf(() => decodeGenesis(signGenesis({ ...document, v: 2 } as never)))).toBe('entry.malformed');
  });
});
