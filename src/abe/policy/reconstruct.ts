/**
 * Which rows a key uses, and with which coefficients: sum coefficient_i * M_i = (1, 0, ..., 0). The choice is a
 * fixed function of (policy, held leaves), as the argument for chosen-ciphertext security asks; ties go to the
 * member written first.
 */
import { GROUP_ORDER } from './limits.ts';
import type { CompiledPolicy, ShareNode } from './lsss.ts';

/** A row in use. `coefficient` is nonzero, between -(r-1)/2 and (r-1)/2, so that 1 and -1 look like it. */
export interface UsedRow {
  readonly index: number;
  readonly coefficient: bigint;
}

// Relative cost in the pairing: a row costs its decompression and two additions (about 45 us), a coefficient
// other than 1 two multiplications (340 us), a repeat of a leaf up to one Miller loop of its own (750 us).
const COST_ROW = 1;
const COST_SCALED = 8;
const COST_REPEAT = 16;

/**
 * The cheapest rows that `heldLeaves` (hexadecimal of leaf bytes) reconstruct the secret with, by ascending
 * index; undefined when the leaves do not satisfy the policy.
 */
export function reconstruct(
  compiled: CompiledPolicy,
  heldLeaves: ReadonlySet<string>,
): { readonly rows: readonly UsedRow[] } | undefined {
  const choice = choose(compiled, heldLeaves, compiled.tree, false);
  if (choice === undefined) return undefined;
  const rows: UsedRow[] = [];
  collect(choice, 1n, rows);
  return { rows: rows.sort((a, b) => a.index - b.index) };
}

type Choice = { readonly cost: number } & (
  | { readonly kind: 'row'; readonly index: number }
  /** The members in use, with the point (from 1) of each and whether all n of n are. */
  | { readonly kind: 'gate'; readonly isShamir: boolean; readonly used: readonly Used[] }
);
interface Used {
  readonly point: bigint;
  readonly choice: Choice;
}

function choose(
  compiled: CompiledPolicy,
  held: ReadonlySet<string>,
  node: ShareNode,
  isScaled: boolean,
): Choice | undefined {
  if (node.kind === 'row') {
    const row = compiled.rows[node.index];
    if (!held.has(row.leafHex)) return undefined;
    const cost = COST_ROW + (isScaled ? COST_SCALED : 0) + (row.rho > 1 ? COST_REPEAT : 0);
    return { kind: 'row', index: node.index, cost };
  }
  const isShamir = node.k > 1 && node.k < node.of.length;
  const possible: Used[] = [];
  node.of.forEach((member, i) => {
    const choice = choose(compiled, held, member, isScaled || isShamir);
    if (choice !== undefined) possible.push({ point: BigInt(i + 1), choice });
  });
  if (possible.length < node.k) return undefined;
  // Stable sort: of equal cost, the member written first.
  const used = possible.sort((a, b) => a.choice.cost - b.choice.cost).slice(0, node.k);
  return { kind: 'gate', isShamir, used, cost: used.reduce((sum, { choice }) => sum + choice.cost, 0) };
}

function collect(choice: Choice, coefficient: bigint, rows: UsedRow[]): void {
  if (choice.kind === 'row') {
    rows.push({ index: choice.index, coefficient: centred(coefficient) });
    return;
  }
  for (const { point, choice: member } of choice.used) {
    const weight = choice.isShamir ? lagrangeAtZero(point, choice.used) : 1n;
    collect(member, (coefficient * weight) % GROUP_ORDER, rows);
  }
}

/** The weight of `point` among the points of `used`: product of x / (x - point) over the others, mod r. */
function lagrangeAtZero(point: bigint, used: readonly Used[]): bigint {
  let above = 1n;
  let below = 1n;
  for (const { point: x } of used) {
    if (x === point) continue;
    above = (above * x) % GROUP_ORDER;
    below = (below * (x - point)) % GROUP_ORDER;
  }
  return (above * inverse(below)) % GROUP_ORDER;
}

/** 1 / value mod r by the extended Euclidean algorithm; value is not 0 mod r. */
function inverse(value: bigint): bigint {
  let [a, b] = [((value % GROUP_ORDER) + GROUP_ORDER) % GROUP_ORDER, GROUP_ORDER];
  let [x, y] = [1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b] = [b - quotient * a, a];
    [x, y] = [y - quotient * x, x];
  }
  return x;
}

function centred(value: bigint): bigint {
  const positive = ((value % GROUP_ORDER) + GROUP_ORDER) % GROUP_ORDER;
  return positive > GROUP_ORDER / 2n ? positive - GROUP_ORDER : positive;
}
