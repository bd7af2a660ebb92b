/** SHA-2, HMAC and HKDF (RFC 5869), from OpenSSL in Node and from @noble/hashes in a browser. */
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { sha256 as nobleSha256, sha512 as nobleSha512 } from '@noble/hashes/sha2.js';
import { concat, utf8 } from './bytes.ts';
import { nodeCrypto } from './node-crypto.ts';

const plain = (buffer: Uint8Array): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);

/** Of a string with a character for each byte, into an array that lies in the heap: a Buffer's memory does not. */
function fromBinary(text: string): Uint8Array {
  const out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

function nodeDigest(name: 'sha256' | 'sha512', parts: readonly Uint8Array[]): Uint8Array | undefined {
  if (nodeCrypto === undefined) return undefined;
  // In one call, where a tree's node costs a third of what it does over objects, which have to be collected too.
  if (parts.length === 1) return fromBinary(nodeCrypto.hash(name, parts[0], 'binary'));
  const hash = nodeCrypto.createHash(name);
  for (const part of parts) hash.update(part);
  return plain(hash.digest());
}

/** SHA-256 of the concatenation of `parts`. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return nodeDigest('sha256', parts) ?? nobleSha256(concat(...parts));
}

/** SHA-512 of the concatenation of `parts`. */
export function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  return nodeDigest('sha512', parts) ?? nobleSha512(concat(...parts));
}

/** HMAC-SHA-256 (32 bytes) of the concatenation of `parts`. */
export function hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  if (nodeCrypto === undefined) return nobleHmac(nobleSha256, key, concat(...parts));
  const mac = nodeCrypto.createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return plain(mac.digest());
}

/** HMAC-SHA-512 (64 bytes) of the concatenation of `parts`. */
export function hmacSha512(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  if (nodeCrypto === undefined) return nobleHmac(nobleSha512, key, concat(...parts));
  const mac = nodeCrypto.createHmac('sha512', key);
  for (const part of parts) mac.update(part);
  return plain(mac.digest());
}

/** HKDF-SHA-256: `length` bytes from input key material, salt and a text or byte info. */
export function hkdfSha256(
  ikm: Uint8Array,
  salt: Uint8Array,
  info: string | Uint8Array,
  length: number,
): Uint8Array {
  const infoBytes = typeof info === 'string' ? utf8(info) : info;
  if (nodeCrypto === undefined) return nobleHkdf(nobleSha256, ikm, salt, infoBytes, length);
  return new Uint8Array(nodeCrypto.hkdfSync('sha256', ikm, salt, infoBytes, length));
}

/**
 * SHA-256 under a domain tag: SHA-256(u8 length of tag || tag || parts). Tags are listed in `domains.ts`;
 * the length byte keeps one tag from being a prefix of another.
 */
export function taggedHash(tag: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const tagBytes = utf8(tag);
  return sha256(Uint8Array.of(tagBytes.length), tagBytes, ...parts);
}
