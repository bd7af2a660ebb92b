/** AES-256 in GCM and CTR mode: OpenSSL in Node, @noble/ciphers in a browser. Equal bytes from both. */
import { ctr as nobleCtr, gcm as nobleGcm } from '@noble/ciphers/aes.js';
import { concat } from './bytes.ts';
import { CodedError } from './errors.ts';
import { nodeCrypto } from './node-crypto.ts';

/** Bytes that GCM adds to a plaintext. */
export const GCM_TAG_BYTES = 16;

/** Ciphertext || 16-byte tag. `key` 32 bytes, `nonce` 12 bytes, never reused under one key. */
export function gcmSeal(
  key: Uint8Array,
  nonce: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  if (nodeCrypto === undefined) return nobleGcm(key, nonce, aad).encrypt(plaintext);
  const cipher = nodeCrypto.createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(aad);
  return concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
}

/** The plaintext, or a thrown `aead.rejected` that says nothing about why. */
export function gcmOpen(key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array {
  try {
    if (sealed.length < GCM_TAG_BYTES) throw new RangeError('shorter than a tag');
    if (nodeCrypto === undefined) return nobleGcm(key, nonce, aad).decrypt(sealed);
    const decipher = nodeCrypto.createDecipheriv('aes-256-gcm', key, nonce);
    decipher.setAAD(aad);
    decipher.setAuthTag(sealed.subarray(sealed.length - GCM_TAG_BYTES));
    return concat(decipher.update(sealed.subarray(0, sealed.length - GCM_TAG_BYTES)), decipher.final());
  } catch (cause) {
    throw new CodedError('aead.rejected', 'the sealed bytes do not open under this key', { cause });
  }
}

/** AES-256-CTR key stream XOR `data`; `iv` 16 bytes. For keys that are used once. */
export function ctrXor(key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array {
  if (nodeCrypto === undefined) return nobleCtr(key, iv).encrypt(data);
  const { buffer, byteOffset, length } = nodeCrypto.createCipheriv('aes-256-ctr', key, iv).update(data);
  return new Uint8Array(buffer, byteOffset, length);
}
