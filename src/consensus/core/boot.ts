/**
 * Amnesia (ledger-security rule 21). A start asks all others what they hold of its votes. A whole WAL that nobody
 * contradicts votes at once; otherwise the node observes and votes again from M+2, M being the highest height at
 * which q others say they sent COMMIT. Not detectable: lost votes that reached only faulty peers.
 */
import type { ValidatorSet } from '../validators.ts';
import { sameBytes } from '../wire/bytes.ts';
import { type Hello, VOTE_TAG, type VotePosition, type VoteProof, type Welcome } from '../wire/messages.ts';
import { type BootRecord, laterVote, type Recovered } from './types.ts';
import type { Weakening } from './weakening.ts';

/** Stored as `voteFrom` while an amnesiac does not know from which height it may vote, also over further starts. */
export const VOTE_FROM_UNKNOWN = Number.MAX_SAFE_INTEGER;

function positionOf(vote: VoteProof): VotePosition {
  return { height: vote.height, view: vote.view, kind: VOTE_TAG[vote.kind] };
}

/** Decides from which height this start may vote. */
export class BootGate {
  readonly boot: number;
  readonly nonce: Uint8Array;
  /** The highest number of a start of this node that was shown. */
  #highest: number;
  /** Whether this start was found to be an amnesiac's: starts that it does not know of are no news then. */
  #forgot: boolean;
  /** The latest own vote that this start knows of: from the log, then its own. */
  #ownLast: VotePosition;
  readonly #answers = new Map<number, number>();
  readonly #weaken: Weakening;
  #asking = true;
  #amnesiac: boolean;
  #voteFrom: number;

  constructor(recovered: Recovered, nonce: Uint8Array, ownLast: VotePosition, weaken: Weakening = {}) {
    this.boot = recovered.boot;
    this.#highest = recovered.boot;
    this.nonce = nonce;
    this.#ownLast = ownLast;
    this.#amnesiac = (!recovered.whole || recovered.voteFrom === VOTE_FROM_UNKNOWN) && !weaken.rejoinAtOnce;
    this.#forgot = this.#amnesiac;
    this.#voteFrom = recovered.voteFrom;
    this.#weaken = weaken;
  }

  /** An independent copy. */
  copy(): BootGate {
    const recovered = { whole: true, boot: this.boot, voteFrom: this.#voteFrom, records: [] };
    const copy = new BootGate(recovered, this.nonce, this.#ownLast, this.#weaken);
    for (const [sender, committed] of this.#answers) copy.#answers.set(sender, committed);
    copy.#asking = this.#asking;
    copy.#amnesiac = this.#amnesiac;
    copy.#forgot = this.#forgot;
    copy.#highest = this.#highest;
    return copy;
  }

  /** What later votes depend on, as text. */
  digest(): string {
    const answers = [...this.#answers].map(([sender, committed]) => `${sender}:${committed}`).sort();
    return [
      this.#asking,
      this.#amnesiac,
      this.#forgot,
      this.#voteFrom,
      ...(this.#asking ? answers : []),
    ].join(' ');
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

  /** This start votes: an answer that shows this vote shows nothing that was lost. */
  voted(position: VotePosition): void {
    if (laterVote(position, this.#ownLast)) this.#ownLast = position;
  }

  /** The wait for answers is over; matters only when the WAL is whole. */
  waited(): void {
    if (!this.#amnesiac) this.#asking = false;
  }

  /** What must survive this start. */
  get record(): BootRecord {
    return { boot: this.#highest, voteFrom: this.#amnesiac ? VOTE_FROM_UNKNOWN : this.#voteFrom };
  }

  /** Takes one verified answer. True when it changes `record`, which is to be stored before anything else is done. */
  answer(welcome: Welcome, set: ValidatorSet, height: number): boolean {
    if (!sameBytes(welcome.nonce, this.nonce)) return false;
    const before = this.record;
    this.#answers.set(welcome.sender, welcome.committed);
    if (this.#contradicts(welcome, height)) {
      // A contradiction that arrives after voting began cannot undo a vote; it still ends voting.
      this.#asking = true;
      this.#amnesiac = true;
      this.#forgot = true;
    }
    if (this.#forgot) this.#highest = Math.max(this.#highest, welcome.hello?.boot ?? 0);
    const needed = this.#weaken.answersOfFew ? set.f + 1 : set.q;
    if (this.#answers.size >= needed) {
      this.#asking = false;
      if (this.#amnesiac) {
        this.#amnesiac = false;
        this.#voteFrom = Math.max(...this.#answers.values()) + (this.#weaken.rejoinEarly ? 1 : 2);
      }
    }
    const { boot, voteFrom } = this.record;
    return boot !== before.boot || voteFrom !== before.voteFrom;
  }

  /** Whether an answer shows a start or a vote that this node lacks although it votes, or would. */
  #contradicts({ hello, vote }: Welcome, height: number): boolean {
    // This start's own HELLO, given back, is no sign of another start.
    const another = hello !== undefined && hello.boot >= this.boot && !sameBytes(hello.nonce, this.nonce);
    const lost = vote !== undefined && vote.height > height && laterVote(positionOf(vote), this.#ownLast);
    if (!(another && !this.#forgot) && !lost) return false;
    const voted = !this.#asking && this.#voteFrom <= height + 1;
    return !this.#weaken.rejoinAtOnce && !this.#amnesiac && (this.#asking || voted);
  }
}

interface SeenHello {
  readonly last: Hello;
  /** The one before `last`. */
  readonly before: Hello | undefined;
}

/** What this node remembers of others' starts and votes, to answer their HELLO. */
export class PeerMemory {
  readonly #hellos = new Map<string, SeenHello>();
  readonly #votes = new Map<string, VoteProof>();

  /** A vote of `peer` was seen. */
  note(peer: string, vote: VoteProof): void {
    const last = this.#votes.get(peer);
    if (last !== undefined && !laterVote(positionOf(vote), positionOf(last))) return;
    const { kind, epoch, height, view, sender, digest, signature } = vote;
    this.#votes.set(peer, { kind, epoch, height, view, sender, digest, signature });
  }

  lastVote(peer: string): VoteProof | undefined {
    return this.#votes.get(peer);
  }

  /** HELLO with the highest boot number of `peer` before this one; the same HELLO sent again changes nothing. */
  helloBefore(peer: string, hello: Hello): Hello | undefined {
    const seen = this.#hellos.get(peer);
    if (seen !== undefined && sameBytes(hello.nonce, seen.last.nonce)) return seen.before;
    if (seen === undefined || hello.boot > seen.last.boot) {
      this.#hellos.set(peer, { last: hello, before: seen?.last });
    }
    return seen?.last;
  }
}
