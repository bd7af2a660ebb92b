/**
 * Numbers as nodes of a binary tree over a declared grid of 2^bits cells. A value counts as the lower end of its
 * cell; the first and the last cell are open to the outside, so nothing falls off the index. Arithmetic is exact
 * decimal (bigint), because 7.1 / 0.1 in binary floating point is not 71.
 */
import { searchError } from './errors.ts';

/** Cells [min + i step, min + (i + 1) step), i < 2^bits. `min`, `step` are decimal texts; `unit` is UCUM. */
export interface Grid {
  readonly min: string;
  readonly step: string;
  readonly bits: number;
  readonly unit: string;
}

export const GRID_BITS_MAX = 20;

interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

const DECIMAL_FORM = /^(-?)(\d{1,18})(?:\.(\d{1,18}))?(?:[eE]([+-]?\d{1,2}))?$/;

function parseDecimal(text: string): Decimal {
  const match = DECIMAL_FORM.exec(text);
  if (match === null) throw searchError('search.value_malformed', 'expected a decimal number such as -1.25');
  const fraction = match[3] ?? '';
  const exponent = Number(match[4] ?? 0);
  const digits = BigInt(match[1] + match[2] + fraction);
  const scale = fraction.length - exponent;
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

/** Both numbers as integers of one scale. */
function align(a: Decimal, b: Decimal): [bigint, bigint] {
  const scale = Math.max(a.scale, b.scale);
  return [a.digits * 10n ** BigInt(scale - a.scale), b.digits * 10n ** BigInt(scale - b.scale)];
}

/** Whether `grid` is usable; throws `search.field_malformed`. */
export function checkGrid(grid: Grid): void {
  const bad = (what: string) => searchError('search.field_malformed', `grid: ${what}`);
  if (!Number.isInteger(grid.bits) || grid.bits < 1 || grid.bits > GRID_BITS_MAX) {
    throw bad(`expected bits from 1 to ${GRID_BITS_MAX}`);
  }
  parseDecimal(grid.min);
  if (parseDecimal(grid.step).digits <= 0n) throw bad('expected a step above zero');
  if (grid.unit.length > 32) throw bad('expected a unit of at most 32 characters');
}

/** Where `value` lies: its cell before clamping, and whether it is exactly a cell's lower end. */
export function locate(grid: Grid, value: string): { readonly cell: number; readonly exact: boolean } {
  const [min, at] = align(parseDecimal(grid.min), parseDecimal(value));
  const scale = Math.max(parseDecimal(grid.min).scale, parseDecimal(value).scale);
  const [offset, step] = align({ digits: at - min, scale }, parseDecimal(grid.step));
  const rest = ((offset % step) + step) % step;
  const cell = (offset - rest) / step;
  const bound = 2n ** BigInt(grid.bits);
  const clamped = cell < -1n ? -1n : cell > bound ? bound : cell;
  return { cell: Number(clamped), exact: rest === 0n };
}

/** A node: `index` of a block of 2^level cells. */
export type GridNode = readonly [level: number, index: number];

/** The nodes that contain `value`, cell first: levels 0 to bits - 1 (the root is the field's sentinel). */
export function gridNodes(grid: Grid, value: string): GridNode[] {
  const cells = 2 ** grid.bits;
  const cell = Math.min(Math.max(locate(grid, value).cell, 0), cells - 1);
  return Array.from({ length: grid.bits }, (_, level): GridNode => [level, Math.floor(cell / 2 ** level)]);
}

/** Fewest nodes whose union is the cells first to last, both inside; at most 2 bits - 2 of them. */
export function gridCover(grid: Grid, first: number, last: number): GridNode[] {
  const cells = 2 ** grid.bits;
  let low = Math.max(first, 0);
  const end = Math.min(last, cells - 1) + 1;
  const nodes: GridNode[] = [];
  while (low < end) {
    let level = 0;
    while (level + 1 < grid.bits && low % 2 ** (level + 1) === 0 && low + 2 ** (level + 1) <= end) level++;
    nodes.push([level, low / 2 ** level]);
    low += 2 ** level;
  }
  return nodes;
}
