/** Numbers modulo p and points in the memory of the program, by address. */
import { FE_BYTES, LIMBS, limbBits } from './field.ts';
import { POINT_BYTES, type Program, ROW_BYTES, startProgram } from './program.ts';

const PAGE_BYTES = 65_536;
/** d of edwards25519 (RFC 8032 section 5.1), doubled. */
const D2 = 16295367250680780974490674513165176452449235426866156013048779062215315747161n;

/** A point as affine coordinates below p. */
export interface Affine {
  readonly x: bigint;
  readonly y: bigint;
}

export class Arithmetic {
  readonly program: Program = startProgram();
  readonly #d2: number;
  readonly #one: number;
  readonly scratch: number;
  #end = 0;

  constructor() {
    this.#d2 = this.number(D2);
    this.#one = this.number(1n);
    this.scratch = this.reserve(4 * FE_BYTES);
  }

  /** The address of `bytes` new bytes. Never given back. */
  reserve(bytes: number): number {
    const at = this.#end;
    this.#end += Math.ceil(bytes / 8) * 8;
    const missing = this.#end - this.program.memory.buffer.byteLength;
    if (missing > 0) this.program.memory.grow(Math.ceil(missing / PAGE_BYTES));
    return at;
  }

  /** A new number. */
  number(value: bigint): number {
    const at = this.reserve(FE_BYTES);
    this.setNumber(at, value);
    return at;
  }

  setNumber(at: number, value: bigint): void {
    const limbs = this.limbs(at);
    let rest = value;
    for (let i = 0; i < LIMBS; i++) {
      const bits = BigInt(limbBits(i));
      limbs[i] = Number(BigInt.asUintN(Number(bits), rest));
      rest >>= bits;
    }
  }

  /** A view of a number's limbs, good until the memory grows. */
  limbs(at: number): Int32Array {
    return new Int32Array(this.program.memory.buffer, at, LIMBS);
  }

  setPoint(at: number, { x, y }: Affine): void {
    this.setNumber(at, x);
    this.setNumber(at + FE_BYTES, y);
    this.setNumber(at + 2 * FE_BYTES, 1n);
    this.program.mul(at + 3 * FE_BYTES, at, at + FE_BYTES);
  }

  addPoints(out: number, p: number, q: number): void {
    this.program.addPoints(out, p, q, this.#d2, this.scratch);
  }

  /** `out` = a^(p-2) = 1/a, 0 for 0: 254 squarings and 11 products, the chain of ref10. */
  invert(out: number, a: number): void {
    const { program } = this;
    const [t0, t1, t2, t3] = [0, 1, 2, 3].map((i) => this.scratch + i * FE_BYTES);
    const raise = (to: number, from: number, times: number, by: number): void => {
      program.square(t3, from, times);
      program.mul(to, t3, by);
    };
    program.square(t0, a, 1);
    raise(t1, t0, 2, a); // a^9
    program.mul(t0, t0, t1); // a^11
    raise(t1, t0, 1, t1); // a^(2^5 - 1)
    raise(t1, t1, 5, t1); // 2^10 - 1
    raise(t2, t1, 10, t1); // 2^20 - 1
    raise(t2, t2, 20, t2); // 2^40 - 1
    raise(t1, t2, 10, t1); // 2^50 - 1
    raise(t2, t1, 50, t1); // 2^100 - 1
    raise(t2, t2, 100, t2); // 2^200 - 1
    raise(t1, t2, 50, t1); // 2^250 - 1
    raise(out, t1, 5, t0); // 2^255 - 21
  }

  /**
   * Writes the table of `base` to `table`: in each window w rows 1 to `rows` of base * (2 rows)^w. `work` has room for
   * `POINT_BYTES + FE_BYTES` for each row.
   */
  writeTable(table: number, base: Affine, windows: number, rows: number, work: number): void {
    const count = windows * rows;
    this.setPoint(work, base);
    for (let i = 1; i < count; i++) {
      const at = work + i * POINT_BYTES;
      const first = work + Math.floor(i / rows) * rows * POINT_BYTES;
      // The first row of a window is twice the last of the one before.
      if (i % rows === 0) this.addPoints(at, at - POINT_BYTES, at - POINT_BYTES);
      else this.addPoints(at, at - POINT_BYTES, first);
    }
    const inverses = work + count * POINT_BYTES;
    this.#invertZs(work, inverses, count);
    for (let i = 0; i < count; i++) {
      this.#writeRow(table + i * ROW_BYTES, work + i * POINT_BYTES, inverses + i * FE_BYTES);
    }
  }

  /** 1/Z of `count` points for one inversion (Montgomery's trick). */
  #invertZs(points: number, inverses: number, count: number): void {
    const { program } = this;
    const z = (i: number): number => points + i * POINT_BYTES + 2 * FE_BYTES;
    const inverse = (i: number): number => inverses + i * FE_BYTES;
    program.mul(inverse(0), z(0), this.#one);
    for (let i = 1; i < count; i++) program.mul(inverse(i), inverse(i - 1), z(i));
    const rest = this.reserve(FE_BYTES);
    this.invert(rest, inverse(count - 1));
    for (let i = count - 1; i > 0; i--) {
      program.mul(inverse(i), rest, inverse(i - 1));
      program.mul(rest, rest, z(i));
    }
    program.mul(inverse(0), rest, this.#one);
  }

  #writeRow(row: number, point: number, inverse: number): void {
    const { program } = this;
    const [x, y, product] = [row, row + FE_BYTES, row + 2 * FE_BYTES];
    const [sum, difference] = [this.scratch, this.scratch + FE_BYTES];
    program.mul(x, point, inverse);
    program.mul(y, point + FE_BYTES, inverse);
    program.mul(product, x, y);
    program.mul(product, product, this.#d2);
    program.add(sum, y, x);
    program.sub(difference, y, x);
    program.mul(x, sum, this.#one);
    program.mul(y, difference, this.#one);
  }
}

/** Makes limbs those of the number's residue from 0 to p - 1 (ref10's fe_tobytes). */
export function freeze(limbs: Int32Array): void {
  let above = (19 * limbs[9] + 2 ** 24) >> 25;
  for (let i = 0; i < LIMBS; i++) above = (limbs[i] + above) >> limbBits(i);
  let carried = 19 * above;
  for (let i = 0; i < LIMBS; i++) {
    const value = limbs[i] + carried;
    carried = value >> limbBits(i);
    limbs[i] = value - carried * 2 ** limbBits(i);
  }
}
