/**
 * Keyword secrets: RFC 9497 VOPRF (mode 1) over ristretto255-SHA512. The client blinds keywords, the custodian's
 * indexer evaluates a batch with one DLEQ proof after the Search entry is committed, the client checks the proof
 * against the public key of the ledger and unblinds. Every function takes the group it works with: the reference in
 * JavaScript, or libsodium's, constant time, from `openRistretto`.
 * Does not protect against: enumeration by a subject that is allowed to ask (budgets slow it, the ledger shows it).
 */
import { expand_message_xmd } from '@noble/curves/abstract/hash-to-curve.js';
import { mapHashToField } from '@noble/curves/abstract/modular.js';
import { ristretto255, ristretto255_oprf } from '@noble/curves/ed25519.js';
import { sha512 as nobleSha512 } from '@noble/hashes/sha2.js';
import { concat, constantTimeEqual, equalBytes, u32be, utf8 } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { DOMAIN } from '../codec/domains.ts';
import { hkdfSha256, hmacSha512, sha512, taggedHash } from '../codec/hash.ts';
import { CONTEXT, isProven, PROOF_BYTES, prefixed, prove } from './dleq.ts';
import { searchError } from './errors.ts';
import { OPRF_BATCH_MAX } from './parameters.ts';
import { isScalar, NOBLE, type Ristretto } from './ristretto.ts';

/** `length` random bytes from a source fit for keys. */
export type Random = (length: number) => Uint8Array;

export const ELEMENT_BYTES = 32;
/** Counts that a batch is padded to, so that the ledger shows the size class only. */
export const BATCH_SIZES = [1, 2, 4, 8, 16, 32] as const;

const HASH_TO_GROUP_DST = concat(utf8('HashToGroup-'), CONTEXT);
const FINALIZE = utf8('Finalize');

/** A VOPRF key of one (custodian, field, epoch). `publicKey` stands on the ledger. */
export interface FieldKeyPair {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** RFC 9497 DeriveKeyPair(seed, length-prefixed custodian, field, epoch). One 32-byte seed per field and epoch. */
export function deriveFieldKeyPair(
  seed: Uint8Array,
  custodian: string,
  field: string,
  epoch: number,
): FieldKeyPair {
  const part = (bytes: Uint8Array) => concat(u32be(bytes.length), bytes);
  const info = concat(part(utf8(custodian)), part(utf8(field)), part(u32be(epoch)));
  const { secretKey, publicKey } = ristretto255_oprf.voprf.deriveKeyPair(seed, info);
  return { secretKey, publicKey };
}

/** A private input with its blinding scalar; keep it to finalize, and to answer an audit. */
export interface BlindedInput {
  readonly input: Uint8Array;
  readonly blind: Uint8Array;
  readonly element: Uint8Array;
}

/** One evaluation to ask for: `elements` is sent and hashed into the Search entry. Padding comes last. */
export interface BlindedBatch {
  readonly inputs: readonly BlindedInput[];
  /** How many of `inputs` are the caller's; the rest pads. */
  readonly count: number;
  readonly elements: readonly Uint8Array[];
}

/** The padded size of `count` elements; throws `search.too_large` above 32. */
export function paddedCount(count: number): number {
  const size = BATCH_SIZES.find((candidate) => candidate >= count);
  if (count < 1 || size === undefined) {
    throw searchError('search.too_large', `expected 1 to ${OPRF_BATCH_MAX} keywords in one evaluation`);
  }
  return size;
}

/**
 * Blinds encoded keywords, padded to a size class with blinded random inputs that no keyword encodes to, which
 * look like any other element. `random` should be `auditableRandom`, so that an audit can be answered later.
 */
export function blindKeywords(
  keywords: readonly Uint8Array[],
  random: Random,
  group: Ristretto = NOBLE,
): BlindedBatch {
  const size = paddedCount(keywords.length);
  const blindOne = (input: Uint8Array): BlindedInput => {
    const blind = drawScalar(random);
    return { input, blind, element: group.multiply(blind, hashToGroup(input, group)) };
  };
  const inputs = keywords.map(blindOne);
  while (inputs.length < size) inputs.push(blindOne(encodeCbor([0, random(16)])));
  return { inputs, count: keywords.length, elements: inputs.map((one) => one.element) };
}

/** Deterministic blinding randomness from a device secret and the entry's nonce: never store scalars. */
export function auditableRandom(deviceSecret: Uint8Array, nonce: Uint8Array): Random {
  const key = hkdfSha256(deviceSecret, nonce, 'sli/1/blinding', 32);
  let counter = 0;
  return (length) => {
    const blocks: Uint8Array[] = [];
    for (let have = 0; have < length; have += 64) blocks.push(hmacSha512(key, u32be(counter++)));
    return concat(...blocks).subarray(0, length);
  };
}

/** Hash of the blinded elements for the Search entry. */
export function hashBlinded(elements: readonly Uint8Array[]): Uint8Array {
  for (const element of elements) checkLength(element, ELEMENT_BYTES, 'search.oprf_element');
  return taggedHash(DOMAIN.blindedElements, ...elements);
}

/** What the indexer answers: one evaluated element each, one DLEQ proof for all. */
export interface Evaluation {
  readonly elements: readonly Uint8Array[];
  readonly proof: Uint8Array;
}

/**
 * Indexer side. Evaluates 1 to 32 blinded elements; refuses the identity and non-canonical encodings
 * (`search.oprf_element`). The caller has checked the committed Search entry against `hashBlinded`.
 */
export function evaluate(
  keys: FieldKeyPair,
  blinded: readonly Uint8Array[],
  random: Random,
  group: Ristretto = NOBLE,
): Evaluation {
  paddedCount(blinded.length);
  for (const element of blinded) checkElement(element, group);
  const elements = blinded.map((element) => group.multiply(keys.secretKey, element));
  return { elements, proof: prove(keys, blinded, elements, drawScalar(random), group) };
}

/**
 * Client side: checks the proof over the whole padded batch against the ledger's `publicKey`, then returns the
 * 64-byte outputs y of the caller's keywords in order. Throws `search.oprf_count`, `search.oprf_element` or
 * `search.oprf_proof`; never returns part of a batch.
 */
export function finalize(
  batch: BlindedBatch,
  evaluation: Evaluation,
  publicKey: Uint8Array,
  group: Ristretto = NOBLE,
): Uint8Array[] {
  const { elements, proof } = evaluation;
  if (elements.length !== batch.inputs.length) {
    throw searchError('search.oprf_count', `expected ${batch.inputs.length} evaluated elements`);
  }
  for (const element of [...elements, publicKey]) checkElement(element, group);
  checkLength(proof, PROOF_BYTES, 'search.oprf_proof');
  if (!isProven(publicKey, batch.elements, elements, proof, group)) {
    throw searchError('search.oprf_proof', 'the evaluation does not come from the key on the ledger');
  }
  return batch.inputs
    .slice(0, batch.count)
    .map(({ input, blind }, i) => outputOf(input, group.multiply(group.invert(blind), elements[i])));
}

/** Indexer side, own keywords: y without blinding, equal to what a client gets. */
export function evaluateDirect(
  secretKey: Uint8Array,
  keyword: Uint8Array,
  group: Ristretto = NOBLE,
): Uint8Array {
  return outputOf(keyword, group.multiply(secretKey, hashToGroup(keyword, group)));
}

const hashToGroup = (input: Uint8Array, group: Ristretto): Uint8Array =>
  group.fromUniform(expand_message_xmd(input, HASH_TO_GROUP_DST, 64, nobleSha512));

/** Hash(I2OSP(len, 2) || input || I2OSP(32, 2) || element || "Finalize"), 64 bytes. */
const outputOf = (input: Uint8Array, element: Uint8Array): Uint8Array =>
  sha512(prefixed(input), prefixed(element), FINALIZE);

/** Bytes that one scalar is drawn from; the bias of the remainder is below 2^-128. */
const DRAW_BYTES = 48;

/** A uniform scalar, not 0: 48 bytes, little-endian, as x mod (order - 1) + 1. */
function drawScalar(random: Random): Uint8Array {
  return mapHashToField(random(DRAW_BYTES), ristretto255.Point.Fn.ORDER, true);
}

/** What a subject shows to prove which keyword stood behind one element of a Search entry. */
export interface AuditOpening {
  readonly keyword: Uint8Array;
  readonly blind: Uint8Array;
  readonly index: number;
}

/**
 * The opening of element `index` of a batch that was blinded with `auditableRandom(deviceSecret, nonce)`. Whether
 * `keyword` is the one that stood there is for `verifyAuditOpening` to say.
 */
export function auditOpening(
  deviceSecret: Uint8Array,
  nonce: Uint8Array,
  keyword: Uint8Array,
  index: number,
): AuditOpening {
  paddedCount(index + 1);
  const random = auditableRandom(deviceSecret, nonce);
  for (let before = 0; before < index; before++) drawScalar(random);
  return { keyword, blind: drawScalar(random), index };
}

/** Whether `opening` explains element `index` of the entry that holds `entryHash`. Never throws. */
export function verifyAuditOpening(
  entryHash: Uint8Array,
  elements: readonly Uint8Array[],
  opening: AuditOpening,
): boolean {
  try {
    const element = elements[opening.index];
    if (element === undefined || !equalBytes(hashBlinded(elements), entryHash)) return false;
    return constantTimeEqual(blindWith(opening.keyword, opening.blind), element);
  } catch {
    return false;
  }
}

/** blind * H(keyword); throws `search.oprf_element` for a scalar that is not canonical. */
function blindWith(keyword: Uint8Array, blind: Uint8Array): Uint8Array {
  if (!isScalar(NOBLE, blind)) throw searchError('search.oprf_element', 'expected a canonical scalar');
  return NOBLE.multiply(blind, hashToGroup(keyword, NOBLE));
}

function checkElement(element: Uint8Array, group: Ristretto): void {
  checkLength(element, ELEMENT_BYTES, 'search.oprf_element');
  if (group.isElement(element)) return;
  throw searchError('search.oprf_element', 'expected a canonical ristretto255 element, not the identity');
}

function checkLength(
  bytes: Uint8Array,
  length: number,
  code: 'search.oprf_element' | 'search.oprf_proof',
): void {
  if (bytes.length !== length) throw searchError(code, `expected ${length} bytes, got ${bytes.length}`);
}
