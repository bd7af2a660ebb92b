/**
 * The policy tree and its canonical form. Text, bytes, the ledger's verdict and the sharing matrix all come
 * from this one tree.
 *
 * Canonical means: no `and` directly under `and`, no `or` under `or`, no `not` under `not`, every list has at
 * least two members, and `1 of` and `n of n` are written as `or` and `and`. Order is the writer's: it is never
 * changed, because rows of a header follow it.
 */
import { utf8 } from '../../codec/bytes.ts';
import { DAY_MAX, DAY_MIN } from './date.ts';
import { POLICY_ERRORS, type Position, policyError } from './errors.ts';
import { POLICY_DEPTH_MAX, POLICY_LEAVES_MAX } from './limits.ts';
import { issuerProblem, labelProblem, textProblem } from './text.ts';

export type Relation = '=' | '!=' | '<' | '<=' | '>' | '>=';

/** A written value. Integers are safe integers; a date is days since 1970-01-01. */
export type Literal =
  | { readonly type: 'text'; readonly value: string }
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'date'; readonly value: number };

/** `issuer` is '' for shared labels. */
export interface Compare {
  readonly kind: 'compare';
  readonly issuer: string;
  readonly label: string;
  readonly relation: Relation;
  readonly literal: Literal;
}

/** `label in [low, high]`, both ends included. */
export interface Range {
  readonly kind: 'range';
  readonly issuer: string;
  readonly label: string;
  readonly low: Literal;
  readonly high: Literal;
}

/** `label in {a, b, ...}`: distinct literals of one type. */
export interface OneOf {
  readonly kind: 'set';
  readonly issuer: string;
  readonly label: string;
  readonly members: readonly Literal[];
}

/** A leaf of the tree: a condition on one label of one issuer. */
export type Condition = Compare | Range | OneOf;

export type Policy =
  | { readonly kind: 'and'; readonly of: readonly Policy[] }
  | { readonly kind: 'or'; readonly of: readonly Policy[] }
  | { readonly kind: 'threshold'; readonly k: number; readonly of: readonly Policy[] }
  | { readonly kind: 'not'; readonly of: Policy }
  | Condition;

/** True for the nodes that speak of a label. */
export function isCondition(policy: Policy): policy is Condition {
  return policy.kind === 'compare' || policy.kind === 'range' || policy.kind === 'set';
}

/** The conditions of `policy` from left to right. */
export function* conditionsOf(policy: Policy): Generator<Condition> {
  if (isCondition(policy)) yield policy;
  else if (policy.kind === 'not') yield* conditionsOf(policy.of);
  else for (const child of policy.of) yield* conditionsOf(child);
}

// Where each condition of a parsed policy stood. Beside the tree, not in it: a position is not part of what
// is signed, and equal policies stay equal.
const positions = new WeakMap<Policy, Position>();

/** Remembers where `policy` was written. */
export function placeAt<P extends Policy>(policy: P, position: Position): P {
  positions.set(policy, position);
  return policy;
}

/** Where `policy` was written, for nodes that the parser made. */
export function positionOf(policy: Policy): Position | undefined {
  return positions.get(policy);
}

const splice = (kind: 'and' | 'or', of: readonly Policy[]): Policy[] =>
  of.flatMap((child) => (child.kind === kind ? child.of : [child]));

/** Conjunction in canonical form; throws `policy.malformed` when empty. */
export function allOf(of: readonly Policy[]): Policy {
  if (of.length === 0) throw policyError(POLICY_ERRORS.malformed, 'expected at least one member of and');
  return of.length === 1 ? of[0] : { kind: 'and', of: splice('and', of) };
}

/** Disjunction in canonical form; throws `policy.malformed` when empty. */
export function anyOf(of: readonly Policy[]): Policy {
  if (of.length === 0) throw policyError(POLICY_ERRORS.malformed, 'expected at least one member of or');
  return of.length === 1 ? of[0] : { kind: 'or', of: splice('or', of) };
}

/** `k of (...)` in canonical form; throws `policy.malformed` unless 1 <= k <= n. */
export function atLeast(k: number, of: readonly Policy[]): Policy {
  if (!Number.isInteger(k) || k < 1 || k > of.length) {
    throw policyError(POLICY_ERRORS.malformed, `expected 1 <= k <= ${of.length} in k of (...), got ${k}`);
  }
  if (k === 1) return anyOf(of);
  return k === of.length ? allOf(of) : { kind: 'threshold', k, of };
}

/** Negation in canonical form. */
export function negate(of: Policy): Policy {
  return of.kind === 'not' ? of.of : { kind: 'not', of };
}

/** `issuer/label:value` on text; `issuer` is '' for a shared label. */
export function hasAttribute(issuer: string, label: string, value: string): Policy {
  return { kind: 'compare', issuer, label, relation: '=', literal: { type: 'text', value } };
}

/** What is wrong with one condition taken by itself, or undefined. */
export function conditionProblem(condition: Condition): string | undefined {
  return (
    issuerProblem(condition.issuer) ??
    labelProblem(condition.label) ??
    literalsOf(condition)
      .map(literalProblem)
      .find((problem) => problem !== undefined) ??
    shapeProblem(condition)
  );
}

function literalsOf(condition: Condition): readonly Literal[] {
  if (condition.kind === 'compare') return [condition.literal];
  return condition.kind === 'range' ? [condition.low, condition.high] : condition.members;
}

function literalProblem(literal: Literal): string | undefined {
  if (literal.type === 'text') return textProblem(literal.value);
  // -0 would encode like 0 and print like 0, yet differ from it.
  if (!Number.isSafeInteger(literal.value) || Object.is(literal.value, -0)) {
    return `an integer lies between ${Number.MIN_SAFE_INTEGER} and ${Number.MAX_SAFE_INTEGER}`;
  }
  if (literal.type === 'date' && (literal.value < DAY_MIN || literal.value > DAY_MAX)) {
    return 'a date lies between 0001-01-01 and 9999-12-31';
  }
  return undefined;
}

function shapeProblem(condition: Condition): string | undefined {
  switch (condition.kind) {
    case 'compare':
      if (condition.literal.type === 'text' && condition.relation !== '=' && condition.relation !== '!=') {
        return `text has no order: "${condition.relation}" takes an integer or a date`;
      }
      return undefined;
    case 'range': {
      const { low, high } = condition;
      if (low.type === 'text' || low.type !== high.type) return 'a range has two integers or two dates';
      return low.value > high.value ? 'a range begins with its smaller end' : undefined;
    }
    case 'set': {
      const [first] = condition.members;
      if (first === undefined) return 'a set has at least one member';
      if (condition.members.some((m) => m.type !== first.type)) return 'members of a set have one type';
      const distinct = new Set<string | number>(condition.members.map((m) => m.value));
      return distinct.size < condition.members.length ? 'a set names each member once' : undefined;
    }
  }
}

/**
 * `policy` in canonical form, its bounds and every node checked. Throws `policy.malformed`, `policy.too_deep`
 * or `policy.too_many_leaves`. Conditions are kept as they are, with their positions.
 */
export function canonicalPolicy(policy: Policy): Policy {
  const canonical = rebuild(policy, 0);
  if (depthOf(canonical) > POLICY_DEPTH_MAX) throw tooDeep();
  checkWrittenLeaves(canonical);
  return canonical;
}

export const tooDeep = (position?: Position): Error =>
  policyError(POLICY_ERRORS.tooDeep, `expected at most ${POLICY_DEPTH_MAX} levels`, position, {
    max: POLICY_DEPTH_MAX,
  });

function rebuild(policy: Policy, depth: number): Policy {
  // Flattening may save levels, at most half of them: the bound on what is walked is twice the final one.
  if (depth > 2 * POLICY_DEPTH_MAX) throw tooDeep();
  if (isCondition(policy)) {
    const problem = conditionProblem(policy);
    if (problem !== undefined) throw policyError(POLICY_ERRORS.malformed, problem, positionOf(policy));
    return policy;
  }
  if (policy.kind === 'not') return negate(rebuild(policy.of, depth + 1));
  const children = policy.of.map((child) => rebuild(child, depth + 1));
  if (policy.kind === 'and') return allOf(children);
  return policy.kind === 'or' ? anyOf(children) : atLeast(policy.k, children);
}

function depthOf(policy: Policy): number {
  if (isCondition(policy)) return 0;
  if (policy.kind === 'not') return 1 + depthOf(policy.of);
  let deepest = 0;
  for (const child of policy.of) deepest = Math.max(deepest, depthOf(child));
  return 1 + deepest;
}

/** A first bound without the registry: what is written. What ranges expand to is counted with it. */
function checkWrittenLeaves(policy: Policy): void {
  let leaves = 0;
  for (const condition of conditionsOf(policy)) {
    leaves += condition.kind === 'set' ? condition.members.length : 1;
    if (leaves > POLICY_LEAVES_MAX) throw tooManyLeaves(positionOf(condition));
  }
}

export const tooManyLeaves = (position?: Position): Error =>
  policyError(
    POLICY_ERRORS.tooManyLeaves,
    `expected at most ${POLICY_LEAVES_MAX} leaves: use fewer members, or ranges with rounder ends`,
    position,
    { max: POLICY_LEAVES_MAX },
  );

/** The labels that `policy` speaks of, each (issuer, label) once, in order of first use. */
export function policyLabels(policy: Policy): readonly { readonly issuer: string; readonly label: string }[] {
  const seen = new Map<string, { issuer: string; label: string }>();
  for (const { issuer, label } of conditionsOf(policy)) {
    const name = `${issuer}/${label}`;
    if (!seen.has(name)) seen.set(name, { issuer, label });
  }
  return [...seen.values()];
}

/** Throws `policy.too_large` when `text` has more than `max` bytes in UTF-8. */
export function checkTextSize(text: string, max: number): void {
  // A UTF-16 unit is at least one byte: a huge text is refused before it is encoded.
  const got = text.length > max ? text.length : utf8(text).length;
  if (got > max) {
    throw policyError(
      POLICY_ERRORS.tooLarge,
      `expected at most ${max} bytes of policy, got ${got}`,
      undefined,
      {
        max,
        got,
      },
    );
  }
}
