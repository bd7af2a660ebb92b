/** One operation on a secret: how it is described, and how its secrets are drawn. */
import { randomBytes } from 'node:crypto';
import { reduceWide, scalarToBytes } from '../../src/abe/internal.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { type LeakTestResult, leakTest } from './leak-test.ts';

export type Claim = 'constant' | 'varies' | 'control';

export interface SecretOperation {
  readonly op: string;
  readonly claim: Claim;
  readonly why: string;
  readonly measure: (budgetMs: number) => Promise<LeakTestResult>;
}

interface Described<T> {
  readonly op: string;
  readonly claim: Claim;
  readonly why: string;
  /** The secret, in the form that `run` takes, from 64 uniform bytes. */
  readonly make: (seed: Uint8Array) => T | Promise<T>;
  /** The fixed secret, where another than a random one shows more. */
  readonly fixed?: () => T;
  readonly run: (secret: T) => unknown;
}

/** `n` uniform bytes. */
export const draw = (n: number): Uint8Array => new Uint8Array(randomBytes(n));
/** Uniform bytes that depend on `seed` alone. */
export function seededFrom(seed: Uint8Array): (n: number) => Uint8Array {
  let count = 0;
  return (n) => {
    const out = new Uint8Array(n);
    for (let at = 0; at < n; at += 32) out.set(sha256(seed, Uint8Array.of(count++)).subarray(0, n - at), at);
    return out;
  };
}

/** One operation, ready to be measured. */
export function operation<T>({ op, claim, why, make, fixed, run }: Described<T>): SecretOperation {
  const seed = draw(64);
  return {
    op,
    claim,
    why,
    measure: (budgetMs) =>
      leakTest({
        fixed: () => (fixed === undefined ? make(seed) : fixed()),
        random: () => make(draw(64)),
        run,
        budgetMs,
      }),
  };
}

/** A uniform scalar from 64 bytes. */
export const scalar = (seed: Uint8Array): Uint8Array => scalarToBytes(reduceWide(seed));
/** The scalar that shows most: almost all of its windows are alike, and a multiplication that skips has nothing to do. */
export const one = (): Uint8Array => scalarToBytes(1n);
