/** RFC 9497 VOPRF, mode 1, ristretto255-SHA512: the RFC's vectors, and what a lying evaluator is refused for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ristretto255, ristretto255_oprf } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { equalBytes, fromHex, toHex, utf8 } from '../../src/codec/bytes.ts';
import {
  auditableRandom,
  auditOpening,
  blindKeywords,
  deriveFieldKeyPair,
  encodeKeyword,
  evaluate,
  evaluateDirect,
  finalize,
  hashBlinded,
  NOBLE,
  openRistretto,
  paddedCount,
  type Ristretto,
  verifyAuditOpening,
} from '../../src/search/index.ts';
import { isScalar } from '../../src/search/ristretto.ts';
import { expectCode, seededRandom, sharedFolder } from './support.ts';

const shared = sharedFolder();
if (shared === undefined)
  console.warn('RFC 9497 vectors skipped: set HIPPOCRYPT_SHARED to the shared folder');

/** Every equation holds over both. */
const GROUPS: readonly (readonly [string, Ristretto])[] = [
  ['noble', NOBLE],
  ['libsodium', await openRistretto()],
];

interface Vector {
  readonly Batch: number;
  readonly Blind: string;
  readonly BlindedElement: string;
  readonly EvaluationElement: string;
  readonly Input: string;
  readonly Output: string;
  readonly Proof: { readonly proof: string; readonly r: string };
}
interface Suite {
  readonly identifier: string;
  readonly mode: number;
  readonly seed: string;
  readonly keyInfo: string;
  readonly skSm: string;
  readonly pkSm: string;
  readonly vectors: readonly Vector[];
}

/** Bytes that the library's scalar sampling (x mod (order - 1) + 1) turns into exactly `scalar`. */
function drawing(scalars: readonly string[]) {
  let next = 0;
  return (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    bytes.set(fromHex(scalars[next++]));
    bytes[0] -= 1;
    return bytes;
  };
}

describe.skipIf(shared === undefined)('RFC 9497 appendix A.1.2 (needs HIPPOCRYPT_SHARED)', () => {
  const all =
    shared === undefined
      ? []
      : (JSON.parse(readFileSync(join(shared, 'vectors/rfc9497/allVectors.json'), 'utf8')) as Suite[]);
  const suite = all.find((one) => one.identifier === 'ristretto255-SHA512' && one.mode === 1);

  test('the derived key pair is the published one', () => {
    const pair = ristretto255_oprf.voprf.deriveKeyPair(
      fromHex(suite?.seed ?? ''),
      fromHex(suite?.keyInfo ?? ''),
    );
    expect(toHex(pair.secretKey)).toBe(suite?.skSm);
    expect(toHex(pair.publicKey)).toBe(suite?.pkSm);
  });

  test.each(GROUPS)('blinding, evaluation, proof and output equal every vector, over %s', (_, group) => {
    expect(suite?.vectors.length).toBeGreaterThanOrEqual(3);
    const keys = { secretKey: fromHex(suite?.skSm ?? ''), publicKey: fromHex(suite?.pkSm ?? '') };
    for (const vector of suite?.vectors ?? []) {
      const inputs = vector.Input.split(',').map((one) => fromHex(one));
      const batch = blindKeywords(inputs, drawing(vector.Blind.split(',')), group);
      expect(batch.elements.map(toHex).join(',')).toBe(vector.BlindedElement);
      const evaluation = evaluate(keys, batch.elements, drawing([vector.Proof.r]), group);
      expect(evaluation.elements.map(toHex).join(',')).toBe(vector.EvaluationElement);
      expect(toHex(evaluation.proof)).toBe(vector.Proof.proof);
      expect(finalize(batch, evaluation, keys.publicKey, group).map(toHex).join(',')).toBe(vector.Output);
      const own = inputs.map((input) => toHex(evaluateDirect(keys.secretKey, input, group)));
      expect(own.join(',')).toBe(vector.Output);
    }
  });
});

const keyword = (value: string) => encodeKeyword({ field: 'condition', type: 'code', system: null, value });
const keys = deriveFieldKeyPair(new Uint8Array(32).fill(7), 'mercy', 'condition', 1);

describe('keys', () => {
  test('custodian, field and epoch each give another key', () => {
    const seed = new Uint8Array(32).fill(7);
    const names = [
      deriveFieldKeyPair(seed, 'mercy', 'condition', 1),
      deriveFieldKeyPair(seed, 'mercy', 'condition', 2),
      deriveFieldKeyPair(seed, 'mercy', 'conditions', 1),
      deriveFieldKeyPair(seed, 'mercyc', 'ondition', 1),
    ].map(({ publicKey }) => toHex(publicKey));
    expect(new Set(names).size).toBe(4);
  });
});

describe('a batch', () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 4],
    [5, 8],
    [17, 32],
    [32, 32],
  ])('of %i is padded to %i, and only the asked outputs come back', (count, size) => {
    const inputs = Array.from({ length: count }, (_, i) => keyword(`c${i}`));
    const batch = blindKeywords(inputs, seededRandom('batch'));
    expect(batch.elements).toHaveLength(size);
    expect(new Set(batch.elements.map(toHex)).size).toBe(size);
    if (size > 4) return;
    const outputs = finalize(batch, evaluate(keys, batch.elements, seededRandom('e')), keys.publicKey);
    expect(outputs.map(toHex)).toEqual(inputs.map((input) => toHex(evaluateDirect(keys.secretKey, input))));
  });

  test('of none or of 33 is refused', () => {
    expectCode(() => blindKeywords([], seededRandom('s')), 'search.too_large');
    const many = Array.from({ length: 33 }, (_, i) => keyword(`c${i}`));
    expectCode(() => blindKeywords(many, seededRandom('s')), 'search.too_large');
    expectCode(() => evaluate(keys, many, seededRandom('s')), 'search.too_large');
    expect(paddedCount(32)).toBe(32);
  });
});

describe('the two groups', () => {
  test('give one another equal bytes, for any keywords and keys', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { minLength: 1, maxLength: 5 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (inputs, seed) => {
          const pair = deriveFieldKeyPair(seed, 'mercy', 'condition', 0);
          const [slow, fast] = GROUPS.map(([, group]) => {
            const batch = blindKeywords(inputs, seededRandom('both'), group);
            const evaluation = evaluate(pair, batch.elements, seededRandom('both e'), group);
            const outputs = finalize(batch, evaluation, pair.publicKey, group);
            expect(outputs).toEqual(inputs.map((input) => evaluateDirect(pair.secretKey, input, group)));
            return [...batch.elements, ...evaluation.elements, evaluation.proof, ...outputs].map(toHex);
          });
          expect(fast).toEqual(slow);
        },
      ),
      { numRuns: 12 },
    );
  });

  test('refuse the same elements and scalars', () => {
    const order = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');
    for (const [, group] of GROUPS) {
      expect(isScalar(group, order)).toBe(false);
      expect(isScalar(group, new Uint8Array(32).fill(0xff))).toBe(false);
      expect(isScalar(group, new Uint8Array(32))).toBe(true);
      const base = group.multiplyBase(Uint8Array.of(1, ...new Uint8Array(31)));
      expect(toHex(base)).toBe('e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76');
      expect(() => group.multiply(new Uint8Array(32), base)).toThrow(RangeError);
      expect(() =>
        group.multiply(
          order.map((byte, i) => (i === 0 ? byte - 1 : byte)),
          base,
        ),
      ).not.toThrow();
      expect(() => group.multiply(base, new Uint8Array(32).fill(0xff))).toThrow(RangeError);
      const minus = group.multiply(
        order.map((byte, i) => (i === 0 ? byte - 1 : byte)),
        base,
      );
      expect(() => group.add(base, minus)).toThrow(RangeError);
    }
  });
});

describe.each(GROUPS)('a lying party, over %s', (_name, group) => {
  const batch = blindKeywords([keyword('a'), keyword('b')], seededRandom('liar'), group);
  const honest = evaluate(keys, batch.elements, seededRandom('liar e'), group);

  test('that evaluates with a key of its own for this user is refused', () => {
    const own = deriveFieldKeyPair(new Uint8Array(32).fill(9), 'mercy', 'condition', 1);
    const answer = evaluate(own, batch.elements, seededRandom('own'), group);
    expectCode(() => finalize(batch, answer, keys.publicKey, group), 'search.oprf_proof');
    const claims = evaluate(
      { ...own, publicKey: keys.publicKey },
      batch.elements,
      seededRandom('own'),
      group,
    );
    expectCode(() => finalize(batch, claims, keys.publicKey, group), 'search.oprf_proof');
  });

  test('that swaps two answers or replaces one is refused for the whole batch', () => {
    const [first, second] = honest.elements;
    const swapped = { ...honest, elements: [second, first] };
    expectCode(() => finalize(batch, swapped, keys.publicKey, group), 'search.oprf_proof');
    const doubled = { ...honest, elements: [first, first] };
    expectCode(() => finalize(batch, doubled, keys.publicKey, group), 'search.oprf_proof');
    expectCode(
      () => finalize(batch, { ...honest, elements: [first] }, keys.publicKey, group),
      'search.oprf_count',
    );
  });

  test('that flips any bit of the proof is refused', () => {
    for (let bit = 0; bit < 512; bit += 37) {
      const proof = honest.proof.slice();
      proof[bit >> 3] ^= 1 << (bit & 7);
      expectCode(() => finalize(batch, { ...honest, proof }, keys.publicKey, group), 'search.oprf_proof');
    }
  });

  test.each([
    ['the identity', new Uint8Array(32)],
    ['a non-canonical field element', new Uint8Array(32).fill(0xff)],
    ['a negative field element', Uint8Array.of(1, ...new Uint8Array(31))],
    ['p + 2, which is 2 again', Uint8Array.of(0xef, ...new Uint8Array(30).fill(0xff), 0x7f)],
    ['31 bytes', new Uint8Array(31).fill(2)],
  ])('that sends %s is refused on both sides', (_, bad) => {
    expectCode(() => evaluate(keys, [bad], seededRandom('s'), group), 'search.oprf_element');
    const one = blindKeywords([keyword('a')], seededRandom('s'), group);
    const proof = honest.proof;
    expectCode(() => finalize(one, { elements: [bad], proof }, keys.publicKey, group), 'search.oprf_element');
    expectCode(
      () => finalize(one, { elements: [one.elements[0]], proof }, bad, group),
      'search.oprf_element',
    );
  });
});

describe('an audit', () => {
  const secret = utf8('device secret');
  const nonce = utf8('entry nonce 16 b');
  const batch = blindKeywords([keyword('E11.9'), keyword('I10')], auditableRandom(secret, nonce));
  const entry = hashBlinded(batch.elements);

  test('opens with the scalar derived again from device secret and nonce', () => {
    const again = blindKeywords([keyword('E11.9'), keyword('I10')], auditableRandom(secret, nonce));
    again.inputs.slice(0, 2).forEach(({ blind }, index) => {
      const opened = index === 0 ? keyword('E11.9') : keyword('I10');
      expect(verifyAuditOpening(entry, batch.elements, { keyword: opened, blind, index })).toBe(true);
      expect(auditOpening(secret, nonce, opened, index)).toEqual({ keyword: opened, blind, index });
    });
  });

  test('does not open to another keyword, place, scalar or entry', () => {
    const { blind } = batch.inputs[0];
    const good = { keyword: keyword('E11.9'), blind, index: 0 };
    expect(verifyAuditOpening(entry, batch.elements, { ...good, keyword: keyword('E11.8') })).toBe(false);
    expect(verifyAuditOpening(entry, batch.elements, { ...good, index: 1 })).toBe(false);
    expect(verifyAuditOpening(entry, batch.elements, { ...good, index: 2 })).toBe(false);
    expect(verifyAuditOpening(entry, batch.elements, { ...good, blind: batch.inputs[1].blind })).toBe(false);
    expect(verifyAuditOpening(entry, batch.elements, { ...good, blind: new Uint8Array(32) })).toBe(false);
    expect(verifyAuditOpening(hashBlinded([batch.elements[0]]), batch.elements, good)).toBe(false);
    const other = blindKeywords([keyword('E11.9')], auditableRandom(secret, utf8('another nonce')));
    expect(equalBytes(other.elements[0], batch.elements[0])).toBe(false);
  });

  test('blinded elements of one keyword are unlinkable points of the group', () => {
    const points = ['x', 'y'].map(
      (seed) => blindKeywords([keyword('E11.9')], seededRandom(seed)).elements[0],
    );
    expect(equalBytes(points[0], points[1])).toBe(false);
    for (const point of points) expect(ristretto255.Point.fromBytes(point).toBytes()).toEqual(point);
  });
});
