/**
 * Breadth-first search over all schedules of one height of the production core, in the reduced form of
 * ledger-security section 3: n = 4, one Byzantine replica that may send anything it can sign, two values a view, and
 * a network that is the set of everything ever sent. One step is one thing an honest replica does: accept a
 * proposal, send COMMIT, time out or join, lead a new view. Persist and send are one step.
 *
 * Breach: enough COMMITs for two different headers exist. States are merged when replicas' safety state and the
 * network are equal.
 */
import { genesisChain, leaderOf } from '../chain.ts';
import { Replica } from '../core/replica.ts';
import type { CoreMessage, CoreSigner, Effect, Input } from '../core/types.ts';
import type { Weakening } from '../core/weakening.ts';
import { invariant } from '../errors.ts';
import { DEFAULT_BATCH, DEFAULT_TIMING, HEARTBEAT_MS, PROTOCOL_VERSION } from '../limits.ts';
import type { PeerId } from '../validators.ts';
import { type Hash, ZERO_HASH } from '../wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal } from '../wire/codec.ts';
import type {
  Commit,
  Message,
  NewView,
  PrePrepare,
  Prepare,
  PreparedCertificate,
  Proposal,
  Signed,
  Verified,
  ViewChange,
} from '../wire/messages.ts';
import { simKey } from './keys.ts';

export interface SearchOptions {
  /** Index of the Byzantine replica of four; it leads the view of the same number. */
  readonly byzantine: number;
  /** Views 0 .. views-1. */
  readonly views: number;
  readonly weaken?: Weakening;
  /** Stop after this many states. */
  readonly statesMax: number;
}

export interface SearchResult {
  readonly states: number;
  /** Steps of the longest schedule looked at. */
  readonly depth: number;
  /** Whether every reachable state was looked at. */
  readonly exhausted: boolean;
  /** Shortest schedule to two certificates, one line a step. */
  readonly fork: readonly string[] | undefined;
}

const N = 4;
const QUORUM = 3;
const SIGNATURE = new Uint8Array(64);
const GENESIS_TIME = 1_000_000;
const BATCH = encodeBatch([]);

/** Signatures carry no information here: only messages that their sender could sign are ever made. */
const signer: CoreSigner = {
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

const chain = genesisChain({
  chainId: new Uint8Array(32),
  time: GENESIS_TIME,
  validators: Array.from({ length: N }, (_, i) => simKey(i).publicKey),
});

interface State {
  readonly replicas: readonly (Replica | undefined)[];
  /** Everything honest replicas sent, by name. */
  readonly network: ReadonlyMap<string, Message>;
  readonly parent: State | undefined;
  readonly label: string;
  readonly depth: number;
}

/** Value `letter` that the leader of `view` may propose as new. */
function freshProposal(view: number, letter: number): Proposal {
  return makeProposal(
    {
      version: PROTOCOL_VERSION,
      chainId: chain.chainId,
      epoch: 0,
      height: 1,
      view,
      proposer: leaderOf(chain, view),
      time: GENESIS_TIME + HEARTBEAT_MS + 10 * view + letter,
      parentHash: chain.headHash,
      batchHash: batchHash(BATCH),
      stateRoot: ZERO_HASH,
      logRoot: ZERO_HASH,
      treeSize: 0,
      validatorsHash: chain.validators.hash,
      nextValidatorsHash: chain.nextValidators.hash,
      parentQcHash: ZERO_HASH,
    },
    BATCH,
    undefined,
  );
}

function nameOf(message: Message): string | undefined {
  switch (message.type) {
    case 'prepare':
    case 'commit':
      return `${message.type} ${message.sender} ${message.view} ${message.digest}`;
    case 'pre-prepare':
    case 'new-view':
      return `lead ${message.sender} ${message.view} ${message.digest}`;
    case 'view-change':
      return `view-change ${message.sender} ${message.view} ${message.prepared?.view} ${message.prepared?.hash}`;
    default:
      return undefined;
  }
}

export class Search {
  readonly #options: SearchOptions;
  readonly #weaken: Weakening;
  readonly #fresh: readonly (readonly Proposal[])[];
  readonly #byHash = new Map<Hash, Proposal>();
  readonly #numbers = new Map<string, number>();
  readonly #votes: number;
  readonly #changes: number;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#weaken = options.weaken ?? {};
    this.#fresh = Array.from({ length: options.views }, (_, view) => [
      freshProposal(view, 1),
      freshProposal(view, 2),
    ]);
    for (const proposal of this.#fresh.flat()) this.#byHash.set(proposal.hash, proposal);
    this.#votes = QUORUM - (this.#weaken.commitQuorumLess ? 1 : 0);
    this.#changes = QUORUM - (this.#weaken.viewChangeQuorumLess ? 1 : 0);
  }

  run(): SearchResult {
    const seen = new Set<string>();
    let frontier: State[] = [this.#initial()];
    seen.add(this.#fingerprint(frontier[0]));
    let depth = 0;
    while (frontier.length > 0) {
      const next: State[] = [];
      for (const state of frontier) {
        for (const child of this.#children(state)) {
          const name = this.#fingerprint(child);
          if (seen.has(name)) continue;
          seen.add(name);
          if (this.#forked(child)) {
            return { states: seen.size, depth: child.depth, exhausted: false, fork: pathTo(child) };
          }
          if (seen.size >= this.#options.statesMax) {
            return { states: seen.size, depth, exhausted: false, fork: undefined };
          }
          next.push(child);
        }
      }
      frontier = next;
      if (next.length > 0) depth += 1;
    }
    return { states: seen.size, depth, exhausted: true, fork: undefined };
  }

  // ---- states ------------------------------------------------------------------------------------------------

  #initial(): State {
    const network = new Map<string, Message>();
    const replicas = chain.validators.ids.map((self, i) => {
      if (i === this.#options.byzantine) return undefined;
      const replica = new Replica({
        self,
        chain,
        recovered: { whole: true, boot: 1, voteFrom: 0, records: [] },
        helloNonce: new Uint8Array(16),
        signer,
        timing: { ...DEFAULT_TIMING, helloMs: 0 },
        batch: DEFAULT_BATCH,
        stillValid: () => true,
        weaken: this.#weaken,
      });
      // The heartbeat is due, so the leader proposes and everybody's timer runs.
      const due = GENESIS_TIME + HEARTBEAT_MS + 5000;
      this.#drive(replica, [{ t: 'tick', now: 1, clock: due }], network);
      return replica;
    });
    return { replicas, network, parent: undefined, label: 'start', depth: 0 };
  }

  #fingerprint(state: State): string {
    const parts = state.replicas.map((replica) =>
      replica === undefined ? 0 : this.#numberOf(replica.digest()),
    );
    const names = [...state.network.keys()].map((name) => this.#numberOf(name)).sort((a, b) => a - b);
    return String.fromCharCode(...parts, ...names);
  }

  /** Small numbers for long texts, so that visited states are compared exactly and stay short. */
  #numberOf(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    invariant(number < 0xffff, 'more distinct texts than a character holds');
    this.#numbers.set(text, number);
    return number;
  }

  /** Steps `replica`, plays its disk and application, and adds what it sends to `network`. */
  #drive(replica: Replica, inputs: readonly Input[], network: Map<string, Message>): void {
    const queue = [...inputs];
    for (let input = queue.shift(); input !== undefined; input = queue.shift()) {
      for (const effect of replica.step(input)) this.#perform(effect, queue, network);
    }
  }

  #perform(effect: Effect, queue: Input[], network: Map<string, Message>): void {
    if (effect.t === 'persist') queue.push({ t: 'persisted', upTo: effect.token });
    else if (effect.t === 'build') {
      const [proposal] = this.#fresh[effect.view];
      queue.push({ t: 'built', height: 1, view: effect.view, proposal });
    } else if (effect.t === 'validate') {
      const { hash } = effect.proposal;
      queue.push({ t: 'validated', height: 1, hash, verdict: 'ok', certified: effect.qc !== undefined });
    } else if (effect.t === 'send') {
      const name = nameOf(effect.message);
      if (name !== undefined) network.set(name, effect.message);
    }
  }

  /** The state after `replica` takes `messages` and then perhaps lets its timers run; undefined if nothing changed. */
  #after(
    state: State,
    i: number,
    messages: readonly Message[],
    label: string,
    timeout = false,
  ): State | undefined {
    const replica = state.replicas[i]?.fork();
    if (replica === undefined) return undefined;
    const network = new Map(state.network);
    const before = replica.digest();
    const from: PeerId = chain.validators.ids[i];
    const inputs: Input[] = messages.map((message) => ({
      t: 'message',
      from,
      message: message as Verified<CoreMessage>,
    }));
    this.#drive(replica, inputs, network);
    if (timeout) {
      const now = replica.nextDeadline() + 100_000;
      this.#drive(replica, [{ t: 'tick', now, clock: GENESIS_TIME + HEARTBEAT_MS + 5000 }], network);
    }
    if (replica.view >= this.#options.views) return undefined;
    if (replica.digest() === before && network.size === state.network.size) return undefined;
    const replicas = state.replicas.map((other, k) => (k === i ? replica : other));
    return { replicas, network, parent: state, label: `r${i} ${label}`, depth: state.depth + 1 };
  }

  // ---- what may happen ---------------------------------------------------------------------------------------

  *#children(state: State): Generator<State> {
    for (let i = 0; i < N; i++) {
      const replica = state.replicas[i];
      if (replica === undefined) continue;
      for (const child of this.#moves(state, replica, i)) if (child !== undefined) yield child;
    }
  }

  *#moves(state: State, replica: Replica, i: number): Generator<State | undefined> {
    for (const message of this.#proposalsFor(state, replica)) {
      yield this.#after(state, i, [message], `gets ${message.type} ${message.view} ${short(message.digest)}`);
    }
    const { accepted } = replica;
    if (accepted !== undefined && this.#mayLock(replica, accepted.view)) {
      const { view, hash } = accepted;
      const votes = this.#preparesFor(state, view, hash);
      if (votes.length > 0) yield this.#after(state, i, votes, `gets PREPAREs ${view} ${short(hash)}`);
    }
    for (const changes of this.#changeSets(state, replica, i)) {
      yield this.#after(
        state,
        i,
        changes,
        `gets VIEW-CHANGEs ${changes.map((c) => `${c.sender}:${c.view}:${c.prepared === undefined ? '-' : short(c.prepared.hash)}`).join(' ')}`,
      );
    }
    const ahead = replica.changingView ? this.#latestChanges(state, replica, i) : [];
    yield this.#after(state, i, ahead, 'times out', true);
  }

  #position(view: number, sender: number): Omit<Signed, 'digest' | 'signature'> {
    return { epoch: 0, height: 1, view, sender };
  }

  *#values(): Generator<[number, Hash]> {
    for (let view = 0; view < this.#options.views; view++) {
      for (const hash of this.#byHash.keys()) yield [view, hash];
    }
  }

  /** Honest PREPAREs of the network and the Byzantine one, when there is any honest reason to look. */
  #preparesFor(state: State, view: number, digest: Hash): Prepare[] {
    const votes: Prepare[] = [];
    for (let sender = 0; sender < N; sender++) {
      if (sender === this.#options.byzantine) {
        votes.push({ type: 'prepare', ...this.#position(view, sender), digest, signature: SIGNATURE });
        continue;
      }
      const vote = state.network.get(`prepare ${sender} ${view} ${digest}`);
      if (vote?.type === 'prepare') votes.push(vote);
    }
    return votes.length > 1 || this.#led(state, view, digest) ? votes : [];
  }

  /** Whether the leader of `view` has signed a PRE-PREPARE of `digest`, or is Byzantine and could. */
  #led(state: State, view: number, digest: Hash): boolean {
    const leader = leaderOf(chain, view);
    return leader === this.#options.byzantine || state.network.has(`lead ${leader} ${view} ${digest}`);
  }

  /** Certificates that the Byzantine replica can form below `view`. */
  #certificates(state: State, view: number): (PreparedCertificate | undefined)[] {
    const out: (PreparedCertificate | undefined)[] = [undefined];
    for (const [at, hash] of this.#values()) {
      const proposal = this.#byHash.get(hash);
      if (at >= view || proposal === undefined || proposal.header.view > at) continue;
      const leader = leaderOf(chain, at);
      const votes = this.#preparesFor(state, at, hash)
        .map(({ sender, signature }) => ({ sender, signature }))
        .filter(({ sender }) => sender !== leader || this.#weaken.leaderCountedTwice);
      const quorum =
        QUORUM - (this.#weaken.prepareQuorumLess ? 1 : 0) - (this.#weaken.leaderCountedTwice ? 1 : 0);
      const enough = this.#led(state, at, hash) && votes.length + 1 >= quorum;
      if (!enough && !this.#weaken.certificatesUnchecked) continue;
      const first = votes.slice(0, QUORUM - 1);
      out.push({
        header: proposal.header,
        hash,
        view: at,
        leader: { sender: leader, signature: SIGNATURE },
        votes: first,
      });
    }
    return out;
  }

  #byzantineChanges(state: State, view: number): ViewChange[] {
    const at = this.#position(view, this.#options.byzantine);
    return this.#certificates(state, view).map((prepared) => signer.viewChange(at, undefined, prepared));
  }

  #honestChanges(state: State, view: number): ViewChange[] {
    const out: ViewChange[] = [];
    for (const message of state.network.values()) {
      if (message.type === 'view-change' && message.view === view) out.push(message);
    }
    return out;
  }

  /** Sets of `size` VIEW-CHANGEs of exactly `view` without `except`, senders ascending. */
  #sets(state: State, view: number, size: number, except: number): ViewChange[][] {
    const honest = this.#honestChanges(state, view).filter((change) => change.sender !== except);
    const sets: ViewChange[][] = subsets(honest, size);
    for (const own of this.#byzantineChanges(state, view)) {
      for (const others of subsets(honest, size - 1)) sets.push([...others, own]);
    }
    return sets.map((set) => set.sort((a, b) => a.sender - b.sender));
  }

  /** For a leader-to-be the sets that let it lead, for others the f+1 that make them join. */
  *#changeSets(state: State, replica: Replica, i: number): Generator<ViewChange[]> {
    for (let view = Math.max(1, replica.view); view < this.#options.views; view++) {
      const leads = leaderOf(chain, view) === i;
      if (replica.view < view) {
        const sets = this.#sets(state, view, 2, i);
        // Which two make it join matters to a leader-to-be only.
        yield* leads ? sets : sets.slice(0, 1);
      }
      if (leads && replica.view === view && replica.changingView)
        yield* this.#sets(state, view, this.#changes - 1, i);
    }
  }

  /** What lets the timer of a view change run: the others' latest VIEW-CHANGEs. */
  #latestChanges(state: State, replica: Replica, i: number): ViewChange[] {
    const latest = new Map<number, ViewChange>();
    const at = this.#position(replica.view, this.#options.byzantine);
    latest.set(this.#options.byzantine, signer.viewChange(at, undefined, undefined));
    for (let view = replica.view; view < this.#options.views; view++) {
      for (const change of this.#honestChanges(state, view))
        if (change.sender !== i) latest.set(change.sender, change);
    }
    return [...latest.values()];
  }

  /** Proposals that `replica` could be given now: honest ones from the network, any from a Byzantine leader. */
  *#proposalsFor(state: State, replica: Replica): Generator<PrePrepare | NewView> {
    for (const message of state.network.values()) {
      if (message.type !== 'pre-prepare' && message.type !== 'new-view') continue;
      if (this.#open(replica, message.view)) yield message;
    }
    const { byzantine, views } = this.#options;
    for (let view = replica.view; view < views; view++) {
      if (leaderOf(chain, view) !== byzantine || !this.#open(replica, view)) continue;
      const at = this.#position(view, byzantine);
      if (view === 0) {
        for (const proposal of this.#fresh[0]) {
          yield { type: 'pre-prepare', ...at, digest: proposal.hash, signature: SIGNATURE, proposal };
        }
        continue;
      }
      yield* this.#newViews(state, view, at);
    }
  }

  /** Whether PREPAREs of `view`, in which `replica` accepted a proposal, could still move it. */
  #mayLock(replica: Replica, view: number): boolean {
    if (replica.lockedView >= view) return this.#weaken.secondPrePrepare === true;
    return (replica.view === view && !replica.changingView) || this.#weaken.voteAfterViewChange === true;
  }

  /** Whether `replica` could still accept a proposal of `view`. */
  #open(replica: Replica, view: number): boolean {
    if (view > replica.view || this.#weaken.secondPrePrepare) return view >= replica.view;
    return view === replica.view && replica.accepted?.view !== view && replica.changingView === view > 0;
  }

  /** One NEW-VIEW of the Byzantine leader for each value that some set of VIEW-CHANGEs lets it propose. */
  *#newViews(state: State, view: number, at: Omit<Signed, 'digest' | 'signature'>): Generator<NewView> {
    const offered = new Set<Hash>();
    for (const viewChanges of this.#sets(state, view, this.#changes, -1)) {
      const prepared = viewChanges.flatMap((change) => change.prepared ?? []);
      const highest = Math.max(-1, ...prepared.map((certificate) => certificate.view));
      const locked = prepared
        .filter((certificate) => certificate.view === highest)
        .map((certificate) => certificate.hash);
      const { newViewUnderived, dropLock, rebuildHeader } = this.#weaken;
      const free = locked.length === 0 || newViewUnderived || dropLock || rebuildHeader;
      const any = this.#weaken.anyCertificate ? prepared.map((certificate) => certificate.hash) : [];
      const hashes = [...locked, ...any, ...(free ? this.#fresh[view].map((proposal) => proposal.hash) : [])];
      for (const hash of hashes) {
        const proposal = this.#byHash.get(hash);
        if (proposal === undefined || offered.has(hash)) continue;
        offered.add(hash);
        yield { type: 'new-view', ...at, digest: hash, signature: SIGNATURE, proposal, viewChanges };
      }
    }
  }

  #forked(state: State): boolean {
    const certified = new Set<Hash>();
    for (const hash of this.#byHash.keys()) {
      const anyView = new Set<number>([this.#options.byzantine]);
      for (let view = 0; view < this.#options.views; view++) {
        let count = 1;
        for (let sender = 0; sender < N; sender++) {
          const vote: Commit | undefined = commitOf(state.network.get(`commit ${sender} ${view} ${hash}`));
          if (vote === undefined) continue;
          count += 1;
          anyView.add(sender);
        }
        if (count >= this.#votes) certified.add(hash);
      }
      if (this.#weaken.commitAnyView && anyView.size >= this.#votes) certified.add(hash);
    }
    return certified.size > 1;
  }
}

function commitOf(message: Message | undefined): Commit | undefined {
  return message?.type === 'commit' ? message : undefined;
}

function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  if (items.length < size) return [];
  const [first, ...rest] = items;
  return [...subsets(rest, size - 1).map((set) => [first, ...set]), ...subsets(rest, size)];
}

function pathTo(state: State): string[] {
  const path: string[] = [];
  for (let at: State | undefined = state; at?.parent !== undefined; at = at.parent) path.unshift(at.label);
  return path;
}

const short = (hash: string): string => hash.slice(0, 6);

/** Searches all schedules within the options. */
export function searchExhaustively(options: SearchOptions): SearchResult {
  return new Search(options).run();
}
