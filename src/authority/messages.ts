/** A released part on its way between members (docs/format/link.md): dag-cbor `{ authority, sealed }`. */
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';

export interface ReleasedPart {
  /** Point 1..n of the authority. */
  readonly authority: number;
  /** HPKE-sealed key part (docs/format/abe.md) for the subject. */
  readonly sealed: Uint8Array;
}

export function encodeReleased(part: ReleasedPart): Uint8Array {
  return encodeCbor({ authority: part.authority, sealed: part.sealed });
}

/** Throws `link.malformed`. */
export function decodeReleased(bytes: Uint8Array): ReleasedPart {
  const value = decodeCbor(bytes) as { authority?: unknown; sealed?: unknown } | null;
  const { authority, sealed } = value ?? {};
  if (
    typeof authority === 'number' &&
    Number.isInteger(authority) &&
    authority > 0 &&
    sealed instanceof Uint8Array
  ) {
    return { authority, sealed };
  }
  throw new CodedError('link.malformed', 'expected a released part');
}

/** The 32 bytes of an id that a request carries; throws `link.malformed`. */
export function requireId(body: Uint8Array): Uint8Array {
  if (body.length !== 32) throw new CodedError('link.malformed', 'expected an id of 32 bytes');
  return body;
}
