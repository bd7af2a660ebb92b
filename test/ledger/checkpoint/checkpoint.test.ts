/** C2SP checkpoints: the published note examples, and every way in which cosignatures must not count. */
import { describe, expect, test } from 'vitest';
import { concat, fromUtf8, toHex, utf8 } from '../../../src/codec/bytes.ts';
import { hasCode } from '../../../src/codec/errors.ts';
import { sha256 } from '../../../src/codec/hash.ts';
import { ed25519Signer, verifySignature } from '../../../src/codec/signature.ts';
import {
  assembleCheckpoint,
  type Checkpoint,
  checkpointBody,
  checkpointOrigin,
  checkpointQuorum,
  cosign,
  cosignAsWitness,
  cosignatureOf,
  parseCheckpoint,
  type ValidatorSet,
  verifyCheckpoint,
} from '../../../src/ledger/checkpoint/index.ts';
import {
  fromBase64,
  NOTE_ED25519,
  NOTE_NAME_BYTES_MAX,
  noteKeyId,
  noteLine,
  splitNote,
  toBase64,
} from '../../../src/ledger/checkpoint/note.ts';

const signerOf = (name: string) => ed25519Signer(sha256(utf8(name)));
const MEMBERS = ['mercy', 'saint-anne', 'north', 'lakeside'];
const origin = checkpointOrigin('demo');
const setOf = (epoch: number, members: readonly string[]): ValidatorSet => ({
  epoch,
  validators: members.map((member) => ({ member, key: signerOf(`${epoch} ${member}`).publicKey.key })),
});
const set = setOf(0, MEMBERS);
const checkpoint: Checkpoint = {
  origin,
  size: 1_000_000,
  root: sha256(utf8('root')),
  height: 4321,
  time: 1_700_000_000_000,
  stateRoot: sha256(utf8('state')),
  epoch: 0,
};
const body = checkpointBody(checkpoint);
const line = (member: string, text = body, epoch = 0): string =>
  cosign(text, origin, member, signerOf(`${epoch} ${member}`));
const good = assembleCheckpoint(
  body,
  MEMBERS.slice(0, 3).map((member) => line(member)),
);

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    for (const code of ['malformed', 'bad_set', 'origin', 'epoch', 'bad_signature', 'duplicate', 'quorum']) {
      if (hasCode(error, `checkpoint.${code}`)) return code;
    }
    throw error;
  }
  return 'accepted';
};
const verdict = (text: string, under: ValidatorSet = set): string =>
  codeOf(() => verifyCheckpoint(text, origin, under));

describe('signed-note examples made elsewhere', () => {
  // golang.org/x/mod/sumdb/note and the hex.pm package signed_note.
  const examples = [
    {
      vkey: 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
      note: "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
    },
    {
      vkey: 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k',
      note: 'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n',
    },
  ];
  test.each(examples)('$vkey', ({ vkey, note }) => {
    const [name, id] = vkey.split('+', 2);
    const material = fromBase64(vkey.slice(name.length + id.length + 2));
    expect(material[0]).toBe(NOTE_ED25519);
    const key = material.subarray(1);
    expect(toHex(noteKeyId(name, NOTE_ED25519, key))).toBe(id);
    const { text, signatures } = splitNote(note);
    expect(signatures.map((s) => [s.name, toHex(s.keyId)])).toEqual([[name, id]]);
    expect(verifySignature({ alg: 'ed25519', key }, utf8(text), signatures[0].signature)).toBe(true);
    expect(`${text}\n${noteLine(signatures[0])}`).toBe(note);
  });
});

describe('form', () => {
  test('is the three lines of tlog-checkpoint and four extension lines, and reads back', () => {
    expect(body.split('\n')).toEqual([
      'hippocrypt/demo',
      '1000000',
      toBase64(checkpoint.root),
      'height 4321',
      'time 1700000000000',
      `state ${toHex(checkpoint.stateRoot)}`,
      'epoch 0',
      '',
    ]);
    expect(parseCheckpoint(good).checkpoint).toEqual(checkpoint);
    expect(checkpointBody(parseCheckpoint(good).checkpoint)).toBe(body);
  });

  test.each([
    ['a leading zero', (t: string) => t.replace('\n1000000\n', '\n01000000\n')],
    ['a sign', (t: string) => t.replace('height 4321', 'height +4321')],
    ['a fraction', (t: string) => t.replace('height 4321', 'height 4321.0')],
    ['more than 2^53', (t: string) => t.replace('height 4321', 'height 9007199254740993')],
    ['upper-case hexadecimal', (t: string) => t.replace(/state .*/, `state ${'AB'.repeat(32)}`)],
    ['a short root', (t: string) => t.replace(toBase64(checkpoint.root), toBase64(new Uint8Array(31)))],
    ['lines in another order', (t: string) => t.replace(/(height .*)\n(time .*)/, '$2\n$1')],
    ['a line too many', (t: string) => t.replace('epoch 0', 'epoch 0\nmore')],
    ['carriage returns', (t: string) => t.replaceAll('\n', '\r\n')],
    ['no signature', (t: string) => t.slice(0, t.indexOf('\n\n') + 2)],
    ['no newline at the end', (t: string) => t.slice(0, -1)],
    ['a hyphen for the dash', (t: string) => t.replace('— ', '- ')],
    ['base64 without padding', (t: string) => t.replace('=\n—', '\n—')],
    ['the url alphabet', (t: string) => t.replace(/(—.*?)[A-Za-z0-9]{4}=\n/, '$1____=\n')],
    ['a lone surrogate', (t: string) => t.replace('demo', 'de\ud800mo')],
    ['an empty line of text', (t: string) => t.replace('epoch 0\n', 'epoch 0\n\n')],
  ])('with %s is refused', (_, bend) => {
    expect(bend(good)).not.toBe(good);
    expect(verdict(bend(good))).toBe('malformed');
  });

  test('names are bounded', () => {
    expect(() => checkpointOrigin('x'.repeat(NOTE_NAME_BYTES_MAX - 11))).not.toThrow();
    expect(() => checkpointOrigin('x'.repeat(NOTE_NAME_BYTES_MAX - 10))).toThrow('key name');
    for (const bad of ['a b', 'a+b', 'a\nb', 'a\u00a0b'])
      expect(() => checkpointOrigin(bad)).toThrow('key name');
  });

  test('base64 has one form for each string of bytes', () => {
    for (let n = 1; n < 40; n++) {
      const bytes = sha256(Uint8Array.of(n)).subarray(0, 1 + (n % 32));
      expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
      expect(toHex(fromBase64(toBase64(bytes)))).toBe(toHex(bytes));
    }
    expect(() => fromBase64('AB==')).toThrow('spare bits');
  });
});

describe('cosignatures', () => {
  test('of a quorum of the epoch are enough, and tell whose they are', () => {
    const found = verifyCheckpoint(good, origin, set);
    expect(found.checkpoint).toEqual(checkpoint);
    expect(found.members).toEqual(MEMBERS.slice(0, 3));
    expect(found.unknown).toEqual([]);
  });

  test('of f+1 validators, or of one several times, are not', () => {
    expect(verdict(assembleCheckpoint(body, [line('mercy'), line('north')]))).toBe('quorum');
    expect(verdict(assembleCheckpoint(body, [line('mercy'), line('north'), line('north')]))).toBe(
      'duplicate',
    );
  });

  test('of the wrong epoch are not: neither its keys nor its number', () => {
    const later = setOf(1, MEMBERS);
    expect(
      verdict(
        assembleCheckpoint(
          body,
          MEMBERS.map((m) => line(m, body, 1)),
        ),
      ),
    ).toBe('quorum');
    expect(verdict(good, later)).toBe('epoch');
    const renumbered = checkpointBody({ ...checkpoint, epoch: 1 });
    expect(
      verdict(
        assembleCheckpoint(
          renumbered,
          MEMBERS.map((m) => line(m, renumbered)),
        ),
        later,
      ),
    ).toBe('quorum');
  });

  test('over another text, another log or pasted from a vote are not', () => {
    const other = checkpointBody({ ...checkpoint, size: 999_999 });
    expect(
      verdict(
        assembleCheckpoint(
          body,
          MEMBERS.map((m) => line(m, other)),
        ),
      ),
    ).toBe('bad_signature');
    expect(codeOf(() => verifyCheckpoint(good, checkpointOrigin('other'), set))).toBe('origin');
    const commit = signerOf('0 mercy').sign(
      concat(utf8('pbft-lite/1'), Uint8Array.of(3), sha256(utf8(body))),
    );
    const [first, ...rest] = splitNote(good).signatures;
    const pasted = [{ ...first, signature: commit }, ...rest].map(noteLine);
    expect(verdict(assembleCheckpoint(body, pasted))).toBe('bad_signature');
  });

  test('of a known validator that are wrong spoil a checkpoint with a quorum beside them', () => {
    const bad = line('lakeside', checkpointBody({ ...checkpoint, height: 1 }));
    expect(verdict(assembleCheckpoint(body, [...MEMBERS.slice(0, 3).map((m) => line(m)), bad]))).toBe(
      'bad_signature',
    );
  });

  test('with any byte changed do not verify', () => {
    const bytes = utf8(good);
    for (let i = 0; i < bytes.length; i++) {
      const bent = bytes.slice();
      bent[i] ^= 1 << (i % 7);
      let text: string;
      try {
        text = fromUtf8(bent);
      } catch {
        continue;
      }
      expect(verdict(text), `byte ${i}`).not.toBe('accepted');
    }
  });

  test('are recognised one by one while they are collected', () => {
    expect(cosignatureOf(line('north'), body, origin, set)).toBe('north');
    expect(cosignatureOf(line('north', body, 1), body, origin, set)).toBeUndefined();
    expect(cosignatureOf(line('north', `${body}x\n`), body, origin, set)).toBeUndefined();
    expect(cosignatureOf('garbage', body, origin, set)).toBeUndefined();
    expect(cosignatureOf(line('north') + line('mercy'), body, origin, set)).toBeUndefined();
    // A validator that lies may wrap its own good signature in what would spoil everybody's checkpoint.
    const good = line('north');
    for (const bent of [
      `x\n\n${good}`,
      `\n${good}`,
      `${good}\n`,
      `${good}${good}`,
      good.trimEnd(),
      `\n\n${good}`,
    ]) {
      expect(cosignatureOf(bent, body, origin, set)).toBeUndefined();
    }
  });
});

describe('outside witnesses', () => {
  const witness = { name: 'witness.example.org/w1', key: signerOf('w1').publicKey.key };
  const cosigned = (text: string) =>
    good + cosignAsWitness(text, witness.name, signerOf('w1'), 1_700_000_123);

  test('are reported with their time, and never count as validators', () => {
    const found = verifyCheckpoint(cosigned(body), origin, set, { witnesses: [witness] });
    expect(found.witnesses).toEqual([{ name: witness.name, time: 1_700_000_123 }]);
    expect(found.members).toHaveLength(3);
    const alone = assembleCheckpoint(body, [
      line('mercy'),
      line('north'),
      cosignAsWitness(body, witness.name, signerOf('w1'), 5),
    ]);
    expect(codeOf(() => verifyCheckpoint(alone, origin, set, { witnesses: [witness] }))).toBe('quorum');
  });

  test('that are not known are named as unknown; known ones must be right', () => {
    expect(verifyCheckpoint(cosigned(body), origin, set).unknown).toEqual([witness.name]);
    const wrong = cosigned(checkpointBody({ ...checkpoint, size: 7 }));
    expect(codeOf(() => verifyCheckpoint(wrong, origin, set, { witnesses: [witness] }))).toBe(
      'bad_signature',
    );
  });

  test('a validator cosigning as a witness does not count twice', () => {
    const asWitness = cosignAsWitness(body, `${origin}/north`, signerOf('0 north'), 1_700_000_000);
    const text = assembleCheckpoint(body, [line('mercy'), line('north'), asWitness]);
    expect(verdict(text)).toBe('quorum');
  });
});

describe('validator sets', () => {
  test('have the quorum of ledger-security section 0', () => {
    const sizes = [4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
    expect(sizes.map(checkpointQuorum)).toEqual([3, 4, 4, 5, 6, 6, 7, 8, 8, 9]);
  });

  test('with a key or a member twice, or too few, are refused before any signature is counted', () => {
    const [a, b, c] = set.validators;
    const twice = { epoch: 0, validators: [a, b, c, { member: 'other', key: c.key }] };
    expect(verdict(good, twice)).toBe('bad_set');
    expect(verdict(good, { epoch: 0, validators: [a, b, c, { ...a, key: new Uint8Array(32) }] })).toBe(
      'bad_set',
    );
    expect(verdict(good, { epoch: 0, validators: [a, b, c] })).toBe('bad_set');
  });
});
