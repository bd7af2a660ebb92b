/**
 * Who signs checkpoints: the validator set of one epoch, and the quorum that a reader demands of it
 * (ledger-security section 0: q = ceil((n+f+1)/2), f = floor((n-1)/3), in every count).
 */
import { toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';

/** One validator: the member it belongs to and its raw Ed25519 public key (32 bytes). */
export interface Validator {
  readonly member: string;
  readonly key: Uint8Array;
}

/** The validators of one epoch, in index order. */
export interface ValidatorSet {
  readonly epoch: number;
  readonly validators: readonly Validator[];
}

/** Smallest set that tolerates a fault. */
export const VALIDATORS_MIN = 4;
/** Largest set. */
export const VALIDATORS_MAX = 64;

/** Validators whose cosignatures a reader demands of a set of `n`. */
export function checkpointQuorum(n: number): number {
  const faulty = Math.floor((n - 1) / 3);
  return Math.ceil((n + faulty + 1) / 2);
}

/** Throws `checkpoint.bad_set` on a set with a repeated member or key, a key of another length, or too few or many. */
export function checkValidatorSet(set: ValidatorSet): void {
  const { validators } = set;
  const refuse = (message: string): never => {
    throw new CodedError('checkpoint.bad_set', message);
  };
  if (validators.length < VALIDATORS_MIN || validators.length > VALIDATORS_MAX) {
    refuse(`expected ${VALIDATORS_MIN} to ${VALIDATORS_MAX} validators, got ${validators.length}`);
  }
  if (validators.some(({ key }) => key.length !== 32)) refuse('expected Ed25519 keys of 32 bytes');
  // One key under two names would count twice.
  if (new Set(validators.map(({ key }) => toHex(key))).size !== validators.length)
    refuse('a key stands twice');
  if (new Set(validators.map(({ member }) => member)).size !== validators.length)
    refuse('a member stands twice');
}
