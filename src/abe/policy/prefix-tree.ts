/**
 * Numbers as paths in a binary tree over `width` bits (16, 32 or 64). A value v stands at leaf v + 2^(width-1),
 * so that negative numbers and dates before 1970 keep their order. A key holds the path of its value, root
 * included; a policy asks for one node of the cover of its range: exactly the values in the range have one.
 */
import type { TreeNode } from './leaf.ts';

export type Width = 16 | 32 | 64;

/** Both ends included, as positions in the tree: 0 .. 2^width - 1. */
export interface Interval {
  readonly low: bigint;
  readonly high: bigint;
}

/** Smallest and largest number that a label of `width` can hold. 64 bits are cut to safe integers. */
export function numberBounds(width: Width): { min: number; max: number } {
  if (width === 64) return { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };
  return { min: -(2 ** (width - 1)), max: 2 ** (width - 1) - 1 };
}

/** The tree position of `value`, which lies within `numberBounds(width)`. */
export function positionIn(width: Width, value: number): bigint {
  return BigInt(value) + (1n << BigInt(width - 1));
}

/** The whole tree. */
export function everything(width: Width): Interval {
  return { low: 0n, high: (1n << BigInt(width)) - 1n };
}

/** Disjoint `intervals` in ascending order, neighbours made one. */
export function mergeIntervals(intervals: readonly Interval[]): Interval[] {
  const merged: Interval[] = [];
  for (const next of [...intervals].sort((a, b) => (a.low < b.low ? -1 : 1))) {
    const last = merged.at(-1);
    if (last !== undefined && next.low === last.high + 1n) {
      merged[merged.length - 1] = { low: last.low, high: next.high };
    } else {
      merged.push(next);
    }
  }
  return merged;
}

/** What `intervals` (merged) leave out. */
export function complement(width: Width, intervals: readonly Interval[]): Interval[] {
  const out: Interval[] = [];
  let next = 0n;
  for (const { low, high } of intervals) {
    if (low > next) out.push({ low: next, high: low - 1n });
    next = high + 1n;
  }
  const end = everything(width).high;
  if (next <= end) out.push({ low: next, high: end });
  return out;
}

/** The path of `value`: `width` + 1 nodes, root first. */
export function pathOf(width: Width, value: number): TreeNode[] {
  const position = positionIn(width, value);
  return Array.from({ length: width + 1 }, (_, depth) => ({
    depth,
    prefix: position >> BigInt(width - depth),
  }));
}

/** The fewest nodes whose leaves are exactly `interval`, in ascending order: at most 2 * width - 2. */
export function coverOf(width: Width, interval: Interval): TreeNode[] {
  const nodes: TreeNode[] = [];
  let low = interval.low;
  while (low <= interval.high) {
    // The largest aligned block that begins at `low` and does not pass the end.
    let bits = 0;
    while (bits < width) {
      const size = 1n << BigInt(bits + 1);
      if ((low & (size - 1n)) !== 0n || low + size - 1n > interval.high) break;
      bits++;
    }
    nodes.push({ depth: width - bits, prefix: low >> BigInt(bits) });
    low += 1n << BigInt(bits);
  }
  return nodes;
}
