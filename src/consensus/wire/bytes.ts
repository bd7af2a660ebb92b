/**
 * Fixed-layout binary: big-endian integers, fixed fields, and length-prefixed strings and lists. There is one
 * encoding of every value, lengths are checked against a bound before anything is allocated, and trailing bytes
 * are refused. Hashes are 64 lower-case hexadecimal digits inside the program and 32 bytes on the wire.
 */
import { ConsensusError } from '../errors.ts';

declare const hashBrand: unique symbol;
/** A SHA-256 value as 64 lower-case hexadecimal digits. */
export type Hash = string & { readonly [hashBrand]: true };

/** Bytes of a hash on the wire. */
export const HASH_BYTES = 32;
/** Bytes of an Ed25519 signature. */
export const SIGNATURE_BYTES = 64;
/** Thirty-two zero bytes: the parent of nothing. */
export const ZERO_HASH = '0'.repeat(64) as Hash;

/** View of `bytes` as a Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A copy of a short string in the pool that Node shares among small buffers, which costs a tenth of one of its own. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  return new Uint8Array(copy.buffer, copy.byteOffset, copy.length);
}

/** Lower-case hexadecimal of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex');
}

/** The hash whose 32 bytes are `bytes`; throws `consensus.malformed` on another length. */
export function hashOf(bytes: Uint8Array): Hash {
  if (bytes.length !== HASH_BYTES) {
    throw new ConsensusError(
      'consensus.malformed',
      `expected a hash of ${HASH_BYTES} bytes, got ${bytes.length}`,
    );
  }
  return toHex(bytes) as Hash;
}

/** The 32 bytes of `hash`. */
export function hashBytes(hash: Hash): Uint8Array {
  return new Uint8Array(Buffer.from(hash, 'hex'));
}

/** Whether two byte strings are equal. Public data only: not constant time. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && asBuffer(a).equals(asBuffer(b));
}

/** From this length on a buffer is not cut from the pool that Node shares among small ones. */
const OWN_BUFFER_BYTES = 4096;

/** Appends fields to a growing array. */
export class Writer {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  #reserve(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#length = needed;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  /** Eight bytes; safe integers only. */
  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('u64 out of range');
    const at = this.#reserve(8);
    this.#buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at);
    this.#buffer.writeUInt32BE(value >>> 0, at + 4);
    return this;
  }

  hash(value: Hash): this {
    const at = this.#reserve(HASH_BYTES);
    this.#buffer.write(value, at, HASH_BYTES, 'hex');
    return this;
  }

  /** Bytes whose length the reader knows. */
  fixed(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** u32 length, then the bytes. */
  bytes(bytes: Uint8Array): this {
    return this.u32(bytes.length).fixed(bytes);
  }

  /** What was written; the writer is done with. Copied only when most of the buffer would be held for nothing. */
  finish(): Uint8Array {
    const { buffer, byteOffset } = this.#buffer;
    const isTight = this.#length >= OWN_BUFFER_BYTES && 2 * this.#length >= this.#buffer.length;
    if (isTight) return new Uint8Array(buffer, byteOffset, this.#length);
    return new Uint8Array(this.#buffer.subarray(0, this.#length));
  }
}

/** Reads what `Writer` wrote. Every method throws `consensus.malformed` instead of reading past the end. */
export class Reader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = asBuffer(bytes);
  }

  #take(count: number): number {
    const at = this.#offset;
    if (at + count > this.#buffer.length) {
      throw new ConsensusError('consensus.malformed', `expected ${count} more bytes, the message ends`);
    }
    this.#offset = at + count;
    return at;
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1));
  }

  /** One byte, 0 or 1. */
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw new ConsensusError('consensus.malformed', `expected 0 or 1, got ${value}`);
    return value === 1;
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4));
  }

  u64(): number {
    const at = this.#take(8);
    const high = this.#buffer.readUInt32BE(at);
    if (high >= 2 ** 21) throw new ConsensusError('consensus.malformed', 'expected an integer below 2^53');
    return high * 2 ** 32 + this.#buffer.readUInt32BE(at + 4);
  }

  hash(): Hash {
    const at = this.#take(HASH_BYTES);
    return this.#buffer.toString('hex', at, at + HASH_BYTES) as Hash;
  }

  /** The next `count` bytes, a view over the input. */
  fixed(count: number): Uint8Array {
    const at = this.#take(count);
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset + at, count);
  }

  /** Length-prefixed bytes of at most `max`, a view over the input. */
  bytes(max: number): Uint8Array {
    return this.fixed(this.#bounded(this.u32(), max));
  }

  /** A u16 count of at most `max`, to be followed by that many items. */
  count16(max: number): number {
    return this.#bounded(this.u16(), max);
  }

  /** A u32 count of at most `max`. */
  count32(max: number): number {
    return this.#bounded(this.u32(), max);
  }

  #bounded(value: number, max: number): number {
    if (value > max) throw new ConsensusError('consensus.too_large', `expected at most ${max}, got ${value}`);
    return value;
  }

  /** Throws unless everything was read. */
  end(): void {
    if (this.#offset !== this.#buffer.length) {
      throw new ConsensusError('consensus.malformed', 'expected the end of the message, got trailing bytes');
    }
  }
}
