/**
 * Runs suites one after the other, each in a process of its own: a suite's heap, threads and compiled code cannot
 * change the figures of the next, and one that crashes or hangs costs only its own rows.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SuiteOutcome } from './environment.ts';
import { parseRows, type Row } from './row.ts';
import type { Suite } from './suites.ts';

/** What a suite's process says. */
export type ChildMessage =
  | { readonly type: 'log'; readonly line: string }
  | { readonly type: 'rows'; readonly rows: readonly Row[] }
  | { readonly type: 'skipped'; readonly reason: string }
  | { readonly type: 'failed'; readonly reason: string };

/** A suite that takes longer hangs: the longest, with its peers, takes a few minutes on two cores. */
const SUITE_MS_MAX = 30 * 60_000;

export interface SuiteRun {
  readonly outcome: SuiteOutcome;
  readonly rows: readonly Row[];
}

export interface RunOptions {
  readonly quick: boolean;
  /** The checkout: the working directory of the suite. */
  readonly root: string;
  readonly log: (line: string) => void;
  /** The program of a suite's process; child.ts unless told. */
  readonly child?: string;
}

/** Runs one suite; never throws: what went wrong is in the outcome. Progress goes to `log`. */
export async function runSuite(suite: Suite, options: RunOptions): Promise<SuiteRun> {
  const begin = performance.now();
  const rows: Row[] = [];
  const skipped: string[] = [];
  let failure: string | undefined;
  const file = options.child ?? fileURLToPath(new URL('./child.js', import.meta.url));
  const child = fork(file, [suite.name, options.quick ? 'quick' : 'full'], {
    cwd: options.root,
    execArgv: ['--expose-gc', '--enable-source-maps'],
    // What a suite prints itself is progress: only the harness writes on stdout.
    stdio: ['ignore', 2, 2, 'ipc'],
  });
  const limit = setTimeout(() => {
    failure = `took more than ${SUITE_MS_MAX / 60_000} minutes`;
    child.kill('SIGKILL');
  }, SUITE_MS_MAX);
  child.on('message', (value) => {
    const message = value as ChildMessage;
    switch (message.type) {
      case 'log':
        options.log(`${suite.name}: ${message.line}`);
        return;
      case 'rows':
        try {
          rows.push(...parseRows(message.rows));
        } catch (error) {
          failure = `sent something that is no row: ${(error as Error).message}`;
        }
        return;
      case 'skipped':
        skipped.push(message.reason);
        options.log(`SKIPPED in ${suite.name}: ${message.reason}`);
        return;
      case 'failed':
        failure = message.reason;
        return;
      default:
        throw new TypeError(`a suite sent a message of no known type: ${String(message satisfies never)}`);
    }
  });
  const code = await new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (status, signal) => resolve(status ?? signal ?? 'unknown'));
  });
  clearTimeout(limit);
  if (failure === undefined && code !== 0) failure = `the process ended with ${code}`;
  // A row may say itself that what it stands for does not hold.
  const wrong = rows.filter((row) => row.failed === true).map((row) => row.op);
  if (failure === undefined && wrong.length > 0) failure = `does not hold: ${wrong.join('; ')}`;
  const seconds = Math.round((performance.now() - begin) / 100) / 10;
  const base = { suite: suite.name, rows: rows.length, seconds };
  if (failure !== undefined) {
    options.log(`FAILED: ${suite.name}: ${failure}`);
    return { rows, outcome: { ...base, status: 'failed', reason: failure.split('\n', 1)[0] } };
  }
  const reason = skipped.length === 0 ? {} : { reason: skipped.join('; ') };
  return { rows, outcome: { ...base, status: rows.length === 0 ? 'skipped' : 'measured', ...reason } };
}
