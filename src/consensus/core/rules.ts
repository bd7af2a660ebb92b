/**
 * The pure checks of proposals, certificates and view changes (ledger-security rules 6, 11, 12, 15). Signatures
 * have been verified before; what is checked here is what the signatures are over.
 */
import { type Chain, leaderOf } from '../chain.ts';
import { CLOCK_TOLERANCE_MS, HEARTBEAT_EARLIEST_MS, PROTOCOL_VERSION } from '../limits.ts';
import type { Header } from '../wire/header.ts';
import type { NewView, PreparedCertificate, Proposal, ViewChange } from '../wire/messages.ts';
import type { Weakening } from './weakening.ts';

/** Whether `header` is a child of the tip of `chain` that its named proposer could have made in its view. */
export function fitsChain(chain: Chain, header: Header): boolean {
  return (
    header.version === PROTOCOL_VERSION &&
    header.chainId === chain.chainId &&
    header.epoch === chain.validators.epoch &&
    header.height === chain.height + 1 &&
    header.parentHash === chain.headHash &&
    header.validatorsHash === chain.validators.hash &&
    header.nextValidatorsHash === chain.nextValidators.hash &&
    header.time > chain.time &&
    header.proposer === leaderOf(chain, header.view)
  );
}

/** Whether the parent's certificate in a proposal is about the tip. Its quorum is the verifier's to check. */
export function namesParent(chain: Chain, proposal: Proposal): boolean {
  const { parentQc } = proposal;
  if (chain.height === 0) return parentQc === undefined;
  return parentQc !== undefined && parentQc.height === chain.height && parentQc.headerHash === chain.headHash;
}

/** The clock rule, for fresh proposals only. The upper arm lets an honest leader follow a fast one. */
export function timely(chain: Chain, header: Header, clock: number): boolean {
  return (
    header.time >= clock - CLOCK_TOLERANCE_MS &&
    header.time <= Math.max(clock + CLOCK_TOLERANCE_MS, chain.time + 1)
  );
}

/** Whether an empty block is due: at view 0 nobody can burn heights, at a later view one may close the height. */
export function emptyAllowed(chain: Chain, proposal: Proposal, view: number): boolean {
  return proposal.batch.length > 0 || view > 0 || proposal.header.time >= chain.time + HEARTBEAT_EARLIEST_MS;
}

/** Whether a certificate proves that `header` was prepared at the open height of `chain` below `belowView`. */
export function preparedHolds(
  chain: Chain,
  prepared: PreparedCertificate,
  belowView: number,
  weaken: Weakening = {},
): boolean {
  if (weaken.certificatesUnchecked) return true;
  const { validators } = chain;
  const leader = leaderOf(chain, prepared.view);
  const quorum = validators.q - (weaken.prepareQuorumLess ? 1 : 0) - (weaken.leaderCountedTwice ? 1 : 0);
  return (
    prepared.view < belowView &&
    prepared.header.view <= prepared.view &&
    fitsChain(chain, prepared.header) &&
    prepared.leader.sender === leader &&
    prepared.votes.every((vote) => vote.sender !== leader || weaken.leaderCountedTwice) &&
    distinctBelow(prepared.votes, validators.n) &&
    prepared.votes.length + 1 >= quorum
  );
}

/** Whether the senders ascend (so are distinct) and exist. */
export function distinctBelow(votes: readonly { readonly sender: number }[], n: number): boolean {
  return votes.every((vote, i) => vote.sender < n && (i === 0 || votes[i - 1].sender < vote.sender));
}

/** Whether a VIEW-CHANGE is one for the open height of `chain` whose certificate holds. */
export function viewChangeHolds(chain: Chain, change: ViewChange, weaken: Weakening = {}): boolean {
  if (anyHeight(weaken) && change.height <= chain.height) return change.epoch === chain.validators.epoch;
  return (
    change.epoch === chain.validators.epoch &&
    change.height === chain.height + 1 &&
    change.view >= 1 &&
    change.sender < chain.validators.n &&
    (change.parentQc === undefined ? chain.height === 0 : change.parentQc.headerHash === chain.headHash) &&
    (change.prepared === undefined || preparedHolds(chain, change.prepared, change.view, weaken))
  );
}

/** Whether VIEW-CHANGEs of earlier heights count, as they must not. */
export function anyHeight(weaken: Weakening): boolean {
  return weaken.viewChangeAnyHeight === true || weaken.viewsOutliveHeights === true;
}

/** The certificate of the highest view in VIEW-CHANGEs of `height`: what a new leader must propose again. */
export function highestPrepared(
  changes: readonly ViewChange[],
  height: number,
  weaken: Weakening = {},
): PreparedCertificate | undefined {
  let highest: PreparedCertificate | undefined;
  for (const { prepared } of changes) {
    if (prepared === undefined || prepared.header.height !== height) continue;
    const better = highest === undefined || prepared.view > highest.view;
    if (better !== (weaken.anyCertificate === true && highest !== undefined)) highest = prepared;
  }
  return weaken.dropLock ? undefined : highest;
}

/** Why a NEW-VIEW is refused, or how its proposal is to be examined. */
export type NewViewCheck = 'refused' | 'fresh' | 'reproposal';

/**
 * Re-derives a NEW-VIEW: q VIEW-CHANGEs of exactly its view, each certificate valid, and the proposal is the
 * prepared header of the highest view, or a fresh one when nothing was prepared.
 */
export function checkNewView(chain: Chain, message: NewView, weaken: Weakening = {}): NewViewCheck {
  const { validators } = chain;
  const { header, hash } = message.proposal;
  const quorum = validators.q - (weaken.viewChangeQuorumLess ? 1 : 0);
  const soundSet =
    message.viewChanges.length >= quorum &&
    distinctBelow(message.viewChanges, validators.n) &&
    message.viewChanges.every(
      (change) => change.view === message.view && viewChangeHolds(chain, change, weaken),
    );
  if (
    message.epoch !== validators.epoch ||
    message.height !== chain.height + 1 ||
    message.view < 1 ||
    message.sender !== leaderOf(chain, message.view) ||
    !soundSet ||
    !fitsChain(chain, header) ||
    !namesParent(chain, message.proposal)
  ) {
    return 'refused';
  }
  const fresh = header.view === message.view && header.proposer === message.sender;
  if (weaken.newViewUnderived) return fresh ? 'fresh' : 'reproposal';
  const highest = highestPrepared(message.viewChanges, message.height, weaken);
  if (highest === undefined) return fresh ? 'fresh' : 'refused';
  if (weaken.rebuildHeader && header.batchHash === highest.header.batchHash) return 'reproposal';
  return message.viewChanges.some(
    ({ prepared }) => prepared !== undefined && prepared.view === highest.view && prepared.hash === hash,
  )
    ? 'reproposal'
    : 'refused';
}
