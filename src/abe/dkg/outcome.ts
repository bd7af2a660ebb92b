/** What the messages of a ceremony amount to: who is in, and the keys and share that follow. */
import { mod, scalarToBytes } from '../group/scalar.ts';
import type { GT } from '../group/types.ts';
import type { AuthorityShare } from '../threshold/authority.ts';
import { type AuthorityKeys, authorityKeys } from '../threshold/keys.ts';
import { lagrangeScalars } from '../threshold/lagrange.ts';
import { checkSubShare, commitmentAt, type Dealing } from './dealing.ts';
import { type DkgEffect, type DkgState, dealersNeeded } from './types.ts';

const ascending = (points: Iterable<number>): number[] => [...points].sort((a, b) => a - b);

/** Dealers that opened well, ascending. */
export function openDealers(state: DkgState): number[] {
  return ascending([...state.opened].flatMap(([dealer, dealing]) => (dealing === undefined ? [] : [dealer])));
}

/** Receivers that complained about `dealer`, ascending. */
export function accusers(state: DkgState, dealer: number): number[] {
  return ascending(
    [...state.complaints].flatMap(([accuser, list]) => (list.includes(dealer) ? [accuser] : [])),
  );
}

/** Dealers who must answer: complained about, but by few enough that answering does not reveal the polynomial. */
export function accused(state: DkgState): number[] {
  return openDealers(state).filter((dealer) => {
    const count = accusers(state, dealer).length;
    return count > 0 && count < state.config.t;
  });
}

/** Whether `dealer` showed every accuser's sub-share and each fits its commitments. */
function answersWell(state: DkgState, dealer: number, dealing: Dealing): boolean {
  const answers = state.answers.get(dealer);
  return accusers(state, dealer).every((receiver) => {
    const share = answers?.get(receiver);
    return share !== undefined && checkSubShare(state.config.group, dealing, receiver, share) !== undefined;
  });
}

/** Dealers that are in, with their dealings, and blame for those that are out at the end. */
export function judge(state: DkgState): { qualified: Map<number, Dealing>; effects: DkgEffect[] } {
  const qualified = new Map<number, Dealing>();
  const effects: DkgEffect[] = [];
  for (const dealer of openDealers(state)) {
    const dealing = state.opened.get(dealer);
    if (dealing === undefined) continue;
    if (accusers(state, dealer).length >= state.config.t) {
      effects.push({ kind: 'blame', dealer, reason: 'too many complaints' });
    } else if (!answersWell(state, dealer, dealing)) {
      effects.push({ kind: 'blame', dealer, reason: 'bad answer' });
    } else qualified.set(dealer, dealing);
  }
  return { qualified, effects };
}

/** The dealings that make the result, and their weights: all in a first ceremony, the first t of a resharing. */
function contributions(
  { config }: DkgState,
  qualified: ReadonlyMap<number, Dealing>,
): { dealer: number; dealing: Dealing; weight: bigint }[] {
  const all = [...qualified];
  if (config.previous === undefined) return all.map(([dealer, dealing]) => ({ dealer, dealing, weight: 1n }));
  const used = all.slice(0, dealersNeeded(config));
  const weights = lagrangeScalars(used.map(([dealer]) => dealer));
  return used.map(([dealer, dealing], i) => ({ dealer, dealing, weight: weights[i] }));
}

/**
 * The public keys that follow from the qualified dealings: their product in a first ceremony, their Lagrange
 * combination in a resharing (any t old points would do; all must take the same).
 */
export function concludeKeys(state: DkgState, qualified: ReadonlyMap<number, Dealing>): AuthorityKeys {
  const { group, n, t, previous } = state.config;
  const parts = contributions(state, qualified);
  const at = (x: number): GT => {
    const terms = parts.map(({ dealing, weight }) => {
      const term = commitmentAt(group, dealing, x);
      return weight === 1n ? term : group.powGT(term, weight);
    });
    return terms.reduce((a, b) => group.mulGT(a, b));
  };
  return authorityKeys(group, {
    E: at(0),
    shares: Array.from({ length: n }, (_, i) => at(i + 1)),
    t,
    shareEpoch: previous === undefined ? 0 : previous.keys.shareEpoch + 1,
  });
}

/**
 * One's own share, or undefined when a sub-share that it needs is missing: that happens only to a receiver that
 * did not complain in time.
 */
export function concludeShare(
  state: DkgState,
  qualified: ReadonlyMap<number, Dealing>,
  keys: AuthorityKeys,
  me: number,
): AuthorityShare | undefined {
  let alpha = 0n;
  for (const { dealer, dealing, weight } of contributions(state, qualified)) {
    const bytes = state.answers.get(dealer)?.get(me) ?? state.received.get(dealer);
    const share = bytes && checkSubShare(state.config.group, dealing, me, bytes);
    if (share === undefined) return undefined;
    alpha = mod(alpha + weight * share);
  }
  const { shareEpoch, mpk } = keys;
  return { authority: me, shareEpoch, mpkHash: mpk.hash, alpha: scalarToBytes(alpha), seed: state.seed };
}
