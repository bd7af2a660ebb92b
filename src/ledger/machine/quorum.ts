/** Counts of members (ledger-security, "f and q"): the ledger's governance and the PBFT library use the same formulas. */

/** Members that may be faulty among `n`. */
export function faultBound(n: number): number {
  return Math.floor((n - 1) / 3);
}

/** Members that make a quorum of `n`: any two quorums share an honest member. */
export function quorumOf(n: number): number {
  return Math.ceil((n + faultBound(n) + 1) / 2);
}

/** Members that make a majority of `n`. */
export function majorityOf(n: number): number {
  return Math.floor(n / 2) + 1;
}
