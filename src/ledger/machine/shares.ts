/** ShareEpoch: the members confirm one outcome of a key ceremony before any key is issued under it. */
import { equalBytes } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { sha256 } from '../../codec/hash.ts';
import type { ShareEpoch } from '../entries/governance.ts';
import type { ShareEpochResult } from '../entries/results.ts';
import { isOverdue, openCeremony } from './ceremony.ts';
import { quorumOf } from './quorum.ts';
import { refuse } from './refusal.ts';
import { requireRight } from './rights.ts';
import type { Rule, RuleContext } from './rule.ts';
import { type CeremonyState, type ShareState, STATE } from './state.ts';

/** The next epoch, of all members of the consortium, with their quorum as threshold and the same master key. */
function checkCeremony({ state }: RuleContext, body: ShareEpoch, current: number | null): void {
  const expected = current === null ? 0 : current + 1;
  if (body.shareEpoch !== expected) refuse('share.epoch', { expected });
  const members = state.get(STATE.members) ?? [];
  const isWhole =
    body.members.length === members.length && body.members.every((member) => members.includes(member));
  const fits = isWhole && body.threshold === quorumOf(members.length);
  if (!fits) refuse('share.members');
  const before = current === null ? undefined : state.get(STATE.share(current));
  if (before !== undefined && !equalBytes(before.mpk, body.mpk)) refuse('share.mpk_changed');
}

/**
 * The ceremony that a confirmation is of. A first epoch that every member confirms needs none on the ledger; all later
 * ones do, with their complaints heard (ledger-security rule 27).
 */
function ceremonyOf({ state }: RuleContext, body: ShareEpoch, isFirst: boolean): CeremonyState | undefined {
  const ceremony = openCeremony(state);
  if (ceremony === undefined && isFirst) return undefined;
  if (ceremony?.phase !== 'confirm') refuse('share.ceremony');
  if (!equalBytes(ceremony.transcript, body.transcript)) refuse('share.transcript');
  return ceremony;
}

/** A member that comes after the quorum: it holds its share of the epoch in force. */
function confirmLate(
  { state }: RuleContext,
  body: ShareEpoch,
  current: ShareState,
  own: string,
): ShareEpochResult {
  const { confirmations, time, ...inForce } = current;
  const isEqual = equalBytes(encodeCbor(body), encodeCbor(inForce));
  if (!isEqual || !body.members.includes(own)) refuse('share.epoch', { expected: current.shareEpoch + 1 });
  const all = body.members.filter((member) => member === own || confirmations.includes(member));
  state.set(STATE.share(current.shareEpoch), { ...current, confirmations: all, time });
  return { confirmations: all.length, active: true };
}

/**
 * Counts a member's confirmation; its latest counts when a ceremony was repeated. In force once all members confirmed
 * equal bodies; a later epoch also once as many did as make a key and the others have had the ceremony's time. Members
 * that confirm later are added.
 */
export const shareEpoch: Rule<'ShareEpoch'> = (context, body) => {
  const { state, time } = context;
  const own = requireRight(context, ['operator']);
  const chain = state.get(STATE.chain);
  if (chain === undefined) throw new Error('state damaged: no chain');
  const current = chain.shareEpoch === null ? undefined : state.get(STATE.share(chain.shareEpoch));
  if (current !== undefined && body.shareEpoch === current.shareEpoch) {
    return { result: confirmLate(context, body, current, own) };
  }
  checkCeremony(context, body, chain.shareEpoch);
  if (!body.members.includes(own)) refuse('share.members');
  const ceremony = ceremonyOf(context, body, current === undefined);
  const hash = sha256(encodeCbor(body));
  state.set(STATE.shareConfirmation(body.shareEpoch, own), hash);
  const confirmations = body.members.filter((member) => {
    const confirmed = state.get(STATE.shareConfirmation(body.shareEpoch, member));
    return confirmed !== undefined && equalBytes(confirmed, hash);
  });
  const waits = current === undefined || ceremony === undefined || !isOverdue(ceremony, time);
  const active = confirmations.length >= (waits ? body.members.length : body.threshold);
  if (active) {
    if (ceremony !== undefined) state.set(STATE.ceremony, { ...ceremony, phase: 'done', since: time });
    state.set(STATE.share(body.shareEpoch), { ...body, confirmations, time });
    state.set(STATE.chain, { ...chain, shareEpoch: body.shareEpoch, threshold: body.threshold });
    for (const member of body.members) state.remove(STATE.shareConfirmation(body.shareEpoch, member));
  }
  return { result: { confirmations: confirmations.length, active } };
};
