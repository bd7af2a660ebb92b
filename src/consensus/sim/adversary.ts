/**
 * What Byzantine members do. Each runs the production core for its keys and lies on top of it: it may run two of them
 * (twins) that talk to different members, drop what it likes, sign both of two values, propose twice, hide or invent
 * certificates, propose a value of its own in NEW-VIEW, and replay. It never has an honest member's key.
 */
import { coreSigner } from '../node/signer.ts';
import type { PeerId } from '../validators.ts';
import { type Hash, hashOf, ZERO_HASH } from '../wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal } from '../wire/codec.ts';
import type { Message, Proposal } from '../wire/messages.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

export type Style = 'mute' | 'choosy' | 'twins' | 'liar';
export const STYLES: readonly Style[] = ['mute', 'choosy', 'twins', 'liar', 'liar'];

export interface Outgoing {
  readonly to: PeerId;
  readonly message: Message;
}

/** Values seen at a height, for votes on both of them. */
const SEEN_MAX = 4;
/** Proposals kept for lies about them. */
const PROPOSALS_MAX = 16;
/** Old messages kept for replay. */
const REPLAY_MAX = 64;

export class Adversary {
  readonly #random: Random;
  readonly #chainId: Uint8Array;
  readonly #seen = new Map<number, Set<Hash>>();
  readonly #proposals = new Map<string, Proposal>();
  /** Which of two values each peer was proposed last, to vote for that one towards it. */
  readonly #told = new Map<PeerId, Hash>();
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
    if (seen.size >= SEEN_MAX || seen.has(message.proposal.hash)) return;
    seen.add(message.proposal.hash);
    this.#proposals.set(message.proposal.hash, message.proposal);
    if (this.#proposals.size > PROPOSALS_MAX) {
      for (const oldest of this.#proposals.keys()) {
        this.#proposals.delete(oldest);
        break;
      }
    }
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
        if (random.chance(0.1))
          return [...out, ...toAll(peers, this.#propose(node, message, { empty: true }))];
        if (random.chance(0.1))
          return [...out, ...toAll(peers, this.#propose(node, message, { badRoot: true }))];
        return [...out, ...this.#proposeTwice(node, peers, message)];
      case 'new-view':
        this.overhear(message);
        if (random.chance(0.4)) return [...out, ...toAll(peers, this.#forgetLocks(node, message))];
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
        const at = { epoch, height, view, sender };
        const bare = signer.viewChange(at, message.parentQc, undefined);
        const forged = this.#forgeLock(node, message);
        return [
          ...out,
          ...peers.map((to) => ({ to, message: random.pick([bare, message, forged ?? bare]) })),
        ];
      }
      case 'status':
        return [...out, ...toAll(peers, { ...message, height: message.height + random.below(3) })];
      default:
        return [...out, ...toAll(peers, message)];
    }
  }

  /** The proposal changed: another time, no requests, a wrong root, or fresh in this view; signed like the first. */
  #propose<M extends Extract<Message, { type: 'pre-prepare' | 'new-view' }>>(
    node: SimNode,
    message: M,
    change: { readonly empty?: boolean; readonly badRoot?: boolean; readonly fresh?: boolean },
  ): M {
    const { epoch, height, view, sender, proposal } = message;
    const batch = change.empty ? [] : proposal.batch;
    const batchBytes = encodeBatch(batch);
    const own = change.fresh ? { view, proposer: sender } : {};
    const header = {
      ...proposal.header,
      ...own,
      time: proposal.header.time + 1,
      batchHash: batchHash(batchBytes),
    };
    // Another time gives another header with roots of its own, valid like the first.
    const result = node.application.run(header, batch);
    if (!result.ok) return message;
    const stateRoot = change.badRoot ? ZERO_HASH : hashOf(result.stateRoot);
    const roots = { stateRoot, logRoot: hashOf(result.logRoot), treeSize: result.treeSize };
    const other: Proposal = makeProposal({ ...header, ...roots }, batchBytes, proposal.parentQc);
    const signer = coreSigner(node.key, this.#chainId);
    const signature = signer.vote('pre-prepare', { epoch, height, view, sender }, other.hash);
    const changed = { ...message, digest: other.hash, signature, proposal: other };
    this.overhear(changed);
    return changed;
  }

  /** Another header for the same batch to a part of the peers, both signed. */
  #proposeTwice(
    node: SimNode,
    peers: readonly PeerId[],
    message: Extract<Message, { type: 'pre-prepare' | 'new-view' }>,
  ): Outgoing[] {
    const twin = this.#propose(node, message, {});
    this.#told.clear();
    return peers.map((to) => {
      const chosen = this.#random.chance(0.5) ? message : twin;
      this.#told.set(to, chosen.digest);
      return { to, message: chosen };
    });
  }

  /** A NEW-VIEW for a value of its own, with as few as possible of the VIEW-CHANGEs that show a lock. */
  #forgetLocks(node: SimNode, message: Extract<Message, { type: 'new-view' }>): Message {
    const fresh = this.#propose(node, message, { fresh: true, empty: this.#random.chance(0.5) });
    const bare = message.viewChanges.filter((change) => change.prepared === undefined);
    const viewChanges = this.#random.chance(0.5) && bare.length >= 2 ? bare : message.viewChanges;
    return { ...fresh, viewChanges };
  }

  /** A VIEW-CHANGE with a certificate that only its sender signed. */
  #forgeLock(node: SimNode, message: Extract<Message, { type: 'view-change' }>): Message | undefined {
    const { epoch, height, view, sender } = message;
    const proposal = this.#proposals.get(this.#random.pick([...(this.#seen.get(height) ?? [])]) ?? '');
    if (proposal === undefined) return undefined;
    const signer = coreSigner(node.key, this.#chainId);
    const at = { epoch, height, view: view - 1, sender };
    const leader = { sender, signature: signer.vote('pre-prepare', at, proposal.hash) };
    const { header, hash } = proposal;
    const prepared = { header, hash, view: view - 1, leader, votes: [] };
    return signer.viewChange({ epoch, height, view, sender }, message.parentQc, prepared);
  }

  #voteForBoth(
    node: SimNode,
    peers: readonly PeerId[],
    message: Extract<Message, { type: 'prepare' | 'commit' }>,
  ): Outgoing[] {
    const { epoch, height, view, sender } = message;
    const values = [...(this.#seen.get(height) ?? []), message.digest];
    return peers.map((to) => {
      const told = this.#told.get(to);
      const consistent = told !== undefined && values.includes(told) && this.#random.chance(0.7);
      const digest = consistent ? told : this.#random.pick(values);
      const signature = coreSigner(node.key, this.#chainId).vote(
        message.type,
        { epoch, height, view, sender },
        digest,
      );
      return { to, message: { ...message, digest, signature } };
    });
  }

  /**
   * Votes out of turn: towards a peer that was given one of two proposals, all votes for that one; else a vote for
   * anything seen, prepared or not.
   */
  outOfTurn(node: SimNode, peers: readonly PeerId[]): Outgoing[] {
    const { replica } = node;
    if (replica === undefined || replica.index < 0) return [];
    const { chain, view, index: sender } = replica;
    const height = chain.height + 1;
    const values = [...(this.#seen.get(height) ?? [])];
    if (values.length === 0) return [];
    const signer = coreSigner(node.key, this.#chainId);
    const vote = (kind: 'prepare' | 'commit', at: number, digest: Hash): Message => {
      const position = { epoch: chain.validators.epoch, height, view: at, sender };
      return { type: kind, ...position, digest, signature: signer.vote(kind, position, digest) };
    };
    const out: Outgoing[] = [];
    for (const to of peers) {
      const told = this.#told.get(to);
      if (told !== undefined && values.includes(told)) {
        out.push({ to, message: vote('prepare', view, told) }, { to, message: vote('commit', view, told) });
      } else if (this.#random.chance(0.5)) {
        const kind = this.#random.chance(0.5) ? 'prepare' : 'commit';
        out.push({ to, message: vote(kind, this.#random.below(view + 2), this.#random.pick(values)) });
      }
    }
    return out;
  }
}

function toAll(peers: readonly PeerId[], message: Message): Outgoing[] {
  return peers.map((to) => ({ to, message }));
}
