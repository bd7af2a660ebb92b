/**
 * A Byzantine member that plots: it sees what is sent to any liar, collects VIEW-CHANGEs and prepared certificates of
 * different views, votes for every value towards those who were given it, hides its locks, shows old ones, and when it
 * leads proposes whatever some q VIEW-CHANGEs allow, or do not.
 */
import { leaderOf } from '../chain.ts';
import type { CoreSigner } from '../core/types.ts';
import { coreSigner } from '../node/signer.ts';
import type { PeerId } from '../validators.ts';
import { type Hash, hashOf } from '../wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal } from '../wire/codec.ts';
import type { Message, NewView, PreparedCertificate, Proposal, ViewChange } from '../wire/messages.ts';
import type { Outgoing } from './adversary.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

/** What is remembered of one height. */
class Knowledge {
  /** By view and value: proposals that were sent. */
  readonly led = new Map<string, { readonly view: number; readonly hash: Hash }>();
  readonly proposals = new Map<Hash, Proposal>();
  readonly changes = new Map<string, ViewChange>();
  readonly certificates = new Map<string, PreparedCertificate>();
  readonly done = new Set<string>();
}

export class Plotter {
  readonly #random: Random;
  readonly #chainId: Uint8Array;
  readonly #heights = new Map<number, Knowledge>();

  constructor(random: Random, chainId: Uint8Array) {
    this.#random = random;
    this.#chainId = chainId;
  }

  /** Liars tell each other all they hear. */
  overhear(message: Message): void {
    if (message.type === 'pre-prepare' || message.type === 'new-view') {
      const known = this.#at(message.height);
      known.led.set(`${message.view} ${message.digest}`, { view: message.view, hash: message.digest });
      known.proposals.set(message.digest, message.proposal);
      if (message.type === 'new-view') for (const change of message.viewChanges) this.#noteChange(change);
    } else if (message.type === 'view-change') this.#noteChange(message);
  }

  #noteChange(change: ViewChange): void {
    const known = this.#at(change.height);
    known.changes.set(`${change.view} ${change.sender} ${change.digest}`, change);
    if (change.prepared !== undefined)
      known.certificates.set(`${change.prepared.view} ${change.prepared.hash}`, change.prepared);
  }

  #at(height: number): Knowledge {
    let known = this.#heights.get(height);
    if (known === undefined) {
      known = new Knowledge();
      this.#heights.set(height, known);
      this.#heights.delete(height - 4);
    }
    return known;
  }

  /** What `node` does now, towards `peers`; `told` is the value that a peer was given of two. */
  act(node: SimNode, peers: readonly PeerId[], told: ReadonlyMap<PeerId, Hash>): Outgoing[] {
    const { replica } = node;
    if (replica === undefined || replica.index < 0) return [];
    const { chain, index: sender } = replica;
    const height = chain.height + 1;
    const known = this.#at(height);
    const signer = coreSigner(node.key, this.#chainId);
    const out: Outgoing[] = [];
    let highest = 0;
    for (const { view, hash } of known.led.values()) {
      highest = Math.max(highest, view);
      out.push(
        ...this.#votes(
          known,
          signer,
          { epoch: chain.validators.epoch, height, view, sender },
          hash,
          peers,
          told,
        ),
      );
    }
    for (const change of known.changes.values()) highest = Math.max(highest, change.view);
    for (let view = 1; view <= highest + 1; view++) {
      out.push(...this.#change(known, signer, node, view, peers));
      if (leaderOf(chain, view) === sender) out.push(...this.#lead(known, signer, node, view, peers));
    }
    return out;
  }

  /** PREPARE and COMMIT for a value, once to each peer that may have been given it. */
  #votes(
    known: Knowledge,
    signer: CoreSigner,
    at: { epoch: number; height: number; view: number; sender: number },
    digest: Hash,
    peers: readonly PeerId[],
    told: ReadonlyMap<PeerId, Hash>,
  ): Outgoing[] {
    const out: Outgoing[] = [];
    for (const to of peers) {
      const given = told.get(to);
      if (given !== undefined && given !== digest && known.proposals.has(given)) continue;
      const name = `vote ${at.sender} ${at.view} ${to}`;
      if (known.done.has(name)) continue;
      known.done.add(name);
      for (const type of ['prepare', 'commit'] as const) {
        out.push({ to, message: { type, ...at, digest, signature: signer.vote(type, at, digest) } });
      }
    }
    return out;
  }

  /** One VIEW-CHANGE a view: with nothing, or with an old certificate of somebody. */
  #change(
    known: Knowledge,
    signer: CoreSigner,
    { replica }: SimNode,
    view: number,
    peers: readonly PeerId[],
  ): Outgoing[] {
    if (replica === undefined) return [];
    const name = `change ${replica.index} ${view}`;
    if (known.done.has(name) || this.#random.chance(0.7)) return [];
    known.done.add(name);
    const { chain, index: sender } = replica;
    const at = { epoch: chain.validators.epoch, height: chain.height + 1, view, sender };
    const old = [...known.certificates.values()].filter((certificate) => certificate.view < view);
    const shown = old.length > 0 && this.#random.chance(0.4) ? this.#random.pick(old) : undefined;
    const change = signer.viewChange(at, chain.qc, shown);
    this.#noteChange(change);
    return peers.map((to) => ({ to, message: change }));
  }

  /** Up to two NEW-VIEWs of a view that it leads, each to some of the peers. */
  #lead(
    known: Knowledge,
    signer: CoreSigner,
    node: SimNode,
    view: number,
    peers: readonly PeerId[],
  ): Outgoing[] {
    const { replica } = node;
    if (replica === undefined) return [];
    const { chain } = replica;
    const bySender = new Map<number, ViewChange>();
    for (const change of known.changes.values()) {
      if (change.view === view && (!bySender.has(change.sender) || this.#random.chance(0.5)))
        bySender.set(change.sender, change);
    }
    const name = `lead ${replica.index} ${view} ${known.done.has(`lead ${replica.index} ${view} 0`) ? 1 : 0}`;
    const { q } = chain.validators;
    if (known.done.has(name) || bySender.size < q - this.#random.below(2) || this.#random.chance(0.5))
      return [];
    known.done.add(name);
    const changes = this.#choose([...bySender.values()], q);
    const proposal = this.#value(known, node, view, changes);
    if (proposal === undefined) return [];
    const at = { epoch: chain.validators.epoch, height: chain.height + 1, view, sender: replica.index };
    const signature = signer.vote('pre-prepare', at, proposal.hash);
    const message: NewView = {
      type: 'new-view',
      ...at,
      digest: proposal.hash,
      signature,
      proposal,
      viewChanges: changes.sort((a, b) => a.sender - b.sender),
    };
    this.overhear(message);
    return peers.filter(() => this.#random.chance(0.7)).map((to) => ({ to, message }));
  }

  /** `count` of them at random, mostly those that show as little as possible. */
  #choose(changes: readonly ViewChange[], count: number): ViewChange[] {
    const bareFirst = this.#random.chance(0.5);
    return changes
      .map((change) => ({ change, rank: this.#random.u32() + (bareFirst && change.prepared ? 2 ** 32 : 0) }))
      .sort((a, b) => a.rank - b.rank)
      .slice(0, count)
      .map(({ change }) => change);
  }

  /** A prepared value of any view, the same requests under a header of its own, or nothing of what was prepared. */
  #value(
    known: Knowledge,
    node: SimNode,
    view: number,
    changes: readonly ViewChange[],
  ): Proposal | undefined {
    const prepared = changes.flatMap((change) => change.prepared ?? []);
    if (prepared.length > 0 && this.#random.chance(0.5))
      return known.proposals.get(this.#random.pick(prepared).hash);
    const [some] = known.proposals.values();
    if (some === undefined) return undefined;
    const locked = prepared.length > 0 ? known.proposals.get(prepared[0].hash) : undefined;
    const batch = locked !== undefined && this.#random.chance(0.5) ? locked.batch : [];
    return freshProposal(node, some, view, batch);
  }
}

/** A header of `node` for `view` with `batch`, otherwise like `like`; valid like an honest one. */
export function freshProposal(
  node: SimNode,
  like: Proposal,
  view: number,
  batch: readonly Uint8Array[],
): Proposal | undefined {
  const { replica } = node;
  if (replica === undefined) return undefined;
  const batchBytes = encodeBatch(batch);
  const header = {
    ...like.header,
    view,
    proposer: replica.index,
    time: Math.max(node.clock(), replica.chain.time + 1),
    batchHash: batchHash(batchBytes),
  };
  const result = node.application.run(header, batch);
  if (!result.ok) return undefined;
  const roots = {
    stateRoot: hashOf(result.stateRoot),
    logRoot: hashOf(result.logRoot),
    treeSize: result.treeSize,
  };
  return makeProposal({ ...header, ...roots }, batchBytes, like.parentQc);
}

/** Whether a plotter sends messages like this one itself, later and otherwise than its core wants to. */
export function plots({ type }: Message): boolean {
  return type === 'new-view' || type === 'prepare' || type === 'commit' || type === 'view-change';
}
