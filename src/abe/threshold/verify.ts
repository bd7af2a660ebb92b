/**
 * Checking parts, singly or combined, by one equation (abe-security section 5, Part verification):
 *
 *   X = k1 prod k2_u^d_u,  Y = H(b) prod H(u)^d_u,  accept iff e(X, g2) = E e(Y, k3)
 *
 * with fresh random 128-bit d_u and weight 1 for k1: a wrong element passes with probability 2^-128, given that
 * k3 is in the subgroup and not the identity, which decoding has checked.
 */
import { fromHex } from '../../codec/bytes.ts';
import { bytesToBigint } from '../group/scalar.ts';
import type { G1, G2, Group, GT } from '../group/types.ts';
import { bLeaf } from '../policy/index.ts';

const WEIGHT_BYTES = 16;

/** Elements of a key or part with the leaves they claim to be for. */
export interface KeyElements {
  readonly k1: G1;
  readonly k3: G2;
  /** By the leaf's hexadecimal. */
  readonly leaves: ReadonlyMap<string, G1>;
}

/** Whether `elements` are a key (or part) under `E` (or E_i). `random` gives uniform bytes; 16 a leaf are drawn. */
export function verifyElements(
  group: Group,
  elements: KeyElements,
  E: GT,
  random: (n: number) => Uint8Array,
): boolean {
  const left: G1[] = [elements.k1];
  const right: G1[] = [group.hashToG1(bLeaf())];
  const weights = [1n];
  for (const [hex, k2] of elements.leaves) {
    left.push(k2);
    right.push(group.hashToG1(fromHex(hex)));
    weights.push(bytesToBigint(random(WEIGHT_BYTES)));
  }
  const product = group.pairingProduct([
    [group.multiMulG1(left, weights), group.g2],
    [group.negG1(group.multiMulG1(right, weights)), elements.k3],
  ]);
  return group.equalGT(product, E);
}

/** Whether one leaf element fits k3: e(k2, g2) = e(H(u), k3). Names the bad gate when an opening fails. */
export function verifyLeaf(group: Group, leaf: Uint8Array, k2: G1, k3: G2): boolean {
  const product = group.pairingProduct([
    [k2, group.g2],
    [group.negG1(group.hashToG1(leaf)), k3],
  ]);
  return group.equalGT(product, group.powGT(group.gt, 0n));
}
