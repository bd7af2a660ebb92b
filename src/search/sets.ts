/**
 * Sets of record numbers as strictly increasing Uint32Arrays, and what a formula does with them. Intersection
 * gallops when one side is much smaller: the cost follows the rarer term.
 */

export const EMPTY_SET = new Uint32Array(0);

/** Ratio of sizes above which the small side looks its members up in the large one. */
const GALLOP_RATIO = 16;

/** Members of both. */
export function intersect(a: Uint32Array, b: Uint32Array): Uint32Array {
  const [few, many] = a.length <= b.length ? [a, b] : [b, a];
  const out = new Uint32Array(few.length);
  const length = few.length * GALLOP_RATIO < many.length ? gallop(few, many, out) : zip(few, many, out);
  return out.subarray(0, length);
}

function zip(a: Uint32Array, b: Uint32Array, out: Uint32Array): number {
  let i = 0;
  let j = 0;
  let n = 0;
  while (i < a.length && j < b.length) {
    const x = a[i];
    const y = b[j];
    if (x === y) out[n++] = x;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return n;
}

function gallop(few: Uint32Array, many: Uint32Array, out: Uint32Array): number {
  let n = 0;
  let from = 0;
  for (let i = 0; i < few.length; i++) {
    const x = few[i];
    let step = 1;
    while (from + step < many.length && many[from + step] < x) step *= 2;
    from = lowerBound(many, x, from + (step >>> 1), Math.min(from + step + 1, many.length));
    if (from < many.length && many[from] === x) out[n++] = x;
  }
  return n;
}

function lowerBound(values: Uint32Array, x: number, from: number, to: number): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The members in [from, to), as a view. */
export function within(values: Uint32Array, from: number, to: number): Uint32Array {
  const start = lowerBound(values, from, 0, values.length);
  return values.subarray(start, lowerBound(values, to, start, values.length));
}

/** Members of either. */
export function unite(a: Uint32Array, b: Uint32Array): Uint32Array {
  const out = new Uint32Array(a.length + b.length);
  let i = 0;
  let j = 0;
  let n = 0;
  while (i < a.length && j < b.length) {
    const x = a[i];
    const y = b[j];
    out[n++] = Math.min(x, y);
    if (x <= y) i++;
    if (y <= x) j++;
  }
  while (i < a.length) out[n++] = a[i++];
  while (j < b.length) out[n++] = b[j++];
  return out.subarray(0, n);
}

/** Members of `a` that are not in `b`. */
export function subtract(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (b.length === 0) return a;
  const out = new Uint32Array(a.length);
  let j = 0;
  let n = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i];
    while (j < b.length && b[j] < x) j++;
    if (j === b.length || b[j] !== x) out[n++] = x;
  }
  return out.subarray(0, n);
}

/** Every member moved by `by`. */
export function shifted(values: Uint32Array, by: number): Uint32Array {
  const out = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = values[i] + by;
  return out;
}

/** Sets one behind the other; each lies above the one before. */
export function joined(parts: readonly Uint32Array[]): Uint32Array {
  const out = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** 0 to length - 1. */
export function allBelow(length: number): Uint32Array {
  const out = new Uint32Array(length);
  for (let i = 0; i < length; i++) out[i] = i;
  return out;
}

/** The strictly increasing set of `values` in any order, with repeats. */
export function setOf(values: Iterable<number>): Uint32Array {
  const sorted = Uint32Array.from(values).sort();
  let n = 0;
  for (let i = 0; i < sorted.length; i++) if (i === 0 || sorted[i] !== sorted[n - 1]) sorted[n++] = sorted[i];
  return sorted.slice(0, n);
}
