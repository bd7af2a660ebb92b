/** Votes of one kind at one height: at most one per (view, sender), counted by sender and never by message. */
import type { Hash } from '../wire/bytes.ts';
import type { SenderSignature, Signed } from '../wire/messages.ts';

export class VoteTable<V extends Signed = Signed> {
  readonly #views = new Map<number, Map<number, V>>();

  get(view: number, sender: number): V | undefined {
    return this.#views.get(view)?.get(sender);
  }

  /** Keeps the first vote of a sender in a view; the kept one when there is one already. */
  add(vote: V): V | undefined {
    let bySender = this.#views.get(vote.view);
    if (bySender === undefined) {
      bySender = new Map();
      this.#views.set(vote.view, bySender);
    }
    const kept = bySender.get(vote.sender);
    if (kept === undefined) bySender.set(vote.sender, vote);
    return kept;
  }

  /** Distinct senders for `digest` in `view`. */
  count(view: number, digest: Hash): number {
    let count = 0;
    for (const vote of this.#views.get(view)?.values() ?? []) if (vote.digest === digest) count++;
    return count;
  }

  /** The votes for `digest` in `view`, senders ascending. */
  list(view: number, digest: Hash): V[] {
    const out: V[] = [];
    for (const vote of this.#views.get(view)?.values() ?? []) if (vote.digest === digest) out.push(vote);
    return out.sort((a, b) => a.sender - b.sender);
  }

  /** An independent copy; votes are immutable and shared. */
  copy(): VoteTable<V> {
    const copy = new VoteTable<V>();
    for (const [view, bySender] of this.#views) copy.#views.set(view, new Map(bySender));
    return copy;
  }

  /** An independent table of what `sender` voted. */
  of(sender: number): VoteTable<V> {
    const copy = new VoteTable<V>();
    for (const bySender of this.#views.values()) {
      const vote = bySender.get(sender);
      if (vote !== undefined) copy.add(vote);
    }
    return copy;
  }

  /** One vote of each sender for `digest`, whatever its view: no quorum, except where that guard is left out. */
  ofAnyView(digest: Hash): V[] {
    const out = new Map<number, V>();
    for (const bySender of this.#views.values()) {
      for (const vote of bySender.values()) if (vote.digest === digest) out.set(vote.sender, vote);
    }
    return [...out.values()].sort((a, b) => a.sender - b.sender);
  }
}

/** Sender and signature of each vote, for a certificate. */
export function signatures(votes: readonly Signed[]): SenderSignature[] {
  return votes.map(({ sender, signature }) => ({ sender, signature }));
}
