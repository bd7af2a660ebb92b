/** The command as a process of its own, from the build, as its users run it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const COMMAND = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** `npm test` builds first; a test run without a build says so in its name. */
export const isBuilt = existsSync(COMMAND);
if (!isBuilt) console.warn('test/cli: skipped, because dist/ is not there: run "npm run build" first');

export interface Finished {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  /** Resolves with what the process wrote to stderr so far, once `seen` accepts it; rejects when it ends before. */
  until(seen: (stderr: string) => boolean): Promise<string>;
  readonly finished: Promise<Finished>;
}

/** Starts `hippocrypt ...args`. A process that hangs is ended by the deadline, and its test fails on the exit code. */
export function start(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  deadlineMs = 150_000,
): Running {
  const { HIPPOCRYPT_PASSWORD: _, NO_COLOR: __, ...inherited } = process.env;
  const child = spawn(process.execPath, [COMMAND, ...args], {
    env: { ...inherited, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  let stdout = '';
  let stderr = '';
  const waiting = new Set<() => void>();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const wake of waiting) wake();
  });
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, stdout, stderr });
    });
  });
  const until = (seen: (stderr: string) => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const wake = (): void => {
        if (!seen(stderr)) return;
        waiting.delete(wake);
        resolve(stderr);
      };
      waiting.add(wake);
      wake();
      finished.then(({ code }) => reject(new Error(`ended with ${code} before that: ${stderr}`)), reject);
    });
  return { child, until, finished };
}

/** Runs `hippocrypt ...args` to its end. */
export function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  deadlineMs?: number,
): Promise<Finished> {
  return start(args, env, deadlineMs).finished;
}
