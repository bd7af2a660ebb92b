/** Ed25519 (RFC 8032, cofactorless, OpenSSL) for validators. Importing a key costs as much as verifying: cached. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { ConsensusError } from '../errors.ts';
import { asBuffer } from '../wire/bytes.ts';

const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
/** Keys kept imported; public data. */
const IMPORTED_MAX = 1024;
const imported = new Map<string, KeyObject>();

function importKey(key: Uint8Array): KeyObject {
  const name = asBuffer(key).toString('latin1');
  const known = imported.get(name);
  if (known !== undefined) return known;
  const object = createPublicKey({ key: Buffer.concat([SPKI, key]), format: 'der', type: 'spki' });
  if (imported.size >= IMPORTED_MAX) imported.clear();
  imported.set(name, object);
  return object;
}

/** Whether `signature` is that of `key` (32 raw bytes) over `message`. Never throws. */
export function verifyEd25519(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (key.length !== 32 || signature.length !== 64) return false;
  try {
    return verify(null, message, importKey(key), signature);
  } catch {
    return false;
  }
}

/** A validator's signing key. The seed stays inside. */
export interface ValidatorKey {
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** The key of a 32-byte seed; throws `consensus.bad_config`. */
export function validatorKey(seed: Uint8Array): ValidatorKey {
  if (seed.length !== 32) throw new ConsensusError('consensus.bad_config', 'expected a seed of 32 bytes');
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return {
    publicKey: new Uint8Array(spki.subarray(SPKI.length)),
    sign: (message) => new Uint8Array(sign(null, message, key)),
  };
}
