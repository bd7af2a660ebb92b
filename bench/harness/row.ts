/**
 * The row: what every suite returns, how rows are told apart between runs, and the percentiles behind them.
 * Percentiles are nearest-rank on sorted samples, so that a figure is always a time that was really measured.
 */

/** One measurement. Units stand in the names of the further keys (`_ms`, `_per_s`, `bytes`, `mb_per_s`). */
export interface Row {
  readonly suite: string;
  readonly op: string;
  /** Runs; or the size of the operation, in rows that say `runs` themselves. */
  readonly n: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly [key: string]: string | number | boolean;
}

/** Most rows that one suite may return: tables and plots are for people. */
export const SUITE_ROWS_MAX = 500;
/** Most keys of a row, and characters of a text in it. */
const ROW_KEYS_MAX = 40;
const TEXT_MAX = 400;

/** Keys that every row has, in the order in which tables show them. */
export const ROW_KEYS = ['suite', 'op', 'n', 'p50_ms', 'p95_ms'] as const;

/** Three decimals: a microsecond of a millisecond, below the noise of any of these. */
export const round = (value: number): number => Math.round(value * 1000) / 1000;

/** The `share`-quantile of `samples` by nearest rank; throws RangeError on none. */
export function quantile(samples: readonly number[], share: number): number {
  if (samples.length === 0) throw new RangeError('expected at least one sample');
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.min(sorted.length, Math.max(1, Math.ceil(share * sorted.length)));
  return sorted[rank - 1];
}

/** `p50_ms` and `p95_ms` of times in milliseconds. */
export function percentiles(samples: readonly number[]): { p50_ms: number; p95_ms: number } {
  return { p50_ms: round(quantile(samples, 0.5)), p95_ms: round(quantile(samples, 0.95)) };
}

/**
 * What makes a row the same measurement in another run: suite, operation, backend, and its size where `n` is a size.
 * A count of runs is not part of it, since a quick run measures the same thing with fewer.
 */
export function rowKey(row: Row): string {
  const size = 'runs' in row ? String(row.n) : '';
  const backend = typeof row.backend === 'string' ? row.backend : '';
  return [row.suite, row.op, backend, size].join(' | ');
}

/** The rows in `value`, as a child process or a file gave them; throws TypeError on anything else. */
export function parseRows(value: unknown): Row[] {
  if (!Array.isArray(value)) throw new TypeError('expected a list of rows');
  if (value.length > SUITE_ROWS_MAX) {
    throw new TypeError(`expected at most ${SUITE_ROWS_MAX} rows, got ${value.length}`);
  }
  return value.map(parseRow);
}

function parseRow(value: unknown, index: number): Row {
  const wrong = (what: string): never => {
    throw new TypeError(`row ${index}: expected ${what}`);
  };
  if (value === null || typeof value !== 'object') return wrong('an object');
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  if (entries.length > ROW_KEYS_MAX) wrong(`at most ${ROW_KEYS_MAX} keys`);
  for (const [key, one] of entries) {
    const isText = typeof one === 'string' && one.length <= TEXT_MAX;
    if (!isText && typeof one !== 'boolean' && !Number.isFinite(one)) {
      wrong(`a finite number, a short text or a boolean in "${key}"`);
    }
  }
  const row = Object.fromEntries(entries) as Record<string, unknown>;
  if (typeof row.suite !== 'string' || typeof row.op !== 'string') wrong('texts "suite" and "op"');
  for (const key of ['n', 'p50_ms', 'p95_ms'] as const) {
    if (typeof row[key] !== 'number' || row[key] < 0) wrong(`a number of at least 0 in "${key}"`);
  }
  return row as Row;
}
