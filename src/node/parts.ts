/**
 * Collecting released parts: the node that committed an entry asks every authority over the member link, its own
 * included, and answers with what came and who is missing. Sealed to the subject, so this node reads none of it.
 */
import type { PartsAnswer, SealedPart } from '../api/ports.ts';
import type { MemberLink } from '../authority/link.ts';
import { decodeReleased, encodeReleased, type ReleasedPart, requireId } from '../authority/messages.ts';
import type { Authority } from '../authority/release.ts';
import { fromHex, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { type EntryId, entryId, type KeyId, type MemberId } from '../codec/ids.ts';

/** An authority that needs longer is named as missing; the client fetches its part later. */
const PART_TIMEOUT_MS = 5_000;

export interface PartsOptions {
  readonly link: MemberLink;
  readonly authority: Authority;
  /** Members of the share epoch in force. */
  readonly members: () => readonly MemberId[];
}

type Operation = 'key' | 'gates';

export class Parts {
  readonly #options: PartsOptions;

  /** Also serves the other members' requests on channel `parts`. */
  constructor(options: PartsOptions) {
    this.#options = options;
    for (const op of ['key', 'gates'] as const) {
      options.link.serve('parts', op, async (_from, body) =>
        encodeReleased(await this.#own(op, requireId(body))),
      );
    }
  }

  ofKey(keyId: KeyId): Promise<PartsAnswer> {
    return this.#collect('key', fromHex(keyId));
  }

  gatesOf(entry: EntryId): Promise<PartsAnswer> {
    return this.#collect('gates', fromHex(entry));
  }

  #own(op: Operation, id: Uint8Array): Promise<ReleasedPart> {
    const { authority } = this.#options;
    return op === 'key' ? authority.keyPart(id) : authority.gates(entryId(toHex(id)));
  }

  async #collect(op: Operation, id: Uint8Array): Promise<PartsAnswer> {
    const { link, members } = this.#options;
    const parts: SealedPart[] = [];
    const missing: { member: MemberId; code: string }[] = [];
    const ask = async (member: MemberId): Promise<ReleasedPart> =>
      member === link.self
        ? this.#own(op, id)
        : decodeReleased(await link.request(member, 'parts', op, id, PART_TIMEOUT_MS));
    await Promise.all(
      members().map(async (member, i) => {
        try {
          const part = await ask(member);
          // Shares are numbered in the order in which the share epoch lists its members.
          if (part.authority !== i + 1)
            throw new CodedError('link.malformed', `${member} answered as authority ${part.authority}`);
          parts.push({ member, ...part });
        } catch (error) {
          missing.push({ member, code: error instanceof CodedError ? error.code : 'link.fault' });
        }
      }),
    );
    parts.sort((a, b) => a.authority - b.authority);
    return { parts, missing };
  }
}
