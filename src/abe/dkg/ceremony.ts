/**
 * The key generation ceremony without a dealer, and resharing, as a pure state machine: `stepDkg(state, input)`
 * gives the next state and what to send. Pedersen's protocol with the two cures of abe-security section 2.5.
 *
 *   announce   every dealer broadcasts the hash of its opening
 *   open       openings are broadcast, sub-shares go out privately
 *   complain   every receiver broadcasts which dealers' sub-shares were missing or wrong (often nobody's)
 *   answer     an accused dealer shows the sub-share in question; who shows none or a wrong one is out
 *   done       E, E_1 .. E_n, and one's own share
 *
 * First ceremony: alpha = sum of a_0 over the qualified. Resharing: every old authority deals its own share,
 * A_0 = E_i is checked, and the new shares are a Lagrange combination, so that mpk stays.
 *
 * The caller provides an ordered broadcast that every participant sees alike, its own messages included (the
 * ledger), and private channels. `close` ends a phase for the silent and must stand at the same place in
 * everybody's order; `overdue` is one's own patience with sub-shares. Then all honest participants agree on
 * the qualified set. Secret with at most t - 1 corrupt; finishes if t dealers and all of the broadcast are live.
 * Polynomials are evaluated with bigint and commitments raised in variable time: a ceremony runs once, not on request.
 * After a resharing old shares and old seeds are erased together and every key is issued again.
 */
import { CodedError } from '../../codec/errors.ts';
import { ABE_ERROR, requireArgument } from '../errors.ts';
import { bytesToBigint } from '../group/scalar.ts';
import { SEED_BYTES } from '../threshold/authority.ts';
import { AUTHORITIES_MAX } from '../threshold/keys.ts';
import {
  checkSubShare,
  dealingHash,
  drawPolynomial,
  encodeDealing,
  openDealing,
  SESSION_BYTES,
  subShare,
} from './dealing.ts';
import { type DkgBroadcast, decodeDkg, encodeDkg } from './messages.ts';
import { accused, accusers, concludeKeys, concludeShare, judge, openDealers } from './outcome.ts';
import {
  type DkgConfig,
  type DkgEffect,
  type DkgInput,
  type DkgState,
  type DkgStep,
  dealerCount,
  dealersNeeded,
} from './types.ts';

function refuse(message: string): never {
  throw new CodedError(ABE_ERROR.dkgInput, message);
}

const isPoint = (value: number, count: number): boolean =>
  Number.isInteger(value) && value >= 1 && value <= count;

/** Begins. A dealer draws its polynomial and the proof's nonce from `random`, a receiver the seed of its share. */
export function startDkg(config: DkgConfig, random: (n: number) => Uint8Array): DkgStep {
  const { group, session, n, t, me, previous } = config;
  requireArgument(session.length === SESSION_BYTES, `a session id has ${SESSION_BYTES} bytes`);
  requireArgument(isPoint(n, AUTHORITIES_MAX), `1 to ${AUTHORITIES_MAX} authorities`);
  requireArgument(isPoint(t, n), 'a threshold from 1 to n');
  requireArgument(me === undefined ? previous !== undefined : isPoint(me, n), 'a point from 1 to n');
  const share = previous?.share;
  requireArgument(
    share === undefined || share.shareEpoch === previous?.keys.shareEpoch,
    'a share of the current epoch',
  );
  const dealer = previous === undefined ? me : share?.authority;
  let own: DkgState['own'];
  if (dealer !== undefined) {
    const polynomial = drawPolynomial(t, random, share && bytesToBigint(share.alpha));
    own = { dealer, polynomial, opening: encodeDealing(group, session, dealer, polynomial, random) };
  }
  const state: DkgState = {
    config,
    phase: 'announce',
    own,
    seed: random(SEED_BYTES),
    announced: new Map(),
    opened: new Map(),
    received: new Map(),
    hasComplained: false,
    complaints: new Map(),
    answers: new Map(),
  };
  return {
    state,
    effects: own
      ? [broadcast({ kind: 'announce', hash: dealingHash(session, own.dealer, own.opening) })]
      : [],
  };
}

const broadcast = (message: DkgBroadcast): DkgEffect => ({ kind: 'broadcast', bytes: encodeDkg(message) });

/**
 * The next state. Throws `abe.dkg_input` for bytes that are no message, from nobody, or out of phase, and leaves
 * the old state valid; a second message of one kind from one sender changes nothing.
 */
export function stepDkg(state: DkgState, input: DkgInput): DkgStep {
  switch (input.kind) {
    case 'private':
      return settle(receiveShare(state, input.from, input.bytes));
    case 'broadcast':
      return settle(receiveBroadcast(state, input.from, input.bytes));
    case 'overdue':
      return state.phase === 'complain' && mayComplain(state) ? complain(state) : { state, effects: [] };
    case 'close':
      return close(state);
  }
}

function receiveShare(state: DkgState, from: number, bytes: Uint8Array): DkgState {
  if (!isPoint(from, dealerCount(state.config))) refuse('expected a sub-share from a dealer');
  const message = decodeDkg(bytes);
  if (message.kind !== 'share') refuse('expected a sub-share on the private channel');
  if (state.received.has(from) || state.hasComplained) return state;
  return { ...state, received: new Map(state.received).set(from, message.share) };
}

function receiveBroadcast(state: DkgState, from: number, bytes: Uint8Array): DkgState {
  const { config } = state;
  const message = decodeDkg(bytes);
  if (message.kind !== state.phase) {
    refuse(`expected a message of the phase "${state.phase}", got "${message.kind}"`);
  }
  if (!isPoint(from, message.kind === 'complain' ? config.n : dealerCount(config))) {
    refuse('expected a sender of this ceremony');
  }
  switch (message.kind) {
    case 'announce':
      if (state.announced.has(from)) return state;
      return { ...state, announced: new Map(state.announced).set(from, message.hash) };
    case 'open': {
      const announced = state.announced.get(from);
      if (announced === undefined || state.opened.has(from)) return state;
      const dealing = openDealing(config.group, config.session, from, config.t, announced, message.opening);
      const isOwn = dealing !== undefined && dealsOwnShare(config, from, dealing.commitments[0]);
      return { ...state, opened: new Map(state.opened).set(from, isOwn ? dealing : undefined) };
    }
    case 'complain':
      if (state.complaints.has(from)) return state;
      return { ...state, complaints: new Map(state.complaints).set(from, message.dealers) };
    case 'answer': {
      if (state.answers.has(from)) return state;
      const shares = new Map(message.shares.map(({ receiver, share }) => [receiver, share]));
      return { ...state, answers: new Map(state.answers).set(from, shares) };
    }
  }
}

/** In a resharing the constant term must be the dealer's present share: A_0 = E_i. */
function dealsOwnShare(
  { group, previous }: DkgConfig,
  dealer: number,
  A0: Parameters<typeof group.equalGT>[0],
): boolean {
  return previous === undefined || group.equalGT(A0, previous.keys.E[dealer - 1]);
}

const mayComplain = (state: DkgState): boolean => !state.hasComplained && state.config.me !== undefined;

/** Moves on when nothing more can come in this phase. */
function settle(state: DkgState): DkgStep {
  const stay = { state, effects: [] };
  switch (state.phase) {
    case 'announce':
      return state.announced.size === dealerCount(state.config) ? toOpen(state) : stay;
    case 'open':
      return state.opened.size === state.announced.size ? toComplain(state) : stay;
    case 'complain': {
      if (state.complaints.size === state.config.n) return toAnswer(state);
      const hasAll = openDealers(state).every((dealer) => state.received.has(dealer));
      return hasAll && mayComplain(state) ? complain(state) : stay;
    }
    case 'answer':
      return accused(state).every((dealer) => state.answers.has(dealer)) ? finish(state) : stay;
    case 'done':
    case 'failed':
      return stay;
  }
}

function close(state: DkgState): DkgStep {
  switch (state.phase) {
    case 'announce':
      return toOpen(state);
    case 'open':
      return toComplain(state);
    case 'complain':
      return toAnswer(state);
    case 'answer':
      return finish(state);
    case 'done':
    case 'failed':
      return { state, effects: [] };
  }
}

/** Ends the ceremony and forgets its secrets. */
function end(state: DkgState, phase: 'done' | 'failed', effects: readonly DkgEffect[]): DkgStep {
  return { state: { ...state, phase, own: undefined, received: new Map(), seed: new Uint8Array() }, effects };
}

const fail = (state: DkgState, effects: readonly DkgEffect[]): DkgStep =>
  end(state, 'failed', [...effects, { kind: 'failed' }]);

function toOpen(state: DkgState): DkgStep {
  const { config, own } = state;
  const effects: DkgEffect[] = [];
  for (let dealer = 1; dealer <= dealerCount(config); dealer++) {
    if (!state.announced.has(dealer)) effects.push({ kind: 'blame', dealer, reason: 'silent' });
  }
  if (state.announced.size < dealersNeeded(config)) return fail(state, effects);
  const received = new Map(state.received);
  if (own !== undefined && state.announced.has(own.dealer)) {
    effects.push(broadcast({ kind: 'open', opening: own.opening }));
    for (let to = 1; to <= config.n; to++) {
      const share = subShare(own.polynomial, to);
      if (to === config.me) received.set(own.dealer, share);
      else effects.push({ kind: 'private', to, bytes: encodeDkg({ kind: 'share', share }) });
    }
  }
  return { state: { ...state, phase: 'open', received }, effects };
}

function toComplain(state: DkgState): DkgStep {
  const effects: DkgEffect[] = [];
  for (const dealer of [...state.announced.keys()].sort((a, b) => a - b)) {
    if (state.opened.get(dealer) !== undefined) continue;
    effects.push({ kind: 'blame', dealer, reason: state.opened.has(dealer) ? 'bad opening' : 'silent' });
  }
  if (openDealers(state).length < dealersNeeded(state.config)) return fail(state, effects);
  const next = settle({ ...state, phase: 'complain' });
  return { state: next.state, effects: [...effects, ...next.effects] };
}

/** Checks the sub-shares that came and says which dealers' are missing or wrong. */
function complain(state: DkgState): DkgStep {
  const { group, me } = state.config;
  const bad = openDealers(state).filter((dealer) => {
    const dealing = state.opened.get(dealer);
    const share = state.received.get(dealer);
    if (dealing === undefined || share === undefined || me === undefined) return true;
    return checkSubShare(group, dealing, me, share) === undefined;
  });
  return {
    state: { ...state, hasComplained: true },
    effects: [broadcast({ kind: 'complain', dealers: bad })],
  };
}

function toAnswer(state: DkgState): DkgStep {
  const { own } = state;
  const effects: DkgEffect[] = [];
  if (own !== undefined && accused(state).includes(own.dealer)) {
    const shares = accusers(state, own.dealer).map((receiver) => ({
      receiver,
      share: subShare(own.polynomial, receiver),
    }));
    effects.push(broadcast({ kind: 'answer', shares }));
  }
  const next = settle({ ...state, phase: 'answer' });
  return { state: next.state, effects: [...effects, ...next.effects] };
}

function finish(state: DkgState): DkgStep {
  const { qualified, effects } = judge(state);
  if (qualified.size < dealersNeeded(state.config)) return fail(state, effects);
  const keys = concludeKeys(state, qualified);
  const { me } = state.config;
  if (me === undefined) return end(state, 'done', [...effects, { kind: 'left', keys }]);
  const share = concludeShare(state, qualified, keys, me);
  if (share === undefined) return fail(state, effects);
  const result = { keys, share, qualified: [...qualified.keys()] };
  return end(state, 'done', [...effects, { kind: 'done', result }]);
}
