/**
 * ShareStep: how a key ceremony goes on. The rules keep the order of phases, one message a member and phase, and the
 * time that each phase waits; what the messages contain is checked by every member on its own, from the same entries in
 * the same order, and so with the same outcome (`src/abe/dkg`). A phase ends when everybody whose message it needs has
 * spoken, or by `close` once its time is over: who was silent stands in the state for all to see.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { sha256 } from '../../codec/hash.ts';
import type { CeremonyPhase, ShareStep } from '../entries/ceremony.ts';
import type { ShareAbort, ShareRenew } from '../entries/governance.ts';
import { ceremonyId } from '../entries/proofs.ts';
import { quorumOf } from './quorum.ts';
import { refuse } from './refusal.ts';
import { requireRight } from './rights.ts';
import type { Rule, RuleContext } from './rule.ts';
import { type CeremonyState, STATE, type StateView } from './state.ts';

/** Bytes of a step that cost one unit: they are hashed once. */
const STEP_BYTES_PER_UNIT = 128;

/** The ceremony under way, if there is one. */
export function openCeremony(view: StateView): CeremonyState | undefined {
  const ceremony = view.get(STATE.ceremony);
  return ceremony === undefined || ceremony.phase === 'done' || ceremony.phase === 'failed'
    ? undefined
    : ceremony;
}

/** Begins a ceremony of all members for the next share epoch. */
function begin(context: RuleContext, windowMs: number): CeremonyState {
  const { state, chain, time } = context;
  const epoch = state.get(STATE.chain)?.shareEpoch ?? null;
  const before = epoch === null ? undefined : state.get(STATE.share(epoch));
  const members = state.get(STATE.members) ?? [];
  const attempt = nextAttempt(state);
  const id = ceremonyId(chain.chainId, attempt);
  return {
    id,
    attempt,
    shareEpoch: epoch === null ? 0 : epoch + 1,
    dealers: before?.members ?? members,
    needed: before?.threshold ?? quorumOf(members.length),
    members,
    threshold: quorumOf(members.length),
    windowMs,
    phase: 'join',
    since: time,
    joined: [],
    announced: [],
    dealt: [],
    complaints: [],
    answered: [],
    held: [],
    transcript: id,
  };
}

/** Number of the ceremony that would begin now; with the chain's id it gives the ceremony's. */
export function nextAttempt(view: StateView): number {
  return (view.get(STATE.ceremony)?.attempt ?? -1) + 1;
}

/** Throws unless a ShareRenew could begin its ceremony now. */
export function checkRenew({ state }: RuleContext, { members }: ShareRenew): void {
  if ((state.get(STATE.chain)?.shareEpoch ?? null) === null) refuse('share.none');
  if (openCeremony(state) !== undefined) refuse('share.ceremony_open');
  const all = state.get(STATE.members) ?? [];
  if (members.length !== all.length || members.some((one) => !all.includes(one))) refuse('share.members');
}

export function renewShares(context: RuleContext, { windowMs }: ShareRenew): void {
  context.state.set(STATE.ceremony, begin(context, windowMs));
}

export function checkAbort({ state }: RuleContext, { ceremony }: ShareAbort): void {
  const open = openCeremony(state);
  if (open === undefined || !equalBytes(open.id, ceremony)) refuse('share.ceremony');
}

export function abortShares({ state }: RuleContext): void {
  const open = openCeremony(state);
  if (open !== undefined) fail(state, open);
}

function fail(state: RuleContext['state'], ceremony: CeremonyState): CeremonyState {
  for (const member of ceremony.members) state.remove(STATE.shareConfirmation(ceremony.shareEpoch, member));
  const failed: CeremonyState = { ...ceremony, phase: 'failed' };
  state.set(STATE.ceremony, failed);
  return failed;
}

/** Dealers that must answer: complained about, by too few to put them out at once. */
export function accusedDealers({ dealers, dealt, complaints, threshold }: CeremonyState): readonly string[] {
  return dealt.filter((dealer) => {
    const count = complaints.filter((one) => one.dealers.includes(dealers.indexOf(dealer) + 1)).length;
    return count > 0 && count < threshold;
  });
}

const hasAll = (those: readonly string[], wanted: readonly string[]): boolean =>
  wanted.every((one) => those.includes(one));

/** Whether everybody has spoken whom the phase waits for. */
function isComplete(ceremony: CeremonyState): boolean {
  const { phase, members, joined, announced, dealt, complaints, answered } = ceremony;
  switch (phase) {
    case 'join':
      return hasAll(joined, members);
    case 'deal':
      return hasAll(dealt, announced);
    case 'complain':
      return hasAll(
        complaints.map(({ by }) => by),
        joined,
      );
    case 'answer':
      return hasAll(answered, accusedDealers(ceremony));
    default:
      return false;
  }
}

/** The phase after the one that ends now. */
function following(ceremony: CeremonyState): CeremonyPhase {
  const { phase, announced, dealt, needed } = ceremony;
  switch (phase) {
    case 'join':
      return announced.length < needed ? 'failed' : 'deal';
    case 'deal':
      return dealt.length < needed ? 'failed' : 'complain';
    case 'complain':
      return accusedDealers(ceremony).length > 0 ? 'answer' : 'confirm';
    case 'answer':
      return 'confirm';
    default:
      return 'failed';
  }
}

/** What the step of `own` makes of the ceremony, before phases are looked at. Throws when it may not be taken. */
function taken(ceremony: CeremonyState, own: string, step: ShareStep): CeremonyState {
  const { phase, dealers, members, joined, announced, dealt, complaints, answered, held } = ceremony;
  const once = (fits: boolean, those: readonly string[]): readonly string[] => {
    if (!fits || those.includes(own)) refuse('share.step');
    return [...those, own];
  };
  const during = (wanted: CeremonyPhase): void => {
    if (phase !== wanted) refuse('share.ceremony', { phase });
  };
  switch (step.kind) {
    case 'join': {
      during('join');
      const { dealing } = step.body;
      return {
        ...ceremony,
        joined: once(members.includes(own), joined),
        announced: dealing === null ? announced : once(dealers.includes(own), announced),
      };
    }
    case 'deal':
      during('deal');
      if (step.body.sealed.length !== members.length) refuse('share.step');
      return { ...ceremony, dealt: once(announced.includes(own), dealt) };
    case 'complain': {
      during('complain');
      const fits = joined.includes(own) && !complaints.some(({ by }) => by === own);
      once(fits && step.body.dealers.every((point) => point <= dealers.length), []);
      return { ...ceremony, complaints: [...complaints, { by: own, dealers: step.body.dealers }] };
    }
    case 'answer':
      during('answer');
      return { ...ceremony, answered: once(accusedDealers(ceremony).includes(own), answered) };
    case 'hold':
      if (phase !== 'confirm' && phase !== 'done') refuse('share.ceremony', { phase });
      return { ...ceremony, held: once(members.includes(own), held) };
    case 'open':
    case 'close':
      return ceremony;
  }
}

/** Members whose confirmations agree, most first. */
function agreeing({ state }: RuleContext, { members, shareEpoch }: CeremonyState): number {
  const hashes = members.flatMap((member) => state.get(STATE.shareConfirmation(shareEpoch, member)) ?? []);
  return Math.max(0, ...hashes.map((one) => hashes.filter((other) => equalBytes(one, other)).length));
}

/** Whether the time of the phase is over. */
export function isOverdue({ since, windowMs }: CeremonyState, time: number): boolean {
  return time >= since + windowMs;
}

function checkClose(context: RuleContext, ceremony: CeremonyState, phase: CeremonyPhase): void {
  if (ceremony.phase !== phase) refuse('share.ceremony', { phase: ceremony.phase });
  // A first ceremony is everybody's: it waits until all have joined.
  const waitsForAll = phase === 'join' && ceremony.shareEpoch === 0;
  // Enough have confirmed a later one: the next confirmation puts it in force.
  const isSettled =
    phase === 'confirm' && ceremony.shareEpoch > 0 && agreeing(context, ceremony) >= ceremony.threshold;
  if (!isOverdue(ceremony, context.time) || waitsForAll || isSettled) refuse('share.window');
}

function opened(context: RuleContext, ceremony: Uint8Array, windowMs: number): CeremonyState {
  const { state } = context;
  if (state.get(STATE.chain)?.shareEpoch !== null) refuse('share.proposal');
  if (openCeremony(state) !== undefined) refuse('share.ceremony_open');
  const begun = begin(context, windowMs);
  if (!equalBytes(begun.id, ceremony)) refuse('share.ceremony');
  return begun;
}

export const shareStep: Rule<'ShareStep'> = (context, step) => {
  const { state, time, meter } = context;
  const own = requireRight(context, ['operator']);
  const bytes = encodeCbor([own, step]);
  meter.spend(Math.ceil(bytes.length / STEP_BYTES_PER_UNIT));
  const known =
    step.kind === 'open' ? opened(context, step.ceremony, step.body.windowMs) : state.get(STATE.ceremony);
  if (known === undefined || !equalBytes(known.id, step.ceremony)) refuse('share.ceremony');
  if (step.kind === 'close') checkClose(context, known, step.body.phase);
  let next = taken(known, own, step);
  if (step.kind !== 'hold') next = { ...next, transcript: sha256(next.transcript, bytes) };
  if (step.kind === 'close' || isComplete(next)) next = { ...next, phase: following(next), since: time };
  if (next.phase === 'failed') fail(state, next);
  else state.set(STATE.ceremony, next);
  return { result: { phase: next.phase } };
};
