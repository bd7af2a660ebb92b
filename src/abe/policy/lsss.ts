/**
 * The policy compiler: a policy to the sharing matrix M of FABEO (eprint 2022/1415), by recursive sharing.
 *
 * Symbols of the paper: row i of M is `rows[i].entries`, pi(i) is `rows[i].leaf`, rho(i) is `rows[i].rho`, tau is
 * `tau`. Column 0 belongs to the secret s, the others to v; a share is lambda_i = sum entries value * (s, v)[column].
 *
 * A node with the share w gives its members: OR, w each; AND of n, the telescope w + v1, -v1 + v2, ..., -v(n-1),
 * whose sum is w; k of n, the points 1..n of w + v1 x + ... + v(k-1) x^(k-1). So matrix entries of AND and OR are 1
 * and -1, and all their reconstruction coefficients are 1. Every node draws columns of its own: sharing the whole
 * secret to one side of an AND, or v between nodes, would open policies that are not satisfied.
 *
 * The compiler belongs to the suite: another matrix for the same policy is another suite.
 */
import { canonicalPolicy, conditionsOf, type Policy, positionOf } from './ast.ts';
import { POLICY_ERRORS, policyError } from './errors.ts';
import { expandPolicy, type Formula, gateFormula, leafFormula } from './expand.ts';
import { emergencyLeaf, epochLeaf, gateLeaf } from './leaf.ts';
import { GROUP_ORDER } from './limits.ts';
import type { Registry } from './registry.ts';
import { PSEUDONYM_LABELS } from './text.ts';

/** A record id (32 bytes) and its version. */
export interface RecordVersion {
  readonly recordId: Uint8Array;
  readonly version: number;
}

/**
 * What stands beside the policy in a header: (policy or Emergency) and Gate. `epoch` takes the place of the
 * gate in policies that are opened offline. None of the three compiles the policy alone.
 */
export interface CompileOptions {
  readonly gate?: RecordVersion;
  readonly emergency?: RecordVersion;
  readonly epoch?: number;
}

/** A nonzero entry of the matrix; `value` is small and signed, or in Shamir rows a power mod r. */
export interface Entry {
  readonly column: number;
  readonly value: bigint;
}

export interface Row {
  readonly leaf: Uint8Array;
  /** Lower-case hexadecimal of `leaf`: what sets of held leaves are keyed by. */
  readonly leafHex: string;
  /** Ascending columns. */
  readonly entries: readonly Entry[];
  /** How many rows up to and with this one carry the same leaf: from 1. */
  readonly rho: number;
}

/** What was shared: a row, or k of the members. */
export type ShareNode =
  | { readonly kind: 'row'; readonly index: number }
  | { readonly kind: 'gate'; readonly k: number; readonly of: readonly ShareNode[] };

export interface CompiledPolicy {
  readonly rows: readonly Row[];
  /** Columns of the matrix: s and every v. */
  readonly columns: number;
  /** Largest rho: how many s' a header has. */
  readonly tau: number;
  readonly tree: ShareNode;
}

/**
 * Compiles `policy` for a header. Throws what `checkPolicy` throws; `policy.offline` for `not` or `consent`
 * beside an epoch (an old generation would keep its not-equal leaves, and nobody would ask for consent); and
 * RangeError for an emergency without a gate, or a gate and an epoch together.
 */
export function compilePolicy(policy: Policy, registry: Registry, options: CompileOptions): CompiledPolicy {
  return shareFormula(headerFormula(policy, registry, options));
}

function headerFormula(policy: Policy, registry: Registry, options: CompileOptions): Formula {
  const { gate, emergency, epoch } = options;
  if (emergency !== undefined && gate === undefined) throw new RangeError('an emergency leaf needs a gate');
  if (epoch !== undefined && gate !== undefined)
    throw new RangeError('a policy has a gate or an epoch, not both');
  if (epoch !== undefined) checkOffline(policy);
  let formula = expandPolicy(policy, registry);
  if (emergency !== undefined) {
    formula = gateFormula(1, [formula, leafFormula(emergencyLeaf(emergency.recordId, emergency.version))]);
  }
  if (gate !== undefined) {
    formula = gateFormula(2, [formula, leafFormula(gateLeaf(gate.recordId, gate.version))]);
  }
  return epoch === undefined ? formula : gateFormula(2, [formula, leafFormula(epochLeaf(epoch))]);
}

/** Refuses a policy that must not be opened without a gate (`policy.offline`). */
export function checkOffline(policy: Policy): void {
  const canonical = canonicalPolicy(policy);
  for (const condition of conditionsOf(canonical)) {
    const isNotEqual = condition.kind === 'compare' && condition.relation === '!=';
    if (PSEUDONYM_LABELS.has(condition.label) || isNotEqual) {
      refuseOffline(isNotEqual ? '!=' : condition.label, condition);
    }
  }
  refuseNot(canonical);
}

function refuseNot(policy: Policy): void {
  if (policy.kind === 'not') refuseOffline('not', policy);
  if (policy.kind === 'and' || policy.kind === 'or' || policy.kind === 'threshold')
    policy.of.forEach(refuseNot);
}

function refuseOffline(what: string, policy: Policy): never {
  throw policyError(
    POLICY_ERRORS.offline,
    `a policy without a gate is decided once and for all: it takes no ${what}`,
    positionOf(policy),
  );
}

/** The matrix of `formula`; rows in the order of its leaves. */
function shareFormula(formula: Formula): CompiledPolicy {
  const rows: Row[] = [];
  const repeats = new Map<string, number>();
  let columns = 1;

  const share = (node: Formula, entries: readonly Entry[]): ShareNode => {
    if (node.kind === 'leaf') {
      const rho = (repeats.get(node.hex) ?? 0) + 1;
      repeats.set(node.hex, rho);
      rows.push({ leaf: node.leaf, leafHex: node.hex, entries, rho });
      return { kind: 'row', index: rows.length - 1 };
    }
    const { k, of } = node;
    const first = columns;
    columns += k - 1;
    const members = of.map((member, i) => share(member, memberShare(entries, k, of.length, i, first)));
    return { kind: 'gate', k, of: members };
  };

  const tree = share(formula, [{ column: 0, value: 1n }]);
  return { rows, columns, tau: Math.max(...repeats.values()), tree };
}

/** The share of member `i` of a k-of-n node whose own share is `entries` and whose new columns begin at `first`. */
function memberShare(entries: readonly Entry[], k: number, n: number, i: number, first: number): Entry[] {
  if (k === 1) return [...entries];
  if (k === n) {
    // Only the first member sees the node's share; the others carry what takes the mask off again.
    const share: Entry[] = i === 0 ? [...entries] : [{ column: first + i - 1, value: -1n }];
    if (i < n - 1) share.push({ column: first + i, value: 1n });
    return share;
  }
  const point = BigInt(i + 1);
  const share = [...entries];
  let power = 1n;
  for (let j = 0; j < k - 1; j++) {
    power = (power * point) % GROUP_ORDER;
    share.push({ column: first + j, value: power });
  }
  return share;
}
