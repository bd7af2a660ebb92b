/**
 * As much of the WebAssembly binary format (core specification 1.0, section 5) as arithmetic in one memory needs:
 * functions of i32 parameters without results, i64 locals, loads and stores, one loop form. No floats, tables or imports.
 */

const I32 = 0x7f;
const I64 = 0x7e;
const VOID = 0x40;

/** Unsigned LEB128. */
function unsigned(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    out.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return out;
}

/** Signed LEB128 of a 32-bit value. */
function signed(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    if ((rest === 0 && (low & 64) === 0) || (rest === -1 && (low & 64) !== 0)) return [...out, low];
    out.push(low | 128);
  }
}

const vector = (items: readonly (readonly number[])[]): number[] => [
  ...unsigned(items.length),
  ...items.flat(),
];
const section = (id: number, body: readonly number[]): number[] => [id, ...unsigned(body.length), ...body];

/** A local variable or parameter of a function. */
export type Local = number;

/** The body of one function: instructions in the order of the calls. */
export class FunctionBody {
  readonly #parameters: number;
  readonly #code: number[] = [];
  #i64s = 0;
  readonly #i32s: number;

  /** `parameters` and `i32s` more locals of 32 bits; the former are numbered first. */
  constructor(parameters: number, i32s = 0) {
    this.#parameters = parameters;
    this.#i32s = i32s;
  }

  get parameters(): number {
    return this.#parameters;
  }

  /** A new local of 64 bits. */
  local(): Local {
    return this.#parameters + this.#i32s + this.#i64s++;
  }

  get(local: Local): this {
    return this.#emit(0x20, ...unsigned(local));
  }

  set(local: Local): this {
    return this.#emit(0x21, ...unsigned(local));
  }

  const32(value: number): this {
    return this.#emit(0x41, ...signed(value));
  }

  const64(value: number): this {
    return this.#emit(0x42, ...signed(value));
  }

  /** Four bytes at the address on the stack plus `offset`, as a signed i64. */
  load32(offset: number): this {
    return this.#emit(0x34, 2, ...unsigned(offset));
  }

  /** One byte at the address on the stack, as a signed i32. */
  load8(): this {
    return this.#emit(0x2c, 0, 0);
  }

  /** The low four bytes of the i64 on the stack to the address below it plus `offset`. */
  store32(offset: number): this {
    return this.#emit(0x3e, 2, ...unsigned(offset));
  }

  /** Calls the function of this index with the arguments on the stack. */
  call(index: number): this {
    return this.#emit(0x10, ...unsigned(index));
  }

  add32 = (): this => this.#emit(0x6a);
  sub32 = (): this => this.#emit(0x6b);
  mul32 = (): this => this.#emit(0x6c);
  and32 = (): this => this.#emit(0x71);
  xor32 = (): this => this.#emit(0x73);
  shr32 = (): this => this.#emit(0x75);
  extend = (): this => this.#emit(0xac);
  add = (): this => this.#emit(0x7c);
  sub = (): this => this.#emit(0x7d);
  mul = (): this => this.#emit(0x7e);
  xor = (): this => this.#emit(0x85);
  shl = (): this => this.#emit(0x86);
  shr = (): this => this.#emit(0x87);

  /** `body` at least once, and again as long as the i32 `counter`, lowered by one after it, is not zero. */
  repeat(counter: Local, body: () => void): this {
    this.#emit(0x03, VOID);
    body();
    this.get(counter).const32(1).sub32().set(counter).get(counter);
    return this.#emit(0x0d, 0, 0x0b);
  }

  /** `body` if the i32 on the stack is not zero. */
  when(body: () => void): this {
    this.#emit(0x04, VOID);
    body();
    return this.#emit(0x0b);
  }

  /** The code entry of the function. */
  encoded(): number[] {
    const locals = vector([
      [...unsigned(this.#i32s), I32],
      [...unsigned(this.#i64s), I64],
    ]);
    const body = [...locals, ...this.#code, 0x0b];
    return [...unsigned(body.length), ...body];
  }

  #emit(...bytes: number[]): this {
    for (const byte of bytes) this.#code.push(byte);
    return this;
  }
}

const ascii = (text: string): number[] => [
  ...unsigned(text.length),
  ...[...text].map((char) => char.charCodeAt(0)),
];

/** A module that exports `functions` by name and its memory, of `pages` pages at first, as `memory`. */
export function assemble(
  functions: Readonly<Record<string, FunctionBody>>,
  pages: number,
): Uint8Array<ArrayBuffer> {
  const bodies = Object.values(functions);
  const types = bodies.map(({ parameters }) => [0x60, ...vector(Array(parameters).fill([I32])), 0]);
  const exported = Object.keys(functions).map((name, index) => [...ascii(name), 0, ...unsigned(index)]);
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(types)),
    ...section(3, vector(bodies.map((_, index) => unsigned(index)))),
    ...section(5, [1, 0, ...unsigned(pages)]),
    ...section(7, vector([...exported, [...ascii('memory'), 2, 0]])),
    ...section(10, vector(bodies.map((body) => body.encoded()))),
  ]);
}
