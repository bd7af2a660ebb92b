/**
 * Keyword secrets: RFC 9497 VOPRF (mode 1) over ristretto255-SHA512. The client blinds keywords, the custodian's
 * indexer evaluates a batch with one DLEQ proof after the Search entry is committed, the client checks the proof
 * against the public key of the ledger and unblinds. Arithmetic: @noble/curves (JS bigint, not constant time;
 * the blinding hides the keyword from whoever times the indexer, and its secret key meets only blinded points
 * or its own keywords).
 * Does not protect against: enumeration by a subject that is allowed to ask (budgets slow it, the ledger shows it).
 */
import { ristretto255, ristretto255_oprf } from '@noble/curves/ed25519.js';
import { concat, constantTimeEqual, equalBytes, u32be, utf8 } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { DOMAIN } from '../codec/domains.ts';
import { hkdfSha256, hmacSha512, taggedHash } from '../codec/hash.ts';
import { searchError } from './errors.ts';
import { OPRF_BATCH_MAX } from './parameters.ts';

/** `length` random bytes from a source fit for keys. */
export type Random = (length: number) => Uint8Array;

export const ELEMENT_BYTES = 32;
export const PROOF_BYTES = 64;
/** Counts that a batch is padded to, so that the ledger shows the size class only. */
export const BATCH_SIZES = [1, 2, 4, 8, 16, 32] as const;

/** The library's types leave out `evaluate`, the non-interactive form of RFC 9497 section 3.3.2. */
const voprf = ristretto255_oprf.voprf as typeof ristretto255_oprf.voprf & {
  evaluate(secretKey: Uint8Array, input: Uint8Array): Uint8Array;
};

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
  const { secretKey, publicKey } = voprf.deriveKeyPair(seed, info);
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
export function blindKeywords(keywords: readonly Uint8Array[], random: Random): BlindedBatch {
  const size = paddedCount(keywords.length);
  const blindOne = (input: Uint8Array): BlindedInput => {
    const { blind, blinded } = voprf.blind(input, (length) => copy(random(length ?? 64)));
    return { input, blind, element: blinded };
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
export function evaluate(keys: FieldKeyPair, blinded: readonly Uint8Array[], random: Random): Evaluation {
  paddedCount(blinded.length);
  try {
    const answer = voprf.blindEvaluateBatch(keys.secretKey, keys.publicKey, [...blinded], (length) =>
      copy(random(length ?? 64)),
    );
    return { elements: answer.evaluated, proof: answer.proof };
  } catch (cause) {
    throw searchError('search.oprf_element', 'expected canonical ristretto255 elements, none the identity', {
      cause,
    });
  }
}

/**
 * Client side: checks the proof over the whole padded batch against the ledger's `publicKey`, then returns the
 * 64-byte outputs y of the caller's keywords in order. Throws `search.oprf_count`, `search.oprf_element` or
 * `search.oprf_proof`; never returns part of a batch.
 */
export function finalize(batch: BlindedBatch, evaluation: Evaluation, publicKey: Uint8Array): Uint8Array[] {
  if (evaluation.elements.length !== batch.inputs.length) {
    throw searchError('search.oprf_count', `expected ${batch.inputs.length} evaluated elements`);
  }
  for (const element of [...evaluation.elements, publicKey]) checkElement(element);
  checkLength(evaluation.proof, PROOF_BYTES, 'search.oprf_proof');
  const items = batch.inputs.map((one, i) => ({
    input: one.input,
    blind: one.blind,
    blinded: one.element,
    evaluated: evaluation.elements[i],
  }));
  try {
    return voprf.finalizeBatch(items, publicKey, evaluation.proof).slice(0, batch.count);
  } catch (cause) {
    throw searchError('search.oprf_proof', 'the evaluation does not come from the key on the ledger', {
      cause,
    });
  }
}

/** Indexer side, own keywords: y without blinding, equal to what a client gets. About 0.8 ms. */
export function evaluateDirect(secretKey: Uint8Array, keyword: Uint8Array): Uint8Array {
  return voprf.evaluate(secretKey, keyword);
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
  const draw = () => voprf.blind(keyword, (length) => copy(random(length ?? 64))).blind;
  for (let before = 0; before < index; before++) draw();
  return { keyword, blind: draw(), index };
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

/** blind * H(keyword), by asking the library to blind with a scalar that reduces to `blind`. */
function blindWith(keyword: Uint8Array, blind: Uint8Array): Uint8Array {
  checkLength(blind, 32, 'search.oprf_element');
  const { blind: used, blinded } = voprf.blind(keyword, (length) => scalarSource(blind, length ?? 64));
  if (!equalBytes(used, blind)) throw searchError('search.oprf_element', 'expected a canonical scalar');
  return blinded;
}

/** Bytes that RandomScalar of the library (x mod (order - 1) + 1, little-endian) maps to `scalar`. */
function scalarSource(scalar: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set(scalar);
  for (let i = 0; i < out.length; i++) {
    if (out[i] > 0) {
      out[i] -= 1;
      break;
    }
    out[i] = 0xff;
  }
  return out;
}

function checkElement(element: Uint8Array): void {
  checkLength(element, ELEMENT_BYTES, 'search.oprf_element');
  try {
    const point = ristretto255.Point.fromBytes(element);
    if (point.equals(ristretto255.Point.ZERO)) throw new RangeError('identity');
  } catch (cause) {
    throw searchError('search.oprf_element', 'expected a canonical ristretto255 element, not the identity', {
      cause,
    });
  }
}

function checkLength(
  bytes: Uint8Array,
  length: number,
  code: 'search.oprf_element' | 'search.oprf_proof',
): void {
  if (bytes.length !== length) throw searchError(code, `expected ${length} bytes, got ${bytes.length}`);
}

const copy = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);
