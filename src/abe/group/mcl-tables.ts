/**
 * Fixed-base tables in wasm memory. Entry j of window w is j * 2^(bits * w) * base, j = 1 .. 2^bits - 1, so a
 * multiplication is one addition a window and no doubling. Lookups depend on the scalar: see `types.ts` for
 * which scalars may come here.
 */
import { MCL_G1_BYTES, MCL_G2_BYTES, MCL_GT_BYTES, type MclModule } from './mcl-module.ts';

const SCALAR_BITS = 256;

/** The three calls that differ between the groups, on pointers. `normalize` speeds up additions later. */
export interface TableKind {
  readonly bytes: number;
  add(out: number, a: number, b: number): void;
  double(out: number, a: number): void;
  normalize(at: number, count: number): void;
}

export interface FixedBaseTable {
  readonly kind: TableKind;
  readonly at: number;
  readonly windowBits: 4 | 8;
}

export function tableKinds(mcl: MclModule): Readonly<Record<'G1' | 'G2' | 'GT', TableKind>> {
  return {
    G1: {
      bytes: MCL_G1_BYTES,
      add: (out, a, b) => mcl._mclBnG1_add(out, a, b),
      double: (out, a) => mcl._mclBnG1_dbl(out, a),
      normalize: (at, count) => mcl._mclBnG1_normalizeVec(at, at, count),
    },
    G2: {
      bytes: MCL_G2_BYTES,
      add: (out, a, b) => mcl._mclBnG2_add(out, a, b),
      double: (out, a) => mcl._mclBnG2_dbl(out, a),
      normalize: (at, count) => mcl._mclBnG2_normalizeVec(at, at, count),
    },
    GT: {
      bytes: MCL_GT_BYTES,
      add: (out, a, b) => mcl._mclBnGT_mul(out, a, b),
      double: (out, a) => mcl._mclBnGT_sqr(out, a),
      normalize: () => {},
    },
  };
}

/** Builds the table of the element at pointer `base`. Cost: 2^bits * 256 / bits additions. */
export function buildTable(mcl: MclModule, kind: TableKind, base: number, windowBits: 4 | 8): FixedBaseTable {
  const windows = SCALAR_BITS / windowBits;
  const entries = 2 ** windowBits - 1;
  const size = kind.bytes;
  const at = mcl._malloc(windows * entries * size);
  let power = base;
  for (let window = 0; window < windows; window++) {
    const first = at + window * entries * size;
    mcl.HEAP8.copyWithin(first, power, power + size);
    for (let j = 1; j < entries; j++) kind.add(first + j * size, first + (j - 1) * size, first);
    if (window + 1 < windows) {
      // 2^bits * first = 2 * (2^(bits-1) * first), written where the next window begins.
      power = at + (window + 1) * entries * size;
      kind.double(power, first + (entries >> 1) * size);
    }
  }
  kind.normalize(at, windows * entries);
  return { kind, at, windowBits };
}

/** Adds k * base to the element at `out`, which must hold a value already. `scalar` is 32 bytes big-endian. */
export function addFromTable(table: FixedBaseTable, out: number, scalar: Uint8Array): void {
  const { kind, at } = table;
  const size = kind.bytes;
  if (table.windowBits === 8) {
    for (let i = 0; i < 32; i++) {
      const digit = scalar[31 - i];
      if (digit !== 0) kind.add(out, out, at + (i * 255 + digit - 1) * size);
    }
    return;
  }
  for (let i = 0; i < 32; i++) {
    const byte = scalar[31 - i];
    const low = byte & 15;
    const high = byte >>> 4;
    if (low !== 0) kind.add(out, out, at + (2 * i * 15 + low - 1) * size);
    if (high !== 0) kind.add(out, out, at + ((2 * i + 1) * 15 + high - 1) * size);
  }
}
