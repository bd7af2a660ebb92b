/**
 * Where a run took place. A figure without this is worth little: the same code is three times slower on a machine
 * whose disk flushes slowly or that somebody else is using, so both are measured and written beside the rows.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { percentiles, round } from './row.ts';

/** Machine, software and state of a run. */
export interface Environment {
  readonly version: string;
  /** Commit of the checkout, with `+changes` where the work tree differs; `unknown` outside of git. */
  readonly commit: string;
  /** RFC 3339, UTC. */
  readonly date: string;
  readonly node: string;
  readonly os: string;
  readonly arch: string;
  readonly cpu: string;
  /** Hardware threads that the process may use. */
  readonly cores: number;
  readonly memory_mib: number;
  /** Over 1, 5 and 15 minutes, when the run began. Above `cores`: others were using the machine. */
  readonly load_average: readonly number[];
  /** Share of one hardware thread that a busy loop got when the run began: below 1, others or the host took the rest. */
  readonly core_share: number;
  /** 4 KiB appended and flushed to the disk that holds the temporary directory. */
  readonly disk_flush: { readonly n: number; readonly p50_ms: number; readonly p95_ms: number };
  /** True when the suites ran with fewer runs and smaller data. */
  readonly quick: boolean;
  readonly suites: readonly SuiteOutcome[];
}

/** How a suite ended: measured, or named as skipped or failed. */
export interface SuiteOutcome {
  readonly suite: string;
  readonly status: 'measured' | 'skipped' | 'failed';
  readonly rows: number;
  readonly seconds: number;
  readonly reason?: string;
}

const SPIN_MS = 300;
const FLUSH_BYTES = 4096;
const FLUSHES = 60;

/** What is known before the suites run; `root` is the checkout. Takes well below a second on an SSD. */
export function describeEnvironment(root: string, quick: boolean): Omit<Environment, 'suites'> {
  const cpu = cpus()[0]?.model.trim() ?? '';
  return {
    version: versionOf(root),
    commit: commitOf(root),
    date: new Date().toISOString(),
    node: process.versions.node,
    os: `${type()} ${release()}`,
    arch: process.arch,
    cpu: cpu === '' ? 'unknown' : cpu,
    cores: availableParallelism(),
    memory_mib: Math.round(totalmem() / 2 ** 20),
    load_average: loadavg().map(round),
    core_share: measureCoreShare(),
    disk_flush: measureFlush(tmpdir()),
    quick,
  };
}

/** Processor time over the clock's of a loop that never waits. */
export function measureCoreShare(): number {
  const before = process.cpuUsage();
  const begin = performance.now();
  while (performance.now() - begin < SPIN_MS);
  const ms = performance.now() - begin;
  const { user, system } = process.cpuUsage(before);
  return round(Math.min(1, (user + system) / 1000 / ms));
}

/** Time to append 4 KiB to a file in `directory` and have it durable (fsync). */
export function measureFlush(directory: string): Environment['disk_flush'] {
  const folder = mkdtempSync(join(directory, 'hippocrypt-flush-'));
  try {
    const file = openSync(join(folder, 'flush'), 'a');
    const block = new Uint8Array(FLUSH_BYTES).fill(1);
    const times: number[] = [];
    for (let i = 0; i < FLUSHES; i++) {
      const begin = performance.now();
      writeSync(file, block);
      fsyncSync(file);
      times.push(performance.now() - begin);
    }
    closeSync(file);
    return { n: FLUSHES, ...percentiles(times) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function versionOf(root: string): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version?: unknown };
  return typeof version === 'string' ? version : 'unknown';
}

function commitOf(root: string): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const commit = git('rev-parse', '--short=12', 'HEAD');
    return git('status', '--porcelain', '--', 'src', 'bench') === '' ? commit : `${commit}+changes`;
  } catch {
    return 'unknown';
  }
}
