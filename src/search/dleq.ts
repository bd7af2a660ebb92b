/**
 * The proof of the keyword secrets (DLEQ, RFC 9497 section 2.2, mode 1 over ristretto255-SHA512): one of 64 bytes shows
 * for a whole batch that the evaluator used the key whose public half stands on the ledger.
 */
import { expand_message_xmd } from '@noble/curves/abstract/hash-to-curve.js';
import { sha512 as nobleSha512 } from '@noble/hashes/sha2.js';
import { concat, equalBytes, utf8 } from '../codec/bytes.ts';
import { sha512 } from '../codec/hash.ts';
import { isScalar, type Ristretto } from './ristretto.ts';

export const PROOF_BYTES = 64;

/** contextString of section 3.1 for mode 1. */
export const CONTEXT: Uint8Array = concat(utf8('OPRFV1-'), Uint8Array.of(1), utf8('-ristretto255-SHA512'));
const HASH_TO_SCALAR_DST = concat(utf8('HashToScalar-'), CONTEXT);
const SEED_DST = concat(utf8('Seed-'), CONTEXT);
const COMPOSITE = utf8('Composite');
const CHALLENGE = utf8('Challenge');

/** GenerateProof, section 2.2.1: c || s. `r` is a fresh uniform scalar. */
export function prove(
  keys: { readonly secretKey: Uint8Array; readonly publicKey: Uint8Array },
  blinded: readonly Uint8Array[],
  elements: readonly Uint8Array[],
  r: Uint8Array,
  group: Ristretto,
): Uint8Array {
  const { secretKey, publicKey } = keys;
  const m = composite(weights(publicKey, blinded, elements, group), blinded, group);
  const z = group.multiply(secretKey, m);
  const c = challenge([publicKey, m, z, group.multiplyBase(r), group.multiply(r, m)], group);
  return concat(c, group.subtractProduct(r, c, secretKey));
}

/** VerifyProof, section 2.2.2: whether one key made every one of `elements` of `blinded`, and `publicKey` is that key's. */
export function isProven(
  publicKey: Uint8Array,
  blinded: readonly Uint8Array[],
  elements: readonly Uint8Array[],
  proof: Uint8Array,
  group: Ristretto,
): boolean {
  const c = proof.subarray(0, 32);
  const s = proof.subarray(32);
  if (!isScalar(group, c) || !isScalar(group, s)) return false;
  try {
    const d = weights(publicKey, blinded, elements, group);
    const m = composite(d, blinded, group);
    const z = composite(d, elements, group);
    const t2 = group.add(group.multiplyBase(s), group.multiply(c, publicKey));
    const t3 = group.add(group.multiply(s, m), group.multiply(c, z));
    return equalBytes(challenge([publicKey, m, z, t2, t3], group), c);
  } catch (error) {
    // Only a forger's numbers lead to the identity.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** d_i of ComputeComposites, section 2.2.1. */
function weights(
  publicKey: Uint8Array,
  blinded: readonly Uint8Array[],
  evaluated: readonly Uint8Array[],
  group: Ristretto,
): Uint8Array[] {
  const seed = sha512(prefixed(publicKey), prefixed(SEED_DST));
  return blinded.map((element, i) =>
    hashToScalar(
      concat(prefixed(seed), u16be(i), prefixed(element), prefixed(evaluated[i]), COMPOSITE),
      group,
    ),
  );
}

function composite(d: readonly Uint8Array[], elements: readonly Uint8Array[], group: Ristretto): Uint8Array {
  return elements
    .map((element, i) => group.multiply(d[i], element))
    .reduce((sum, one) => group.add(sum, one));
}

const challenge = (elements: readonly Uint8Array[], group: Ristretto): Uint8Array =>
  hashToScalar(concat(...elements.map(prefixed), CHALLENGE), group);

const hashToScalar = (message: Uint8Array, group: Ristretto): Uint8Array =>
  group.reduce(expand_message_xmd(message, HASH_TO_SCALAR_DST, 64, nobleSha512));

const u16be = (value: number): Uint8Array => Uint8Array.of(value >>> 8, value & 255);
/** I2OSP(length, 2) || bytes. */
export const prefixed = (bytes: Uint8Array): Uint8Array => concat(u16be(bytes.length), bytes);
