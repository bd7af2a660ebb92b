/**
 * Subject and member signatures: Ed25519 (RFC 8032, cofactorless) and ECDSA P-256 with low s.
 * One predicate for nodes and browsers. A key is checked once, at registration, with `checkPublicKey`: small
 * order, a torsion part or a non-canonical encoding is refused there, so that what OpenSSL accepts afterwards
 * is a subset of what a cofactored verifier accepts.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { concat, fromHex } from './bytes.ts';
import { CodedError } from './errors.ts';
import { nodeCrypto } from './node-crypto.ts';

export type SignatureAlgorithm = 'ed25519' | 'p256';

/** Raw public key: 32 bytes (Ed25519) or 33 bytes compressed (P-256). */
export interface PublicKey {
  readonly alg: SignatureAlgorithm;
  readonly key: Uint8Array;
}

/** Order of the P-256 group, halved: a signature with s above it is refused. */
const P256_HALF_ORDER = p256.Point.Fn.ORDER >> 1n;
const ED25519_SPKI = fromHex('302a300506032b6570032100');
/** SubjectPublicKeyInfo of a compressed P-256 point, up to the point (RFC 5480). */
const P256_SPKI = fromHex('3039301306072a8648ce3d020106082a8648ce3d030107032200');
const ED25519_PKCS8 = fromHex('302e020100300506032b657004220420');

/** Throws `signature.bad_key` unless `publicKey` is canonical, of prime order and not the identity. */
export function checkPublicKey(publicKey: PublicKey): void {
  try {
    if (publicKey.alg === 'p256') {
      if (publicKey.key.length !== 33) throw new RangeError('length');
      p256.Point.fromBytes(publicKey.key).assertValidity();
      return;
    }
    const point = ed25519.Point.fromBytes(publicKey.key, false);
    if (point.isSmallOrder() || !point.isTorsionFree()) throw new RangeError('order');
  } catch (cause) {
    throw new CodedError('signature.bad_key', `expected a canonical ${publicKey.alg} key of prime order`, {
      cause,
    });
  }
}

type KeyObject = import('node:crypto').KeyObject;
/** Importing a key costs as much as verifying with it, so the last ones are kept. Keys are public. */
const IMPORTED_MAX = 4096;
const imported = new Map<string, KeyObject>();

/** Keys of the two algorithms differ in length, so one table serves both. */
function importKey(crypto: NonNullable<typeof nodeCrypto>, { alg, key }: PublicKey): KeyObject {
  const name = Buffer.from(key).toString('latin1');
  const known = imported.get(name);
  if (known !== undefined) return known;
  const object = crypto.createPublicKey({
    key: Buffer.from(concat(alg === 'p256' ? P256_SPKI : ED25519_SPKI, key)),
    format: 'der',
    type: 'spki',
  });
  if (imported.size >= IMPORTED_MAX) imported.clear();
  imported.set(name, object);
  return object;
}

/** Whether `signature` (64 bytes, r||s for P-256) is `publicKey`'s over `message`. Never throws. */
export function verifySignature(publicKey: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== 64) return false;
  try {
    if (publicKey.alg === 'p256') {
      if (BigInt(`0x${hex(signature.subarray(32))}`) > P256_HALF_ORDER) return false;
      if (publicKey.key.length !== 33) return false;
      if (nodeCrypto === undefined) return p256.verify(signature, message, publicKey.key, { lowS: true });
      const key = importKey(nodeCrypto, publicKey);
      return nodeCrypto.verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature);
    }
    if (publicKey.key.length !== 32) return false;
    if (nodeCrypto === undefined) return ed25519.verify(signature, message, publicKey.key, { zip215: false });
    return nodeCrypto.verify(null, message, importKey(nodeCrypto, publicKey), signature);
  } catch {
    return false;
  }
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');

/** A signing key: `sign` returns 64 bytes. The seed stays inside. */
export interface Signer {
  readonly publicKey: PublicKey;
  sign(message: Uint8Array): Uint8Array;
}

/** Ed25519 signer from a 32-byte seed. */
export function ed25519Signer(seed: Uint8Array): Signer {
  if (seed.length !== 32) throw new CodedError('signature.bad_seed', 'expected a seed of 32 bytes');
  const publicKey: PublicKey = { alg: 'ed25519', key: ed25519.getPublicKey(seed) };
  if (nodeCrypto === undefined) {
    const kept = seed.slice();
    return { publicKey, sign: (message) => ed25519.sign(message, kept) };
  }
  const crypto = nodeCrypto;
  const key = crypto.createPrivateKey({
    key: Buffer.from(concat(ED25519_PKCS8, seed)),
    format: 'der',
    type: 'pkcs8',
  });
  return { publicKey, sign: (message) => new Uint8Array(crypto.sign(null, message, key)) };
}
