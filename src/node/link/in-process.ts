/**
 * The member link among members of one process (`hippocrypt up`): the same bytes through the same answers as
 * between processes, without sockets. Links can be cut, so that tests see what an absent member causes.
 */

import type { LinkHandler, MemberLink } from '../../authority/link.ts';
import { CodedError } from '../../codec/errors.ts';
import type { MemberId } from '../../codec/ids.ts';
import { answerBytes, readAnswer } from './answers.ts';

/** How long a request waits for an answer unless it says otherwise. */
export const LINK_TIMEOUT_MS = 5_000;

export class InProcessLinks {
  readonly #handlers = new Map<string, LinkHandler>();
  readonly #members = new Set<MemberId>();
  readonly #down = new Set<MemberId>();

  /** Joins `member`; its link works until `setDown`. */
  join(member: MemberId): MemberLink {
    this.#members.add(member);
    return {
      self: member,
      serve: (channel, op, handler) => {
        this.#handlers.set(`${member}/${channel}/${op}`, handler);
      },
      request: (to, channel, op, body, timeoutMs = LINK_TIMEOUT_MS) =>
        this.#request(member, to, `${channel}/${op}`, body, timeoutMs),
    };
  }

  /** Cuts a member off, or connects it again. */
  setDown(member: MemberId, down: boolean): void {
    if (down) this.#down.add(member);
    else this.#down.delete(member);
  }

  async #request(
    from: MemberId,
    to: MemberId,
    operation: string,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    if (!this.#members.has(to) || this.#down.has(to) || this.#down.has(from)) {
      throw new CodedError('link.unreachable', `${to} cannot be reached from ${from}`);
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new CodedError('link.timeout', `${to} did not answer within ${timeoutMs} ms`)),
        timeoutMs,
      );
    });
    try {
      const answer = answerBytes(this.#handlers.get(`${to}/${operation}`), from, Uint8Array.from(body));
      return readAnswer(to, await Promise.race([answer, late]));
    } finally {
      clearTimeout(timer);
    }
  }
}
