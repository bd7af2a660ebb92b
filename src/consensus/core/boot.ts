/**
 * Amnesia (ledger-security rule 21). A start asks all others what they hold of its votes. A whole WAL that nobody
 * contradicts votes at once; otherwise the node observes and votes again from M+2, M being the highest height at
 * which q others say they sent COMMIT. Not detectable: lost votes that reached only faulty peers.
 */
import type { ValidatorSet } from '../validators.ts';
import type { Hello, VotePosition, Welcome } from '../wire/messages.ts';
import { laterVote, type Recovered } from './types.ts';

/** Stored as `voteFrom` while an amnesiac does not know from which height it may vote, also over further starts. */
export const VOTE_FROM_UNKNOWN = Number.MAX_SAFE_INTEGER;

const NO_VOTE: VotePosition = { height: 0, view: 0, kind: 0 };

/** Decides from which height this start may vote. */
export class BootGate {
  readonly boot: number;
  readonly nonce: Uint8Array;
  readonly #ownLast: VotePosition;
  readonly #answers = new Map<number, number>();
  readonly #rejoinAtOnce: boolean;
  #asking = true;
  #amnesiac: boolean;
  #voteFrom: number;

  constructor(recovered: Recovered, nonce: Uint8Array, ownLast: VotePosition, rejoinAtOnce: boolean) {
    this.boot = recovered.boot;
    this.nonce = nonce;
    this.#ownLast = ownLast;
    this.#amnesiac = (!recovered.whole || recovered.voteFrom === VOTE_FROM_UNKNOWN) && !rejoinAtOnce;
    this.#voteFrom = recovered.voteFrom;
    this.#rejoinAtOnce = rejoinAtOnce;
  }

  /** Whether answers are still awaited. */
  get asking(): boolean {
    return this.#asking;
  }

  /** Whether votes of this node may be lost and it has not yet learned from which height to vote. */
  get amnesiac(): boolean {
    return this.#amnesiac;
  }

  mayVote(height: number): boolean {
    return !this.#asking && !this.#amnesiac && height >= this.#voteFrom;
  }

  /** The wait for answers is over; matters only when the WAL is whole. */
  waited(): void {
    if (!this.#amnesiac) this.#asking = false;
  }

  /**
   * Takes one verified answer. When it changes from which height this node may vote, the new value, to be stored
   * before anything else is done.
   */
  answer(welcome: Welcome, set: ValidatorSet, height: number): number | undefined {
    if (!Buffer.from(welcome.nonce).equals(Buffer.from(this.nonce))) return undefined;
    this.#answers.set(welcome.sender, welcome.committed);
    const lacks =
      welcome.boot >= this.boot ||
      (welcome.lastVote.height > height && laterVote(welcome.lastVote, this.#ownLast));
    const voted = !this.#asking && this.#voteFrom <= height + 1;
    const forgot = lacks && !this.#rejoinAtOnce && !this.#amnesiac && (this.#asking || voted);
    if (forgot) {
      // A contradiction that arrives after voting began cannot undo a vote; it still ends voting.
      this.#asking = true;
      this.#amnesiac = true;
    }
    if (this.#answers.size < set.q) return forgot ? VOTE_FROM_UNKNOWN : undefined;
    this.#asking = false;
    if (!this.#amnesiac) return undefined;
    this.#amnesiac = false;
    this.#voteFrom = Math.max(...this.#answers.values()) + 2;
    return this.#voteFrom;
  }
}

interface SeenBoot {
  boot: number;
  before: number;
  nonce: Uint8Array;
}

/** What this node remembers of others' starts and votes, to answer their HELLO. */
export class PeerMemory {
  readonly #boots = new Map<string, SeenBoot>();
  readonly #votes = new Map<string, VotePosition>();

  /** A vote of `peer` was seen. */
  note(peer: string, position: VotePosition): void {
    const last = this.#votes.get(peer);
    if (last === undefined || laterVote(position, last)) this.#votes.set(peer, position);
  }

  lastVote(peer: string): VotePosition {
    return this.#votes.get(peer) ?? NO_VOTE;
  }

  /** Highest boot number of `peer` seen before this HELLO; the same HELLO sent again changes nothing. */
  bootBefore(peer: string, hello: Hello): number {
    const seen = this.#boots.get(peer);
    if (seen === undefined) {
      this.#boots.set(peer, { boot: hello.boot, before: 0, nonce: hello.nonce });
      return 0;
    }
    if (hello.boot === seen.boot && Buffer.from(hello.nonce).equals(Buffer.from(seen.nonce)))
      return seen.before;
    const before = seen.boot;
    if (hello.boot > seen.boot) this.#boots.set(peer, { boot: hello.boot, before, nonce: hello.nonce });
    return before;
  }
}
