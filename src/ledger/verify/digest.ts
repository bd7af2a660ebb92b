/**
 * SHA-256 of one byte string in one call. A hash object costs twice the time of hashing a tree node and
 * leaves garbage behind; the trees do nothing but hash small nodes.
 */
import { sha256 } from '../../codec/hash.ts';
import { nodeCrypto } from '../../codec/node-crypto.ts';

const oneShot = nodeCrypto?.hash;

/** 32 bytes, equal to `sha256(bytes)`. */
export function digest(bytes: Uint8Array): Uint8Array {
  if (oneShot === undefined) return sha256(bytes);
  const buffer = oneShot('sha256', bytes, 'buffer');
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
