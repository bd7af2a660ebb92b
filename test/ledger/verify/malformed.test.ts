/** Decoders of everything a stranger may hand over: they answer, or refuse with a code, and throw nothing else. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/codec/bytes.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import { CodedError } from '../../../src/codec/errors.ts';
import { cosignatureOf, type ValidatorSet } from '../../../src/ledger/checkpoint/index.ts';
import { Frontier } from '../../../src/ledger/log/index.ts';
import { decodeStateProof, verifyStateProof } from '../../../src/ledger/state-tree/index.ts';
import {
  decodeLine,
  decodeReceipt,
  epochLinkFromJson,
  PBFT_LITE,
  parseCheckpoint,
  receiptFromJson,
  type TrustAnchor,
  verifyInclusion,
  verifyReceipt,
} from '../../../src/ledger/verify/index.ts';

const set: ValidatorSet = {
  epoch: 0,
  validators: [1, 2, 3, 4].map((i) => ({ member: `m${i}`, key: new Uint8Array(32).fill(i) })),
};
const anchor: TrustAnchor = {
  chainId: 'demo',
  genesisEntry: new Uint8Array(32),
  periods: [{ ...set, from: 0 }],
};

/** Whatever happens is an answer or one of our codes. */
function answers(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CodedError);
  }
}

const bytes = fc.uint8Array({ maxLength: 400 });
const text = fc.oneof(fc.string({ maxLength: 200 }), fc.string({ unit: 'binary', maxLength: 200 }));
const json = fc.jsonValue({ maxDepth: 4 });
/** dag-cbor of arbitrary plain values, so that decoders get past the first byte. */
const cbor = fc
  .dictionary(
    fc.constantFrom('v', 'entry', 'index', 'proof', 'checkpoint', 'nodes', 'more'),
    fc.oneof(fc.integer(), text, bytes, fc.array(bytes, { maxLength: 3 }), fc.constant(null)),
  )
  .map((value) => new Uint8Array(encodeCbor(value)));
const many = { numRuns: 2000 };

describe('arbitrary input', () => {
  test('as a receipt', () => {
    fc.assert(
      fc.property(fc.oneof(bytes, cbor), (input) => {
        answers(() => decodeReceipt(input));
        expect(verifyReceipt(input, anchor).ok).toBe(false);
      }),
      many,
    );
    fc.assert(
      fc.property(json, (input) => answers(() => receiptFromJson(input))),
      many,
    );
  });

  test('as a checkpoint, a cosignature, an export line or a link', () => {
    const lines = fc.array(text, { maxLength: 10 }).map((parts) => `${parts.join('\n')}\n\n— a AAAAAAA=\n`);
    fc.assert(
      fc.property(fc.oneof(text, lines), json, (input, value) => {
        answers(() => parseCheckpoint(input));
        expect(cosignatureOf(input, 'body\n', 'hippocrypt/demo', set)).toBeUndefined();
        expect(decodeLine(input).kind).toBe('damaged');
        expect(['damaged', 'genesis']).toContain(decodeLine(JSON.stringify(value)).kind);
        answers(() => epochLinkFromJson(value));
      }),
      many,
    );
  });

  test('as proofs, frontiers, headers and certificates', () => {
    fc.assert(
      fc.property(
        fc.oneof(bytes, cbor),
        fc.array(bytes, { maxLength: 4 }),
        fc.double(),
        (input, list, number) => {
          answers(() => decodeStateProof(input));
          answers(() => Frontier.decode(input));
          answers(() => PBFT_LITE.readHeader(input));
          expect(PBFT_LITE.verifyQc(input, list[0] ?? input, set)).toBeDefined();
          expect(verifyStateProof(new Uint8Array(32), utf8('key'), undefined, list)).toBe(false);
          expect(verifyInclusion(input, number, 7, list, new Uint8Array(32))).toBe(false);
        },
      ),
      many,
    );
  });
});
