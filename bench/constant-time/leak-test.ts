/**
 * Does an operation's time depend on its secret? After dudect (Reparaz, Balasch, Verbauwhede, eprint 2016/1123): times for
 * one fixed secret and for random ones are taken in random order and compared by Welch's t, once over all samples and
 * once over each of several lowest fractions of them, because what the machine adds (collections, interrupts, other
 * processes) lies in the upper tail and hides small differences.
 *
 * A large |t| says that the classes differ. A small one says that no difference was seen with this many samples on
 * this machine; it proves nothing. Both classes are read from pools of equal shape, so that caches tell them apart no
 * better than the operation does.
 */
import { randomBytes } from 'node:crypto';
import { quantile } from '../harness/row.ts';

/** Where |t| begins to say something: dudect's own bound. With no difference it is passed less than once in 10^22. */
export const T_ALARM = 10;
/** Fractions of the samples that are looked at, the fastest first. */
const FRACTIONS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1] as const;
/** A class with fewer samples within a fraction is not compared there. */
const CLASS_MIN = 100;
const POOL = 128;
const WARM_UPS = 400;
const SAMPLES_MIN = 1000;
const SAMPLES_MAX = 100_000;
/** A sample takes at least this long, by repetition, so that the clock's own cost is small beside it. */
const SAMPLE_MS_MIN = 0.01;

export interface LeakTestOptions<T> {
  /** The fixed secret, made anew for each place of its pool. */
  readonly fixed: () => T | Promise<T>;
  readonly random: () => T | Promise<T>;
  /** What is timed; a promise is waited for. */
  readonly run: (secret: T) => unknown;
  /** Time to measure for. */
  readonly budgetMs: number;
}

export interface LeakTestResult {
  readonly samples: number;
  /** The t of largest size over all fractions, and the fraction it was seen in. */
  readonly t: number;
  readonly fraction: number;
  /** Times of one run, milliseconds. */
  readonly p50_ms: number;
  readonly p95_ms: number;
  /** Median of the random class over the fixed one's, less 1, in percent. */
  readonly difference_percent: number;
}

export async function leakTest<T>(options: LeakTestOptions<T>): Promise<LeakTestResult> {
  const pools = await Promise.all(
    [options.fixed, options.random].map((make) => Promise.all(Array.from({ length: POOL }, make))),
  );
  const repeats = await warmUp(options.run, pools);
  const times: number[] = [];
  const classes: number[] = [];
  const begin = performance.now();
  while (
    times.length < SAMPLES_MIN ||
    (performance.now() - begin < options.budgetMs && times.length < SAMPLES_MAX)
  ) {
    // One draw for many samples: drawing costs more than some operations.
    for (const byte of randomBytes(256)) {
      const secret = pools[byte & 1][byte >> 1];
      const start = performance.now();
      for (let i = 0; i < repeats; i++) {
        const pending = options.run(secret);
        if (pending instanceof Promise) await pending;
      }
      times.push((performance.now() - start) / repeats);
      classes.push(byte & 1);
    }
  }
  return { ...compare(times, classes), samples: times.length };
}

/** Lets the compiler settle, and answers how many runs make a sample. */
async function warmUp<T>(run: (secret: T) => unknown, pools: readonly (readonly T[])[]): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < WARM_UPS; i++) {
    const start = performance.now();
    const pending = run(pools[i & 1][(i >> 1) % POOL]);
    if (pending instanceof Promise) await pending;
    times.push(performance.now() - start);
  }
  const one = Math.max(quantile(times, 0.5), 0.0001);
  return Math.max(1, Math.ceil(SAMPLE_MS_MIN / one));
}

function compare(times: readonly number[], classes: readonly number[]): Omit<LeakTestResult, 'samples'> {
  const of = (wanted: number): number[] => times.filter((_, i) => classes[i] === wanted);
  let worst = { t: 0, fraction: 1 };
  for (const fraction of FRACTIONS) {
    const limit = quantile(times, fraction);
    const [fixed, random] = [0, 1].map((wanted) => of(wanted).filter((time) => time <= limit));
    if (Math.min(fixed.length, random.length) < CLASS_MIN) continue;
    const t = welch(random, fixed);
    if (Math.abs(t) > Math.abs(worst.t)) worst = { t, fraction };
  }
  return {
    ...worst,
    p50_ms: quantile(times, 0.5),
    p95_ms: quantile(times, 0.95),
    difference_percent: 100 * (quantile(of(1), 0.5) / quantile(of(0), 0.5) - 1),
  };
}

/** Welch's t of two samples. */
export function welch(a: readonly number[], b: readonly number[]): number {
  const [first, second] = [moments(a), moments(b)];
  const error = Math.sqrt(first.variance / a.length + second.variance / b.length);
  return error === 0 ? 0 : (first.mean - second.mean) / error;
}

function moments(values: readonly number[]): { mean: number; variance: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return { mean, variance };
}
