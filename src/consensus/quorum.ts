/**
 * Fault bound and quorum. One quorum size is used in every count (ledger-security section 0): 2f+1 is too small
 * whenever n is not 3f+1. Two quorums meet in at least f+1 validators and q <= n-f.
 */

import { ConsensusError } from './errors.ts';
import { VALIDATORS_MAX, VALIDATORS_MIN } from './limits.ts';

/** Most faulty validators that n tolerate: floor((n-1)/3). */
export function faultBound(n: number): number {
  return Math.floor((n - 1) / 3);
}

/** Votes that decide: ceil((n+f+1)/2). */
export function quorumSize(n: number): number {
  return Math.ceil((n + faultBound(n) + 1) / 2);
}

/** Throws `consensus.bad_config` unless a set of `n` validators is allowed. */
export function checkSetSize(n: number): void {
  if (!Number.isInteger(n) || n < VALIDATORS_MIN || n > VALIDATORS_MAX) {
    throw new ConsensusError(
      'consensus.bad_config',
      `expected ${VALIDATORS_MIN} to ${VALIDATORS_MAX} validators, got ${n}`,
    );
  }
}
