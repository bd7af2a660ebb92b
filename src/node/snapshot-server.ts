/**
 * What a member gives to one that is far behind: its newest certified header, the state of a height, and the history below.
 * Answers are as large as a few votes' batches and come at a bounded rate, one at a time to each member, so that nobody's catching up
 * delays a vote (ledger-security rule 29).
 *
 * The state is copied aside when somebody asks, while the ledger goes on, and the copy is removed when nobody has asked for
 * a while.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { MemberLink } from '../authority/link.ts';
import { decodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import {
  type Certified,
  CommittedState,
  certificateAt,
  copyState,
  currentState,
  encodeCertified,
  encodeManifest,
  encodeSegment,
  type KvReader,
  LINKS_MAX,
  PAIR_TABLE,
  readSegment,
  readTip,
  type StateCopy,
} from '../ledger/index.ts';
import { openEnvironment } from '../storage/index.ts';
import { linksAfter } from './snapshot-trust.ts';

/** Bytes a second that all members together are given. */
const BYTES_PER_S = 8 * 1024 * 1024;
/** How long a member waits for a copy before it is told to come back. */
const COPY_WAIT_MS = 2_000;
/** A copy that nobody asked for in this time goes. */
const COPY_IDLE_MS = 10 * 60_000;
const REQUEST_BYTES_MAX = 256;

export interface SnapshotServerOptions {
  readonly link: MemberLink;
  /** The ledger's store as it is on the disk. */
  readonly store: KvReader;
  /** The same at one moment. */
  readonly view: () => KvReader & { close(): void };
  /** The node's directory. */
  readonly dir: string;
  /** A copy of the state this many blocks old is made anew. */
  readonly staleBlocks: number;
  readonly onError: (event: string, error: unknown) => void;
}

interface Held {
  readonly copy: StateCopy;
  readonly remove: () => Promise<void>;
}

export class SnapshotServer {
  readonly #options: SnapshotServerOptions;
  readonly #answering = new Set<MemberId>();
  #freeAt = 0;
  #held: Held | undefined;
  #copying: Promise<void> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: SnapshotServerOptions) {
    this.#options = options;
    this.#serve('certified', async ({ epoch }) => encodeCertified(this.#certified(this.#tip(), epoch)));
    this.#serve('snapshot', async ({ epoch }) => {
      const copy = await this.#copy();
      const { depth, nodes, sizes } = copy;
      return encodeManifest({ ...this.#certified(copy.height, epoch), depth, nodes, sizes });
    });
    this.#serve('snapshot-chunk', async ({ height, number }) => {
      const copy = this.#held?.copy;
      if (copy === undefined || copy.height !== height)
        throw new CodedError(
          'snapshot.gone',
          'this copy of the state is not kept any more: ask for the newest',
        );
      this.#keep();
      return copy.chunk(number ?? -1);
    });
    this.#serve('history', async ({ from, to }) =>
      encodeSegment(readSegment(options.store, from ?? 0, Math.min(to ?? 0, this.#tip()))),
    );
  }

  /** Gives nothing more away and removes the copy. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    await this.#copying?.catch(() => undefined);
    await this.#drop();
  }

  #serve(op: string, answer: (asked: Readonly<Record<string, number>>) => Promise<Uint8Array>): void {
    this.#options.link.serve('headers', op, async (from, body) => {
      if (this.#answering.has(from)) throw new CodedError('snapshot.busy', 'one request at a time');
      this.#answering.add(from);
      try {
        const bytes = await answer(decodeAsked(body));
        await this.#pace(bytes.length);
        return bytes;
      } finally {
        this.#answering.delete(from);
      }
    });
  }

  /** Waits for its turn of the bytes that go out. */
  async #pace(bytes: number): Promise<void> {
    const now = performance.now();
    const wait = this.#freeAt - now;
    this.#freeAt = Math.max(now, this.#freeAt) + (1000 * bytes) / BYTES_PER_S;
    if (wait > 0) await delay(wait);
  }

  #tip(): number {
    return readTip(this.#options.store)?.height ?? 0;
  }

  #certified(height: number, epoch: number | undefined): Certified {
    const reader = this.#options.store;
    const at = (one: number) => certificateAt(reader, one);
    const certificate = height === 0 ? undefined : at(height);
    if (certificate === undefined) throw new CodedError('snapshot.none', 'this member has no block yet');
    const state = new CommittedState(currentState(reader));
    return { ...certificate, links: linksAfter(at, state, epoch ?? 0, LINKS_MAX) };
  }

  /** A copy that is new enough. Throws `snapshot.preparing` when it takes longer than a moment. */
  async #copy(): Promise<StateCopy> {
    const held = this.#held?.copy;
    if (held !== undefined && this.#tip() - held.height < this.#options.staleBlocks) {
      this.#keep();
      return held;
    }
    this.#copying ??= this.#make().finally(() => {
      this.#copying = undefined;
    });
    const late = new AbortController();
    await Promise.race([
      this.#copying,
      delay(COPY_WAIT_MS, undefined, { signal: late.signal }).catch(() => undefined),
    ]).finally(() => late.abort());
    const made = this.#held?.copy;
    if (made === undefined || made === held)
      throw new CodedError('snapshot.preparing', 'a copy of the state is being made: ask again in a moment');
    return made;
  }

  async #make(): Promise<void> {
    const { dir, view, onError } = this.#options;
    const moment = view();
    try {
      const folder = join(dir, 'snapshot', String(readTip(moment)?.height ?? 0));
      await rm(folder, { recursive: true, force: true });
      const environment = openEnvironment(folder, { tables: [PAIR_TABLE] });
      const remove = async (): Promise<void> => {
        await environment.close();
        await rm(folder, { recursive: true, force: true });
      };
      try {
        const copy = await copyState(currentState(moment), environment);
        await this.#drop();
        this.#held = { copy, remove };
        this.#keep();
      } catch (error) {
        await remove();
        onError('snapshot.copy_failed', error);
        throw error;
      }
    } finally {
      moment.close();
    }
  }

  #keep(): void {
    clearTimeout(this.#idle);
    if (this.#isClosed) return;
    this.#idle = setTimeout(() => void this.#drop(), COPY_IDLE_MS);
    this.#idle.unref();
  }

  async #drop(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    await held?.remove();
  }
}

/** Removes copies that a process which was killed has left. */
export async function removeCopies(dir: string): Promise<void> {
  await rm(join(dir, 'snapshot'), { recursive: true, force: true });
}

/** dag-cbor: a map of counts. */
function decodeAsked(body: Uint8Array): Readonly<Record<string, number>> {
  const asked = (decodeCbor(body, REQUEST_BYTES_MAX) ?? {}) as Record<string, unknown>;
  for (const value of Object.values(asked)) {
    if (!Number.isSafeInteger(value) || (value as number) < 0)
      throw new CodedError('link.malformed', 'expected a request of counts');
  }
  return asked as Record<string, number>;
}
