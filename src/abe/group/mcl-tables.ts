/**
 * Fixed-base tables in wasm memory, with signed windows: a scalar is written in digits from -2^(w-1) to 2^(w-1), so
 * half the entries serve both signs, and a multiplication is one addition a window and no doubling. Entry j of
 * window i is j * 2^(w i) * base, j = 1 .. 2^(w-1). Lookups depend on the scalar: see `types.ts` for which scalars
 * may come here.
 */
import { allocate, MCL_G1_BYTES, MCL_G2_BYTES, MCL_GT_BYTES, type MclModule } from './mcl-module.ts';

/** One bit more than a scalar has, for the last carry. */
const SCALAR_BITS = 256;

/** The calls that differ between the groups, on pointers. `normalize` speeds up additions later. */
export interface TableKind {
  readonly bytes: number;
  add(out: number, a: number, b: number): void;
  double(out: number, a: number): void;
  negate(out: number, a: number): void;
  normalize(at: number, count: number): void;
}

export interface FixedBaseTable {
  readonly kind: TableKind;
  readonly at: number;
  readonly windowBits: number;
}

export function tableKinds(mcl: MclModule): Readonly<Record<'G1' | 'G2' | 'GT', TableKind>> {
  return {
    G1: {
      bytes: MCL_G1_BYTES,
      add: (out, a, b) => mcl._mclBnG1_add(out, a, b),
      double: (out, a) => mcl._mclBnG1_dbl(out, a),
      negate: (out, a) => mcl._mclBnG1_neg(out, a),
      normalize: (at, count) => mcl._mclBnG1_normalizeVec(at, at, count),
    },
    G2: {
      bytes: MCL_G2_BYTES,
      add: (out, a, b) => mcl._mclBnG2_add(out, a, b),
      double: (out, a) => mcl._mclBnG2_dbl(out, a),
      negate: (out, a) => mcl._mclBnG2_neg(out, a),
      normalize: (at, count) => mcl._mclBnG2_normalizeVec(at, at, count),
    },
    GT: {
      bytes: MCL_GT_BYTES,
      add: (out, a, b) => mcl._mclBnGT_mul(out, a, b),
      double: (out, a) => mcl._mclBnGT_sqr(out, a),
      // Conjugation: the inverse of an element of the cyclotomic subgroup.
      negate: (out, a) => mcl._mclBnGT_inv(out, a),
      normalize: () => {},
    },
  };
}

const windowsOf = (windowBits: number): number => Math.ceil(SCALAR_BITS / windowBits);

/** Builds the table of the element at pointer `base`; about 2^(w-1) * 256 / w additions. */
export function buildTable(
  mcl: MclModule,
  kind: TableKind,
  base: number,
  windowBits: number,
): FixedBaseTable {
  const windows = windowsOf(windowBits);
  const entries = 2 ** (windowBits - 1);
  const size = kind.bytes;
  const at = allocate(mcl, windows * entries * size);
  mcl.HEAP8.copyWithin(at, base, base + size);
  for (let window = 0; window < windows; window++) {
    const first = at + window * entries * size;
    for (let j = 1; j < entries; j++) kind.add(first + j * size, first + (j - 1) * size, first);
    // Twice the last entry is 2^w * first, where the next window begins.
    const next = first + entries * size;
    if (window + 1 < windows) kind.double(next, next - size);
  }
  kind.normalize(at, windows * entries);
  return { kind, at, windowBits };
}

/** `count` bits of a big-endian scalar from bit `from` (0 is the lowest), at most 17 of them. */
function bitsOf(scalar: Uint8Array, from: number, count: number): number {
  const byte = 31 - (from >>> 3);
  const word = (scalar[byte] ?? 0) | ((scalar[byte - 1] ?? 0) << 8) | ((scalar[byte - 2] ?? 0) << 16);
  return (word >>> (from & 7)) & ((1 << count) - 1);
}

/**
 * Adds scalar * base to the element at `out`, which must hold a value already. `scalar` is 32 bytes big-endian,
 * below the order; `spare` has room for one element.
 */
export function addFromTable(table: FixedBaseTable, out: number, scalar: Uint8Array, spare: number): void {
  const { kind, at, windowBits } = table;
  const size = kind.bytes;
  const entries = 2 ** (windowBits - 1);
  const windows = windowsOf(windowBits);
  let carry = 0;
  for (let window = 0; window < windows; window++) {
    let digit = bitsOf(scalar, window * windowBits, windowBits) + carry;
    carry = 0;
    if (digit > entries) {
      digit -= 2 * entries;
      carry = 1;
    }
    if (digit === 0) continue;
    const entry = at + (window * entries + Math.abs(digit) - 1) * size;
    if (digit > 0) kind.add(out, out, entry);
    else {
      kind.negate(spare, entry);
      kind.add(out, out, spare);
    }
  }
}
