/** Rows of bench/search.ts and what makes their figures. */

/** One measurement; further keys as the operation needs them. */
export interface Row {
  readonly suite: 'search' | 'search-growth' | 'search-browser';
  readonly op: string;
  readonly n: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly [key: string]: string | number | boolean;
}

/** A query with what it found, so that two engines can be compared. */
export interface QueryRow extends Row {
  readonly hits: number;
  readonly sum: number;
}

/** To thousandths. */
export const round = (value: number): number => Math.round(value * 1000) / 1000;

/** Median and 95th percentile of milliseconds. */
export function percentiles(times: readonly number[]): { p50_ms: number; p95_ms: number } {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]);
  return { p50_ms: at(0.5), p95_ms: at(0.95) };
}
