/** What a ceremony is told, holds and says. See `ceremony.ts` for the protocol. */
import type { Group } from '../group/types.ts';
import type { AuthorityShare } from '../threshold/authority.ts';
import type { AuthorityKeys } from '../threshold/keys.ts';
import type { Dealing, Polynomial } from './dealing.ts';

export interface DkgConfig {
  readonly group: Group;
  /** 32 bytes that name this ceremony and no other: the hash of the entry that started it. */
  readonly session: Uint8Array;
  /** How many authorities there will be, and how many of them make a key. */
  readonly n: number;
  readonly t: number;
  /** One's own point 1..n among those who get shares; undefined for a member who leaves by a resharing. */
  readonly me: number | undefined;
  /**
   * Present in a resharing (also to the same set: a proactive refresh). Then the dealers are the authorities of
   * `keys`, each dealing its own share; mpk stays, the share epoch goes up by one, and every key is to be issued
   * again. `share` is one's own; undefined for a member who joins.
   */
  readonly previous?: { readonly keys: AuthorityKeys; readonly share: AuthorityShare | undefined };
}

export type DkgInput =
  /**
   * From the ordered broadcast, one's own messages included. `from` is the sender's point: as dealer (its old
   * point in a resharing) in announcements, openings and answers, as receiver in complaints.
   */
  | { readonly kind: 'broadcast'; readonly from: number; readonly bytes: Uint8Array }
  /** A sub-share; `from` is the dealer's point. */
  | { readonly kind: 'private'; readonly from: number; readonly bytes: Uint8Array }
  /** Sub-shares that have not come are given up. */
  | { readonly kind: 'overdue' }
  /** The phase ends here for everybody. */
  | { readonly kind: 'close' };

export type DkgBlame = 'silent' | 'bad opening' | 'bad answer' | 'too many complaints';

export type DkgEffect =
  | { readonly kind: 'broadcast'; readonly bytes: Uint8Array }
  /** To the receiver at point `to`; the caller encrypts. */
  | { readonly kind: 'private'; readonly to: number; readonly bytes: Uint8Array }
  /** A dealer is out; everybody sees the same. */
  | { readonly kind: 'blame'; readonly dealer: number; readonly reason: DkgBlame }
  | { readonly kind: 'done'; readonly result: DkgResult }
  /** The resharing is done, and this member has no share any more. */
  | { readonly kind: 'left'; readonly keys: AuthorityKeys }
  /** Too few dealers are left. Start again without the blamed. */
  | { readonly kind: 'failed' };

export interface DkgResult {
  readonly keys: AuthorityKeys;
  readonly share: AuthorityShare;
  /** Dealers whose contributions are in the key. */
  readonly qualified: readonly number[];
}

export type DkgPhase = 'announce' | 'open' | 'complain' | 'answer' | 'done' | 'failed';

/** Never changed in place. Holds the dealer's polynomial and sub-shares: as secret as a share. */
export interface DkgState {
  readonly config: DkgConfig;
  readonly phase: DkgPhase;
  /** One's own dealing; undefined for a member who joins. */
  readonly own:
    | { readonly dealer: number; readonly polynomial: Polynomial; readonly opening: Uint8Array }
    | undefined;
  /** The PRF seed of the coming share, drawn at the start so that steps need no randomness. */
  readonly seed: Uint8Array;
  readonly announced: ReadonlyMap<number, Uint8Array>;
  /** undefined: opened wrongly. */
  readonly opened: ReadonlyMap<number, Dealing | undefined>;
  /** Sub-shares as they came, unchecked. */
  readonly received: ReadonlyMap<number, Uint8Array>;
  readonly hasComplained: boolean;
  /** By receiver: the dealers it complained about. */
  readonly complaints: ReadonlyMap<number, readonly number[]>;
  /** By dealer: the sub-shares it showed, by receiver. */
  readonly answers: ReadonlyMap<number, ReadonlyMap<number, Uint8Array>>;
}

export interface DkgStep {
  readonly state: DkgState;
  readonly effects: readonly DkgEffect[];
}

/** How many dealers there are: the new authorities, or the old ones in a resharing. */
export function dealerCount({ n, previous }: DkgConfig): number {
  return previous?.keys.n ?? n;
}

/**
 * Fewest dealers that make a result. With t (the old t in a resharing) one of them is honest, and nobody else
 * knows its contribution.
 */
export function dealersNeeded({ t, previous }: DkgConfig): number {
  return previous?.keys.t ?? t;
}
