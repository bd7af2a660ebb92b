import { createHash, createPublicKey, hash, verify } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, test } from 'vitest';
import { TABLES_MAX, TableVerifier, USES_BEFORE_TABLE } from '../../../src/codec/ed25519/verifier.ts';
import { noVectors, vectorJson } from '../../abe/shared.ts';
import { bytesOf, numberOf, seededBytes } from './seeded.ts';

const { Point } = ed25519;
const L = Point.Fn.ORDER;
const P = 2n ** 255n - 19n;
const sha512 = (bytes: Uint8Array): Uint8Array => hash('sha512', bytes, 'buffer');
const nameOf = (key: Uint8Array): string => Buffer.from(key).toString('hex');
const join = (r: Uint8Array, s: Uint8Array): Uint8Array => Uint8Array.from([...r, ...s]);
/** A point of order 8. */
const torsion = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');

function openssl(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]);
  return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature);
}

/** A verifier that has a table for `key`, if the key is one that gets a table. */
function knowing(verifier: TableVerifier, key: Uint8Array): TableVerifier {
  const nothing = new Uint8Array(64).fill(255);
  for (let i = 0; i < USES_BEFORE_TABLE; i++) verifier.proves(nameOf(key), key, new Uint8Array(0), nothing);
  return verifier;
}

const seedOf = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest());
const challenge = (r: Uint8Array, key: Uint8Array, message: Uint8Array): bigint =>
  numberOf(sha512(Uint8Array.from([...r, ...key, ...message]))) % L;

describe('what the tables prove is what OpenSSL accepts', () => {
  const random = seededBytes('verifier');
  const seed = seedOf('signer');
  const key = ed25519.getPublicKey(seed);
  const name = nameOf(key);
  const { scalar } = ed25519.utils.getExtendedPublicKey(seed);
  const verifier = knowing(new TableVerifier(sha512), key);

  test('signatures over messages of all lengths up to three blocks, and long ones', () => {
    const lengths = [...Array.from({ length: 300 }, (_, i) => i), 4031, 4032, 4033, 65_536];
    for (const length of lengths) {
      const message = random(length);
      expect(verifier.proves(name, key, message, ed25519.sign(message, seed))).toBe(true);
    }
    const long = random(65_537);
    expect(
      verifier.proves(name, key, long, ed25519.sign(long, seed)),
      'beyond its bound it does not say',
    ).toBe(false);
  });

  test('nothing with one bit changed, in signature, message or key', () => {
    const message = random(40);
    const signature = ed25519.sign(message, seed);
    for (let bit = 0; bit < 512; bit++) {
      const changed = signature.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      expect(verifier.proves(name, key, message, changed)).toBe(false);
    }
    for (let bit = 0; bit < 320; bit++) {
      const changed = message.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      expect(verifier.proves(name, key, changed, signature)).toBe(false);
    }
    for (let bit = 0; bit < 256; bit += 5) {
      const changed = key.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      expect(knowing(verifier, changed).proves(nameOf(changed), changed, message, signature)).toBe(false);
    }
  });

  test('of signatures on which verifiers differ, only the canonical one', () => {
    const message = random(33);
    const good = ed25519.sign(message, seed);
    const [r, s] = [good.slice(0, 32), numberOf(good.slice(32))];
    for (const multiple of [1n, 2n, 3n, 7n, 14n]) {
      const lifted = join(r, bytesOf(s + multiple * L, 32));
      expect(openssl(key, message, lifted)).toBe(false);
      expect(verifier.proves(name, key, message, lifted)).toBe(false);
    }
    // R moved by a point of small order: a verifier with a cofactor takes it.
    for (let i = 0, moved = torsion; i < 7; i++, moved = moved.add(torsion)) {
      const nonce = 12_345n;
      const rBytes = Point.BASE.multiply(nonce).add(moved).toBytes();
      const signature = join(rBytes, bytesOf((nonce + challenge(rBytes, key, message) * scalar) % L, 32));
      expect(openssl(key, message, signature)).toBe(false);
      expect(verifier.proves(name, key, message, signature)).toBe(false);
    }
    expect(verifier.proves(name, key, message, good)).toBe(true);
  });

  test('R that is not canonical proves nothing, although s fits it', () => {
    const message = random(5);
    // The identity has y = 1: encoded as 1, as p + 1, and with a sign.
    for (const encoding of [1n, P + 1n, 1n + 2n ** 255n, P + 1n + 2n ** 255n]) {
      const rBytes = bytesOf(encoding, 32);
      const signature = join(rBytes, bytesOf((challenge(rBytes, key, message) * scalar) % L, 32));
      const expected = encoding === 1n;
      expect(openssl(key, message, signature)).toBe(expected);
      expect(verifier.proves(name, key, message, signature)).toBe(expected);
    }
  });

  test('keys with a torsion part or of small order: never more than OpenSSL', () => {
    const message = random(9);
    let both = 0;
    for (const odd of [torsion, torsion.double(), Point.ZERO, Point.fromBytes(key).add(torsion)]) {
      const bytes = odd.toBytes();
      knowing(verifier, bytes);
      for (let nonce = 1n; nonce < 40n; nonce++) {
        const rBytes = Point.BASE.multiply(nonce).toBytes();
        const k = challenge(rBytes, bytes, message);
        for (const secret of [0n, scalar]) {
          const signature = join(rBytes, bytesOf((nonce + k * secret) % L, 32));
          const taken = openssl(bytes, message, signature);
          expect(verifier.proves(nameOf(bytes), bytes, message, signature)).toBe(taken);
          if (taken) both++;
        }
      }
    }
    expect(both).toBeGreaterThan(0);
  });

  test('keys that are no canonical points get no table and no proof', () => {
    const message = random(9);
    const notOnCurve = bytesOf(2n, 32);
    for (const bad of [
      bytesOf(P + 1n, 32),
      bytesOf(1n + 2n ** 255n, 32),
      notOnCurve,
      new Uint8Array(32).fill(255),
    ]) {
      const rBytes = bytesOf(1n, 32);
      expect(knowing(verifier, bad).proves(nameOf(bad), bad, message, join(rBytes, new Uint8Array(32)))).toBe(
        false,
      );
    }
    expect(verifier.proves(name, key.slice(1), message, new Uint8Array(64))).toBe(false);
    expect(verifier.proves(name, key, message, new Uint8Array(63))).toBe(false);
  });
});

describe('tables', () => {
  test('a key gets one at its use number 64, and says nothing before', () => {
    const seed = seedOf('counted');
    const key = ed25519.getPublicKey(seed);
    const message = seedOf('message');
    const signature = ed25519.sign(message, seed);
    const verifier = new TableVerifier(sha512);
    const said = Array.from({ length: 70 }, () => verifier.proves('counted', key, message, signature));
    expect(said.indexOf(true)).toBe(USES_BEFORE_TABLE - 1);
    expect(said.slice(USES_BEFORE_TABLE - 1)).not.toContain(false);
  });

  test('when all places are taken the key not used for longest makes room, and nobody is proved by the table of another', () => {
    const verifier = new TableVerifier(sha512);
    const message = seedOf('message');
    const signers = Array.from({ length: TABLES_MAX + 3 }, (_, i) => {
      const seed = seedOf(`signer ${i}`);
      return { key: ed25519.getPublicKey(seed), signature: ed25519.sign(message, seed) };
    });
    const says = (i: number, signature: Uint8Array): boolean =>
      verifier.proves(nameOf(signers[i].key), signers[i].key, message, signature);
    for (let i = 0; i < TABLES_MAX; i++) knowing(verifier, signers[i].key);
    expect(says(0, signers[0].signature)).toBe(true);
    for (let i = TABLES_MAX; i < TABLES_MAX + 3; i++) knowing(verifier, signers[i].key);
    const proved = signers.map(({ signature }, i) => says(i, signature));
    expect(proved.flatMap((one, i) => (one ? [] : [i]))).toEqual([1, 2, 3]);
    for (let i = 4; i < signers.length; i++) expect(says(i, signers[i - 4].signature)).toBe(false);
  });
});

interface EddsaFile {
  readonly testGroups: readonly {
    readonly publicKey: { readonly pk: string };
    readonly tests: readonly {
      readonly tcId: number;
      readonly msg: string;
      readonly sig: string;
      readonly result: string;
    }[];
  }[];
}

describe.skipIf(noVectors !== undefined)(`Wycheproof${noVectors ? ` (${noVectors})` : ''}`, () => {
  test('Ed25519: every valid signature is proved, and no other', () => {
    const { testGroups } = vectorJson('wycheproof/ed25519_test.json.gz') as EddsaFile;
    const verifier = new TableVerifier(sha512);
    let count = 0;
    for (const { publicKey, tests } of testGroups) {
      const key = Uint8Array.from(Buffer.from(publicKey.pk, 'hex'));
      knowing(verifier, key);
      for (const { tcId, msg, sig, result } of tests) {
        const [message, signature] = [msg, sig].map((text) => Uint8Array.from(Buffer.from(text, 'hex')));
        expect(verifier.proves(nameOf(key), key, message, signature), `${tcId}`).toBe(result === 'valid');
        count++;
      }
    }
    expect(count).toBeGreaterThan(100);
  });
});
