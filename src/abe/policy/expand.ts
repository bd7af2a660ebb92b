/**
 * From the tree to a monotone formula over leaves: negation is pushed down (not k-of-n is (n-k+1)-of-n of the
 * negations), ranges become an OR over the cover of the prefix tree, sets an OR, levels one leaf. The order of
 * leaves is the order of the conditions in the canonical tree, within a condition ascending or as written.
 */
import { toHex } from '../../codec/bytes.ts';
import {
  type Condition,
  canonicalPolicy,
  isCondition,
  type Policy,
  positionOf,
  tooManyLeaves,
} from './ast.ts';
import { attributeLeaf, levelLeaf, notEqualLeaf, valuePathLeaf } from './leaf.ts';
import { LEVEL_WIDTH, POLICY_LEAVES_MAX } from './limits.ts';
import { meaningOf } from './meaning.ts';
import { coverOf } from './prefix-tree.ts';
import type { Registry } from './registry.ts';

/** A monotone formula: `k` of the members, or a leaf's bytes (and their hexadecimal, the key of sets). */
export type Formula =
  | { readonly kind: 'leaf'; readonly leaf: Uint8Array; readonly hex: string }
  | { readonly kind: 'gate'; readonly k: number; readonly of: readonly Formula[] };

/** The formula that is one leaf. */
export function leafFormula(leaf: Uint8Array): Formula {
  return { kind: 'leaf', leaf, hex: toHex(leaf) };
}

/** `k` of `of`; a single member stands for itself. */
export function gateFormula(k: number, of: readonly Formula[]): Formula {
  return of.length === 1 ? of[0] : { kind: 'gate', k, of };
}

/** Leaves of `formula`. */
export function countLeaves(formula: Formula): number {
  if (formula.kind === 'leaf') return 1;
  let count = 0;
  for (const child of formula.of) count += countLeaves(child);
  return count;
}

/**
 * The formula of `policy`, at most `POLICY_LEAVES_MAX` leaves. Throws `policy.too_many_leaves`, what
 * `canonicalPolicy` throws and what `meaningOf` throws.
 */
export function expandPolicy(policy: Policy, registry: Registry): Formula {
  return expand(canonicalPolicy(policy), { registry, leaves: 0 }, false);
}

/** What one expansion carries along: `leaves` counts those made, so that a huge policy stops early. */
interface Expansion {
  readonly registry: Registry;
  leaves: number;
}

/** Leaves of `policy` after expansion, gate and emergency not counted; throws like `expandPolicy`. */
export function policyLeafCount(policy: Policy, registry: Registry): number {
  return countLeaves(expandPolicy(policy, registry));
}

/**
 * Checks `policy` against `registry` (every label known, every relation meaningful, every number within its
 * width, the cost within bounds); throws like `expandPolicy`, with line and column where the policy was parsed.
 */
export function checkPolicy(policy: Policy, registry: Registry): void {
  expandPolicy(policy, registry);
}

function expand(policy: Policy, expansion: Expansion, negated: boolean): Formula {
  if (isCondition(policy)) {
    const leaves = leavesOf(policy, expansion.registry, negated);
    expansion.leaves += leaves.count;
    if (expansion.leaves > POLICY_LEAVES_MAX) throw tooManyLeaves(positionOf(policy));
    return leaves.make();
  }
  if (policy.kind === 'not') return expand(policy.of, expansion, !negated);
  const n = policy.of.length;
  const k = policy.kind === 'and' ? n : policy.kind === 'or' ? 1 : policy.k;
  return gateFormula(
    negated ? n - k + 1 : k,
    policy.of.map((child) => expand(child, expansion, negated)),
  );
}

/** How many leaves a condition has, and the formula over them, made only if they are wanted. */
function leavesOf(
  condition: Condition,
  registry: Registry,
  negated: boolean,
): { count: number; make: () => Formula } {
  const { issuer, label } = condition;
  const meaning = meaningOf(condition, registry, negated);
  switch (meaning.kind) {
    case 'text': {
      const { values } = meaning;
      const leaf = meaning.negated ? notEqualLeaf : attributeLeaf;
      const k = meaning.negated ? values.length : 1;
      const make = () =>
        gateFormula(
          k,
          values.map((value) => leafFormula(leaf(issuer, label, value))),
        );
      return { count: values.length, make };
    }
    case 'level':
      return { count: 1, make: () => leafFormula(levelLeaf(issuer, label, LEVEL_WIDTH, meaning.atLeast)) };
    case 'number': {
      const { type, width } = meaning;
      const nodes = meaning.intervals.flatMap((interval) => coverOf(width, interval));
      const make = () =>
        gateFormula(
          1,
          nodes.map((node) => leafFormula(valuePathLeaf(issuer, label, type, width, node))),
        );
      return { count: nodes.length, make };
    }
  }
}
