/**
 * Breadth-first search over all schedules of the production core, in the form of ledger-security section 3: f
 * Byzantine replicas that may send anything they can sign, two values a view, and a network that is the set of
 * everything ever sent, so that messages are lost, delayed, reordered and repeated at will. One step is one thing an
 * honest replica does: accept a proposal, send COMMIT, time out or join, lead a new view, decide. Persist and send
 * are one step.
 *
 * Breach: enough COMMITs for two different headers of one height exist.
 */
import { leaderOf } from '../../chain.ts';
import { checkNewView } from '../../core/rules.ts';
import type { CoreMessage } from '../../core/types.ts';
import type { NewView, ViewChange } from '../../wire/messages.ts';
import { type Doing, type Local, Locals } from './locals.ts';
import { LOCKED, Model, NOTHING, type Pair, type SearchOptions, STALE, searchSigner } from './model.ts';
import { Visited } from './visited.ts';

export interface SearchResult {
  readonly states: number;
  /** Steps of the longest schedule looked at. */
  readonly depth: number;
  /** Whether every reachable state was looked at. */
  readonly exhausted: boolean;
  /** Shortest schedule to two certificates, one line a step. */
  readonly fork: readonly string[] | undefined;
}

/** Kinds of events; an event is a kind and up to two small numbers. */
const PROPOSAL = 0;
const PREPARES = 1;
const JOIN = 2;
const TIMEOUT = 3;
const CHANGES = 4;
const DECIDE = 5;
const CRASH = 6;
const WELCOME = 7;
const KINDS = ['gets proposal', 'gets PREPAREs', 'joins', 'times out', 'gets VIEW-CHANGEs', 'decides'];
const NAMES = [...KINDS, 'restarts', 'gets WELCOME'];

function eventOf(kind: number, a = 0, b = 0): number {
  return kind + 8 * (a + 4096 * b);
}

/** A NEW-VIEW that a Byzantine leader could send: the value and why it may. */
interface Offer {
  readonly bit: number;
  readonly changes: readonly ViewChange[];
}

class Search {
  readonly #model: Model;
  readonly #options: SearchOptions;
  /** Index of each honest replica; those that never lead share their states. */
  readonly #honest: number[];
  readonly #locals: Locals[];
  readonly #shared: number;
  readonly #visited: Visited;
  readonly #tuple: Uint32Array;
  readonly #child: Uint32Array;
  readonly #offers = new Map<string, readonly Offer[]>();
  readonly #sets = new Map<string, number>();
  #fork = -1;

  constructor(options: SearchOptions) {
    this.#options = options;
    const model = new Model(options);
    this.#model = model;
    this.#honest = Array.from({ length: model.n }, (_, i) => i).filter((i) => !model.byzantine.includes(i));
    // At height 1 replica v leads view v; two heights may bring any to lead.
    const leads = (i: number): boolean => model.heights > 1 || i < model.views;
    const rest = this.#honest.find((i) => !leads(i));
    const shared = rest === undefined ? undefined : new Locals(model, rest);
    this.#locals = this.#honest.map((i) =>
      shared !== undefined && !leads(i) ? shared : new Locals(model, i),
    );
    this.#shared = shared === undefined ? this.#honest.length : this.#locals.indexOf(shared);
    this.#visited = new Visited(this.#honest.length);
    this.#tuple = new Uint32Array(this.#honest.length);
    this.#child = new Uint32Array(this.#honest.length);
  }

  run(): SearchResult {
    const { statesMax } = this.#options;
    this.#visited.add(this.#tuple, 0);
    let depth = 0;
    let end = 1;
    for (let at = 0; at < this.#visited.size; at++) {
      if (at === end) {
        depth += 1;
        end = this.#visited.size;
      }
      this.#expand(at);
      const states = this.#visited.size;
      if (this.#fork >= 0)
        return { states, depth: depth + 1, exhausted: false, fork: this.#path(this.#fork) };
      if (states >= statesMax) return { states, depth, exhausted: false, fork: undefined };
    }
    return { states: this.#visited.size, depth, exhausted: true, fork: undefined };
  }

  #local(place: number): Local {
    return this.#locals[place].states[this.#tuple[place]];
  }

  #expand(at: number): void {
    this.#visited.read(at, this.#tuple);
    for (let place = 0; place < this.#honest.length && this.#fork < 0; place++) {
      const twin = place > this.#shared && this.#tuple[place] === this.#tuple[place - 1];
      if (!twin) this.#moves(at, place);
    }
  }

  /** Replica `place` goes to state `next`. */
  #reach(at: number, place: number, next: number): void {
    const before = this.#tuple[place];
    if (next === before || next < 0) return;
    this.#child.set(this.#tuple);
    this.#child[place] = next;
    if (place >= this.#shared) this.#child.subarray(this.#shared).sort();
    const index = this.#visited.add(this.#child, at);
    if (index < 0 || this.#fork >= 0) return;
    const { states } = this.#locals[place];
    if (states[next].committed !== states[before].committed && this.#forked()) this.#fork = index;
  }

  #step(at: number, place: number, event: number, doing: () => Doing): void {
    this.#reach(at, place, this.#locals[place].step(this.#tuple[place], event, doing));
  }

  // ---- what may happen ---------------------------------------------------------------------------------------

  #moves(at: number, place: number): void {
    const local = this.#local(place);
    const self = this.#selfOf(place);
    this.#gatherProposals(at, place, local);
    this.#gatherPrepares(at, place, local, self);
    this.#changeViews(at, place, local, self);
    if (this.#model.heights > 1) this.#decide(at, place, local, self);
    if (this.#options.crash !== undefined) this.#crash(at, place, local);
  }

  /** The index under which the states of `place` were made. */
  #selfOf(place: number): number {
    return this.#honest[Math.min(place, this.#shared)];
  }

  /** Proposals it could be given: honest ones that were sent, and any from a Byzantine leader. */
  #gatherProposals(at: number, place: number, local: Local): void {
    const model = this.#model;
    let sent = 0;
    for (let k = 0; k < this.#honest.length; k++) if (k !== place) sent |= this.#local(k).led;
    for (let rest = sent; rest !== 0; rest &= rest - 1) {
      const pair = model.pairs[31 - Math.clz32(rest & -rest)];
      if (this.#open(local, pair)) this.#offer(at, place, local, pair, undefined);
    }
    const chain = local.replica.chain;
    for (let view = local.view; view < model.views; view++) {
      if (!model.byzantine.includes(leaderOf(chain, view))) continue;
      if (view === 0) {
        for (const letter of [0, 1] as const) {
          const pair = model.pairs[model.bit(0, model.fresh(chain, 0, letter).hash)];
          if (this.#open(local, pair)) this.#offer(at, place, local, pair, []);
        }
        continue;
      }
      for (const { bit, changes } of this.#offersOf(local, view)) {
        const pair = model.pairs[bit];
        if (this.#open(local, pair)) this.#offer(at, place, local, pair, changes);
      }
    }
  }

  #offer(
    at: number,
    place: number,
    local: Local,
    pair: Pair,
    changes: readonly ViewChange[] | undefined,
  ): void {
    this.#step(at, place, eventOf(PROPOSAL, pair.bit), () => {
      const because = changes ?? this.#justify(local, pair);
      return { messages: [this.#model.lead(pair, because)] };
    });
  }

  /** VIEW-CHANGEs with which an honest leader may have proposed `pair`: it did, so some do. */
  #justify(local: Local, pair: Pair): readonly ViewChange[] {
    if (pair.view === 0) return [];
    const model = this.#model;
    const chain = local.replica.chain;
    const { header } = model.proposal(pair.hash);
    const senders = Array.from({ length: model.q }, (_, i) => i);
    const says = (content: number): ViewChange[] =>
      senders.map((sender) => model.change(chain, pair.view, sender, sender === 0 ? content : NOTHING));
    if (header.view === pair.view) return says(NOTHING);
    return says(LOCKED + model.bit(pair.view - 1, pair.hash));
  }

  /** Whether the replica could still accept `pair`. */
  #open(local: Local, pair: Pair): boolean {
    const { view, height, parent } = pair;
    if (height !== local.height || parent !== local.replica.chain.headHash) return false;
    if (view > local.view || this.#model.weaken.secondPrePrepare) return view >= local.view;
    return view === local.view && local.acceptedView !== view && local.changing === view > 0;
  }

  /** All PREPAREs there are for what it accepted. */
  #gatherPrepares(at: number, place: number, local: Local, self: number): void {
    const { weaken, byzantine, pairs } = this.#model;
    if (local.acceptedBit < 0 || !local.voting) return;
    const pair = pairs[local.acceptedBit];
    if (local.lockedView >= pair.view && !weaken.secondPrePrepare) return;
    if ((local.view !== pair.view || local.changing) && !weaken.voteAfterViewChange) return;
    let votes = 0;
    for (let k = 0; k < this.#honest.length; k++) {
      if (k !== place && this.#hasPrepared(this.#local(k), pair)) votes += 1;
    }
    for (const liar of byzantine) if (liar !== pair.leader || weaken.leaderCountedTwice) votes += 1;
    this.#step(at, place, eventOf(PREPARES, pair.bit, votes), () => {
      const leader = weaken.leaderCountedTwice ? -1 : pair.leader;
      const senders = this.#model.others(self, votes, leader);
      return { messages: senders.map((sender) => this.#model.prepare(pair, sender)) };
    });
  }

  #hasPrepared(local: Local, pair: Pair): boolean {
    if (!this.#model.weaken.prepareAnyView) return (local.prepared & (1 << pair.bit)) !== 0;
    return this.#model.pairs.some(
      ({ hash, bit }) => hash === pair.hash && (local.prepared & (1 << bit)) !== 0,
    );
  }

  // ---- view changes ------------------------------------------------------------------------------------------

  /** What the VIEW-CHANGE of another for the open height of `local` and `view` says; 0 for none. */
  #said(other: Local, local: Local, view: number): number {
    const { views, weaken } = this.#model;
    const content = other.changes[(local.height - 1) * views + view];
    if (content !== 0 || local.height === 1) return content;
    if (!weaken.viewChangeAnyHeight && !weaken.viewsOutliveHeights) return 0;
    return other.changes[(local.height - 2) * views + view] === 0 ? 0 : STALE;
  }

  #changeViews(at: number, place: number, local: Local, self: number): void {
    const model = this.#model;
    const chain = local.replica.chain;
    const { f, q } = chain.validators;
    if (!local.voting) return;
    for (let view = local.view + 1; view < model.views; view++) {
      const said = this.#saidFrom(place, local, view);
      const leads = leaderOf(chain, view) === self;
      if (said.length < f + 1 - model.byzantine.length) continue;
      // A Byzantine VIEW-CHANGE one view further makes it join without leading at once, unless too few suffice.
      const atOnce = leads && model.weaken.viewChangeQuorumLess;
      const which = atOnce ? new Set(this.#exactly(place, local, view)) : [NOTHING];
      for (const content of which) {
        this.#step(at, place, eventOf(JOIN, view, content), () => ({
          messages: [
            ...this.#fill(self, chain, view, [content], f + 1 - model.byzantine.length),
            ...model.byzantine.map((liar) => model.change(chain, view + 1, liar, NOTHING)),
          ],
        }));
      }
    }
    if (!local.changing) {
      this.#step(at, place, eventOf(TIMEOUT), () => ({ timeout: true }));
      return;
    }
    const needed = q - 1 - model.byzantine.length;
    if (this.#saidFrom(place, local, local.view).length >= needed) {
      this.#step(at, place, eventOf(TIMEOUT, 1), () => ({
        messages: [
          ...this.#fill(self, chain, local.view, [NOTHING], needed),
          ...model.byzantine.map((liar) => model.change(chain, local.view + 1, liar, NOTHING)),
        ],
        timeout: true,
      }));
    }
    if (leaderOf(chain, local.view) === self) this.#lead(at, place, local, self);
  }

  /** What others' VIEW-CHANGEs say, one a sender: of exactly `view` if there is one, else `NOTHING` for a later one. */
  #saidFrom(place: number, local: Local, view: number): number[] {
    const out: number[] = [];
    for (let k = 0; k < this.#honest.length; k++) {
      if (k === place) continue;
      for (let later = view; later < this.#model.views; later++) {
        const content = this.#said(this.#local(k), local, later);
        if (content === 0) continue;
        out.push(content);
        break;
      }
    }
    return out;
  }

  /** `count` VIEW-CHANGEs of honest others; the contents beyond those given are the first one again. */
  #fill(
    self: number,
    chain: Local['replica']['chain'],
    view: number,
    contents: readonly number[],
    count: number,
  ): ViewChange[] {
    return this.#othersHonest(self, count).map((sender, i) =>
      this.#model.change(chain, view, sender, contents[i] ?? contents[0] ?? NOTHING),
    );
  }

  #othersHonest(self: number, count: number): number[] {
    return this.#honest.filter((i) => i !== self).slice(0, count);
  }

  /** The sets of VIEW-CHANGEs that let an honest leader propose: fewest honest ones, and one liar says anything. */
  #lead(at: number, place: number, local: Local, self: number): void {
    const model = this.#model;
    if (local.acceptedView === local.view) return;
    const chain = local.replica.chain;
    const said = this.#exactly(place, local, local.view);
    const size = model.q - 1 - (model.weaken.viewChangeQuorumLess ? 1 : 0) - model.byzantine.length;
    for (const honest of subsets(said, Math.max(0, size))) {
      for (const lie of this.#lies(local, local.view)) {
        const name = `${honest.join()} ${lie}`;
        this.#step(at, place, eventOf(CHANGES, this.#setOf(name), local.view), () => ({
          messages: this.#changeSet(self, chain, local.view, honest, lie),
        }));
      }
    }
  }

  #changeSet(
    self: number,
    chain: Local['replica']['chain'],
    view: number,
    honest: readonly number[],
    lie: number,
  ): ViewChange[] {
    const model = this.#model;
    const senders = this.#othersHonest(self, honest.length);
    return [
      ...senders.map((sender, i) => model.change(chain, view, sender, honest[i])),
      ...model.byzantine.map((liar, i) => model.change(chain, view, liar, i === 0 ? lie : NOTHING)),
    ].sort((a, b) => a.sender - b.sender);
  }

  #setOf(name: string): number {
    const known = this.#sets.get(name);
    if (known !== undefined) return known;
    this.#sets.set(name, this.#sets.size);
    return this.#sets.size - 1;
  }

  /** What the honest VIEW-CHANGEs of exactly `view` say, except that of `place`. */
  #exactly(place: number, local: Local, view: number): number[] {
    const out: number[] = [];
    for (let k = 0; k < this.#honest.length; k++) {
      const content = k === place ? 0 : this.#said(this.#local(k), local, view);
      if (content !== 0) out.push(content);
    }
    return out.sort((a, b) => a - b);
  }

  /** What a Byzantine VIEW-CHANGE of `view` may say: nothing, or any certificate that can be formed below it. */
  #lies(local: Local, view: number): number[] {
    const out = [NOTHING];
    const mask = this.#formable(local, view);
    for (let rest = mask; rest !== 0; rest &= rest - 1) out.push(LOCKED + 31 - Math.clz32(rest & -rest));
    return out;
  }

  /** Certificates of the open height of `local` below `view` for which there are votes enough. */
  #formable(local: Local, view: number): number {
    const { weaken, pairs, q } = this.#model;
    let mask = 0;
    for (const pair of pairs) {
      if (pair.view >= view || pair.height !== local.height) continue;
      if (pair.parent !== local.replica.chain.headHash) continue;
      if (weaken.certificatesUnchecked || this.#votesFor(pair) >= q - (weaken.prepareQuorumLess ? 1 : 0))
        mask |= 1 << pair.bit;
    }
    return mask;
  }

  /** Votes of PREPARE for `pair`, the leader's among them; 0 while the leader has not signed. */
  #votesFor(pair: Pair): number {
    const { weaken, byzantine } = this.#model;
    let led = byzantine.includes(pair.leader);
    let votes = 0;
    for (let k = 0; k < this.#honest.length; k++) {
      const local = this.#local(k);
      if ((local.led & (1 << pair.bit)) !== 0) led = true;
      else if (this.#hasPrepared(local, pair)) votes += 1;
    }
    if (!led) return 0;
    for (const liar of byzantine) if (liar !== pair.leader || weaken.leaderCountedTwice) votes += 1;
    return votes + 1 + (weaken.leaderCountedTwice ? 1 : 0);
  }

  /** One NEW-VIEW of the Byzantine leader of `view` for each value that some set of VIEW-CHANGEs lets it propose. */
  #offersOf(local: Local, view: number): readonly Offer[] {
    const model = this.#model;
    const said = this.#exactly(-1, local, view);
    const size = model.q - (model.weaken.viewChangeQuorumLess ? 1 : 0) - model.byzantine.length;
    if (said.length < size) return [];
    const name = `${local.height} ${local.replica.chain.headHash} ${view} ${this.#formable(local, view)} ${said.join()}`;
    const known = this.#offers.get(name);
    if (known !== undefined) return known;
    const offers = this.#deriveOffers(local, view, said, Math.max(0, size));
    this.#offers.set(name, offers);
    return offers;
  }

  #deriveOffers(local: Local, view: number, said: readonly number[], size: number): Offer[] {
    const model = this.#model;
    const chain = local.replica.chain;
    const offers = new Map<number, Offer>();
    const values = new Set([0, 1].map((letter) => model.fresh(chain, view, letter as 0 | 1).hash));
    for (const { hash, parent } of model.pairs) if (parent === chain.headHash) values.add(hash);
    for (const honest of subsets(said, size)) {
      for (const lie of this.#lies(local, view)) {
        const changes = this.#changeSet(-1, chain, view, honest, lie);
        for (const hash of values) {
          if (model.proposal(hash).header.view > view) continue;
          const bit = model.bit(view, hash);
          if (offers.has(bit)) continue;
          const message = model.lead(model.pairs[bit], changes) as NewView;
          if (checkNewView(chain, message, model.weaken) !== 'refused') offers.set(bit, { bit, changes });
        }
      }
    }
    return [...offers.values()];
  }

  // ---- deciding, crashing ------------------------------------------------------------------------------------

  #decide(at: number, place: number, local: Local, self: number): void {
    if (local.height === this.#model.heights) return;
    for (const pair of this.#model.pairs) {
      if (pair.height !== local.height || pair.parent !== local.replica.chain.headHash) continue;
      if (!this.#certified(pair)) continue;
      this.#step(at, place, eventOf(DECIDE, pair.bit), () => ({
        messages: this.#model.others(self, this.#model.q).map((sender) => this.#model.commit(pair, sender)),
      }));
    }
  }

  #crash(at: number, place: number, local: Local): void {
    const { crash } = this.#options;
    if (!local.crashed) {
      for (let k = 0; k < this.#honest.length; k++) if (this.#local(k).crashed) return;
      this.#step(at, place, eventOf(CRASH), () => ({
        restart: crash,
        messages:
          crash === 'amnesia' ? this.#model.byzantine.map((liar) => this.#welcome(liar, place, 0)) : [],
      }));
      return;
    }
    if (crash !== 'amnesia' || local.voting) return;
    for (let k = 0; k < this.#honest.length; k++) {
      if (k === place) continue;
      const { committedHeight } = this.#local(k);
      this.#step(at, place, eventOf(WELCOME, this.#honest[k], committedHeight), () => ({
        messages: [this.#welcome(this.#honest[k], place, committedHeight)],
      }));
    }
  }

  #welcome(sender: number, place: number, committed: number): CoreMessage {
    return searchSigner.welcome({
      epoch: 0,
      sender,
      to: this.#honest[place],
      nonce: new Uint8Array(16),
      hello: undefined,
      vote: undefined,
      committed,
    });
  }

  // ---- the breach --------------------------------------------------------------------------------------------

  /** Whether there are COMMITs enough for `pair`, those of the liars included. */
  #certified(pair: Pair): boolean {
    const { weaken, byzantine, pairs, q } = this.#model;
    let mask = 1 << pair.bit;
    if (weaken.commitAnyView) {
      for (const other of pairs) if (other.hash === pair.hash) mask |= 1 << other.bit;
    }
    let votes = byzantine.length;
    for (let k = 0; k < this.#honest.length; k++) if ((this.#local(k).committed & mask) !== 0) votes += 1;
    return votes >= q - (weaken.commitQuorumLess ? 1 : 0);
  }

  /** Whether the child state has certificates of two headers at one height. */
  #forked(): boolean {
    const kept = this.#tuple.slice();
    this.#tuple.set(this.#child);
    const certified = this.#model.pairs.filter((pair) => this.#certified(pair));
    this.#tuple.set(kept);
    return certified.some((a) => certified.some((b) => a.height === b.height && a.hash !== b.hash));
  }

  /** The steps that lead to state `index`, found again from each state's parent. */
  #path(index: number): string[] {
    const path: string[] = [];
    const after = new Uint32Array(this.#honest.length);
    for (let at = index; at !== 0; at = this.#visited.parent(at)) {
      this.#visited.read(at, after);
      this.#visited.read(this.#visited.parent(at), this.#tuple);
      path.unshift(this.#stepBetween(this.#tuple, after));
    }
    return path;
  }

  #stepBetween(before: Uint32Array, after: Uint32Array): string {
    for (let place = 0; place < before.length; place++) {
      for (const [event, next] of this.#locals[place].states[before[place]].next) {
        const reached = before.slice();
        reached[place] = next;
        if (place >= this.#shared) reached.subarray(this.#shared).sort();
        if (next < 0 || reached.some((id, i) => id !== after[i])) continue;
        const kind = event % 8;
        const pair = kind === PROPOSAL || kind === PREPARES || kind === DECIDE;
        const what = pair ? this.#model.pairs[Math.floor(event / 8) % 4096] : undefined;
        const where = what && ` ${what.height}/${what.view} ${what.hash.slice(0, 6)}`;
        return `r${this.#honest[place]} ${NAMES[kind]}${where ?? ''}`;
      }
    }
    return '?';
  }
}

function subsets<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  if (items.length < size) return [];
  const [first, ...rest] = items;
  return [...subsets(rest, size - 1).map((set) => [first, ...set]), ...subsets(rest, size)];
}

/** Searches all schedules within the options. */
export function searchExhaustively(options: SearchOptions): SearchResult {
  return new Search(options).run();
}
