/** Reading the formats of this folder: strict dag-cbor arrays with a fixed number of fields. */
import { decodeCbor } from '../codec/cbor.ts';

/** The fields of a canonical dag-cbor array, or undefined when `bytes` are anything else or too many. */
export function decodeFields(
  bytes: Uint8Array,
  count: number,
  bytesMax: number,
): readonly unknown[] | undefined {
  try {
    const value = decodeCbor(bytes, bytesMax);
    return Array.isArray(value) && value.length === count ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A whole number that JavaScript holds exactly. */
export function isWhole(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Bytes of exactly this length. */
export function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length;
}
