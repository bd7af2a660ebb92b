/**
 * Shamir shares from one dealer, who thereby knows alpha and can open everything. For the offline toolkit (one
 * person, one machine) and for tests; a consortium runs the ceremony in `dkg/` instead.
 */
import { requireArgument } from '../errors.ts';
import { evaluate, reduceWide, scalarToBytes } from '../group/scalar.ts';
import type { Group } from '../group/types.ts';
import { type AuthorityShare, SEED_BYTES } from './authority.ts';
import { type AuthorityKeys, authorityKeys } from './keys.ts';

/** Bytes drawn for one uniform scalar. */
const WIDE_BYTES = 64;

/** Keys and shares of `n` authorities, any `t` of which make a key. `random` gives uniform bytes. */
export function dealAuthorities(options: {
  readonly group: Group;
  readonly n: number;
  readonly t: number;
  readonly random: (n: number) => Uint8Array;
}): { keys: AuthorityKeys; shares: AuthorityShare[] } {
  const { group, n, t, random } = options;
  requireArgument(Number.isInteger(t) && t >= 1 && t <= n, 'a threshold from 1 to n');
  const coefficients = Array.from({ length: t }, () => reduceWide(random(WIDE_BYTES)));
  const alphas = Array.from({ length: n }, (_, i) => evaluate(coefficients, BigInt(i + 1)));
  const keys = authorityKeys(group, {
    E: group.powGT(group.gt, coefficients[0]),
    shares: alphas.map((alpha) => group.powGT(group.gt, alpha)),
    t,
    shareEpoch: 0,
  });
  const shares = alphas.map((alpha, i) => ({
    authority: i + 1,
    shareEpoch: 0,
    mpkHash: keys.mpk.hash,
    alpha: scalarToBytes(alpha),
    seed: random(SEED_BYTES),
  }));
  return { keys, shares };
}
