/**
 * The sharing matrix itself, without the scheme: for every policy tree up to isomorphism, a set of rows spans the
 * target (1, 0, ..., 0) exactly when its leaves satisfy the policy. This is what a broken AND fails at once
 * (CIRCL's tkn20 gave one child the whole secret for years, hidden by its local satisfaction check).
 *
 * Trees have up to 8 leaves and canonical nodes (and, or, k of n with 1 < k < n): 3,925 trees, all subsets of rows,
 * arithmetic mod r. Two leaves made equal do not change the matrix (checked for each pair in each tree, 81,592 of them
 * at 8 leaves), so the sets of rows that a holder of the doubled attribute can combine are among those already tried.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allOf,
  anyOf,
  atLeast,
  type CompiledPolicy,
  compilePolicy,
  GROUP_ORDER,
  hasAttribute,
  makeRegistry,
  type Policy,
  reconstruct,
} from '../../../src/abe/policy/index.ts';
import { combination } from './fixtures.ts';

const LEAVES_MAX = 8;

const registry = makeRegistry([{ label: 'a', type: 'text', shared: true }]);

type Tree =
  | { readonly kind: 'leaf' }
  | { readonly kind: 'and' | 'or' | 'of'; readonly k: number; readonly of: readonly Tree[] };

const byLeaves = new Map<number, readonly Tree[]>([[1, [{ kind: 'leaf' }]]]);

/** All canonical trees with `n` leaves, each isomorphism class once. */
function treesWith(n: number): readonly Tree[] {
  const known = byLeaves.get(n);
  if (known !== undefined) return known;
  const trees: Tree[] = [];
  for (const kind of ['and', 'or', 'of'] as const) {
    for (const of of multisets(n, kind, n - 1)) {
      if (kind === 'and') trees.push({ kind, k: of.length, of });
      if (kind === 'or') trees.push({ kind, k: 1, of });
      if (kind === 'of') for (let k = 2; k < of.length; k++) trees.push({ kind, k, of });
    }
  }
  byLeaves.set(n, trees);
  return trees;
}

/** The multisets of trees with `n` leaves together, at most `largest` each, fit to stand under `kind`. */
function multisets(n: number, kind: Tree['kind'], largest: number): Tree[][] {
  const found: Tree[][] = [];
  const extend = (left: number, size: number, from: number, chosen: Tree[]): void => {
    if (left === 0) found.push(chosen);
    for (let s = Math.min(size, left); s >= 1; s--) {
      const trees = treesWith(s);
      for (let i = s === size ? from : 0; i < trees.length; i++) {
        const isFlattened = trees[i].kind === kind && kind !== 'of';
        if (!isFlattened) extend(left - s, s, i, [...chosen, trees[i]]);
      }
    }
  };
  extend(n, largest, 0, []);
  return found;
}

function policyOf(tree: Tree, names: readonly string[]): Policy {
  let next = 0;
  const build = (node: Tree): Policy => {
    if (node.kind === 'leaf') return hasAttribute('', 'a', names[next++]);
    const of = node.of.map(build);
    return node.kind === 'and' ? allOf(of) : node.kind === 'or' ? anyOf(of) : atLeast(node.k, of);
  };
  return build(tree);
}

/** For each set of leaves (bit i is leaf i), whether it satisfies `tree`: counted here, not by our code. */
function authorised(tree: Tree, leaves: number): Uint8Array {
  const verdicts = new Uint8Array(1 << leaves);
  for (let set = 0; set < verdicts.length; set++) {
    let next = 0;
    const holds = (node: Tree): boolean => {
      if (node.kind === 'leaf') return ((set >> next++) & 1) === 1;
      // Every member is visited, so that `next` counts all leaves.
      return node.of.map(holds).filter(Boolean).length >= node.k;
    };
    verdicts[set] = holds(tree) ? 1 : 0;
  }
  return verdicts;
}

interface Pivoted {
  readonly pivot: number;
  readonly vector: readonly bigint[];
}

/** `vector` without its part along `by`: scaled, so that no inverse is needed. */
function eliminate(vector: readonly bigint[], by: Pivoted): readonly bigint[] {
  const factor = vector[by.pivot];
  if (factor === 0n) return vector;
  const scale = by.vector[by.pivot];
  return vector.map((value, i) => (value * scale - factor * by.vector[i]) % GROUP_ORDER);
}

/** For each set of rows, whether the target is in its span. */
function spanning(compiled: CompiledPolicy): Uint8Array {
  const n = compiled.rows.length;
  const dense = compiled.rows.map(({ entries }) => {
    const vector = new Array<bigint>(compiled.columns).fill(0n);
    for (const { column, value } of entries) vector[column] = value;
    return vector;
  });
  const verdicts = new Uint8Array(1 << n);
  const visit = (row: number, set: number, basis: readonly Pivoted[], target: readonly bigint[]): void => {
    if (row === n) {
      verdicts[set] = target.every((value) => value === 0n) ? 1 : 0;
      return;
    }
    visit(row + 1, set, basis, target);
    const vector = basis.reduce(eliminate, dense[row] as readonly bigint[]);
    const pivot = vector.findIndex((value) => value !== 0n);
    if (pivot < 0) visit(row + 1, set | (1 << row), basis, target);
    else {
      const added = { pivot, vector };
      visit(row + 1, set | (1 << row), [...basis, added], eliminate(target, added));
    }
  };
  const target = Array.from({ length: compiled.columns }, (_, i) => (i === 0 ? 1n : 0n));
  visit(0, 0, [], target);
  return verdicts;
}

/** A tree with `leaves` leaves, shaped by `choices`, which it uses up. */
function randomTree(leaves: number, choices: number[]): Tree {
  if (leaves === 1) return { kind: 'leaf' };
  const choose = (n: number): number => (choices.pop() ?? 0) % n;
  const of: Tree[] = [];
  for (let left = leaves; left > 0; ) {
    const size = 1 + choose(Math.min(left, leaves - 1));
    of.push(randomTree(size, choices));
    left -= size;
  }
  const k = 1 + choose(of.length);
  return { kind: k === 1 ? 'or' : k === of.length ? 'and' : 'of', k, of };
}

const NAMES = Array.from({ length: 10 }, (_, i) => `v${i}`);
const sizes = Array.from({ length: LEAVES_MAX }, (_, i) => i + 1);

describe('a set of rows spans the target iff its leaves satisfy the policy', () => {
  test('the enumeration is complete', () => {
    expect(sizes.map((n) => treesWith(n).length)).toEqual([1, 2, 5, 16, 53, 196, 738, 2914]);
  });

  test.each(sizes)('every tree with %i leaves, every subset of rows', (n) => {
    for (const tree of treesWith(n)) {
      const compiled = compilePolicy(policyOf(tree, NAMES), registry, {});
      expect(compiled.rows).toHaveLength(n);
      expect(compiled.tau).toBe(1);
      expect(spanning(compiled)).toEqual(authorised(tree, n));
    }
  });

  test('200 random trees with 9 and 10 leaves, every subset of rows', () => {
    const shapes = fc.sample(fc.array(fc.nat(9999), { minLength: 40, maxLength: 40 }), {
      seed: 1,
      numRuns: 200,
    });
    shapes.forEach((choices, at) => {
      const n = 9 + (at % 2);
      const tree = randomTree(n, [...choices]);
      const compiled = compilePolicy(policyOf(tree, NAMES), registry, {});
      expect(spanning(compiled)).toEqual(authorised(tree, n));
    });
  });

  test.each(sizes.slice(0, 6))('reconstruct finds exactly those sets, %i leaves', (n) => {
    for (const tree of treesWith(n)) {
      const compiled = compilePolicy(policyOf(tree, NAMES), registry, {});
      authorised(tree, n).forEach((expected, set) => {
        const held = new Set(compiled.rows.filter((_, i) => (set >> i) & 1).map((row) => row.leafHex));
        const use = reconstruct(compiled, held);
        expect(use !== undefined).toBe(expected === 1);
        if (use === undefined) return;
        expect(combination(compiled, use.rows, GROUP_ORDER)).toEqual({ 0: 1n });
        expect(use.rows.every(({ index }) => (set >> index) & 1)).toBe(true);
      });
    }
  });

  test.each(sizes.slice(1))('two equal leaves change rho and nothing else, %i leaves', (n) => {
    const wrong: string[] = [];
    for (const tree of treesWith(n)) {
      const distinct = compilePolicy(policyOf(tree, NAMES), registry, {});
      for (let i = 0; i < n; i++) {
        for (let j = i + 1; j < n; j++) {
          const compiled = compilePolicy(policyOf(tree, NAMES.with(j, NAMES[i])), registry, {});
          const rhos = compiled.rows.every(({ rho }, at) => rho === (at === j ? 2 : 1));
          const isRight = rhos && compiled.tau === 2 && isSameMatrix(compiled, distinct);
          if (!isRight) wrong.push(`${JSON.stringify(tree)} with ${i} = ${j}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});

const isSameMatrix = (a: CompiledPolicy, b: CompiledPolicy): boolean =>
  a.columns === b.columns &&
  a.rows.every(({ entries }, row) =>
    entries.every(({ column, value }, i) => {
      const other = b.rows[row].entries[i];
      return (
        other?.column === column && other.value === value && entries.length === b.rows[row].entries.length
      );
    }),
  );

describe('what the matrix looks like', () => {
  const compile = (policy: Policy) => compilePolicy(policy, registry, {});
  const leaf = (i: number) => hasAttribute('', 'a', `v${i}`);
  const leaves = (n: number) => Array.from({ length: n }, (_, i) => leaf(i));

  test('AND and OR have entries 1 and -1 and coefficients 1', () => {
    const compiled = compile(allOf([anyOf([leaf(0), leaf(1)]), leaf(2), allOf([leaf(3), leaf(4)])]));
    for (const { entries } of compiled.rows) {
      for (const { value } of entries) expect([1n, -1n]).toContain(value);
    }
    const held = new Set(compiled.rows.map((row) => row.leafHex));
    expect(reconstruct(compiled, held)?.rows).toEqual(
      [0, 2, 3, 4].map((index) => ({ index, coefficient: 1n })),
    );
  });

  test('2 of 3 is Shamir over the points 1, 2, 3', () => {
    const compiled = compile(atLeast(2, leaves(3)));
    expect(compiled.columns).toBe(2);
    expect(compiled.rows.map((row) => row.entries.map(({ value }) => value))).toEqual([
      [1n, 1n],
      [1n, 2n],
      [1n, 3n],
    ]);
    const held = new Set(compiled.rows.slice(0, 2).map((row) => row.leafHex));
    expect(reconstruct(compiled, held)?.rows).toEqual([
      { index: 0, coefficient: 2n },
      { index: 1, coefficient: -1n },
    ]);
  });

  test('the cheapest way is taken: few rows, then coefficient 1, then no repeated leaf, then the first', () => {
    const rows = (policy: Policy) => {
      const compiled = compile(policy);
      const held = new Set(compiled.rows.map((row) => row.leafHex));
      return reconstruct(compiled, held)?.rows.map(({ index }) => index);
    };
    expect(rows(anyOf([allOf([leaf(0), leaf(1)]), leaf(2)]))).toEqual([2]);
    expect(rows(anyOf([atLeast(2, leaves(3)), allOf([leaf(3), leaf(4)])]))).toEqual([3, 4]);
    expect(rows(allOf([leaf(0), anyOf([leaf(0), leaf(1)])]))).toEqual([0, 2]);
    expect(rows(anyOf([leaf(0), leaf(1)]))).toEqual([0]);
  });

  test('every leaf repeated 256 times has its own rho', () => {
    const compiled = compile(allOf(Array.from({ length: 256 }, () => leaf(0))));
    expect(compiled.tau).toBe(256);
    expect(compiled.rows.map((row) => row.rho)).toEqual(compiled.rows.map((_, i) => i + 1));
  });
});
