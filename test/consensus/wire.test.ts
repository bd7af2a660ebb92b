import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeChain, encodeChain } from '../../src/consensus/chain.ts';
import { ConsensusError } from '../../src/consensus/errors.ts';
import { checkEvidence, encodeEvidence, Verifier } from '../../src/consensus/index.ts';
import { BATCH_COUNT_MAX, REQUEST_BYTES_MAX, VALIDATORS_MAX } from '../../src/consensus/limits.ts';
import { validatorKey } from '../../src/consensus/node/keys.ts';
import { coreSigner } from '../../src/consensus/node/signer.ts';
import { encodeRecord } from '../../src/consensus/wal/record.ts';
import { Writer } from '../../src/consensus/wire/bytes.ts';
import {
  decodeBatch,
  decodeMessage,
  decodePrepared,
  decodeQc,
  encodeBatch,
  encodeBlock,
  encodeMessage,
  encodePrepared,
  encodeQc,
  qcHash,
} from '../../src/consensus/wire/codec.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES, headerHash } from '../../src/consensus/wire/header.ts';
import type { Message, SignedMessage } from '../../src/consensus/wire/messages.ts';
import { SIGNED_BYTES, voteBytes } from '../../src/consensus/wire/signing.ts';
import { chain, genesis, messages, prepared, proposal, qc } from './support/samples.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const all = Object.entries(messages) as [string, Message][];

/** Every format of version 1 once; compared with the golden file, which is never written by a test. */
const formats = {
  genesisHash: chain.headHash,
  validatorsHash: chain.validators.hash,
  header: hex(proposal.headerBytes),
  headerHash: proposal.hash,
  batch: hex(proposal.batchBytes),
  batchHash: proposal.header.batchHash,
  prepareSigned: hex(voteBytes('prepare', genesis.chainId, messages.prepare, messages.prepare.digest)),
  prepareSignature: hex(messages.prepare.signature),
  qc: hex(encodeQc(qc)),
  qcHash: qcHash(qc),
  block: hex(encodeBlock({ proposal, qc })),
  resume: hex(encodeChain({ ...chain, qc })),
  walPrepared: hex(encodeRecord({ kind: 'prepared', height: 7, certificate: prepared })),
  messages: Object.fromEntries(all.map(([name, message]) => [name, hex(encodeMessage(message))])),
};

const read = (path: string): string => readFileSync(join(import.meta.dirname, '../..', path), 'utf8');

describe('formats of version 1', () => {
  test('equal the golden file', () => {
    expect(formats).toEqual(JSON.parse(read('test/golden/consensus/wire-1.json')));
  });

  test('the examples in docs/format/consensus.md are these bytes', () => {
    const [, example] = /```json\n([\s\S]*?)```/.exec(read('docs/format/consensus.md')) ?? [];
    const {
      genesisHash,
      validatorsHash,
      header,
      headerHash: hash,
      prepareSigned,
      prepareSignature,
      qc: cert,
    } = formats;
    expect(JSON.parse(example)).toEqual({
      genesisHash,
      validatorsHash,
      header,
      headerHash: hash,
      prepareSigned,
      prepareSignature,
      prepareMessage: formats.messages.prepare,
      qc: cert,
      qcHash: formats.qcHash,
    });
  });

  test('header and signed strings have the lengths that the document gives', () => {
    expect(proposal.headerBytes.length).toBe(HEADER_BYTES);
    expect(HEADER_BYTES).toBe(292);
    expect(SIGNED_BYTES).toBe(96);
    expect(headerHash(encodeHeader(decodeHeader(proposal.headerBytes)))).toBe(proposal.hash);
  });

  test('resume bytes round-trip', () => {
    const more = {
      ...chain,
      qc,
      barred: [chain.validators.ids[2]],
      base: 1,
      rotatedHeight: 6,
      rotatedTime: 99,
    };
    expect(decodeChain(encodeChain(more))).toEqual(more);
    expect(decodeChain(encodeChain(chain))).toEqual(chain);
  });
});

describe('decoding is strict', () => {
  test.each(all)('%s round-trips and has one encoding', (_name, message) => {
    const bytes = encodeMessage(message);
    expect(hex(encodeMessage(decodeMessage(bytes)))).toBe(hex(bytes));
    expect(() => decodeMessage(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(ConsensusError);
    expect(() => decodeMessage(bytes.subarray(0, bytes.length - 1))).toThrow(ConsensusError);
  });

  test('any damage gives an equal re-encoding or a coded refusal, never another error', () => {
    const pick = fc.constantFrom(...all.map(([, message]) => encodeMessage(message)));
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(pick, damage, fc.nat(), (bytes, changes, cut) => {
        const bad = bytes.slice(0, cut % 3 === 0 ? cut % bytes.length : bytes.length);
        for (const [at, value] of changes) if (bad.length > 0) bad[at % bad.length] = value;
        let decoded: Message;
        try {
          decoded = decodeMessage(bad);
        } catch (error) {
          expect(error).toBeInstanceOf(ConsensusError);
          return;
        }
        expect(hex(encodeMessage(decoded))).toBe(hex(bad));
      }),
      { numRuns: 2000, seed: 7 },
    );
  });

  test('random bytes are refused with a code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          decodeMessage(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ConsensusError);
        }
      }),
      { numRuns: 1000, seed: 7 },
    );
  });

  test('a proposal whose batch or parent certificate is not the one in its header is refused', () => {
    const bytes = encodeMessage(messages.proposal);
    const at = Buffer.from(bytes).indexOf('first request');
    const swapped = bytes.slice();
    swapped[at] ^= 1;
    expect(() => decodeMessage(swapped)).toThrow(/batch/);
    const last = bytes.slice();
    last[last.length - 1] ^= 1;
    expect(() => decodeMessage(last)).toThrow(/certificate/);
  });

  test('senders of a certificate ascend', () => {
    const swapped = { ...qc, votes: [qc.votes[1], qc.votes[0], qc.votes[2]] };
    expect(() => decodeQc(encodeQc(swapped))).toThrow(/ascending/);
    const twice = { ...qc, votes: [qc.votes[0], qc.votes[0], qc.votes[2]] };
    expect(() => decodeQc(encodeQc(twice))).toThrow(/ascending/);
    expect(decodePrepared(encodePrepared(prepared))).toEqual(prepared);
  });

  test('bounds: one at the bound is read, one above is refused before it is allocated', () => {
    expect(decodeBatch(encodeBatch(Array(BATCH_COUNT_MAX).fill(new Uint8Array(0)))).length).toBe(
      BATCH_COUNT_MAX,
    );
    expect(() => decodeBatch(new Writer().u32(BATCH_COUNT_MAX + 1).finish())).toThrow(/at most 4096/);
    expect(decodeBatch(encodeBatch([new Uint8Array(REQUEST_BYTES_MAX)])).length).toBe(1);
    const large = new Writer()
      .u32(1)
      .u32(REQUEST_BYTES_MAX + 1)
      .finish();
    expect(() => decodeBatch(large)).toThrow(/at most 1048576/);
    const votes = Array.from({ length: VALIDATORS_MAX }, (_, sender) => ({
      sender,
      signature: new Uint8Array(64),
    }));
    expect(decodeQc(encodeQc({ ...qc, votes })).votes.length).toBe(VALIDATORS_MAX);
    const more = [...votes, { sender: VALIDATORS_MAX, signature: new Uint8Array(64) }];
    expect(() => decodeQc(encodeQc({ ...qc, votes: more }))).toThrow(ConsensusError);
  });
});

describe('signatures', () => {
  const verifier = (): Verifier => new Verifier(genesis.chainId);
  const signedOnes = all.filter(([, message]) => 'sender' in message) as [string, SignedMessage][];

  test.each(signedOnes)('%s verifies; with any bound field changed it does not', (_name, message) => {
    const { validators } = chain;
    expect(verifier().message(message, validators)).toBe(message);
    expect(
      verifier().message({ ...message, sender: (message.sender + 1) % 4 } as SignedMessage, validators),
    ).toBeUndefined();
    expect(verifier().message({ ...message, epoch: 1 } as SignedMessage, validators)).toBeUndefined();
    expect(new Verifier(new Uint8Array(32)).message(message, validators)).toBeUndefined();
    if (!('height' in message)) return;
    for (const change of [{ height: 8 }, { view: message.view + 1 }, { digest: 'ee'.repeat(32) }]) {
      expect(verifier().message({ ...message, ...change } as SignedMessage, validators)).toBeUndefined();
    }
  });

  test('a signature of one kind is none of another', () => {
    const { prepare, commit } = messages;
    expect(verifier().message({ ...commit, signature: prepare.signature }, chain.validators)).toBeUndefined();
  });

  test('a certificate needs q distinct signers of one view', () => {
    const { validators } = chain;
    expect(verifier().certificate(qc, validators)).toBe(true);
    expect(verifier().certificate({ ...qc, votes: qc.votes.slice(1) }, validators)).toBe(false);
    expect(
      verifier().certificate({ ...qc, votes: [qc.votes[0], qc.votes[0], qc.votes[1]] }, validators),
    ).toBe(false);
    expect(verifier().certificate({ ...qc, view: 1 }, validators)).toBe(false);
    expect(verifier().certificate({ ...qc, height: 8 }, validators)).toBe(false);
    const forged = qc.votes.map((vote) => ({ ...vote, signature: messages.prepare.signature }));
    expect(verifier().certificate({ ...qc, votes: forged }, validators)).toBe(false);
  });

  test("a WELCOME cannot accuse the starter without the starter's own signatures", () => {
    const liar = coreSigner(validatorKey(new Uint8Array(32).fill(4)), genesis.chainId);
    const { welcome } = messages;
    const later = { ...messages.hello, boot: 99 };
    const vote = welcome.vote && { ...welcome.vote, view: 9 };
    for (const lie of [
      { ...welcome, hello: later },
      { ...welcome, vote },
    ]) {
      expect(verifier().message(liar.welcome(lie), chain.validators)).toBeUndefined();
    }
    expect(verifier().message(liar.welcome(welcome), chain.validators)).toBeDefined();
  });

  test('a bad signature inside a VIEW-CHANGE spoils it and every NEW-VIEW that carries it', () => {
    const change = messages['view-change'];
    const bad = { ...prepared, votes: [{ sender: 1, signature: new Uint8Array(64) }, prepared.votes[1]] };
    const signer = coreSigner(validatorKey(new Uint8Array(32).fill(2)), genesis.chainId);
    const lie = signer.viewChange(change, change.parentQc, bad);
    expect(verifier().message(lie, chain.validators)).toBeUndefined();
    const view = messages['new-view'];
    const changes = [view.viewChanges[0], lie, view.viewChanges[2]];
    expect(verifier().message({ ...view, viewChanges: changes }, chain.validators)).toBeUndefined();
  });
});

describe('evidence', () => {
  const key = validatorKey(new Uint8Array(32).fill(3));
  const signer = coreSigner(key, genesis.chainId);
  const statement = (digest: string, view = 0) => {
    const position = { epoch: 0, height: 7, view, sender: 2 };
    const value = digest.repeat(32) as typeof proposal.hash;
    return { ...position, digest: value, signature: signer.vote('commit', position, value) };
  };
  const bytesOf = (first: ReturnType<typeof statement>, second: ReturnType<typeof statement>): Uint8Array =>
    encodeEvidence({ kind: 'commit', key: key.publicKey, first, second });

  test('two statements of one place prove themselves from bytes alone', () => {
    const checked = checkEvidence(bytesOf(statement('aa'), statement('bb')), genesis.chainId);
    expect(checked).toEqual({ key: key.publicKey, kind: 'commit', epoch: 0, height: 7, view: 0, sender: 2 });
  });

  test('one statement twice, another view, another chain and a flipped bit prove nothing', () => {
    const good = bytesOf(statement('aa'), statement('bb'));
    expect(() => checkEvidence(bytesOf(statement('aa'), statement('aa')), genesis.chainId)).toThrow(
      ConsensusError,
    );
    expect(() => checkEvidence(bytesOf(statement('aa'), statement('bb', 1)), genesis.chainId)).toThrow(
      ConsensusError,
    );
    expect(() => checkEvidence(good, new Uint8Array(32))).toThrow(ConsensusError);
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice();
      bad[at] ^= 1;
      expect(() => checkEvidence(bad, genesis.chainId)).toThrow(ConsensusError);
    }
  });
});
