/**
 * Two checkpoints of one log: the newer one must contain the older. A reader keeps the newest checkpoint that it verified
 * and asks for this proof with the next; a log that was rewritten, or shown differently to two readers, cannot give it.
 */
import { equalBytes } from '../../codec/bytes.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { verifyConsistency } from './rfc6962.ts';

/** What is wrong between two verified checkpoints. */
export type ConsistencyFailure =
  /** Of two logs. */
  | 'origin'
  /** The newer one is behind the older in size, height, time or epoch. */
  | 'rolled_back'
  /** At one height or one size they say different things: a fork. */
  | 'forked'
  /** The proof does not lead from one root to the other. */
  | 'proof';

/**
 * What is wrong, undefined when `newer` continues `older`. `proof` is that of RFC 6962 from `older.size` to `newer.size`, empty
 * when the sizes are equal. Whether a quorum vouches for either is checked before.
 */
export function checkConsistency(
  older: Checkpoint,
  newer: Checkpoint,
  proof: readonly Uint8Array[],
): ConsistencyFailure | undefined {
  if (older.origin !== newer.origin) return 'origin';
  const isBehind =
    newer.size < older.size ||
    newer.height < older.height ||
    newer.time < older.time ||
    newer.epoch < older.epoch;
  if (isBehind) return 'rolled_back';
  const sameRoots = equalBytes(older.root, newer.root);
  if (newer.height === older.height) {
    const isSame =
      newer.size === older.size &&
      newer.time === older.time &&
      newer.epoch === older.epoch &&
      sameRoots &&
      equalBytes(older.stateRoot, newer.stateRoot);
    if (!isSame) return 'forked';
  }
  if (newer.size === older.size) {
    if (!sameRoots) return 'forked';
    return proof.length === 0 ? undefined : 'proof';
  }
  return verifyConsistency(older.size, newer.size, proof, older.root, newer.root) ? undefined : 'proof';
}
