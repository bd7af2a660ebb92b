/**
 * What Byzantine members do. Each runs the production core for its keys and lies on top of it: it may run two of them
 * (twins) that talk to different members, drop what it likes, sign both of two values, propose twice, hide or invent
 * certificates, propose a value of its own in NEW-VIEW, and replay. It never has an honest member's key.
 */
import { coreSigner } from '../node/signer.ts';
import type { PeerId } from '../validators.ts';
import { type Hash, hashOf } from '../wire/bytes.ts';
import { makeProposal } from '../wire/codec.ts';
import type { Message, Proposal } from '../wire/messages.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

export type Style = 'mute' | 'choosy' | 'twins' | 'liar';
export const STYLES: readonly Style[] = ['mute', 'choosy', 'twins', 'liar'];

export interface Outgoing {
  readonly to: PeerId;
  readonly message: Message;
}

/** Values seen at a height, for votes on both of them. */
const SEEN_MAX = 4;
/** Old messages kept for replay. */
const REPLAY_MAX = 64;

export class Adversary {
  readonly #random: Random;
  readonly #chainId: Uint8Array;
  readonly #seen = new Map<number, Set<Hash>>();
  readonly #replay: Message[] = [];

  constructor(random: Random, chainId: Uint8Array) {
    this.#random = random;
    this.#chainId = chainId;
  }

  /** The adversary sees everything that is sent to its members. */
  overhear(message: Message): void {
    if (message.type !== 'pre-prepare' && message.type !== 'new-view') return;
    let seen = this.#seen.get(message.height);
    if (seen === undefined) {
      seen = new Set();
      this.#seen.set(message.height, seen);
      this.#seen.delete(message.height - 3);
    }
    if (seen.size < SEEN_MAX) seen.add(message.proposal.hash);
  }

  /** What really leaves a Byzantine member when its core wants to send `message`. */
  distort(node: SimNode, style: Style, peers: readonly PeerId[], message: Message): Outgoing[] {
    const random = this.#random;
    if (style === 'mute') return random.chance(0.1) ? toAll(peers, message) : [];
    if (style === 'choosy')
      return toAll(
        peers.filter(() => random.chance(0.5)),
        message,
      );
    if (style === 'twins') return toAll(peers, message);
    return this.#lie(node, peers, message);
  }

  #lie(node: SimNode, peers: readonly PeerId[], message: Message): Outgoing[] {
    const random = this.#random;
    this.#replay.push(message);
    if (this.#replay.length > REPLAY_MAX) this.#replay.shift();
    const out: Outgoing[] = [];
    if (random.chance(0.05)) out.push(...toAll([random.pick(peers)], random.pick(this.#replay)));
    switch (message.type) {
      case 'pre-prepare':
        this.overhear(message);
        return [...out, ...this.#proposeTwice(node, peers, message)];
      case 'new-view':
        this.overhear(message);
        return [
          ...out,
          ...(random.chance(0.5) ? this.#proposeTwice(node, peers, message) : toAll(peers, message)),
        ];
      case 'prepare':
      case 'commit':
        return [...out, ...this.#voteForBoth(node, peers, message)];
      case 'view-change': {
        const signer = coreSigner(node.key, this.#chainId);
        const { epoch, height, view, sender } = message;
        const bare = signer.viewChange({ epoch, height, view, sender }, message.parentQc, undefined);
        return [...out, ...peers.map((to) => ({ to, message: random.chance(0.5) ? bare : message }))];
      }
      case 'status':
        return [...out, ...toAll(peers, { ...message, height: message.height + random.below(3) })];
      default:
        return [...out, ...toAll(peers, message)];
    }
  }

  /** Another header for the same batch to a part of the peers, both signed. */
  #proposeTwice(
    node: SimNode,
    peers: readonly PeerId[],
    message: Extract<Message, { type: 'pre-prepare' | 'new-view' }>,
  ): Outgoing[] {
    const { header, batchBytes, parentQc } = message.proposal;
    // Another time gives another header with roots of its own, valid like the first.
    const time = header.time + 1;
    const result = node.application.run({ ...header, time }, message.proposal.batch);
    if (!result.ok) return toAll(peers, message);
    const stateRoot = hashOf(result.stateRoot);
    const other: Proposal = makeProposal({ ...header, time, stateRoot }, batchBytes, parentQc);
    const { epoch, height, view, sender } = message;
    const signature = coreSigner(node.key, this.#chainId).vote(
      'pre-prepare',
      { epoch, height, view, sender },
      other.hash,
    );
    const twin: Message = { ...message, digest: other.hash, signature, proposal: other };
    this.overhear(twin);
    return peers.map((to) => ({ to, message: this.#random.chance(0.5) ? message : twin }));
  }

  #voteForBoth(
    node: SimNode,
    peers: readonly PeerId[],
    message: Extract<Message, { type: 'prepare' | 'commit' }>,
  ): Outgoing[] {
    const { epoch, height, view, sender } = message;
    const values = [...(this.#seen.get(height) ?? []), message.digest];
    return peers.map((to) => {
      const digest = this.#random.pick(values);
      const signature = coreSigner(node.key, this.#chainId).vote(
        message.type,
        { epoch, height, view, sender },
        digest,
      );
      return { to, message: { ...message, digest, signature } };
    });
  }

  /** A COMMIT for something that need not be prepared, out of turn. */
  outOfTurn(node: SimNode, peers: readonly PeerId[]): Outgoing[] {
    const replica = node.replica;
    if (replica === undefined || replica.index < 0) return [];
    const height = replica.chain.height + 1;
    const values = [...(this.#seen.get(height) ?? [])];
    if (values.length === 0) return [];
    const digest = this.#random.pick(values);
    const position = {
      epoch: replica.chain.validators.epoch,
      height,
      view: this.#random.below(replica.view + 2),
      sender: replica.index,
    };
    const kind = this.#random.chance(0.5) ? 'commit' : 'prepare';
    const signature = coreSigner(node.key, this.#chainId).vote(kind, position, digest);
    return toAll(
      peers.filter(() => this.#random.chance(0.6)),
      { type: kind, ...position, digest, signature },
    );
  }
}

function toAll(peers: readonly PeerId[], message: Message): Outgoing[] {
  return peers.map((to) => ({ to, message }));
}
