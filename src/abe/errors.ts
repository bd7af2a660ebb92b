/**
 * The codes that the CP-ABE scheme throws (policy codes are listed in `policy/`). A code tells the caller
 * what to do next; which step of a cryptographic check failed is never told.
 */
import { CodedError } from '../codec/errors.ts';

export const ABE_ERROR = {
  /** The backend's self-test gave a wrong value, or an export that we rely on is missing. */
  groupUnusable: 'abe.group_unusable',
  /** Bytes that should encode a group element do not: length, flags, range, curve, subgroup or identity. */
  elementMalformed: 'abe.element_malformed',
  /** A header's bytes are not in the format. Says nothing about keys. */
  headerMalformed: 'abe.header_malformed',
  /** A well-formed header is not the one the ledger speaks of: record, version, policy, gate or hash. */
  headerMismatch: 'abe.header_mismatch',
  /** Every cryptographic failure to open, with one text. */
  headerRejected: 'abe.header_rejected',
  /** The key ring lacks leaves that the header needs; told before any secret is used (`record.ts`). */
  policyUnsatisfied: 'abe.policy_unsatisfied',
  /** A master public key or set of authority keys is malformed or inconsistent. */
  parametersMalformed: 'abe.parameters_malformed',
  /** Bytes of a key part, a key ring or an authority share are not in the format. */
  partMalformed: 'abe.part_malformed',
  /** A part belongs to another key, generation, epoch or authority than the ring. */
  partMismatch: 'abe.part_mismatch',
  /** A key ring holds as many leaves of one authority as it may: let it forget old gates. */
  ringFull: 'abe.ring_full',
  /** Fewer than t authorities gave parts that hold all the leaves needed. */
  partsInsufficient: 'abe.parts_insufficient',
  /** A leaf that no authority may raise: unknown type, or the reserved string b. */
  leafForbidden: 'abe.leaf_forbidden',
  /** An argument is out of its stated range. */
  argument: 'abe.argument',
  /** A payload's bytes are damaged, cut, reordered, spliced, or under another key. */
  payloadRejected: 'abe.payload_rejected',
  /** A message of the key generation ceremony came out of order or from nobody. */
  dkgInput: 'abe.dkg_input',
} as const;

export type AbeErrorCode = (typeof ABE_ERROR)[keyof typeof ABE_ERROR];

/** Throws `abe.argument` unless `condition`. */
export function requireArgument(condition: boolean, message: string): asserts condition {
  if (!condition) throw new CodedError(ABE_ERROR.argument, message);
}
