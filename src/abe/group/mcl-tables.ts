/**
 * Fixed-base tables of odd multiples in wasm memory, for scalars in odd digits (`recoding.ts`): entry j of window i is
 * (2 j + 1) 2^(w i) base, j < 2^(w-1). Half the digits are there, since negation is free; a multiplication is one
 * addition a window and no doubling. `addFromTable` reads the entry that the scalar names, so its scalars are public,
 * or secret only as `types.ts` says; `mcl-secret.ts` reads the same tables in constant time.
 */
import { allocate, MCL_G1_BYTES, MCL_G2_BYTES, MCL_GT_BYTES, type MclModule } from './mcl-module.ts';
import { entryOf, recode, signOf, windowsOf } from './recoding.ts';

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

/** Writes 1, 3, 5, .. times the element at `at` to the entries from `at` on; `spare` has room for one element. */
export function fillOdd(kind: TableKind, at: number, entries: number, spare: number): void {
  kind.double(spare, at);
  for (let j = 1; j < entries; j++) kind.add(at + j * kind.bytes, at + (j - 1) * kind.bytes, spare);
}

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
  const spare = allocate(mcl, size);
  mcl.HEAP8.copyWithin(at, base, base + size);
  for (let window = 0; window < windows; window++) {
    const first = at + window * entries * size;
    fillOdd(kind, first, entries, spare);
    if (window + 1 === windows) break;
    // (2^w - 1) + 1 times this window's base begins the next.
    kind.add(first + entries * size, first + (entries - 1) * size, first);
  }
  mcl._free(spare);
  kind.normalize(at, windows * entries);
  return { kind, at, windowBits };
}

/**
 * Adds scalar * base to the element at `out`, which must hold a value already. `scalar` is 32 bytes big-endian,
 * below the order, and public; `spare` has room for one element.
 */
export function addFromTable(table: FixedBaseTable, out: number, scalar: Uint8Array, spare: number): void {
  const { kind, at, windowBits } = table;
  const size = kind.bytes;
  const entries = 2 ** (windowBits - 1);
  recode(scalar, windowBits).forEach((window, i) => {
    const entry = at + (i * entries + entryOf(window, windowBits)) * size;
    if (signOf(window, windowBits) === 1) kind.add(out, out, entry);
    else {
      kind.negate(spare, entry);
      kind.add(out, out, spare);
    }
  });
}
