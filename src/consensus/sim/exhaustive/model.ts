/**
 * What can be said in the search: the values of each view, named by small numbers, and the messages made of them.
 * Signatures carry no information here: only messages that their sender could sign are ever made.
 */
import { advance, type Chain, genesisChain, leaderOf } from '../../chain.ts';
import type { CoreSigner } from '../../core/types.ts';
import type { Weakening } from '../../core/weakening.ts';
import { invariant } from '../../errors.ts';
import { HEARTBEAT_MS, PROTOCOL_VERSION } from '../../limits.ts';
import { type Hash, ZERO_HASH } from '../../wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal, qcHash } from '../../wire/codec.ts';
import type {
  Commit,
  NewView,
  PrePrepare,
  Prepare,
  PreparedCertificate,
  Proposal,
  QuorumCertificate,
  Signed,
  ViewChange,
} from '../../wire/messages.ts';
import { simKey } from '../keys.ts';

export interface SearchOptions {
  /** Validators; 4 if absent. */
  readonly members?: number;
  /** Indexes of the Byzantine replicas. At height 1 replica v leads view v. */
  readonly byzantine: readonly number[];
  /** Heights 1 .. heights; 1 if absent. */
  readonly heights?: number;
  /** Views 0 .. views-1 of each height. */
  readonly views: number;
  /** One honest replica may restart once, with its log or without. */
  readonly crash?: 'restart' | 'amnesia';
  readonly weaken?: Weakening;
  /** Stop after this many states. */
  readonly statesMax: number;
}

/** A value in a view; `bit` names it. */
export interface Pair {
  readonly bit: number;
  readonly height: number;
  readonly view: number;
  readonly hash: Hash;
  readonly parent: Hash;
  readonly leader: number;
}

/** What a VIEW-CHANGE says: nothing prepared, or `LOCKED` plus the bit of what was. */
export const NOTHING = 1;
export const LOCKED = 2;
/** A VIEW-CHANGE of the height below, where that guard is left out. */
export const STALE = 63;

const SIGNATURE = new Uint8Array(64);
const GENESIS_TIME = 1_000_000;
const BATCH = encodeBatch([]);

export const searchSigner: CoreSigner = {
  vote: () => SIGNATURE,
  viewChange: (position, parentQc, prepared) => ({
    type: 'view-change',
    ...position,
    parentQc,
    prepared,
    digest: (prepared === undefined ? ZERO_HASH : `${prepared.view}${prepared.hash}`.slice(0, 64)) as Hash,
    signature: SIGNATURE,
  }),
  hello: (hello) => ({ type: 'hello', ...hello, signature: SIGNATURE }),
  welcome: (welcome) => ({ type: 'welcome', ...welcome, signature: SIGNATURE }),
};

/** Wall clock at which the empty block of `height` is due, so that its leader proposes and all timers run. */
export function clockAt(height: number): number {
  return GENESIS_TIME + height * HEARTBEAT_MS + 5000;
}

export class Model {
  readonly n: number;
  readonly views: number;
  readonly heights: number;
  readonly byzantine: readonly number[];
  readonly weaken: Weakening;
  readonly genesis: Chain;
  readonly pairs: Pair[] = [];
  readonly #bits = new Map<string, number>();
  readonly #proposals = new Map<Hash, Proposal>();
  /** By parent, two a view. */
  readonly #fresh = new Map<Hash, Proposal[]>();
  /** Any chain whose tip is this header; those of one header differ in their certificate only. */
  readonly #chains = new Map<Hash, Chain>();

  constructor(options: SearchOptions) {
    this.n = options.members ?? 4;
    this.views = options.views;
    this.heights = options.heights ?? 1;
    this.byzantine = options.byzantine;
    this.weaken = options.weaken ?? {};
    this.genesis = genesisChain({
      chainId: new Uint8Array(32),
      time: GENESIS_TIME,
      validators: Array.from({ length: this.n }, (_, i) => simKey(i).publicKey),
    });
    this.#chains.set(this.genesis.headHash, this.genesis);
  }

  get q(): number {
    return this.genesis.validators.q;
  }

  /** One of the two values that the leader of `view` above `chain` may propose as new. */
  fresh(chain: Chain, view: number, letter: 0 | 1): Proposal {
    let values = this.#fresh.get(chain.headHash);
    if (values === undefined) {
      values = [];
      for (let at = 0; at < this.views; at++) {
        for (const choice of [0, 1]) values.push(this.#make(this.chainOf(chain.headHash), at, choice));
      }
      this.#fresh.set(chain.headHash, values);
      for (const { header, hash } of values) {
        for (let later = header.view; later < this.views; later++) this.bit(later, hash);
      }
    }
    return values[2 * view + letter];
  }

  #make(chain: Chain, view: number, letter: number): Proposal {
    const height = chain.height + 1;
    const proposal = makeProposal(
      {
        version: PROTOCOL_VERSION,
        chainId: chain.chainId,
        epoch: 0,
        height,
        view,
        proposer: leaderOf(chain, view),
        time: GENESIS_TIME + height * HEARTBEAT_MS + 10 * view + letter,
        parentHash: chain.headHash,
        batchHash: batchHash(BATCH),
        stateRoot: ZERO_HASH,
        logRoot: ZERO_HASH,
        treeSize: 0,
        validatorsHash: chain.validators.hash,
        nextValidatorsHash: chain.nextValidators.hash,
        parentQcHash: chain.qc === undefined ? ZERO_HASH : qcHash(chain.qc),
      },
      BATCH,
      chain.qc,
    );
    this.#proposals.set(proposal.hash, proposal);
    return proposal;
  }

  proposal(hash: Hash): Proposal {
    const proposal = this.#proposals.get(hash);
    invariant(proposal !== undefined, 'a value is made before it is named');
    return proposal;
  }

  bit(view: number, hash: Hash): number {
    const name = `${view} ${hash}`;
    const known = this.#bits.get(name);
    if (known !== undefined) return known;
    const { header } = this.proposal(hash);
    const bit = this.pairs.length;
    invariant(bit < 31, 'values and views fit one word');
    const chain = this.#chains.get(header.parentHash) ?? this.genesis;
    const { height, parentHash: parent } = header;
    this.pairs.push({ bit, height, view, hash, parent, leader: leaderOf(chain, view) });
    this.#bits.set(name, bit);
    return bit;
  }

  /** The chain after `pair` was decided on top of `chain`. */
  after(chain: Chain, pair: Pair): Chain {
    const next = advance(chain, this.proposal(pair.hash), this.qc(pair), {});
    if (!this.#chains.has(pair.hash)) this.#chains.set(pair.hash, next);
    return next;
  }

  chainOf(head: Hash): Chain {
    return this.#chains.get(head) ?? this.genesis;
  }

  // ---- messages ----------------------------------------------------------------------------------------------

  #position(height: number, view: number, sender: number): Omit<Signed, 'digest' | 'signature'> {
    return { epoch: 0, height, view, sender };
  }

  prepare({ height, view, hash }: Pair, sender: number): Prepare {
    return {
      type: 'prepare',
      ...this.#position(height, view, sender),
      digest: hash,
      signature: SIGNATURE,
    };
  }

  commit({ height, view, hash }: Pair, sender: number): Commit {
    return { type: 'commit', ...this.#position(height, view, sender), digest: hash, signature: SIGNATURE };
  }

  qc({ height, view, hash }: Pair): QuorumCertificate {
    const votes = Array.from({ length: this.q }, (_, sender) => ({ sender, signature: SIGNATURE }));
    return { epoch: 0, height, view, headerHash: hash, votes };
  }

  certificate(pair: Pair): PreparedCertificate {
    const { view, hash, leader } = pair;
    const votes = this.others(leader, this.q - 1).map((sender) => ({ sender, signature: SIGNATURE }));
    const { header } = this.proposal(hash);
    return { header, hash, view, leader: { sender: leader, signature: SIGNATURE }, votes };
  }

  /** The first `count` replicas besides `self` and `except`. */
  others(self: number, count: number, except = -1): number[] {
    const out: number[] = [];
    for (let i = 0; i < this.n && out.length < count; i++) if (i !== self && i !== except) out.push(i);
    return out;
  }

  /** VIEW-CHANGE(view) above `chain` that says `content`. */
  change(chain: Chain, view: number, sender: number, content: number): ViewChange {
    const height = chain.height + (content === STALE ? 0 : 1);
    const parentQc = content === STALE ? undefined : chain.qc;
    const locked = content === STALE || content < LOCKED ? undefined : this.pairs[content - LOCKED];
    const prepared = locked && this.certificate(locked);
    return searchSigner.viewChange(this.#position(height, view, sender), parentQc, prepared);
  }

  /** The leader's message for `pair`; `viewChanges` justify it in a later view. */
  lead(pair: Pair, viewChanges: readonly ViewChange[]): PrePrepare | NewView {
    const { height, view, hash, leader } = pair;
    const proposal = this.proposal(hash);
    const signed = { ...this.#position(height, view, leader), digest: hash, signature: SIGNATURE, proposal };
    return viewChanges.length === 0
      ? { type: 'pre-prepare', ...signed }
      : { type: 'new-view', ...signed, viewChanges };
  }
}
