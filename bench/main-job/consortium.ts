/** Starts and ends the consortium's process, asks it for its event loop's delay, and waits for its indexes. */
import { fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Gateway } from '../../src/client/index.ts';

export type ServerQuestion =
  | { readonly type: 'delay' }
  | { readonly type: 'cpu' }
  | { readonly type: 'stop' };
export type ServerAnswer =
  | { readonly type: 'ready'; readonly urls: readonly (readonly [string, string])[] }
  | { readonly type: 'delay'; readonly p50: number; readonly p99: number; readonly max: number }
  | { readonly type: 'cpu'; readonly user: number; readonly system: number }
  | { readonly type: 'log'; readonly line: string };

/** Founding, the key ceremony and the first start take seconds. */
const START_MS_MAX = 120_000;
const POLL_MS = 10;
/** An index lags by its idle time; far beyond that it is stuck. */
const INDEXED_MS_MAX = 120_000;

export interface Consortium {
  readonly urls: ReadonlyMap<string, string>;
  readonly password: string;
  /** Delay of the event loop of all members since the last call, in milliseconds. */
  loopDelay(): Promise<{ readonly p50: number; readonly p99: number; readonly max: number }>;
  /** Processor time of the consortium's process so far, all threads, in milliseconds. */
  cpuMs(): Promise<number>;
  stop(): Promise<void>;
}

/** A consortium of four in its own process, with an account `admin` at each member. */
export async function startServer(dir: string, log: (line: string) => void): Promise<Consortium> {
  const password = randomBytes(16).toString('hex');
  const profile = process.env.HIPPOCRYPT_BENCH_PROFILE;
  const child = fork(fileURLToPath(new URL('./server.js', import.meta.url)), [dir, password], {
    execArgv: profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile],
    // As scripts/start.mjs does: four members in one process flush more files at once than libuv has threads.
    env: { UV_THREADPOOL_SIZE: '16', ...process.env },
    stdio: ['ignore', 2, 2, 'ipc'],
  });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the consortium ended with ${code ?? signal}`)));
  });
  ended.catch(() => undefined);
  child.on('message', (message: ServerAnswer) => {
    if (message.type === 'log') log(message.line);
  });
  const answer = <T extends ServerAnswer['type']>(type: T): Promise<Extract<ServerAnswer, { type: T }>> =>
    Promise.race([
      ended,
      new Promise<Extract<ServerAnswer, { type: T }>>((resolve) => {
        const listen = (message: ServerAnswer): void => {
          if (message.type !== type) return;
          child.off('message', listen);
          resolve(message as Extract<ServerAnswer, { type: T }>);
        };
        child.on('message', listen);
      }),
    ]);
  const ask = (question: ServerQuestion): void => {
    child.send(question);
  };
  const late = setTimeout(() => child.kill('SIGKILL'), START_MS_MAX);
  const { urls } = await answer('ready');
  clearTimeout(late);
  return {
    urls: new Map(urls),
    password,
    loopDelay() {
      const delay = answer('delay');
      ask({ type: 'delay' });
      return delay;
    },
    async cpuMs() {
      const cpu = answer('cpu');
      ask({ type: 'cpu' });
      const { user, system } = await cpu;
      return (user + system) / 1000;
    },
    async stop() {
      ask({ type: 'stop' });
      await ended.catch(() => undefined);
    },
  };
}

interface Status {
  readonly parts: { readonly indexer: { readonly covered: number } };
}

/** Resolves when the indexes of all members cover `records` records together; throws when they do not in time. */
export async function untilIndexed(consortium: Consortium, records: number): Promise<void> {
  const gateways = [...consortium.urls.values()].map((url) => new Gateway({ url }));
  const giveUp = performance.now() + INDEXED_MS_MAX;
  for (;;) {
    const states = await Promise.all(gateways.map((one) => one.json<Status>('GET', '/status')));
    const covered = states.reduce((sum, { parts }) => sum + parts.indexer.covered, 0);
    if (covered >= records) return;
    if (performance.now() > giveUp) throw new Error(`the indexes cover ${covered} of ${records} records`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
