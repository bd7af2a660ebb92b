/**
 * An indexer's evaluation of its own keywords (RFC 9497 section 3.3.2, mode VOPRF, ristretto255-SHA512) with libsodium's
 * group arithmetic in WebAssembly: constant time, and ten times the speed of the reference in `src/search/voprf.ts`, whose
 * bytes it gives. Server side only; clients and proofs use the reference.
 */
import { expand_message_xmd } from '@noble/curves/abstract/hash-to-curve.js';
import { sha512 as nobleSha512 } from '@noble/hashes/sha2.js';
import sodium from 'libsodium-wrappers-sumo';
import { concat, utf8 } from '../../codec/bytes.ts';
import { sha512 } from '../../codec/hash.ts';

/** contextString of RFC 9497 section 3.1 for mode 1. */
const CONTEXT = concat(utf8('OPRFV1-'), Uint8Array.of(1), utf8('-ristretto255-SHA512'));
const HASH_TO_GROUP_DST = concat(utf8('HashToGroup-'), CONTEXT);
const FINALIZE = utf8('Finalize');

/** Loads the WebAssembly; `evaluateOwn` may be called afterwards. */
export async function loadOprf(): Promise<void> {
  await sodium.ready;
}

/** y of `input` under `secretKey` (32 bytes, little-endian), 64 bytes: Hash(I2OSP(len, 2) || input || ...). */
export function evaluateOwn(secretKey: Uint8Array, input: Uint8Array): Uint8Array {
  const uniform = expand_message_xmd(input, HASH_TO_GROUP_DST, 64, nobleSha512);
  const point = sodium.crypto_core_ristretto255_from_hash(uniform);
  const element = sodium.crypto_scalarmult_ristretto255(secretKey, point);
  return sha512(u16be(input.length), input, u16be(element.length), element, FINALIZE);
}

const u16be = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 255);
