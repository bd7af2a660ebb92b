/**
 * Ed25519 verification (RFC 8032 section 5.1.7, cofactorless, R compared as bytes: the predicate of OpenSSL) for keys
 * that sign often: multiples of such a key and of the base point stand in tables (Brickell, Gordon, McCurley, Wilson,
 * "Fast exponentiation with precomputation", 1992), so that s B - h A is additions alone, without doublings.
 *
 * It only ever says yes. What it does not prove is to be put to another implementation, so an error in this arithmetic
 * costs time and no verdict: to let a wrong signature pass it would have to hit the 32 bytes of R.
 * Everything here is public; nothing is constant time, and secrets have no business here.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { Arithmetic, freeze } from './arithmetic.ts';
import { FE_BYTES, LIMBS, limbBits } from './field.ts';
import { POINT_BYTES, ROW_BYTES } from './program.ts';
import { isReduced, reduce, signedDigits } from './scalar.ts';

/** SHA-512 of `bytes`. */
export type Sha512 = (bytes: Uint8Array) => Uint8Array;

/** Verifications of one key before it gets a table, which costs as much as about twenty of OpenSSL's. */
export const USES_BEFORE_TABLE = 64;
/** Keys with a table; the one that was not used for longest makes room. */
export const TABLES_MAX = 64;
/** Keys whose uses are counted; then counting begins again. */
const COUNTED_MAX = 4096;
/** Longest message that is copied to be hashed. */
const MESSAGE_BYTES_MAX = 65_536;

/** Bits of a digit: rows of a window are half of 2^bits. */
const KEY_WIDTH = 6;
const BASE_WIDTH = 8;
const windowsOf = (width: number): number => Math.ceil(255 / width);
const rowsOf = (width: number): number => 2 ** (width - 1);
const tableBytes = (width: number): number => windowsOf(width) * rowsOf(width) * ROW_BYTES;
const workBytes = (width: number): number => windowsOf(width) * rowsOf(width) * (POINT_BYTES + FE_BYTES);

/** Tables and the memory that they lie in. */
class Tables {
  readonly arithmetic = new Arithmetic();
  readonly point = this.arithmetic.reserve(POINT_BYTES);
  readonly inverse = this.arithmetic.reserve(FE_BYTES);
  readonly #keyDigitsAt = this.arithmetic.reserve(windowsOf(KEY_WIDTH));
  readonly #baseDigitsAt = this.arithmetic.reserve(windowsOf(BASE_WIDTH));
  readonly #work = this.arithmetic.reserve(Math.max(workBytes(KEY_WIDTH), workBytes(BASE_WIDTH)));
  readonly #base = this.#write(
    ed25519.Point.BASE.toAffine(),
    BASE_WIDTH,
    this.arithmetic.reserve(tableBytes(BASE_WIDTH)),
  );
  readonly #zero = new Int32Array(4 * LIMBS);

  constructor() {
    this.#zero[LIMBS] = 1;
    this.#zero[2 * LIMBS] = 1;
  }

  #write(point: { x: bigint; y: bigint }, width: number, at: number): number {
    this.arithmetic.writeTable(at, point, windowsOf(width), rowsOf(width), this.#work);
    return at;
  }

  /** The table of the negative of `key`, in the place of an earlier one if that is given; undefined for no canonical key. */
  ofKey(key: Uint8Array, place: number | undefined): number | undefined {
    let point: { x: bigint; y: bigint };
    try {
      point = ed25519.Point.fromBytes(key, false).negate().toAffine();
    } catch {
      return undefined;
    }
    return this.#write(point, KEY_WIDTH, place ?? this.arithmetic.reserve(tableBytes(KEY_WIDTH)));
  }

  /** x and y, frozen, of s B - h A, A being the key of `table`. The views are good until the next call. */
  combine(s: Uint8Array, h: Uint8Array, table: number): { readonly x: Int32Array; readonly y: Int32Array } {
    const { program } = this.arithmetic;
    const { buffer } = program.memory;
    const [keyWindows, baseWindows] = [windowsOf(KEY_WIDTH), windowsOf(BASE_WIDTH)];
    signedDigits(h, KEY_WIDTH, new Int8Array(buffer, this.#keyDigitsAt, keyWindows));
    signedDigits(s, BASE_WIDTH, new Int8Array(buffer, this.#baseDigitsAt, baseWindows));
    new Int32Array(buffer, this.point, 4 * LIMBS).set(this.#zero);
    program.walk(
      this.point,
      table,
      this.#keyDigitsAt,
      keyWindows,
      rowsOf(KEY_WIDTH) * ROW_BYTES,
      this.arithmetic.scratch,
    );
    program.walk(
      this.point,
      this.#base,
      this.#baseDigitsAt,
      baseWindows,
      rowsOf(BASE_WIDTH) * ROW_BYTES,
      this.arithmetic.scratch,
    );
    const [xAt, yAt, zAt] = [this.point, this.point + FE_BYTES, this.point + 2 * FE_BYTES];
    this.arithmetic.invert(this.inverse, zAt);
    program.mul(xAt, xAt, this.inverse);
    program.mul(yAt, yAt, this.inverse);
    const [x, y] = [new Int32Array(buffer, xAt, LIMBS), new Int32Array(buffer, yAt, LIMBS)];
    freeze(x);
    freeze(y);
    return { x, y };
  }
}

/** Whether `bytes` are the encoding of the point: y in 255 bits, the lowest first, then the lowest bit of x. */
function isEncoding(bytes: Uint8Array, x: Int32Array, y: Int32Array): boolean {
  let bit = 0;
  for (let i = 0; i < LIMBS; i++) {
    const bits = limbBits(i);
    const at = bit >> 3;
    // No limb of 26 bits begins at the last bit of a byte, so four bytes hold each.
    const low = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    if (((low >>> (bit & 7)) & (2 ** bits - 1)) !== y[i]) return false;
    bit += bits;
  }
  return bytes[31] >>> 7 === (x[0] & 1);
}

export class TableVerifier {
  readonly #sha512: Sha512;
  readonly #uses = new Map<string, number>();
  /** Tables by key, the one used last at the end; undefined for a key that gets none. */
  readonly #tableOf = new Map<string, number | undefined>();
  readonly #scalar = new Uint8Array(32);
  #hashed = new Uint8Array(4096);
  #tables: Tables | undefined;

  constructor(sha512: Sha512) {
    this.#sha512 = sha512;
  }

  /**
   * True when `signature` (64 bytes) is that of `key` (32 bytes) over `message`; false when it is not, or when this verifier
   * does not know. `name` stands for `key`, and for no other.
   */
  proves(name: string, key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    if (key.length !== 32 || signature.length !== 64 || message.length > MESSAGE_BYTES_MAX) return false;
    const table = this.#table(name, key);
    if (table === undefined || this.#tables === undefined) return false;
    const s = signature.subarray(32);
    if (!isReduced(s)) return false;
    reduce(this.#sha512(this.#challenge(key, message, signature)), this.#scalar);
    const { x, y } = this.#tables.combine(s, this.#scalar, table);
    return isEncoding(signature, x, y);
  }

  /** R || A || message, in an array that is used again. */
  #challenge(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Uint8Array {
    const length = 64 + message.length;
    if (this.#hashed.length < length) this.#hashed = new Uint8Array(2 * length);
    this.#hashed.set(signature.subarray(0, 32));
    this.#hashed.set(key, 32);
    this.#hashed.set(message, 64);
    return this.#hashed.subarray(0, length);
  }

  #table(name: string, key: Uint8Array): number | undefined {
    if (this.#tableOf.has(name)) {
      const table = this.#tableOf.get(name);
      this.#tableOf.delete(name);
      this.#tableOf.set(name, table);
      return table;
    }
    const uses = (this.#uses.get(name) ?? 0) + 1;
    if (this.#uses.size >= COUNTED_MAX) this.#uses.clear();
    this.#uses.set(name, uses);
    if (uses < USES_BEFORE_TABLE) return undefined;
    this.#uses.delete(name);
    this.#tables ??= new Tables();
    const table = this.#tables.ofKey(key, this.#room());
    this.#tableOf.set(name, table);
    return table;
  }

  /** The place of the table that makes room, when all are taken. */
  #room(): number | undefined {
    if (this.#tableOf.size < TABLES_MAX) return undefined;
    for (const [name, table] of this.#tableOf) {
      this.#tableOf.delete(name);
      return table;
    }
    return undefined;
  }
}
