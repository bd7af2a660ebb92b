/**
 * The member link between processes: one mutually authenticated TLS 1.3 port a node, over which consensus messages and
 * the requests of channels `parts`, `headers` and `oprf` share a connection. Peers are pinned by the link keys of the
 * genesis; anybody else is refused before a byte of theirs is parsed. Frames, reconnects and bounds are those of the
 * consensus library's link.
 */
import type { LinkChannel, LinkHandler, MemberLink } from '../../authority/link.ts';
import { fromUtf8, toHex, utf8 } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { type MemberId, memberId } from '../../codec/ids.ts';
import {
  CONSENSUS_CHANNEL,
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
  /** All members, with their validator and link keys from the ledger. */
  readonly members: readonly Member[];
  readonly listen: Address;
  /** Where the other members' links listen. */
  readonly peers: ReadonlyMap<string, Address>;
  readonly jitter: () => number;
}

export interface TlsLinks {
  readonly link: MemberLink;
  readonly transport: Transport;
  /** Listens and dials; answers the port. */
  start(): Promise<number>;
  stop(): Promise<void>;
}

/** The link of one member. Nothing is sent or accepted before `start`. */
export function tlsLinks(options: TlsLinksOptions): TlsLinks {
  const { self, seed, members, listen, peers, jitter } = options;
  const peerOf = new Map<string, PeerId>();
  const memberOf = new Map<PeerId, MemberId>();
  for (const { id, validatorKey } of members) {
    const peer = toHex(validatorKey) as PeerId;
    peerOf.set(id, peer);
    memberOf.set(peer, memberId(id));
  }
  const own = peerOf.get(self);
  if (own === undefined) throw new CodedError('member.unknown', `the genesis names no member ${self}`);
  const tls = new TlsLink({
    self: own,
    identity: linkIdentityFromSeed(seed, self),
    peers: members.flatMap(({ id, validatorKey, linkKey }) => {
      const address = peers.get(id);
      if (id === self || address === undefined) return [];
      return [{ id: toHex(validatorKey) as PeerId, pin: ED25519_SPKI + toHex(linkKey), ...address }];
    }),
    listen,
    channels: CHANNELS,
    jitter,
  });
  const handlers = new Map<string, LinkHandler>();
  const open = (name: LinkChannel) =>
    tls.channel(name, {
      onRequest: async (from, frame) => {
        const member = memberOf.get(from);
        if (member === undefined) throw new CodedError('link.unreachable', 'the peer is no member');
        const { op, body } = decodeRequest(frame);
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
  return { link, transport: linkTransport(tls), start: () => tls.start(), stop: () => tls.stop() };
}

/** A request frame: dag-cbor `{ body, op }`, the operation in ASCII. */
function decodeRequest(frame: Uint8Array): { op: string; body: Uint8Array } {
  const { op, body } = (decodeCbor(frame) ?? {}) as { op?: unknown; body?: unknown };
  if (!(op instanceof Uint8Array) || op.length > OP_CHARS_MAX || !(body instanceof Uint8Array)) {
    throw new CodedError('link.malformed', 'expected a request with an operation and a body');
  }
  return { op: fromUtf8(op), body };
}
