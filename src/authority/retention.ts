/**
 * How long the shares of an epoch are kept after the next one is in force (ledger-security rule 27). Up to f of the
 * members that say they hold their new share may lie, so t + f of them must have proved it, or a day must have passed;
 * and the block that put the epoch in force must be cosigned by a quorum, so that no other history can follow.
 */
import { type AuthorityKeys, type Group, verifyShareProof } from '../abe/index.ts';
import { type CeremonyState, faultBound, type ShareState } from '../ledger/index.ts';
import type { ShareLedger } from './ports.ts';

/** Old shares are kept this long if too few members prove that they hold the new ones. */
export const ERASE_AFTER_MS = 24 * 60 * 60 * 1000;

export interface RetentionOptions {
  readonly ledger: ShareLedger;
  readonly group: Group;
  readonly keysOf: (share: ShareState) => AuthorityKeys;
}

/** Whether shares of epochs before `share`, which is in force, may be erased. `ceremony` is the latest one. */
export function mayErase(options: RetentionOptions, ceremony: CeremonyState, share: ShareState): boolean {
  const { ledger } = options;
  if (ceremony.phase !== 'done' || ceremony.shareEpoch !== share.shareEpoch) {
    // A later ceremony has begun since: only the epoch's age tells that all had their time.
    return ledger.cosignedTimeMs() >= share.time + ERASE_AFTER_MS;
  }
  if (ledger.cosignedTimeMs() < ceremony.since) return false;
  if (ledger.tipTimeMs() >= ceremony.since + ERASE_AFTER_MS) return true;
  const enough = share.threshold + faultBound(share.members.length);
  return ceremony.held.length >= enough && proved(options, ceremony, share).size >= enough;
}

/** Members whose proof that they hold their share of the epoch is good. */
function proved(
  { ledger, group, keysOf }: RetentionOptions,
  ceremony: CeremonyState,
  share: ShareState,
): Set<string> {
  const { E } = keysOf(share);
  const found = new Set<string>();
  for (const { member, step } of ledger.steps(ceremony.id)) {
    const at = share.members.indexOf(member);
    if (step.kind !== 'hold' || at < 0) continue;
    if (verifyShareProof(group, ceremony.id, at + 1, E[at], step.body.proof)) found.add(member);
  }
  return found;
}
