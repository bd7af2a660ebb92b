/** The validators of one epoch. Indexes are positions in `keys`; a peer is named by its key in hexadecimal. */
import { ConsensusError } from './errors.ts';
import { checkSetSize, faultBound, quorumSize } from './quorum.ts';
import { type Hash, toHex, Writer } from './wire/bytes.ts';
import { TAG, tagged } from './wire/hash.ts';

/** Hexadecimal of a validator's 32-byte Ed25519 public key. */
export type PeerId = string;

/** An immutable validator set with its quorum. */
export interface ValidatorSet {
  readonly epoch: number;
  readonly keys: readonly Uint8Array[];
  readonly ids: readonly PeerId[];
  readonly n: number;
  /** Faulty validators tolerated. */
  readonly f: number;
  /** Votes that decide. */
  readonly q: number;
  readonly hash: Hash;
}

/** The set of `keys` (raw Ed25519, 32 bytes, distinct) in `epoch`; throws `consensus.bad_config`. */
export function validatorSet(epoch: number, keys: readonly Uint8Array[]): ValidatorSet {
  checkSetSize(keys.length);
  const ids = keys.map(toHex);
  if (keys.some((key) => key.length !== 32) || new Set(ids).size !== keys.length) {
    throw new ConsensusError('consensus.bad_config', 'expected distinct validator keys of 32 bytes');
  }
  const writer = new Writer().u32(epoch).u16(keys.length);
  for (const key of keys) writer.fixed(key);
  return {
    epoch,
    keys,
    ids,
    n: keys.length,
    f: faultBound(keys.length),
    q: quorumSize(keys.length),
    hash: tagged(TAG.validators, writer.finish()),
  };
}
