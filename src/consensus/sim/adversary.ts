/**
 * What Byzantine members do. Each runs the production core for its keys and lies on top of it: it may run two of them
 * (twins) that talk to different members, drop what it likes, sign both of two values, propose twice, hide or invent
 * certificates, propose a value of its own in NEW-VIEW, and replay. It never has an honest member's key.
 */
import { VIEWS_AHEAD_MAX } from '../limits.ts';
import { coreSigner } from '../node/signer.ts';
import type { PeerId } from '../validators.ts';
import { type Hash, hashOf, ZERO_HASH } from '../wire/bytes.ts';
import { batchHash, decodeBlock, encodeBatch, makeProposal } from '../wire/codec.ts';
import type { Message, Proposal } from '../wire/messages.ts';
import { encodeSimRequest } from './application.ts';
import type { SimNode } from './node.ts';
import { Plotter, plots } from './plotter.ts';
import type { Random } from './random.ts';

export type Style = 'mute' | 'choosy' | 'omitting' | 'twins' | 'liar' | 'flooder' | 'plotter';
export const STYLES: readonly Style[] = [
  'mute',
  'choosy',
  'omitting',
  'twins',
  'liar',
  'liar',
  'flooder',
  'plotter',
];

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
  readonly #plotter: Plotter;

  constructor(random: Random, chainId: Uint8Array) {
    this.#random = random;
    this.#plotter = new Plotter(random, chainId);
    this.#chainId = chainId;
  }

  /** The adversary sees everything that is sent to its members. */
  overhear(_node: SimNode | undefined, message: Message): void {
    this.#plotter.overhear(message);
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
    // One member never hears anything of it.
    if (style === 'omitting') return toAll(peers.slice(0, Math.max(1, peers.length - 1)), message);
    if (style === 'twins' || style === 'flooder') return toAll(peers, message);
    if (style === 'plotter' && plots(message)) return [];
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
        this.overhear(node, message);
        if (random.chance(0.1))
          return [...out, ...toAll(peers, this.#propose(node, message, { empty: true }))];
        if (random.chance(0.1))
          return [...out, ...toAll(peers, this.#propose(node, message, { badRoot: true }))];
        if (random.chance(0.15)) return [...out, ...toAll(peers, this.#proposeUnfit(node, message))];
        return [...out, ...this.#proposeTwice(node, peers, message)];
      case 'new-view':
        this.overhear(node, message);
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
      case 'welcome': {
        // Has seen nothing of the one who asks, and has never committed.
        const signer = coreSigner(node.key, this.#chainId);
        const { type: _type, signature: _signature, ...said } = message;
        const blind = signer.welcome({ ...said, hello: undefined, vote: undefined, committed: 0 });
        return [...out, ...toAll(peers, random.chance(0.9) ? blind : message)];
      }
      case 'blocks':
        return [...out, ...toAll(peers, random.chance(0.5) ? this.#spoil(node, message) : message)];
      default:
        return [...out, ...toAll(peers, message)];
    }
  }

  /** The proposal changed: another time, no requests, a wrong root, or fresh in this view; signed like the first. */
  #propose<M extends Extract<Message, { type: 'pre-prepare' | 'new-view' }>>(
    node: SimNode,
    message: M,
    change: {
      readonly empty?: boolean;
      readonly badRoot?: boolean;
      readonly fresh?: boolean;
      readonly batch?: readonly Uint8Array[];
      readonly later?: number;
    },
  ): M {
    const { epoch, height, view, sender, proposal } = message;
    const batch = change.empty ? [] : (change.batch ?? proposal.batch);
    const batchBytes = encodeBatch(batch);
    const own = change.fresh ? { view, proposer: sender } : {};
    const header = {
      ...proposal.header,
      ...own,
      time: proposal.header.time + 1 + (change.later ?? 0),
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
    this.overhear(node, changed);
    return changed;
  }

  /** A proposal of a far time, with a request that nobody made, or with one that is used. */
  #proposeUnfit(node: SimNode, message: Extract<Message, { type: 'pre-prepare' }>): Message {
    const { batch } = message.proposal;
    const [first] = batch;
    switch (this.#random.below(3)) {
      case 0:
        return this.#propose(node, message, { later: this.#random.pick([-60_000, 60_000]) });
      case 1: {
        const forged = encodeSimRequest({
          client: 666,
          nonce: this.#random.u32(),
          expiresAt: message.proposal.header.time + 60_000,
          payload: new Uint8Array(1),
        });
        return this.#propose(node, message, { batch: [...batch, forged] });
      }
      default: {
        const old = node.application.blocks.get(node.appliedHeight);
        const used = old && decodeBlock(old).proposal.batch[0];
        const extra = used ?? first;
        return this.#propose(node, message, { batch: extra === undefined ? batch : [...batch, extra] });
      }
    }
  }

  /** Blocks whose certificate holds too little, or was signed by itself for everybody. */
  #spoil(node: SimNode, message: Extract<Message, { type: 'blocks' }>): Message {
    const blocks = message.blocks.map(({ proposal, qc }) => {
      const { epoch, height, view, headerHash } = qc;
      const short = { ...qc, votes: qc.votes.slice(1) };
      const own = coreSigner(node.key, this.#chainId);
      const votes = qc.votes.map(({ sender }) => ({
        sender,
        signature: own.vote('commit', { epoch, height, view, sender }, headerHash),
      }));
      return { proposal, qc: this.#random.chance(0.5) ? short : { ...qc, votes } };
    });
    return { ...message, blocks };
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
  outOfTurn(node: SimNode, style: Style, peers: readonly PeerId[]): Outgoing[] {
    if (style === 'plotter') return this.#plotter.act(node, peers, this.#told);
    if (style === 'flooder') return this.#flood(node, peers);
    return style === 'liar' ? this.#voteOutOfTurn(node, peers) : [];
  }

  /** Votes of far views, of other heights and epochs, for values that do not exist, and garbage as a request. */
  #flood(node: SimNode, peers: readonly PeerId[]): Outgoing[] {
    const { replica } = node;
    if (replica === undefined || replica.index < 0) return [];
    const random = this.#random;
    const { chain, index: sender } = replica;
    const signer = coreSigner(node.key, this.#chainId);
    const out: Outgoing[] = [];
    for (let i = 0; i < 5; i++) {
      const to = random.pick(peers);
      const digest = hashOf(random.bytes(32));
      const at = {
        epoch: chain.validators.epoch + random.pick([0, 0, 0, 1]),
        height: chain.height + 1 + random.pick([0, 0, 1, 2, 1000]),
        view: random.pick([0, 1, VIEWS_AHEAD_MAX, VIEWS_AHEAD_MAX + 1, 1_000_000]),
        sender,
      };
      const type = random.pick(['prepare', 'commit'] as const);
      out.push({ to, message: { type, ...at, digest, signature: signer.vote(type, at, digest) } });
      if (random.chance(0.2)) out.push({ to, message: signer.viewChange(at, chain.qc, undefined) });
      if (random.chance(0.2)) out.push({ to, message: { type: 'request', request: random.bytes(40) } });
    }
    return out;
  }

  #voteOutOfTurn(node: SimNode, peers: readonly PeerId[]): Outgoing[] {
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
