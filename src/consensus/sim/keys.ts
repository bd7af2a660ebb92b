/**
 * Cheap stand-ins for Ed25519: a keyed hash whose key everybody in the simulation could look up, but only the code of
 * the owner and of the adversary for its own replicas does. They make a run fast; they secure nothing.
 */
import { hash } from 'node:crypto';
import type { ValidatorKey } from '../node/keys.ts';
import { asBuffer, sameBytes } from '../wire/bytes.ts';

function digest(...parts: readonly Uint8Array[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer');
}

/** The key of the simulated validator `index`. */
export function simKey(index: number): ValidatorKey {
  const publicKey = new Uint8Array(digest(Buffer.from(`simulated validator ${index}`)));
  return { publicKey, sign: (message) => tag(publicKey, message) };
}

function tag(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const half = digest(publicKey, message);
  return new Uint8Array(Buffer.concat([half, half]));
}

/** The counterpart of `verifyEd25519`. */
export function simVerify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return sameBytes(asBuffer(tag(publicKey, message)), signature);
}
