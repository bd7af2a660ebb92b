/**
 * What happens to a decoded message before the core sees it: signatures are verified only for the open height and
 * only while they can matter; the next height is held; decided heights are answered with their block. Shared by the
 * node and the simulator.
 */
import type { Replica } from '../core/replica.ts';
import type { CoreMessage, Input } from '../core/types.ts';
import type { PeerId } from '../validators.ts';
import { ZERO_HASH } from '../wire/bytes.ts';
import type { Fetch, Message, Signed, SignedMessage, Verified, VoteKind } from '../wire/messages.ts';
import { FutureVotes } from './future.ts';
import type { Verifier } from './verifier.ts';

/** A late vote for the last height is normal this long after it was decided: it crossed the decision. */
const CROSSING_MS = 150;
/** At most one answer to late votes of a peer in this time. */
const SERVE_EVERY_MS = 100;
/** At most one answer to HELLOs of a peer in this time: each costs a signature. */
const HELLO_EVERY_MS = 50;

/** What the router needs from its driver. */
export interface RouterPort {
  feed(input: Input): void;
  send(to: PeerId, message: Message): void;
  /** Monotone milliseconds. */
  now(): number;
  /** Sends decided blocks to a peer that asked or votes late. */
  serve(to: PeerId, from: number, count: number): void;
  /** A request came from a peer, not yet checked. */
  onRequest(from: PeerId, request: Uint8Array): void;
  /** A request that will be proposed came from a peer, not yet checked. A driver may check it ahead, or not. */
  onPreview?(from: PeerId, request: Uint8Array): void;
  onCosignature(from: PeerId, height: number, cosignature: Uint8Array): void;
}

type Vote = Exclude<SignedMessage, { type: 'hello' | 'welcome' }>;

export class Router {
  readonly #replica: Replica;
  readonly #verifier: Verifier;
  readonly #port: RouterPort;
  readonly #future = new FutureVotes();
  readonly #servedAt = new Map<PeerId, number>();
  readonly #helloAt = new Map<PeerId, number>();
  #appliedAt = Number.NEGATIVE_INFINITY;

  constructor(replica: Replica, verifier: Verifier, port: RouterPort) {
    this.#replica = replica;
    this.#verifier = verifier;
    this.#port = port;
  }

  /** Takes one message over the authenticated link of `from`. */
  receive(from: PeerId, message: Message): void {
    switch (message.type) {
      case 'request':
        this.#port.onRequest(from, message.request);
        return;
      case 'preview':
        this.#port.onPreview?.(from, message.request);
        return;
      case 'status':
      case 'blocks':
      case 'proposal':
        // Unsigned: a hint, or checked against a certificate before it counts.
        this.#port.feed({ t: 'message', from, message: message as Verified<CoreMessage> });
        return;
      case 'fetch':
        this.#onFetch(from, message);
        return;
      case 'cosign':
        this.#port.onCosignature(from, message.height, message.bytes);
        return;
      case 'hello':
        if (this.#tooSoon(this.#helloAt, from, HELLO_EVERY_MS)) return;
        this.#verifyAndFeed(from, message);
        return;
      case 'welcome':
        this.#verifyAndFeed(from, message);
        return;
      default:
        this.#onVote(from, message);
    }
  }

  /** `height` was applied and the core knows: what was held for the next one is taken up. */
  applied(height: number): void {
    this.#appliedAt = this.#port.now();
    for (const held of this.#future.take(height + 1)) this.#onVote(held.from, held.message);
  }

  #verifyAndFeed(from: PeerId, message: SignedMessage): void {
    const verified = this.#verifier.message(message, this.#replica.chain.validators);
    if (verified !== undefined) this.#port.feed({ t: 'message', from, message: verified });
  }

  #onVote(from: PeerId, message: Vote): void {
    const { chain } = this.#replica;
    const open = chain.height + 1;
    if (message.height < open) {
      this.#onLate(from, message.height, open - 1);
    } else if (message.height === open) {
      if (this.#replica.wants(message)) this.#verifyAndFeed(from, message);
      else this.#noteUnverified(from, message);
    } else if (message.height === open + 1 && chain.nextValidators.ids[message.sender] === from) {
      this.#future.hold(from, message);
    } else {
      this.#hint(from, message.height - 1);
    }
  }

  #hint(from: PeerId, height: number): void {
    const hint: Message = { type: 'status', height, view: 0, clock: 0 };
    this.#port.feed({ t: 'message', from, message: hint as Verified<CoreMessage> });
  }

  #noteUnverified(from: PeerId, message: Signed & { readonly type: Vote['type'] }): void {
    if (this.#replica.chain.validators.ids[message.sender] !== from) return;
    const kind: VoteKind = message.type === 'new-view' ? 'pre-prepare' : message.type;
    this.#replica.noteVote(message, kind);
  }

  /** A sender that votes on a decided height is given the block (ledger-security rule 9). */
  #onLate(from: PeerId, height: number, decided: number): void {
    if (height === decided && this.#port.now() - this.#appliedAt < CROSSING_MS) return;
    if (!this.#tooSoon(this.#servedAt, from, SERVE_EVERY_MS)) this.#port.serve(from, height, 1);
  }

  /** Whether `from` was answered less than `everyMs` ago; else notes that it is answered now. */
  #tooSoon(answeredAt: Map<PeerId, number>, from: PeerId, everyMs: number): boolean {
    const now = this.#port.now();
    if (now - (answeredAt.get(from) ?? Number.NEGATIVE_INFINITY) < everyMs) return true;
    answeredAt.set(from, now);
    return false;
  }

  #onFetch(from: PeerId, message: Fetch): void {
    if (message.count === 0) return;
    if (message.hash !== ZERO_HASH && message.from === this.#replica.chain.height + 1) {
      const proposal = this.#replica.proposalOf(message.hash);
      if (proposal !== undefined) this.#port.send(from, { type: 'proposal', proposal });
      return;
    }
    this.#port.serve(from, message.from, message.count);
  }
}
