/**
 * What the mcl backend remembers, within bounds: hashes of leaves, and fixed-base tables in wasm memory. Both
 * change speed only. Everything here is public: leaves, generators, E.
 */
import { type MclElement, type MclG1, MclGT } from './mcl-elements.ts';
import type { MclModule } from './mcl-module.ts';
import { SECRET_WINDOW_BITS } from './mcl-secret.ts';
import { buildTable, type FixedBaseTable, type TableKind, tableKinds } from './mcl-tables.ts';

/** Hashes of leaves remembered, about 0.3 kB each. The least recently used is forgotten first. */
const HASHES_MAX = 4096;
/** A leaf gets a table when it was multiplied this often: by then it would have paid. */
const HOT_USES = 24;
/** Such tables at one time, 15 MiB in all. */
const HOT_TABLES_MAX = 128;
/** GT tables (7.3 MiB each) at one time; a process rarely sees more than one master public key. */
const GT_TABLES_MAX = 2;
/** Window of a leaf's table, which serves public and secret scalars: 117 KiB, 1.5 ms to build, 65 us instead of 170. */
const LEAF_WINDOW_BITS = SECRET_WINDOW_BITS;
/** Windows of tables on request: 1.0, 3.7 and 7.3 MiB, 10, 60 and 110 ms to build. */
const WINDOW_BITS = { G1: 9, G2: 10, GT: 10 } as const;

export class MclKeeper {
  readonly #mcl: MclModule;
  readonly kinds: ReturnType<typeof tableKinds>;
  /** Where an element is put while its table is built. */
  readonly #stage: number;
  readonly #hashes = new Map<string, MclG1>();
  readonly #uses = new Map<MclG1, number>();
  readonly #hot = new Set<MclG1>();
  readonly #gt: MclGT[] = [];

  constructor(mcl: MclModule, stage: number) {
    this.#mcl = mcl;
    this.kinds = tableKinds(mcl);
    this.#stage = stage;
  }

  /** The hash remembered under `name`. */
  recall(name: string): MclG1 | undefined {
    const point = this.#hashes.get(name);
    if (point !== undefined) {
      // Back to the end of the queue: gates pass through once, attributes come again.
      this.#hashes.delete(name);
      this.#hashes.set(name, point);
    }
    return point;
  }

  remember(name: string, point: MclG1): void {
    if (this.#hashes.size >= HASHES_MAX) this.#forgetOldest();
    this.#hashes.set(name, point);
    this.#uses.set(point, 0);
  }

  /** Forgets the oldest hash that has no table made on request. */
  #forgetOldest(): void {
    for (const [name, point] of this.#hashes) {
      if (point.table !== undefined && !this.#hot.has(point)) continue;
      this.#hashes.delete(name);
      this.#uses.delete(point);
      this.#drop(point);
      this.#hot.delete(point);
      return;
    }
  }

  /** Counts a multiplication of `point`; a remembered hash that is used often gets a table. */
  touch(point: MclG1): void {
    if (point.table !== undefined) return;
    const uses = this.#uses.get(point);
    if (uses === undefined) return;
    this.#uses.set(point, uses + 1);
    if (uses + 1 < HOT_USES) return;
    if (this.#hot.size >= HOT_TABLES_MAX) {
      const [oldest] = this.#hot;
      this.#drop(oldest);
      this.#hot.delete(oldest);
      this.#uses.set(oldest, 0);
    }
    point.table = this.#build(point, this.kinds.G1, LEAF_WINDOW_BITS);
    this.#hot.add(point);
  }

  /** A large table on request, kept; of GT tables the last few are. */
  prepare(element: MclElement & { readonly kind: 'G1' | 'G2' | 'GT' }): void {
    if (element.table?.windowBits === WINDOW_BITS[element.kind]) return;
    if (element instanceof MclGT) {
      if (this.#gt.length >= GT_TABLES_MAX) this.#drop(this.#gt.shift());
      this.#gt.push(element);
    }
    this.#drop(element);
    const kind = this.kinds[element.kind];
    element.table = this.#build(element, kind, WINDOW_BITS[element.kind]);
    // Scanning every entry of a large window would cost more than the additions that it saves.
    if (element.kind !== 'GT') element.secretTable = this.#build(element, kind, SECRET_WINDOW_BITS);
  }

  /** The table of `element` that secret scalars may use. */
  secretTable(element: MclElement): FixedBaseTable | undefined {
    return (
      element.secretTable ?? (element.table?.windowBits === SECRET_WINDOW_BITS ? element.table : undefined)
    );
  }

  #build(element: MclElement, kind: TableKind, windowBits: number): FixedBaseTable {
    this.#mcl.HEAP32.set(element.words, this.#stage >> 2);
    return buildTable(this.#mcl, kind, this.#stage, windowBits);
  }

  #drop(element: MclElement | undefined): void {
    for (const table of [element?.table, element?.secretTable])
      if (table !== undefined) this.#mcl._free(table.at);
    if (element !== undefined) element.table = element.secretTable = undefined;
  }
}
