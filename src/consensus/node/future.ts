/**
 * Messages for the height after the open one, held unverified until it opens (ledger-security rule 29): views 0 and 1
 * only, one per (sender, kind, view), and only over the sender's own link.
 */
import type { PeerId } from '../validators.ts';
import type { SignedMessage } from '../wire/messages.ts';

type Vote = Exclude<SignedMessage, { type: 'hello' | 'welcome' }>;

/** Highest view held for the next height. */
const FUTURE_VIEW_MAX = 1;

export interface Held {
  readonly from: PeerId;
  readonly message: Vote;
}

export class FutureVotes {
  readonly #held = new Map<string, Held>();

  /** Keeps the first message of its kind. */
  hold(from: PeerId, message: Vote): void {
    if (message.view > FUTURE_VIEW_MAX) return;
    const name = `${message.type} ${message.view} ${from}`;
    const before = this.#held.get(name);
    if (before === undefined || before.message.height !== message.height)
      this.#held.set(name, { from, message });
  }

  /** What was held for `height`, proposals first; everything else is forgotten. */
  take(height: number): Held[] {
    const held = [...this.#held.values()].filter(({ message }) => message.height === height);
    this.#held.clear();
    const rank = ({ message }: Held): number => (message.type === 'pre-prepare' ? 0 : 1);
    return held.sort((a, b) => rank(a) - rank(b));
  }
}
