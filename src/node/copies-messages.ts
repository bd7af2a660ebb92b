/**
 * The messages by which members ask each other for headers and payloads (docs/format/link.md): decoding what came from a
 * peer, and a payload that comes in pieces.
 */
import type { MemberLink } from '../authority/link.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';

/** Records in one request for copies. */
export const COPIES_BATCH = 64;
/** Bytes of payload in one answer. */
export const PIECE_BYTES = 4 * 1024 * 1024;
/** How long an answer with payloads may take. */
export const PAYLOAD_TIMEOUT_MS = 20_000;

/** A payload of `expected` bytes from another member, piece by piece. Throws `link.malformed` on what does not fit. */
export async function* pieces(
  link: MemberLink,
  from: MemberId,
  cid: string,
  expected: number,
): AsyncGenerator<Uint8Array> {
  for (let start = 0; ; ) {
    const answer = await link.request(
      from,
      'headers',
      'payload',
      encodeCbor({ cid, start }),
      PAYLOAD_TIMEOUT_MS,
    );
    const { size, bytes } = (decodeCbor(answer, 2 * PIECE_BYTES) ?? {}) as {
      size?: unknown;
      bytes?: unknown;
    };
    const isNext =
      size === expected &&
      bytes instanceof Uint8Array &&
      (bytes.length > 0 ? start + bytes.length <= expected : start === expected);
    if (!isNext)
      throw new CodedError('link.malformed', `${from} sent a piece of a payload that does not fit`);
    if (bytes.length > 0) yield bytes;
    start += bytes.length;
    if (start === expected) return;
  }
}

/** The body of `headers/payload`. Throws `link.malformed`. */
export function decodePieceRequest(body: Uint8Array): { cid: string; start: number } {
  const { cid, start } = (decodeCbor(body, 512) ?? {}) as { cid?: unknown; start?: unknown };
  if (typeof cid === 'string' && typeof start === 'number' && Number.isSafeInteger(start) && start >= 0) {
    return { cid, start };
  }
  throw new CodedError('link.malformed', 'expected a CID and where to start');
}

/** What is wanted of one record; null for what is not. */
export interface Wanted {
  readonly hash: Uint8Array | null;
  readonly cid: string | null;
}

/** The body of `headers/copies`. Throws `link.malformed`. */
export function decodeCopiesRequest(body: Uint8Array): Wanted[] {
  const value = decodeCbor(body, COPIES_BATCH * 512);
  const rows = Array.isArray(value) && value.length <= COPIES_BATCH ? (value as unknown[]) : undefined;
  const wanted = rows?.map((row) => {
    const [hash, cid] = (Array.isArray(row) && row.length === 2 ? row : []) as readonly unknown[];
    const isHash = hash === null || (hash instanceof Uint8Array && hash.length === 32);
    return isHash && (cid === null || typeof cid === 'string') ? { hash, cid } : undefined;
  });
  const good = wanted?.filter((one) => one !== undefined);
  if (good === undefined || good.length !== rows?.length)
    throw new CodedError('link.malformed', `expected at most ${COPIES_BATCH} pairs of header hash and CID`);
  return good;
}

/** The answer to `headers/copies` about `count` records. Throws `link.malformed`. */
export function decodeCopies(
  from: MemberId,
  answer: Uint8Array,
  count: number,
): { header: Uint8Array | null; payload: Uint8Array | null }[] {
  const value = decodeCbor(answer, 64 * 1024 * 1024);
  const rows = Array.isArray(value) && value.length === count ? (value as unknown[]) : [];
  const given = rows.flatMap((row) => {
    const [header, payload] = (Array.isArray(row) && row.length === 2 ? row : []) as readonly unknown[];
    return isBytesOrNull(header) && isBytesOrNull(payload) ? [{ header, payload }] : [];
  });
  if (given.length !== count) throw new CodedError('link.malformed', `${from} sent copies of another form`);
  return given;
}

function isBytesOrNull(value: unknown): value is Uint8Array | null {
  return value === null || value instanceof Uint8Array;
}
