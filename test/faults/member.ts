/** One member as a process of its own, `hippocrypt node`: started, asked, paused, killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Gateway } from '../../src/client/index.ts';

/** Longest wait for a node to serve: far beyond a start on a busy machine. */
export const READY_MS_MAX = 300_000;
/** The disk is asked in vain for so long before a start is called refused. */
const ASK_MS = 100;

export interface Event {
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface ConsensusStatus {
  readonly height: number;
  readonly headHash: string;
  readonly view: number;
  readonly index: number;
  readonly leader: number;
  readonly voting: boolean;
  readonly halted: boolean;
}

/** What a process left behind. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export class Member {
  readonly name: string;
  readonly url: string;
  readonly config: string;
  /** Where its stores lie. */
  readonly dir: string;
  readonly gateway: Gateway;
  readonly #command: string;
  readonly #log: WriteStream;
  #child: ChildProcess | undefined;
  #ended: Promise<Ended> | undefined;
  #events: Event[] = [];
  #tail: string[] = [];

  constructor(options: { name: string; url: string; config: string; dir: string; command: string }) {
    this.name = options.name;
    this.url = options.url;
    this.config = options.config;
    this.dir = options.dir;
    this.#command = options.command;
    this.gateway = new Gateway({ url: options.url });
    this.#log = createWriteStream(`${options.config}.log`, { flags: 'a' });
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Events since the last start, as the node wrote them to stderr. */
  get events(): readonly Event[] {
    return this.#events;
  }

  start(): void {
    if (this.#child !== undefined) throw new Error(`${this.name} runs already`);
    const child = spawn(process.execPath, [this.#command, 'node', '--config', this.config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    this.#events = [];
    this.#tail = [];
    createInterface({ input: child.stderr }).on('line', (line) => this.#read(line));
    this.#ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        this.#child = undefined;
        resolve({ code, signal, stderr: this.#tail.join('\n') });
      });
    });
  }

  /** Until it ended by itself, or undefined when it still runs after `ms`. */
  async ends(ms: number): Promise<Ended | undefined> {
    return Promise.race([this.#ended, delay(ms, undefined, { ref: false })]);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#ended;
  }

  /** SIGTERM, and SIGKILL for one that does not go. */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    if ((await this.ends(20_000)) === undefined) await this.kill();
  }

  async status(): Promise<ConsensusStatus | undefined> {
    try {
      const response = await fetch(`${this.url}/status`, { signal: AbortSignal.timeout(3_000) });
      if (!response.ok) return undefined;
      const { parts } = (await response.json()) as { parts: { consensus: ConsensusStatus } };
      return parts.consensus;
    } catch {
      return undefined;
    }
  }

  /** Until the gateway serves and the node votes. Rejects when the process ends or it takes too long. */
  async ready(): Promise<void> {
    const until = performance.now() + READY_MS_MAX;
    for (;;) {
      const status = await this.status();
      if (status?.voting === true && !status.halted) return;
      if (!this.running) throw new Error(`${this.name} ended: ${(await this.#ended)?.stderr}`);
      if (performance.now() > until) {
        throw new Error(
          `${this.name} does not vote ${READY_MS_MAX} ms after its start: ${JSON.stringify(status)}`,
        );
      }
      await delay(ASK_MS);
    }
  }

  /** Until an event of this name was written. */
  async seen(name: string, ms: number): Promise<Event | undefined> {
    const until = performance.now() + ms;
    for (;;) {
      const found = this.#events.find(({ event }) => event === name);
      if (found !== undefined || performance.now() > until) return found;
      await delay(ASK_MS);
    }
  }

  #read(line: string): void {
    this.#log.write(`${line}\n`);
    this.#tail.push(line);
    if (this.#tail.length > 40) this.#tail.shift();
    try {
      this.#events.push(JSON.parse(line) as Event);
    } catch {
      // A problem in words, for people.
    }
  }
}
