/**
 * Polynomials over the scalar field in named variables: what an adversary in the generic group model knows of an
 * element is its exponent, written so. Degree 3 at most: G1 elements have degree 2, G2 elements 1.
 */
import { GROUP_ORDER } from '../../../src/abe/policy/index.ts';

/** A product of up to three variables, their ids packed in descending order, 12 bits each; 0 is the constant 1. */
export type Monomial = number;
export type Polynomial = ReadonlyMap<Monomial, bigint>;

/** Ids are below this. */
const SPAN = 2 ** 12;

/** Gives every name its id. */
export class Variables {
  private readonly ids = new Map<string, number>();

  /** The variable `name` as a polynomial. */
  of(name: string): Polynomial {
    let id = this.ids.get(name);
    if (id === undefined) {
      id = this.ids.size + 1;
      if (id >= SPAN) throw new RangeError('too many variables');
      this.ids.set(name, id);
    }
    return new Map([[id, 1n]]);
  }
}

const modulo = (value: bigint): bigint => {
  const rest = value % GROUP_ORDER;
  return rest < 0n ? rest + GROUP_ORDER : rest;
};

export const constant = (value: bigint): Polynomial =>
  new Map(modulo(value) === 0n ? [] : [[0, modulo(value)]]);
export const ONE = constant(1n);

const SPAN_2 = SPAN ** 2;

/** The product of `a` (degree 2 or less) and `b` (degree 1 or less), or the other way round. */
function multiplyMonomials(a: Monomial, b: Monomial): Monomial {
  if (a === 0) return b;
  if (b === 0) return a;
  if (a < b) return multiplyMonomials(b, a);
  if (b >= SPAN || a >= SPAN_2) throw new RangeError('degree over 3');
  if (a < SPAN) return a * SPAN + b;
  const high = Math.floor(a / SPAN);
  const low = a % SPAN;
  if (b <= low) return a * SPAN + b;
  return b <= high ? (high * SPAN + b) * SPAN + low : (b * SPAN + high) * SPAN + low;
}

function addTo(sum: Map<Monomial, bigint>, monomial: Monomial, value: bigint): void {
  const before = sum.get(monomial);
  const total = modulo(before === undefined ? value : before + value);
  if (total === 0n) sum.delete(monomial);
  else sum.set(monomial, total);
}

export function add(...terms: readonly Polynomial[]): Polynomial {
  const sum = new Map<Monomial, bigint>();
  for (const term of terms) for (const [monomial, value] of term) addTo(sum, monomial, value);
  return sum;
}

export function scale(polynomial: Polynomial, by: bigint): Polynomial {
  const scaled = new Map<Monomial, bigint>();
  for (const [monomial, value] of polynomial) addTo(scaled, monomial, value * by);
  return scaled;
}

export function multiply(a: Polynomial, b: Polynomial): Polynomial {
  const product = new Map<Monomial, bigint>();
  // Most elements are one variable: then no two monomials meet.
  if (b.size === 1) {
    for (const [n, y] of b) {
      for (const [m, x] of a) product.set(multiplyMonomials(m, n), y === 1n ? x : modulo(x * y));
    }
    return product;
  }
  for (const [m, x] of a) for (const [n, y] of b) addTo(product, multiplyMonomials(m, n), x * y);
  return product;
}

/** 1 / value mod the group order, by the extended Euclidean algorithm. */
export function invert(value: bigint): bigint {
  let [a, b] = [modulo(value), GROUP_ORDER];
  let [x, y] = [1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b] = [b - quotient * a, a];
    [x, y] = [y - quotient * x, x];
  }
  return modulo(x);
}
