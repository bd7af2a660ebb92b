/** Clients of all members at once: they write through the gateways and keep what was acknowledged to them. */
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError } from '../../src/codec/errors.ts';
import type { Member } from './member.ts';

/** Clients at each gateway, each with one write under way. */
const CLIENTS_EACH = 2;
/** A write that hangs is given up after this long; it may still be committed, so it counts as nothing. */
const WRITE_MS_MAX = 6_000;
/** Between two writes of a client: a load that leaves room for what is tested. */
const THINK_MS = 120;
/** After a refusal a client waits this long. */
const PAUSE_MS = 60;
/** One write of so many is a sealed record; the others enrol subjects. */
const RECORD_EVERY = 12;

export interface Acknowledged {
  readonly entryId: string;
  readonly height: number;
  readonly member: string;
  /** Milliseconds, `performance.now()`. */
  readonly at: number;
}

interface Answer {
  readonly committed: { readonly entryId: string; readonly height: number } | null;
}

export class Load {
  /** Since the last `take`. */
  #acknowledged: Acknowledged[] = [];
  #refused = new Map<string, number>();
  #running: Promise<void>[] = [];
  #stopped = true;
  #count = 0;

  begin(members: readonly Member[]): void {
    this.#stopped = false;
    this.#running = members.flatMap((member) =>
      Array.from({ length: CLIENTS_EACH }, () => this.#client(member)),
    );
  }

  async end(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
  }

  get acknowledged(): readonly Acknowledged[] {
    return this.#acknowledged;
  }

  /** Refusals by code, as `member code`. */
  get refused(): ReadonlyMap<string, number> {
    return this.#refused;
  }

  /** Gives what was acknowledged and refused, and begins anew. */
  take(): { acknowledged: readonly Acknowledged[]; refused: Readonly<Record<string, number>> } {
    const taken = { acknowledged: this.#acknowledged, refused: Object.fromEntries(this.#refused) };
    this.#acknowledged = [];
    this.#refused = new Map();
    return taken;
  }

  /** The longest time in which none of `members` acknowledged anything, from `from` until `to`. */
  silence(members: readonly Member[], from: number, to: number): number {
    const names = new Set(members.map(({ name }) => name));
    const times = this.#acknowledged
      .filter(({ at, member }) => names.has(member) && at > from && at < to)
      .map(({ at }) => at)
      .sort((a, b) => a - b);
    let last = from;
    let longest = 0;
    for (const time of [...times, to]) {
      longest = Math.max(longest, time - last);
      last = time;
    }
    return longest;
  }

  /** One write; resolves with what was acknowledged. */
  async write(member: Member, timeoutMs = WRITE_MS_MAX): Promise<Acknowledged> {
    const isRecord = ++this.#count % RECORD_EVERY === 0;
    const { committed } = isRecord
      ? await member.gateway.json<Answer>('POST', '/v1/records', {
          body: { records: [{ content: `note ${this.#count}`, policy: `${member.name}/role:nurse` }] },
          timeoutMs,
        })
      : await member.gateway.json<Answer>('POST', '/v1/subjects', { body: { kind: 'patient' }, timeoutMs });
    if (committed === null) throw new Error('an enrolment was answered without an entry');
    const { entryId, height } = committed;
    const acknowledged = { entryId, height, member: member.name, at: performance.now() };
    this.#acknowledged.push(acknowledged);
    return acknowledged;
  }

  async #client(member: Member): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.write(member);
        await delay(THINK_MS);
      } catch (error) {
        const code = error instanceof CodedError ? error.code : String(error);
        const key = `${member.name} ${code}`;
        this.#refused.set(key, (this.#refused.get(key) ?? 0) + 1);
        await delay(PAUSE_MS);
      }
    }
  }
}
