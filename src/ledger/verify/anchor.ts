/**
 * What a verifier trusts before it reads anything: the chain's name, its genesis, and which validators speak for which
 * heights. Later sets are earned: a header whose certificate verifies under a known set names the next one.
 *
 * Removed validators' keys stay dangerous to a verifier that starts at genesis: whoever holds a quorum of an old set can
 * write another history from its last height on. A verifier keeps its newest anchor and checkpoint, and takes
 * the first ones from a release or from several members (ledger-security rule 26).
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import type { Witness } from '../checkpoint/checkpoint.ts';
import { checkpointOrigin } from '../checkpoint/checkpoint.ts';
import { checkValidatorSet, type ValidatorSet } from '../checkpoint/validators.ts';
import type { ConsensusVerifier } from './consensus.ts';

/** A validator set and the heights it decides: from `from` until before `until`, or on when there is none. */
export interface ValidatorPeriod extends ValidatorSet {
  readonly from: number;
  readonly until?: number;
}

/** Enough to verify receipts and checkpoints. */
export interface TrustAnchor {
  readonly chainId: string;
  /** Entry id of the genesis leaf, 32 bytes; block headers carry it as their chain id. */
  readonly genesisEntry: Uint8Array;
  /** Epochs ascend, heights join without a gap. */
  readonly periods: readonly ValidatorPeriod[];
  /** Outside witnesses whose cosignatures are checked and reported. */
  readonly witnesses?: readonly Witness[];
}

/** A change of validators: the header that names the next set, its certificate, and the set. */
export interface EpochLink {
  readonly header: Uint8Array;
  readonly qc: Uint8Array;
  readonly next: ValidatorSet;
}

/** Origin line of the anchor's checkpoints. */
export function anchorOrigin(anchor: TrustAnchor): string {
  return checkpointOrigin(anchor.chainId);
}

/** The set that decides `height`. Throws `anchor.unknown_height`. */
export function validatorsAt(anchor: TrustAnchor, height: number): ValidatorPeriod {
  const period = anchor.periods.find(
    ({ from, until }) => from <= height && (until === undefined || height < until),
  );
  if (period === undefined) {
    throw new CodedError(
      'anchor.unknown_height',
      `no validator set is known for height ${height}: extend the anchor`,
    );
  }
  return period;
}

/**
 * The anchor with the sets of `links` (ascending) appended. Throws `anchor.bad_link` at the first link that its
 * predecessor's validators do not vouch for, and `checkpoint.bad_set`.
 */
export function extendAnchor(
  anchor: TrustAnchor,
  links: Iterable<EpochLink>,
  consensus: ConsensusVerifier,
): TrustAnchor {
  let extended = anchor;
  for (const link of links) extended = extendByOne(extended, link, consensus);
  return extended;
}

function extendByOne(anchor: TrustAnchor, link: EpochLink, consensus: ConsensusVerifier): TrustAnchor {
  const refuse = (message: string): never => {
    throw new CodedError('anchor.bad_link', message);
  };
  checkValidatorSet(link.next);
  const header = consensus.readHeader(link.header);
  const last = anchor.periods.at(-1);
  if (last === undefined) return refuse('expected an anchor with a validator set');
  if (last.until !== undefined) refuse('the anchor ends before this link');
  if (header.height < last.from)
    refuse(`height ${header.height} is before the epoch of the set that should sign it`);
  if (header.epoch !== last.epoch) refuse(`expected epoch ${last.epoch}, got ${header.epoch}`);
  if (!equalBytes(header.chainId, anchor.genesisEntry)) refuse('the header is of another chain');
  if (!equalBytes(header.validatorsHash, consensus.validatorsHash(last))) {
    refuse('the header names another set as its own');
  }
  const wrong = consensus.verifyQc(link.header, link.qc, last);
  if (wrong !== undefined) refuse(`the certificate of height ${header.height} does not verify: ${wrong}`);
  if (link.next.epoch !== last.epoch + 1) refuse(`expected epoch ${last.epoch + 1}, got ${link.next.epoch}`);
  if (!equalBytes(header.nextValidatorsHash, consensus.validatorsHash(link.next))) {
    refuse(`the header names the set ${toHex(header.nextValidatorsHash)} for the next height`);
  }
  const from = header.height + 1;
  return {
    ...anchor,
    periods: [...anchor.periods.slice(0, -1), { ...last, until: from }, { ...link.next, from }],
  };
}
