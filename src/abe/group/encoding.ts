/**
 * Canonical form of compressed points, checked on the bytes before a backend sees them, so that both refuse
 * the same strings: compression flag set, infinity flag clear, every coordinate below p.
 * (ZCash encoding, section 3.2 of draft-irtf-cfrg-pairing-friendly-curves, appendix C.)
 */
import { compareBytes, fromHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { ABE_ERROR } from '../errors.ts';

const FIELD_PRIME = fromHex(
  '1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab',
);
const COORDINATE_BYTES = 48;
const FLAG_COMPRESSED = 0x80;
const FLAG_INFINITY = 0x40;
const FLAGS = 0xe0;

/** Throws `abe.element_malformed`; the message never tells the bytes. */
export function refuseElement(expected: string, cause?: unknown): never {
  throw new CodedError(ABE_ERROR.elementMalformed, `expected ${expected}`, { cause });
}

function belowPrime(coordinate: Uint8Array): boolean {
  return compareBytes(coordinate, FIELD_PRIME) < 0;
}

/** Refuses anything but a canonical compressed point of `length` bytes (48 in G1, 96 in G2) that is not the identity. */
export function checkCompressed(bytes: Uint8Array, length: 48 | 96): void {
  if (bytes.length !== length) refuseElement(`a compressed point of ${length} bytes, got ${bytes.length}`);
  if ((bytes[0] & FLAG_COMPRESSED) === 0) refuseElement('the compressed form of a point');
  if ((bytes[0] & FLAG_INFINITY) !== 0) refuseElement('a point that is not the identity');
  const first = bytes.slice(0, COORDINATE_BYTES);
  first[0] &= ~FLAGS;
  if (!belowPrime(first)) refuseElement('coordinates below the field prime');
  if (length === 96 && !belowPrime(bytes.subarray(COORDINATE_BYTES))) {
    refuseElement('coordinates below the field prime');
  }
}

/** Refuses anything but twelve coordinates below p. Membership in GT is the backend's test. */
export function checkGTCoordinates(bytes: Uint8Array): void {
  if (bytes.length !== 12 * COORDINATE_BYTES) refuseElement(`576 bytes of GT, got ${bytes.length}`);
  for (let offset = 0; offset < bytes.length; offset += COORDINATE_BYTES) {
    if (!belowPrime(bytes.subarray(offset, offset + COORDINATE_BYTES))) {
      refuseElement('coordinates below the field prime');
    }
  }
}
