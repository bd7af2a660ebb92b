/**
 * Lagrange weights at 0 for the points 1..n, as whole numbers over one common denominator: for the quorums
 * of a few members they are tiny (1, 2, 3 give 3, -3, 1 over 1), which makes combining parts nearly free.
 */
import { requireArgument } from '../errors.ts';
import { invert, mod } from '../group/scalar.ts';

export interface LagrangeWeights {
  /** Weight of point i is numerators[i] / denominator. */
  readonly numerators: readonly bigint[];
  /** Positive. */
  readonly denominator: bigint;
}

const gcd = (a: bigint, b: bigint): bigint => (b === 0n ? a : gcd(b, a % b));

/** Weights that take values of a polynomial of degree below points.length at `points` to its value at 0. */
export function lagrangeAtZero(points: readonly number[]): LagrangeWeights {
  requireArgument(new Set(points).size === points.length, 'points are distinct');
  const fractions = points.map((x) => {
    let top = 1n;
    let bottom = 1n;
    for (const y of points) {
      if (y === x) continue;
      top *= BigInt(y);
      bottom *= BigInt(y) - BigInt(x);
    }
    const sign = bottom < 0n ? -1n : 1n;
    const common = gcd(top, bottom * sign);
    return { top: (sign * top) / common, bottom: (sign * bottom) / common };
  });
  const denominator = fractions.reduce((lcm, { bottom }) => (lcm / gcd(lcm, bottom)) * bottom, 1n);
  return {
    numerators: fractions.map(({ top, bottom }) => top * (denominator / bottom)),
    denominator,
  };
}

/** The weights as scalars modulo the group order. */
export function lagrangeScalars(points: readonly number[]): bigint[] {
  const { numerators, denominator } = lagrangeAtZero(points);
  const inverse = invert(denominator);
  return numerators.map((numerator) => mod(numerator * inverse));
}
