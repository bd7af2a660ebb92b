/**
 * Canonical dag-cbor: the one encoding of everything that is hashed, signed or sent between members.
 * Decoding is strict: only the exact bytes that encoding the value again would give are accepted.
 */
import * as dagCbor from '@ipld/dag-cbor';
import { compareBytes } from './bytes.ts';
import { CodedError } from './errors.ts';

/** Most bytes one decoded value may have unless the caller says otherwise. */
export const CBOR_BYTES_MAX = 8 * 1024 * 1024;

/** Canonical bytes of `value` (maps, arrays, text, bytes, safe integers, booleans, null). */
export function encodeCbor(value: unknown): Uint8Array {
  const bytes = dagCbor.encode(value);
  // The encoder's allocator gives a Buffer in Node, whose `slice` shares memory.
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The value that `bytes` encode. Throws `cbor.too_large` or `cbor.malformed`; the latter covers trailing
 * bytes, duplicate keys, wrong key order and longer-than-needed integers.
 */
export function decodeCbor(bytes: Uint8Array, bytesMax: number = CBOR_BYTES_MAX): unknown {
  if (bytes.length > bytesMax) {
    throw new CodedError('cbor.too_large', `expected at most ${bytesMax} bytes, got ${bytes.length}`, {
      details: { max: bytesMax, got: bytes.length },
    });
  }
  let value: unknown;
  let again: Uint8Array;
  try {
    value = dagCbor.decode(bytes);
    again = dagCbor.encode(value);
  } catch (cause) {
    throw new CodedError('cbor.malformed', 'expected one canonical dag-cbor value', { cause });
  }
  if (compareBytes(bytes, again) !== 0) {
    throw new CodedError(
      'cbor.malformed',
      'expected canonical dag-cbor: the bytes differ from their re-encoding',
    );
  }
  return value;
}
