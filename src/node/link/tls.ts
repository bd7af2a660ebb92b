/**
 * The member link between processes: one mutually authenticated TLS 1.3 port a node, over which consensus messages and
 * the requests of channels `parts`, `headers` and `oprf` share a connection. Peers are pinned by the link keys of the
 * ledger, observers by those of their cards; anybody else is refused before a byte of theirs is parsed. Frames, reconnects and bounds are those of the
 * consensus library's link.
 */
import type { LinkChannel, LinkHandler, MemberLink } from '../../authority/link.ts';
import { fromUtf8, toHex, utf8 } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { type MemberId, memberId } from '../../codec/ids.ts';
import {
  CONSENSUS_CHANNEL,
  type LinkPeer,
  linkIdentityFromSeed,
  linkTransport,
  type PeerId,
  MemberLink as TlsLink,
  type Transport,
} from '../../consensus/index.ts';
import type { Member } from '../../ledger/index.ts';
import { answerBytes, readAnswer } from './answers.ts';
import { LINK_TIMEOUT_MS } from './in-process.ts';

/** Order is the channel's number on the wire: the same at every member. */
const CHANNELS: readonly [typeof CONSENSUS_CHANNEL, 'parts', 'headers', 'oprf'] = [
  CONSENSUS_CHANNEL,
  'parts',
  'headers',
  'oprf',
];
/** Ed25519 SubjectPublicKeyInfo without the key (RFC 8410). */
const ED25519_SPKI = '302a300506032b6570032100';
/** What an observer may ask on channel `headers`: how far the others are, and the ledger that it may follow anyway. */
const OBSERVER_OPS: ReadonlySet<string> = new Set([
  'tip',
  'certified',
  'snapshot',
  'snapshot-chunk',
  'history',
]);
/** Longest name of an operation. */
const OP_CHARS_MAX = 32;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface TlsLinksOptions {
  readonly self: MemberId;
  /** Ed25519 seed of the link certificate. */
  readonly seed: Uint8Array;
  /** All members, with their validator and link keys, as far as they are known yet; this one among them. */
  readonly members: readonly Member[];
  /** Nodes that may follow the chain and show their admission, and no more: hospitals that are about to join. */
  readonly observers: readonly Member[];
  readonly listen: Address;
  /** Where the links of the others listen, members and observers. */
  readonly peers: ReadonlyMap<string, Address>;
  readonly jitter: () => number;
}

export interface TlsLinks {
  readonly link: MemberLink;
  readonly transport: Transport;
  /** Takes the members of now from the ledger: who has left is cut off, and an observer that was admitted is a member. */
  setMembers(members: readonly Member[]): void;
  /** Listens and dials; answers the port. */
  start(): Promise<number>;
  stop(): Promise<void>;
}

/** The link of one member. Nothing is sent or accepted before `start`. */
export function tlsLinks(options: TlsLinksOptions): TlsLinks {
  const { self, seed, members, observers, listen, peers, jitter } = options;
  const peerOf = new Map<string, PeerId>();
  const memberOf = new Map<PeerId, MemberId>();
  const observerOf = new Map<PeerId, MemberId>();
  /** Notes who is who; answers whom to be linked to. */
  const take = (current: readonly Member[]): LinkPeer[] => {
    const waiting = observers.filter(({ id }) => !current.some((one) => one.id === id));
    for (const map of [peerOf, memberOf, observerOf]) map.clear();
    for (const [known, map] of [
      [current, memberOf],
      [waiting, observerOf],
    ] as const) {
      for (const { id, validatorKey } of known) {
        const peer = toHex(validatorKey) as PeerId;
        peerOf.set(id, peer);
        map.set(peer, memberId(id));
      }
    }
    return [...current, ...waiting].flatMap(({ id, validatorKey, linkKey }) => {
      const address = peers.get(id);
      if (id === self || address === undefined) return [];
      return [{ id: toHex(validatorKey) as PeerId, pin: ED25519_SPKI + toHex(linkKey), ...address }];
    });
  };
  const first = take(members);
  const own = peerOf.get(self);
  if (own === undefined) throw new CodedError('member.unknown', `the genesis names no member ${self}`);
  const tls = new TlsLink({
    self: own,
    identity: linkIdentityFromSeed(seed, self),
    peers: first,
    listen,
    channels: CHANNELS,
    jitter,
  });
  const handlers = new Map<string, LinkHandler>();
  const open = (name: LinkChannel) =>
    tls.channel(name, {
      onRequest: async (from, frame) => {
        const { op, body } = decodeRequest(frame);
        const observer = name === 'headers' && OBSERVER_OPS.has(op) ? observerOf.get(from) : undefined;
        const member = memberOf.get(from) ?? observer;
        if (member === undefined) throw new CodedError('link.unreachable', 'the peer is no member');
        return answerBytes(handlers.get(`${name}/${op}`), member, body);
      },
    });
  const channels = { parts: open('parts'), headers: open('headers'), oprf: open('oprf') };
  const link: MemberLink = {
    self,
    serve: (channel, op, handler) => {
      handlers.set(`${channel}/${op}`, handler);
    },
    request: async (to, channel, op, body, timeoutMs = LINK_TIMEOUT_MS) => {
      const peer = peerOf.get(to);
      if (peer === undefined) throw new CodedError('link.unreachable', `${to} is no member`);
      let answer: Uint8Array;
      try {
        answer = await channels[channel].request(peer, encodeCbor({ op: utf8(op), body }), timeoutMs);
      } catch (cause) {
        throw new CodedError('link.unreachable', `${to} cannot be reached from ${self}`, { cause });
      }
      return readAnswer(to, answer);
    },
  };
  return {
    link,
    transport: linkTransport(tls),
    setMembers: (current) => tls.setPeers(take(current)),
    start: () => tls.start(),
    stop: () => tls.stop(),
  };
}

/** A request frame: dag-cbor `{ body, op }`, the operation in ASCII. */
function decodeRequest(frame: Uint8Array): { op: string; body: Uint8Array } {
  const { op, body } = (decodeCbor(frame) ?? {}) as { op?: unknown; body?: unknown };
  if (!(op instanceof Uint8Array) || op.length > OP_CHARS_MAX || !(body instanceof Uint8Array)) {
    throw new CodedError('link.malformed', 'expected a request with an operation and a body');
  }
  return { op: fromUtf8(op), body };
}
