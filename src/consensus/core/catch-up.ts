/**
 * Who is ahead, whom to ask next, and blocks that were fetched and wait for their turn. Heights are hints: a liar
 * costs a question. Blocks are believed only after their certificate was verified and their roots executed.
 */
import { SYNC_BLOCKS_MAX } from '../limits.ts';
import type { PeerId } from '../validators.ts';
import type { Block } from '../wire/messages.ts';

export interface Fetched {
  readonly block: Block;
  readonly from: PeerId;
}

export class CatchUp {
  readonly #heights = new Map<PeerId, number>();
  readonly #blocks = new Map<number, Fetched>();
  #asked: PeerId | undefined;
  #answerBy = 0;

  /** `peer` says that it has applied `height`. */
  note(peer: PeerId, height: number): void {
    this.#heights.set(peer, height);
  }

  /** Whether `count` of `peers` say that they have applied `height`. With f + 1 of the validators one honest has. */
  claimed(height: number, peers: readonly PeerId[], count: number): boolean {
    let claims = 0;
    for (const peer of peers) if ((this.#heights.get(peer) ?? 0) >= height) claims += 1;
    return claims >= count;
  }

  /** The block of `height`, if it was fetched. */
  get(height: number): Fetched | undefined {
    return this.#blocks.get(height);
  }

  /**
   * The peer to ask now for blocks from `height` on, one at a time, the next one when it does not answer within
   * `timeoutMs`. `patient` while the votes of `height` may still be on their way: then one block ahead is normal.
   */
  ask(height: number, patient: boolean, now: number, timeoutMs: number): PeerId | undefined {
    if (this.#blocks.has(height) || (this.#asked !== undefined && now < this.#answerBy)) return undefined;
    const ahead = [...this.#heights].filter(([, theirs]) => theirs >= height);
    const far = ahead.some(([, theirs]) => theirs > height);
    if (ahead.length === 0 || (patient && !far)) return undefined;
    const last = ahead.findIndex(([peer]) => peer === this.#asked);
    [this.#asked] = ahead[(last + 1) % ahead.length];
    this.#answerBy = now + timeoutMs;
    return this.#asked;
  }

  /** Keeps blocks from `height` on; unasked for, only that of `height` itself: the answer to a late vote. */
  take(from: PeerId, blocks: readonly Block[], height: number): void {
    const asked = from === this.#asked;
    const end = height + (asked ? SYNC_BLOCKS_MAX : 1);
    let useful = false;
    for (const block of blocks) {
      const at = block.proposal.header.height;
      const fits = block.qc.height === at && block.qc.headerHash === block.proposal.hash;
      if (!fits || at < height || at >= end || this.#blocks.has(at)) continue;
      this.#blocks.set(at, { block, from });
      useful = true;
    }
    if (asked) this.#asked = undefined;
    if (asked && !useful) this.#heights.delete(from);
  }

  /** The block of `height` is no good: it and its giver's claim are forgotten. */
  refuse(height: number): void {
    const fetched = this.#blocks.get(height);
    this.#blocks.delete(height);
    if (fetched !== undefined) this.#heights.delete(fetched.from);
  }

  /** Blocks up to `height` are applied. */
  applied(height: number): void {
    for (const at of this.#blocks.keys()) if (at <= height) this.#blocks.delete(at);
  }
}
