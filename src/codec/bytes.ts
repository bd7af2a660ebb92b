/** Byte strings: text forms, comparison and fixed-width integers. Everything here is public data. */
import { CodedError } from './errors.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 `bytes`; throws `bytes.not_utf8` on malformed input. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new CodedError('bytes.not_utf8', 'expected well-formed UTF-8', { cause });
  }
}

/** One new array holding `parts` in order. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Lexicographic order of unsigned bytes: negative, zero or positive. Not constant time. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a[i] - b[i];
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Equality of public bytes. For secrets use `constantTimeEqual`. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** Equality whose time depends on the lengths only. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i];
  return difference === 0;
}

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += HEX[byte];
  return out;
}

/** Bytes of lower-case hexadecimal; throws `bytes.not_hex`, or `bytes.length` when `length` is given and differs. */
export function fromHex(text: string, length?: number): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) {
    throw new CodedError('bytes.not_hex', 'expected lower-case hexadecimal with an even number of digits');
  }
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  if (length !== undefined && out.length !== length) {
    throw new CodedError('bytes.length', `expected ${length} bytes, got ${out.length}`);
  }
  return out;
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** RFC 4648 section 5 without padding. */
export function toBase64url(bytes: Uint8Array): string {
  let out = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = (bytes[i] << 16) | ((left > 1 ? bytes[i + 1] : 0) << 8) | (left > 2 ? bytes[i + 2] : 0);
    out += BASE64URL[word >>> 18] + BASE64URL[(word >>> 12) & 63];
    if (left > 1) out += BASE64URL[(word >>> 6) & 63];
    if (left > 2) out += BASE64URL[word & 63];
  }
  return out;
}

/** Bytes of unpadded base64url; refuses padding, other alphabets and non-zero spare bits (`bytes.not_base64url`). */
export function fromBase64url(text: string): Uint8Array {
  const refuse = (): never => {
    throw new CodedError('bytes.not_base64url', 'expected base64url without padding');
  };
  if (text.length % 4 === 1) refuse();
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let word = 0;
  let offset = 0;
  for (const char of text) {
    const value = BASE64URL.indexOf(char);
    if (value < 0) refuse();
    word = (word << 6) | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[offset++] = (word >>> bits) & 255;
      word &= (1 << bits) - 1;
    }
  }
  if (word !== 0) refuse();
  return out;
}

/** `value` as 4 bytes, big-endian. */
export function u32be(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new RangeError('u32 out of range');
  return new Uint8Array([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
}

/** `value` as 8 bytes, big-endian; safe integers only. */
export function u64be(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('u64 out of range');
  return concat(u32be(Math.floor(value / 2 ** 32)), u32be(value >>> 0));
}

/** The 4 big-endian bytes at `offset` as a number. */
export function readU32be(bytes: Uint8Array, offset: number): number {
  if (offset + 4 > bytes.length) throw new RangeError('u32 beyond the end');
  return (
    ((bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3]) >>> 0
  );
}
