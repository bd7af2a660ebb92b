/** Starts four validator processes, asks them, kills one, and ends the rest. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LinkPeer } from '../../src/consensus/index.ts';

/** What one client does: requests under way at once, until `requests` are done or `ms` have passed. */
export interface Load {
  readonly outstanding: number;
  readonly requests: number;
  readonly ms: number;
  /** Entries of each request, under one signature; 1 unless told. */
  readonly list?: number;
}

export type Question =
  | { readonly type: 'peers'; readonly peers: readonly LinkPeer[] }
  | { readonly type: 'load'; readonly load: Load }
  | { readonly type: 'status' }
  /** Where the others listen now. */
  | { readonly type: 'relink'; readonly peers: readonly LinkPeer[] }
  /** Begins without a history, and ends when `height` is applied. */
  | { readonly type: 'follow'; readonly peers: readonly LinkPeer[]; readonly height: number }
  /** How many of these requests (their names) are not on this member's disk. */
  | { readonly type: 'missing'; readonly entries: readonly string[] }
  | { readonly type: 'stop' };

export type Answer =
  | { readonly type: 'listening'; readonly id: string; readonly pin: string; readonly port: number }
  | { readonly type: 'started' }
  | {
      readonly type: 'done';
      /** Milliseconds from submission to acknowledgement. */
      readonly latencies: readonly number[];
      /** When each was acknowledged, milliseconds since 1970. */
      readonly times: readonly number[];
      readonly acknowledged: readonly string[];
      readonly failed: number;
    }
  | {
      readonly type: 'status';
      readonly leader: number;
      readonly view: number;
      readonly height: number;
      readonly size: number;
      readonly root: string;
      /** Processor time of the process so far, milliseconds. */
      readonly cpuMs: number;
    }
  | { readonly type: 'relinked' }
  | { readonly type: 'followed'; readonly ms: number; readonly cpuMs: number }
  | { readonly type: 'missing'; readonly count: number }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'stopped' };

type Asked = Extract<Answer, { type: 'done' | 'status' | 'missing' }>;
export type Loaded = Extract<Answer, { type: 'done' }>;

/** Longest wait for one answer: far beyond every load of this suite. */
const ANSWER_MS_MAX = 180_000;
const MEMBERS = 4;

class Member {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(index: number, dir: string, time: number) {
    mkdirSync(dir, { recursive: true });
    this.#child = fork(
      fileURLToPath(new URL('./validator.js', import.meta.url)),
      [String(index), dir, String(time)],
      { stdio: ['ignore', 2, 2, 'ipc'] },
    );
    this.#ended = new Promise((_, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) =>
        reject(new Error(`validator ${index} ended with ${code ?? signal}`)),
      );
    });
    this.#ended.catch(() => undefined);
  }

  /** The next answer of `type`; rejects when the process fails, ends, or stays silent. */
  async next<T extends Answer['type']>(type: T): Promise<Extract<Answer, { type: T }>> {
    let late: NodeJS.Timeout | undefined;
    const answer = new Promise<Extract<Answer, { type: T }>>((resolve, reject) => {
      late = setTimeout(() => reject(new Error(`no "${type}" from a validator`)), ANSWER_MS_MAX);
      const listen = (message: Answer): void => {
        if (message.type === 'failed') reject(new Error(message.reason));
        if (message.type !== type) return;
        this.#child.off('message', listen);
        resolve(message as Extract<Answer, { type: T }>);
      };
      this.#child.on('message', listen);
    });
    try {
      return await Promise.race([answer, this.#ended]);
    } finally {
      clearTimeout(late);
    }
  }

  ask<T extends Answer['type']>(question: Question, type: T): Promise<Extract<Answer, { type: T }>> {
    const answer = this.next(type);
    this.#child.send(question);
    return answer;
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended.catch(() => undefined);
  }
}

const peerOf = ({ id, pin, port }: Extract<Answer, { type: 'listening' }>): LinkPeer => ({
  id,
  pin,
  port,
  host: '127.0.0.1',
});

export class Cluster {
  readonly #members: Member[];
  readonly #peers: LinkPeer[];
  readonly #gone = new Set<number>();
  readonly #dir: string;
  readonly #time: number;

  private constructor(members: Member[], peers: LinkPeer[], dir: string, time: number) {
    this.#members = members;
    this.#peers = peers;
    this.#dir = dir;
    this.#time = time;
  }

  /** Four validators under `dir`, linked and voting. `time` is the genesis time. */
  static async start(dir: string, time: number): Promise<Cluster> {
    const members = Array.from(
      { length: MEMBERS },
      (_, i) => new Member(i, join(dir, `validator-${i}`), time),
    );
    const cards = await Promise.all(members.map((member) => member.next('listening')));
    const peers = cards.map(peerOf);
    await Promise.all(members.map((member) => member.ask({ type: 'peers', peers }, 'started')));
    return new Cluster(members, peers, dir, time);
  }

  /** Members that run. */
  get alive(): number[] {
    return this.#members.map((_, i) => i).filter((i) => !this.#gone.has(i));
  }

  load(index: number, load: Load): Promise<Loaded> {
    return this.#members[index].ask({ type: 'load', load }, 'done');
  }

  status(index: number): Promise<Extract<Asked, { type: 'status' }>> {
    return this.#members[index].ask({ type: 'status' }, 'status');
  }

  async missing(index: number, entries: readonly string[]): Promise<number> {
    return (await this.#members[index].ask({ type: 'missing', entries }, 'missing')).count;
  }

  async kill(index: number): Promise<void> {
    this.#gone.add(index);
    await this.#members[index].kill();
  }

  /** A member that was killed comes back with an empty disk and follows the others up to `height`. */
  async revive(index: number, height: number): Promise<Extract<Answer, { type: 'followed' }>> {
    const member = new Member(index, join(this.#dir, `validator-${index}-again`), this.#time);
    this.#peers[index] = peerOf(await member.next('listening'));
    for (const other of this.alive) {
      await this.#members[other].ask({ type: 'relink', peers: this.#peers }, 'relinked');
    }
    this.#members[index] = member;
    this.#gone.delete(index);
    return member.ask({ type: 'follow', peers: this.#peers, height }, 'followed');
  }

  async stop(): Promise<void> {
    for (const index of this.alive) {
      await this.#members[index].ask({ type: 'stop' }, 'stopped').catch(() => this.kill(index));
    }
  }
}
