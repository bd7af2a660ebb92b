import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { evaluateOwn, loadOprf } from '../../src/node/work/oprf.ts';
import { deriveFieldKeyPair, evaluateDirect } from '../../src/search/index.ts';

describe("the indexer's fast evaluation", () => {
  beforeAll(loadOprf);

  it('gives the bytes of RFC 9497 as the reference computes them, for any keyword and key', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (keyword, seed) => {
          const { secretKey } = deriveFieldKeyPair(seed, 'mercy', 'condition', 0);
          expect(evaluateOwn(secretKey, keyword)).toEqual(evaluateDirect(secretKey, keyword));
        },
      ),
      { numRuns: 40 },
    );
  });
});
