/**
 * The member link as its users see it: a request to another member on a named channel and its answer, both bytes.
 * The transport authenticates the peer; `from` is the member whose key the connection proved. Channels are those of
 * DESIGN "Member link" besides consensus: `parts` (key parts, gates, the key ceremony), `headers` (headers,
 * payload blocks, index segments), `oprf` (keyword evaluations).
 */
import type { MemberId } from '../codec/ids.ts';

export type LinkChannel = 'parts' | 'headers' | 'oprf';

export type LinkHandler = (from: MemberId, body: Uint8Array) => Promise<Uint8Array>;

export interface MemberLink {
  readonly self: MemberId;
  /** Throws `link.unreachable` or `link.timeout`, or the coded error that the peer answered with. */
  request(
    to: MemberId,
    channel: LinkChannel,
    op: string,
    body: Uint8Array,
    timeoutMs?: number,
  ): Promise<Uint8Array>;
  /** One handler an operation; a coded error that it throws reaches the peer as its code, nothing else does. */
  serve(channel: LinkChannel, op: string, handler: LinkHandler): void;
}
