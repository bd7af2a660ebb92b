/**
 * The equations of FABEO CP-ABE (Riepel, Wee, CCS 2022, eprint 2022/1415, Figure 1 with the vector s'_j for
 * repeated attributes), and nothing else: no policy check, no CCA layer, no encoding. Symbols are the paper's.
 *
 *   c1 = g2^s,  c2_j = g2^(s'_j),  c3_i = H(b)^lambda_i H(pi(i))^(s'_rho(i)),  K = E^s,  lambda = M (s, v)
 *   K = e(k1, c1) prod_j e(prod_{rho(i)=j} k2_pi(i)^gamma_i, c2_j) / e(prod_i c3_i^gamma_i, k3)
 *
 * Secure in the generic group and random oracle model only. Attack tests call these functions directly.
 */
import { toHex } from '../../codec/bytes.ts';
import { mod } from '../group/scalar.ts';
import type { G1, G2, Group, GT } from '../group/types.ts';
import { bLeaf, type CompiledPolicy, type UsedRow } from '../policy/index.ts';

/** Encryption randomness: s, one s' for each repeat index (tau of them), and the other share variables. */
export interface Randomness {
  readonly s: bigint;
  readonly sPrime: readonly bigint[];
  readonly v: readonly bigint[];
}

/** lambda_i = M_i . (s, v). */
function shares(compiled: CompiledPolicy, randomness: Randomness): bigint[] {
  const { s, v } = randomness;
  return compiled.rows.map(({ entries }) => {
    let lambda = 0n;
    for (const { column, value } of entries) lambda += value * (column === 0 ? s : v[column - 1]);
    return mod(lambda);
  });
}

/** c3_i for one row. */
function rowElement(group: Group, leaf: Uint8Array, lambda: bigint, sPrime: bigint): G1 {
  return group.sumG1([
    group.mulG1(group.hashToG1(bLeaf()), lambda),
    group.mulG1(group.hashToG1(leaf), sPrime),
  ]);
}

/** All group elements of a ciphertext except K. */
export function encryptRaw(
  group: Group,
  compiled: CompiledPolicy,
  randomness: Randomness,
): { c1: G2; c2: G2[]; c3: G1[] } {
  const lambdas = shares(compiled, randomness);
  return {
    c1: group.mulG2(group.g2, randomness.s),
    c2: randomness.sPrime.map((sPrime) => group.mulG2(group.g2, sPrime)),
    c3: compiled.rows.map(({ leaf, rho }, i) =>
      rowElement(group, leaf, lambdas[i], randomness.sPrime[rho - 1]),
    ),
  };
}

/**
 * KeyGen with all secrets in hand: k1 = g1^alpha H(b)^r, k2_u = H(u)^r, k3 = g2^r. Variable time: for tests and
 * for the measure of the scheme itself; authorities issue with `threshold/authority.ts`.
 */
export function keyGenRaw(
  group: Group,
  g1Alpha: G1,
  r: bigint,
  leaves: readonly Uint8Array[],
): { k1: G1; k3: G2; leaves: Map<string, G1> } {
  return {
    k1: group.sumG1([g1Alpha, group.mulG1(group.hashToG1(bLeaf()), r)]),
    k3: group.mulG2(group.g2, r),
    leaves: new Map(leaves.map((leaf) => [toHex(leaf), group.mulG1(group.hashToG1(leaf), r)])),
  };
}

/** The kinds of sums that enter the pairings of a decryption. */
export interface DecryptionSums {
  /** prod_{rho(i)=j} k2_pi(i)^gamma_i for the j in use, ascending. */
  readonly keySums: readonly { readonly j: number; readonly sum: G1 }[];
  /** prod_i c3_i^gamma_i. */
  readonly rowSum: G1;
}

/** Sums for `used`; undefined when the key lacks a leaf of a used row. `c3` decodes a row when asked. */
export function decryptionSums(
  group: Group,
  compiled: CompiledPolicy,
  used: readonly UsedRow[],
  leaves: ReadonlyMap<string, G1>,
  c3: (index: number) => G1,
): DecryptionSums | undefined {
  const weigh = (p: G1, k: bigint): G1 => (k === 1n ? p : group.mulG1(p, k));
  const byRepeat = new Map<number, G1[]>();
  const rows: G1[] = [];
  for (const { index, coefficient } of used) {
    const { leafHex, rho } = compiled.rows[index];
    const k2 = leaves.get(leafHex);
    if (k2 === undefined) return undefined;
    const terms = byRepeat.get(rho) ?? [];
    terms.push(weigh(k2, coefficient));
    byRepeat.set(rho, terms);
    rows.push(weigh(c3(index), coefficient));
  }
  const keySums = [...byRepeat.entries()]
    .sort(([a], [b]) => a - b)
    .map(([j, terms]) => ({ j, sum: group.sumG1(terms) }));
  return { keySums, rowSum: group.sumG1(rows) };
}

/** K' from the sums: 2 + tau Miller loops and one final exponentiation. `c2` is indexed from j = 1. */
export function decryptRaw(
  group: Group,
  key: { readonly k1: G1; readonly k3: G2 },
  sums: DecryptionSums,
  c1: G2,
  c2: (j: number) => G2,
): GT {
  return group.pairingProduct([
    [key.k1, c1],
    ...sums.keySums.map(({ j, sum }): [G1, G2] => [sum, c2(j)]),
    [group.negG1(sums.rowSum), key.k3],
  ]);
}
