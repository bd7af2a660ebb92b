/**
 * What the clock says about every operation on a secret: `constant-time/operations.ts` lists them with what is claimed,
 * `constant-time/leak-test.ts` is the statistics. An alarm is measured again with twice the time, with fresh secrets, and
 * stands only if both agree. What a small t does not say is in docs/constant-time.md.
 */

import { type LeakTestResult, T_ALARM } from './constant-time/leak-test.ts';
import type { Claim, SecretOperation } from './constant-time/operation.ts';
import { secretOperations } from './constant-time/operations.ts';
import { round } from './harness/row.ts';

/** One operation. `n` is the number of samples of both classes together. */
export interface LeakRow {
  readonly suite: 'constant-time';
  readonly op: string;
  readonly n: number;
  readonly p50_ms: number;
  readonly p95_ms: number;
  readonly claim: Claim;
  readonly verdict: string;
  /** Welch's t of the largest size, over all of the samples or a fraction of the fastest. */
  readonly t: number;
  readonly fraction: number;
  /** How much longer the median random secret takes than the fixed one. */
  readonly difference_percent: number;
  readonly why: string;
  /** The claim does not hold, or the measurement is blind: the command fails. */
  readonly failed?: true;
}

export interface ConstantTimeBenchOptions {
  readonly quick?: boolean;
  readonly log?: (line: string) => void;
  /** The operations; all of the product's unless told. */
  readonly operations?: readonly SecretOperation[];
}

/** Three digits: some operations take less than a microsecond. */
const significant = (value: number): number => Number(value.toPrecision(3));

const isAlarm = ({ t }: LeakTestResult): boolean => Math.abs(t) > T_ALARM;

const VERDICTS: Readonly<Record<Claim, readonly [quiet: string, alarm: string]>> = {
  constant: ['no difference seen', 'LEAKS'],
  varies: ['no difference seen', 'varies'],
  control: ['BLIND: no difference seen', 'seen, as it must be'],
};

/** One row an operation, in the order of the list. */
export async function runConstantTimeBench(options: ConstantTimeBenchOptions = {}): Promise<LeakRow[]> {
  const { log = () => {} } = options;
  const rows: LeakRow[] = [];
  for (const { op, claim, why, measure } of options.operations ?? (await secretOperations())) {
    const budgetMs = (options.quick ? 500 : 2500) * (claim === 'constant' ? 1 : 0.4);
    let result = await measure(budgetMs);
    if (claim === 'constant' && isAlarm(result)) result = await measure(2 * budgetMs);
    const alarm = isAlarm(result);
    const verdict = VERDICTS[claim][alarm ? 1 : 0];
    const row: LeakRow = {
      suite: 'constant-time',
      op,
      n: result.samples,
      p50_ms: significant(result.p50_ms),
      p95_ms: significant(result.p95_ms),
      claim,
      verdict,
      t: round(result.t),
      fraction: result.fraction,
      difference_percent: round(result.difference_percent),
      why,
      ...((claim === 'constant' ? alarm : claim === 'control' && !alarm) && { failed: true as const }),
    };
    rows.push(row);
    log(`${op}: t ${row.t.toFixed(1)} over ${row.n} samples, ${verdict}`);
  }
  return rows;
}
