/**
 * Pages of a custodian's index from the custodian itself instead of this node's copy: the fetch policy `direct`. Off unless the
 * configurations of both members say so, because of what it shows: the custodian built the segments, so it knows which of its
 * keywords lie under every page and slot that is asked for (docs/search.md, "Fetch policies"). The relaying gateway names
 * neither subject nor session, and neither side logs a request.
 */
import type { MemberLink } from '../authority/link.ts';
import { concat } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import type { ByteRange } from '../search/index.ts';
import { requireSegmentName, type SegmentFolder } from './segment-files.ts';

const FETCH_TIMEOUT_MS = 20_000;
export const DIRECT_RANGES_MAX = 8192;
/** Bytes of one answer over the member link. */
export const DIRECT_BYTES_MAX = 32 * 1024 * 1024;
const REQUEST_BYTES_MAX = 256 * 1024;

export interface DirectFetchOptions {
  readonly member: MemberId;
  readonly link: MemberLink;
  /** Whether this member's configuration takes part. */
  readonly enabled: boolean;
  /** Segments of this member's own index. */
  readonly own: () => Promise<SegmentFolder>;
}

export class DirectFetch {
  readonly #options: DirectFetchOptions;

  constructor(options: DirectFetchOptions) {
    this.#options = options;
    options.link.serve('headers', 'ranges', async (_from, body) => {
      this.#requireEnabled();
      const { name, ranges } = decodeRangesRequest(body);
      return this.#read(name, ranges);
    });
  }

  /**
   * A segment of the custodian's index, or ranges of it one after the other, as the custodian gives them: to be checked
   * against the manifest. Throws `search.direct_off`, `index.unknown`, and what the link throws.
   */
  async fetch(custodian: MemberId, name: string, ranges: readonly ByteRange[] | null): Promise<Uint8Array> {
    const { link, member } = this.#options;
    this.#requireEnabled();
    if (custodian === member) return this.#read(name, ranges);
    const body = encodeRangesRequest(name, ranges);
    return link.request(custodian, 'headers', 'ranges', body, FETCH_TIMEOUT_MS);
  }

  #requireEnabled(): void {
    if (this.#options.enabled) return;
    throw new CodedError(
      'search.direct_off',
      `${this.#options.member} does not fetch or serve index pages directly: it would show custodians what is searched; use the own node's copy`,
    );
  }

  async #read(name: string, ranges: readonly ByteRange[] | null): Promise<Uint8Array> {
    const files = await this.#options.own();
    if (ranges === null) return files.getSegment(name);
    return concat(...(await files.getRanges(name, ranges)));
  }
}

/** Request on channel `headers`, operation `ranges`: dag-cbor `[name, null]` or `[name, [[offset, length], ...]]`. */
export function encodeRangesRequest(name: string, ranges: readonly ByteRange[] | null): Uint8Array {
  return encodeCbor([name, ranges?.map(({ offset, length }) => [offset, length]) ?? null]);
}

/** The request; throws `link.malformed` and `index.unknown`. */
export function decodeRangesRequest(bytes: Uint8Array): {
  readonly name: string;
  readonly ranges: readonly ByteRange[] | null;
} {
  const malformed = (): CodedError =>
    new CodedError(
      'link.malformed',
      `expected a segment and at most ${DIRECT_RANGES_MAX} ranges of ${DIRECT_BYTES_MAX} bytes together`,
    );
  const value = decodeCbor(bytes, REQUEST_BYTES_MAX);
  if (!Array.isArray(value) || value.length !== 2 || typeof value[0] !== 'string') throw malformed();
  const name = requireSegmentName(value[0]);
  const asked: unknown = value[1];
  if (asked === null) return { name, ranges: null };
  if (!Array.isArray(asked) || asked.length > DIRECT_RANGES_MAX) throw malformed();
  let total = 0;
  const ranges = asked.map((one: unknown) => {
    const [offset, length] = Array.isArray(one) && one.length === 2 ? (one as readonly unknown[]) : [];
    if (!isCount(offset, 0) || !isCount(length, 1)) throw malformed();
    total += length;
    return { offset, length };
  });
  if (total > DIRECT_BYTES_MAX) throw malformed();
  return { name, ranges };
}

function isCount(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least;
}
