/**
 * ShareStep: the messages of a key ceremony (docs/format/abe.md, "Ceremony"). They stand on the ledger whole, so that
 * everybody sees the same in one order, nobody tells two members different things, and whoever comes late can still
 * build its share. Sub-shares are sealed to keys that are drawn for one ceremony and erased with it.
 */
import {
  CEREMONY_WINDOW_MS_MAX,
  CEREMONY_WINDOW_MS_MIN,
  MEMBERS_MAX,
  SEALED_SHARE_BYTES_MAX,
  SHARE_OPENING_BYTES_MAX,
} from './bounds.ts';
import { bytes32, bytes64 } from './common.ts';
import { bytesBetween, type Decode, distinct, integer, list, map, nullable, oneOf } from './fields.ts';

/** Phases in their order; `done` and `failed` are the ends. */
export const CEREMONY_PHASES = ['join', 'deal', 'complain', 'answer', 'confirm', 'done', 'failed'] as const;
export type CeremonyPhase = (typeof CEREMONY_PHASES)[number];

/** Begins the first ceremony of a chain; later ones begin with a ShareRenew proposal. */
export interface ShareOpen {
  readonly windowMs: number;
}

export interface ShareJoin {
  /** To this HPKE key of this ceremony alone the member's sub-shares are sealed. */
  readonly hpkeKey: Uint8Array;
  /** Hash of the opening that follows; null for a member that deals nothing. */
  readonly dealing: Uint8Array | null;
}

export interface ShareDeal {
  readonly opening: Uint8Array;
  /** One sub-share for each member of the ceremony, in their order. */
  readonly sealed: readonly Uint8Array[];
}

export interface ShareComplain {
  /** Points of dealers whose sub-share is missing or wrong; often none. */
  readonly dealers: readonly number[];
}

export interface ShareAnswer {
  readonly shares: readonly { readonly receiver: number; readonly share: Uint8Array }[];
}

/** That the member's own share is durable: a proof of knowledge of it. */
export interface ShareHold {
  readonly proof: Uint8Array;
}

/** Ends a phase whose time is over. */
export interface ShareClose {
  readonly phase: CeremonyPhase;
}

export type ShareMessage =
  | { readonly kind: 'open'; readonly body: ShareOpen }
  | { readonly kind: 'join'; readonly body: ShareJoin }
  | { readonly kind: 'deal'; readonly body: ShareDeal }
  | { readonly kind: 'complain'; readonly body: ShareComplain }
  | { readonly kind: 'answer'; readonly body: ShareAnswer }
  | { readonly kind: 'hold'; readonly body: ShareHold }
  | { readonly kind: 'close'; readonly body: ShareClose };

/** One message of the ceremony with the id `ceremony` (`ceremonyId`). */
export type ShareStep = ShareMessage & { readonly ceremony: Uint8Array };

/** How long every phase of a ceremony waits for members that say nothing. */
export const windowMs = integer(CEREMONY_WINDOW_MS_MIN, CEREMONY_WINDOW_MS_MAX);

const point = integer(1, MEMBERS_MAX);
const shareOpen = map<ShareOpen>({ windowMs });
const shareJoin = map<ShareJoin>({ hpkeKey: bytes32, dealing: nullable(bytes32) });
const shareDeal = map<ShareDeal>({
  opening: bytesBetween(1, SHARE_OPENING_BYTES_MAX),
  sealed: list(bytesBetween(1, SEALED_SHARE_BYTES_MAX), 1, MEMBERS_MAX),
});
const shareComplain = map<ShareComplain>({ dealers: distinct(list(point, 0, MEMBERS_MAX)) });
const shareAnswer = map<ShareAnswer>({
  shares: list(map({ receiver: point, share: bytes32 }), 1, MEMBERS_MAX),
});
const shareHold = map<ShareHold>({ proof: bytes64 });
const shareClose = map<ShareClose>({ phase: oneOf(...CEREMONY_PHASES) });

const head = map<{ ceremony: Uint8Array; kind: ShareMessage['kind']; body: unknown }>({
  ceremony: bytes32,
  kind: oneOf('open', 'join', 'deal', 'complain', 'answer', 'hold', 'close'),
  body: (value) => value,
});

export const shareStep: Decode<ShareStep> = (value, field) => {
  const { ceremony, kind, body } = head(value, field);
  switch (kind) {
    case 'open':
      return { ceremony, kind, body: shareOpen(body, 'body') };
    case 'join':
      return { ceremony, kind, body: shareJoin(body, 'body') };
    case 'deal':
      return { ceremony, kind, body: shareDeal(body, 'body') };
    case 'complain':
      return { ceremony, kind, body: shareComplain(body, 'body') };
    case 'answer':
      return { ceremony, kind, body: shareAnswer(body, 'body') };
    case 'hold':
      return { ceremony, kind, body: shareHold(body, 'body') };
    case 'close':
      return { ceremony, kind, body: shareClose(body, 'body') };
  }
};
