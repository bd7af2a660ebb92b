/** Is a polynomial a linear combination of others? Peeling first, then sparse elimination mod the group order. */
import { GROUP_ORDER } from '../../../src/abe/policy/index.ts';
import { invert, type Monomial, type Polynomial, scale } from './polynomial.ts';

/** Whether `target` lies in the linear span of `vectors`. */
export function isInSpan(target: Polynomial, vectors: readonly Polynomial[]): boolean {
  const useful = connected(target, peel(target, vectors));
  const pivots = new Map<Monomial, Polynomial>();
  for (const vector of useful) {
    const rest = reduce(vector, pivots);
    if (rest.size > 0) pivots.set(largest(rest), monic(rest));
  }
  return reduce(target, pivots).size === 0;
}

/**
 * Leaves out, again and again, every vector with a monomial that neither the target nor another vector has: its
 * coefficient must be 0.
 */
function peel(target: Polynomial, vectors: readonly Polynomial[]): readonly Polynomial[] {
  // For each monomial, how many vectors have it and the XOR of their indices: with one left, the XOR names it.
  const count = new Map<Monomial, number>();
  const names = new Map<Monomial, number>();
  const change = (monomial: Monomial, index: number, by: number): number => {
    const left = (count.get(monomial) ?? 0) + by;
    count.set(monomial, left);
    names.set(monomial, (names.get(monomial) ?? 0) ^ index);
    return left;
  };
  vectors.forEach((vector, i) => {
    for (const monomial of vector.keys()) change(monomial, i, 1);
  });
  const removed = new Uint8Array(vectors.length);
  const queue = [...count.keys()].filter((monomial) => count.get(monomial) === 1);
  for (let monomial = queue.pop(); monomial !== undefined; monomial = queue.pop()) {
    if (count.get(monomial) !== 1 || target.has(monomial)) continue;
    const lonely = names.get(monomial) ?? 0;
    removed[lonely] = 1;
    for (const other of vectors[lonely].keys()) if (change(other, lonely, -1) === 1) queue.push(other);
  }
  return vectors.filter((_, i) => removed[i] === 0);
}

/** The vectors that share monomials with the target, or with such a vector. */
function connected(target: Polynomial, vectors: readonly Polynomial[]): readonly Polynomial[] {
  const users = new Map<Monomial, number[]>();
  vectors.forEach((vector, i) => {
    for (const monomial of vector.keys()) {
      const list = users.get(monomial);
      if (list === undefined) users.set(monomial, [i]);
      else list.push(i);
    }
  });
  const reached = new Set<number>();
  const seen = new Set<Monomial>();
  const queue = [...target.keys()];
  for (let monomial = queue.pop(); monomial !== undefined; monomial = queue.pop()) {
    if (seen.has(monomial)) continue;
    seen.add(monomial);
    for (const i of users.get(monomial) ?? []) {
      if (reached.has(i)) continue;
      reached.add(i);
      queue.push(...vectors[i].keys());
    }
  }
  return vectors.filter((_, i) => reached.has(i));
}

function largest(polynomial: Polynomial): Monomial {
  let most = -1;
  for (const monomial of polynomial.keys()) if (monomial > most) most = monomial;
  return most;
}

/** `polynomial` with 1 at its largest monomial. */
function monic(polynomial: Polynomial): Polynomial {
  const leading = polynomial.get(largest(polynomial)) ?? 1n;
  return leading === 1n ? polynomial : scale(polynomial, invert(leading));
}

/** `vector` minus multiples of the pivots, largest monomial first, until none applies to its largest. */
function reduce(vector: Polynomial, pivots: ReadonlyMap<Monomial, Polynomial>): Polynomial {
  const rest = new Map(vector);
  while (rest.size > 0) {
    const monomial = largest(rest);
    const pivot = pivots.get(monomial);
    if (pivot === undefined) return rest;
    const factor = rest.get(monomial) ?? 0n;
    for (const [other, value] of pivot) {
      const left = ((rest.get(other) ?? 0n) - factor * value) % GROUP_ORDER;
      if (left === 0n) rest.delete(other);
      else rest.set(other, left < 0n ? left + GROUP_ORDER : left);
    }
  }
  return rest;
}
