/**
 * A run beside a stored one, as ratios: times of this run over times of the baseline, so that 1 is no change and 2 is
 * twice as slow. Only rows of both runs are compared.
 */
import { readFileSync } from 'node:fs';
import type { Environment } from './environment.ts';
import { parseRows, type Row, round, rowKey } from './row.ts';

/** What `npm run bench` writes and reads: the whole of a run. */
export interface Results {
  readonly environment: Environment;
  readonly rows: readonly Row[];
}

export interface Comparison {
  /** This run's p50 over the baseline's, by row key. */
  readonly ratios: ReadonlyMap<string, number>;
  /** What to know before believing the ratios. */
  readonly warnings: readonly string[];
}

/** Ratios beyond this are called slower, and below its inverse faster: two runs on a quiet machine differ by less. */
export const NOTABLE_RATIO = 1.25;

/** The results in a file; throws TypeError or SyntaxError on something else, and what reading throws. */
export function readResults(path: string): Results {
  const value = JSON.parse(readFileSync(path, 'utf8')) as Partial<Results> | null;
  if (value === null || typeof value !== 'object' || typeof value.environment !== 'object') {
    throw new TypeError(`${path}: expected one object with "environment" and "rows"`);
  }
  return { environment: value.environment as Environment, rows: parseRows(value.rows) };
}

export function compare(current: Results, baseline: Results): Comparison {
  const before = new Map(baseline.rows.map((row) => [rowKey(row), row.p50_ms]));
  const ratios = new Map<string, number>();
  for (const row of current.rows) {
    const was = before.get(rowKey(row));
    if (was !== undefined && was > 0) ratios.set(rowKey(row), round(row.p50_ms / was));
  }
  const [now, then] = [current.environment, baseline.environment];
  const warnings: string[] = [];
  if (now.cpu !== then.cpu || now.cores !== then.cores) {
    warnings.push(`the baseline is of another machine: ${then.cpu}, ${then.cores} cores`);
  }
  if (now.node !== then.node) warnings.push(`the baseline ran on Node ${then.node}`);
  if (now.quick !== then.quick) {
    warnings.push('one of the two runs was quick: data are smaller there, and figures not comparable');
  }
  if ((now.load_average[0] ?? 0) > now.cores) {
    warnings.push(`the machine was busy: load average ${now.load_average[0]} on ${now.cores} cores`);
  }
  return { ratios, warnings };
}
