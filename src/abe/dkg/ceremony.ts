/**
 * The key generation ceremony without a dealer, as a pure state machine: `stepDkg(state, input)` gives the next
 * state and what to send. It follows Pedersen's protocol with the two cures of abe-security section 2.5.
 *
 *   announce   every dealer broadcasts the hash of its opening
 *   open       openings are broadcast, sub-shares go out privately
 *   complain   every receiver broadcasts which dealers' sub-shares were missing or wrong (often nobody's)
 *   answer     an accused dealer shows the sub-share in question; who shows none or a wrong one is out
 *   done       alpha = sum of a_0 over the qualified; E, E_1 .. E_n, and one's own share of it
 *
 * The caller provides an ordered broadcast that every participant sees alike, its own messages included (the
 * ledger), and private channels. `close` ends a phase for the silent and must stand at the same place in
 * everybody's order; `overdue` is one's own patience with sub-shares. Then all honest participants agree on
 * the qualified set. Holds with at most t - 1 corrupt; finishes with at most f = n - t of them silent or wrong.
 * Polynomials are evaluated with bigint, which is not constant time: a ceremony runs once, not on request.
 */
import { CodedError } from '../../codec/errors.ts';
import { ABE_ERROR, requireArgument } from '../errors.ts';
import { mod, scalarToBytes } from '../group/scalar.ts';
import type { Group, GT } from '../group/types.ts';
import { type AuthorityShare, SEED_BYTES } from '../threshold/authority.ts';
import { AUTHORITIES_MAX, type AuthorityKeys, authorityKeys } from '../threshold/keys.ts';
import {
  checkSubShare,
  commitmentAt,
  type Dealing,
  dealingHash,
  drawPolynomial,
  encodeDealing,
  openDealing,
  type Polynomial,
  SESSION_BYTES,
  subShare,
} from './dealing.ts';
import { type DkgBroadcast, decodeDkg, encodeDkg } from './messages.ts';

export interface DkgConfig {
  readonly group: Group;
  /** 32 bytes that name this ceremony and no other. */
  readonly session: Uint8Array;
  readonly n: number;
  readonly t: number;
  /** One's own point, 1..n. */
  readonly me: number;
}

export type DkgInput =
  /** From the ordered broadcast, one's own messages included. */
  | { readonly kind: 'broadcast'; readonly from: number; readonly bytes: Uint8Array }
  | { readonly kind: 'private'; readonly from: number; readonly bytes: Uint8Array }
  /** Sub-shares that have not come are given up. */
  | { readonly kind: 'overdue' }
  /** The phase ends here for everybody. */
  | { readonly kind: 'close' };

export type DkgBlame = 'silent' | 'bad opening' | 'bad answer' | 'too many complaints';

export type DkgEffect =
  | { readonly kind: 'broadcast'; readonly bytes: Uint8Array }
  | { readonly kind: 'private'; readonly to: number; readonly bytes: Uint8Array }
  /** A dealer is out; everybody sees the same. */
  | { readonly kind: 'blame'; readonly dealer: number; readonly reason: DkgBlame }
  | { readonly kind: 'done'; readonly result: DkgResult }
  /** Fewer than t dealers are left. Start again without the blamed. */
  | { readonly kind: 'failed' };

export interface DkgResult {
  readonly keys: AuthorityKeys;
  readonly share: AuthorityShare;
  /** Dealers whose contributions are in the key. */
  readonly qualified: readonly number[];
}

type Phase = 'announce' | 'open' | 'complain' | 'answer' | 'done' | 'failed';

/** Never changed in place. Holds the dealer's polynomial and sub-shares: as secret as a share. */
export interface DkgState {
  readonly config: DkgConfig;
  readonly phase: Phase;
  readonly polynomial: Polynomial;
  readonly opening: Uint8Array;
  /** Drawn at the start so that steps need no randomness. */
  readonly seed: Uint8Array;
  readonly announced: ReadonlyMap<number, Uint8Array>;
  /** undefined: opened wrongly. */
  readonly opened: ReadonlyMap<number, Dealing | undefined>;
  /** Sub-shares as they came, unchecked. */
  readonly received: ReadonlyMap<number, Uint8Array>;
  readonly hasComplained: boolean;
  readonly complaints: ReadonlyMap<number, readonly number[]>;
  readonly answers: ReadonlyMap<number, ReadonlyMap<number, Uint8Array>>;
}

export interface DkgStep {
  readonly state: DkgState;
  readonly effects: readonly DkgEffect[];
}

function refuse(message: string): never {
  throw new CodedError(ABE_ERROR.dkgInput, message);
}

/** Begins as dealer and receiver `me`. Draws the polynomial, the proof's nonce and the PRF seed from `random`. */
export function startDkg(config: DkgConfig, random: (n: number) => Uint8Array): DkgStep {
  const { group, session, n, t, me } = config;
  requireArgument(session.length === SESSION_BYTES, `a session id has ${SESSION_BYTES} bytes`);
  requireArgument(
    Number.isInteger(n) && n >= 1 && n <= AUTHORITIES_MAX,
    `1 to ${AUTHORITIES_MAX} authorities`,
  );
  requireArgument(Number.isInteger(t) && t >= 1 && t <= n, 'a threshold from 1 to n');
  requireArgument(Number.isInteger(me) && me >= 1 && me <= n, 'a point from 1 to n');
  const polynomial = drawPolynomial(t, random);
  const opening = encodeDealing(group, session, me, polynomial, random);
  const state: DkgState = {
    config,
    phase: 'announce',
    polynomial,
    opening,
    seed: random(SEED_BYTES),
    announced: new Map(),
    opened: new Map(),
    received: new Map(),
    hasComplained: false,
    complaints: new Map(),
    answers: new Map(),
  };
  return { state, effects: [broadcast({ kind: 'announce', hash: dealingHash(session, me, opening) })] };
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
      return state.phase === 'complain' && !state.hasComplained ? complain(state) : { state, effects: [] };
    case 'close':
      return close(state);
  }
}

function checkSender({ config }: DkgState, from: number): void {
  if (!Number.isInteger(from) || from < 1 || from > config.n)
    refuse(`expected a sender from 1 to ${config.n}`);
}

function receiveShare(state: DkgState, from: number, bytes: Uint8Array): DkgState {
  checkSender(state, from);
  const message = decodeDkg(bytes);
  if (message.kind !== 'share') refuse('expected a sub-share on the private channel');
  if (state.received.has(from) || state.hasComplained) return state;
  return { ...state, received: new Map(state.received).set(from, message.share) };
}

function receiveBroadcast(state: DkgState, from: number, bytes: Uint8Array): DkgState {
  checkSender(state, from);
  const message = decodeDkg(bytes);
  if (message.kind !== state.phase) {
    refuse(`expected a message of the phase "${state.phase}", got "${message.kind}"`);
  }
  switch (message.kind) {
    case 'announce':
      if (state.announced.has(from)) return state;
      return { ...state, announced: new Map(state.announced).set(from, message.hash) };
    case 'open': {
      const announced = state.announced.get(from);
      if (announced === undefined || state.opened.has(from)) return state;
      const { group, session, t } = state.config;
      const dealing = openDealing(group, session, from, t, announced, message.opening);
      return { ...state, opened: new Map(state.opened).set(from, dealing) };
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

/** Dealers that opened well, ascending. */
function dealers(state: DkgState): number[] {
  return [...state.opened.keys()]
    .filter((dealer) => state.opened.get(dealer) !== undefined)
    .sort((a, b) => a - b);
}

/** Who complained about `dealer`. */
function accusers(state: DkgState, dealer: number): number[] {
  return [...state.complaints.keys()]
    .filter((accuser) => state.complaints.get(accuser)?.includes(dealer))
    .sort((a, b) => a - b);
}

/** Dealers who must answer: complained about, but by few enough that answering does not reveal the polynomial. */
function accused(state: DkgState): number[] {
  return dealers(state).filter((dealer) => {
    const count = accusers(state, dealer).length;
    return count > 0 && count < state.config.t;
  });
}

/** Moves on when nothing more can come in this phase. */
function settle(state: DkgState): DkgStep {
  const { n } = state.config;
  switch (state.phase) {
    case 'announce':
      return state.announced.size === n ? toOpen(state) : { state, effects: [] };
    case 'open':
      return state.opened.size === state.announced.size ? toComplain(state) : { state, effects: [] };
    case 'complain': {
      if (state.complaints.size === n) return toAnswer(state);
      const hasAll = dealers(state).every((dealer) => state.received.has(dealer));
      return hasAll && !state.hasComplained ? complain(state) : { state, effects: [] };
    }
    case 'answer':
      return accused(state).every((dealer) => state.answers.has(dealer))
        ? finish(state)
        : { state, effects: [] };
    case 'done':
    case 'failed':
      return { state, effects: [] };
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

function fail(state: DkgState, effects: readonly DkgEffect[]): DkgStep {
  return { state: { ...state, phase: 'failed', polynomial: [] }, effects: [...effects, { kind: 'failed' }] };
}

function blameSilent(state: DkgState): DkgEffect[] {
  const silent = Array.from({ length: state.config.n }, (_, i) => i + 1).filter(
    (i) => !state.announced.has(i),
  );
  return silent.map((dealer) => ({ kind: 'blame', dealer, reason: 'silent' }));
}

function toOpen(state: DkgState): DkgStep {
  const { n, t, me } = state.config;
  const effects: DkgEffect[] = blameSilent(state);
  if (state.announced.size < t) return fail(state, effects);
  if (state.announced.has(me)) {
    effects.push(broadcast({ kind: 'open', opening: state.opening }));
    for (let to = 1; to <= n; to++) {
      if (to === me) continue;
      const share = subShare(state.polynomial, to);
      effects.push({ kind: 'private', to, bytes: encodeDkg({ kind: 'share', share }) });
    }
  }
  const received = new Map(state.received).set(me, subShare(state.polynomial, me));
  return { state: { ...state, phase: 'open', received }, effects };
}

function toComplain(state: DkgState): DkgStep {
  const effects: DkgEffect[] = [];
  for (const dealer of [...state.announced.keys()].sort((a, b) => a - b)) {
    if (state.opened.get(dealer) !== undefined) continue;
    effects.push({ kind: 'blame', dealer, reason: state.opened.has(dealer) ? 'bad opening' : 'silent' });
  }
  if (dealers(state).length < state.config.t) return fail(state, effects);
  const next = settle({ ...state, phase: 'complain' });
  return { state: next.state, effects: [...effects, ...next.effects] };
}

/** Checks the sub-shares that came and says which dealers' are missing or wrong. */
function complain(state: DkgState): DkgStep {
  const { group, me } = state.config;
  const bad = dealers(state).filter((dealer) => {
    const dealing = state.opened.get(dealer);
    const share = state.received.get(dealer);
    if (dealing === undefined || share === undefined) return true;
    return checkSubShare(group, dealing, me, share) === undefined;
  });
  return {
    state: { ...state, hasComplained: true },
    effects: [broadcast({ kind: 'complain', dealers: bad })],
  };
}

function toAnswer(state: DkgState): DkgStep {
  const effects: DkgEffect[] = [];
  if (accused(state).includes(state.config.me)) {
    const shares = accusers(state, state.config.me).map((receiver) => ({
      receiver,
      share: subShare(state.polynomial, receiver),
    }));
    effects.push(broadcast({ kind: 'answer', shares }));
  }
  const next = settle({ ...state, phase: 'answer' });
  return { state: next.state, effects: [...effects, ...next.effects] };
}

/** Whether `dealer` showed every accuser's sub-share and each fits its commitments. */
function answersWell(state: DkgState, dealer: number, dealing: Dealing): boolean {
  const answers = state.answers.get(dealer);
  return accusers(state, dealer).every((receiver) => {
    const share = answers?.get(receiver);
    return share !== undefined && checkSubShare(state.config.group, dealing, receiver, share) !== undefined;
  });
}

function finish(state: DkgState): DkgStep {
  const { group, n, t, me } = state.config;
  const effects: DkgEffect[] = [];
  const qualified = new Map<number, Dealing>();
  for (const dealer of dealers(state)) {
    const dealing = state.opened.get(dealer);
    if (dealing === undefined) continue;
    if (accusers(state, dealer).length >= t) {
      effects.push({ kind: 'blame', dealer, reason: 'too many complaints' });
    } else if (!answersWell(state, dealer, dealing)) {
      effects.push({ kind: 'blame', dealer, reason: 'bad answer' });
    } else qualified.set(dealer, dealing);
  }
  // With t or more qualified dealers one is honest, whose contribution nobody else knows.
  if (qualified.size < t) return fail(state, effects);
  let alpha = 0n;
  for (const [dealer, dealing] of qualified) {
    const shown = state.answers.get(dealer)?.get(me);
    const bytes = shown ?? state.received.get(dealer);
    const share = bytes && checkSubShare(group, dealing, me, bytes);
    // Reached only by a receiver that neither got its sub-share nor complained in time: it has no share.
    if (share === undefined) return fail(state, effects);
    alpha = mod(alpha + share);
  }
  const at = (x: number): GT =>
    [...qualified.values()]
      .map((dealing) => commitmentAt(group, dealing, x))
      .reduce((a, b) => group.mulGT(a, b));
  const keys = authorityKeys(group, {
    E: at(0),
    shares: Array.from({ length: n }, (_, i) => at(i + 1)),
    t,
    shareEpoch: 0,
  });
  const share: AuthorityShare = {
    authority: me,
    shareEpoch: 0,
    mpkHash: keys.mpk.hash,
    alpha: scalarToBytes(alpha),
    seed: state.seed,
  };
  const result = { keys, share, qualified: [...qualified.keys()] };
  return {
    state: { ...state, phase: 'done', polynomial: [] },
    effects: [...effects, { kind: 'done', result }],
  };
}
