/** hyperledger-labs/SmartBFT on the same loads, as the Go program in bench/peers/smartbft runs it: built, started, asked. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** One load over all four replicas and what came of it. */
export interface PeerLoaded {
  readonly latencies_ms: readonly number[];
  readonly times: readonly number[];
  /** Processor time of all four processes. */
  readonly cpu_ms: number;
  readonly blocks: number;
}

/** Builds the program into `dir`; undefined, after saying why, without Go or without its modules. */
export function buildSmartBft(dir: string, log?: (line: string) => void): string | undefined {
  const program = join(dir, 'smartbft');
  const source = fileURLToPath(new URL('../peers/smartbft', import.meta.url));
  try {
    execFileSync('go', ['build', '-o', program, '.'], { cwd: source, stdio: ['ignore', 'ignore', 'pipe'] });
    return program;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n').slice(0, 3).join('; ') : String(error);
    log?.(`SKIPPED: SmartBFT beside the ledger needs Go and its module proxy: ${reason}`);
    return undefined;
  }
}

export class SmartBft {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  /** Versions of SmartBFT and Go. */
  readonly versions: string;

  private constructor(child: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>, versions: string) {
    this.#child = child;
    this.#lines = lines;
    this.versions = versions;
  }

  /** Four replicas with logs under `dir`, which propose at once when `batch` requests wait. */
  static async start(program: string, dir: string, batch: number): Promise<SmartBft> {
    mkdirSync(dir, { recursive: true });
    const child = spawn(program, ['-dir', dir, '-batch', String(batch)]);
    child.stderr.pipe(process.stderr);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { smartbft, go } = await next<{ smartbft: string; go: string }>(lines);
    return new SmartBft(child, lines, `SmartBFT ${smartbft}, ${go}`);
  }

  async load(load: { outstanding: number; ms: number; list: number }): Promise<PeerLoaded> {
    const { outstanding, ms, list: entries } = load;
    this.#child.stdin.write(`${JSON.stringify({ outstanding, entries, ms })}\n`);
    return next<PeerLoaded>(this.#lines);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin.end();
    await ended;
  }
}

async function next<T>(lines: AsyncIterator<string>): Promise<T> {
  const { value, done } = await lines.next();
  if (done === true) throw new Error('SmartBFT ended before it answered');
  return JSON.parse(value);
}
