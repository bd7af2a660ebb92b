/**
 * Reads back what this node keeps, at a bounded rate, before a reader or a restore needs it: headers, every block of
 * payloads, index segments and their companions, each against the hash that names it. What is torn, changed or missing is
 * fetched from other members; what nobody gives is told with its name until a later look finds it whole.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError, hasCode } from '../codec/errors.ts';
import { type MemberId, type RecordId, recordId } from '../codec/ids.ts';
import { type RecordState, STATE } from '../ledger/index.ts';
import { type SegmentMeta, segmentName, verifySegmentFile } from '../search/index.ts';
import type { HeaderStore, PayloadStore } from '../storage/index.ts';
import type { Companions } from './companions.ts';
import type { Copies } from './copies.ts';
import { holdersOf } from './holders.ts';
import type { NodeLedger } from './ledger.ts';
import type { Replicas } from './replicas.ts';
import type { SegmentFolder } from './segment-files.ts';

/** Read at most so fast: 100 GB take seven hours, and one busy disk keeps room for its hospital. */
export const SCRUB_BYTES_PER_S = 4 * 1024 * 1024;
/** What looking at a thing costs beside its bytes, so that small records are bounded too. */
const ITEM_BYTES = 16 * 1024;
/** After a start the node has better things to do. */
const FIRST_ROUND_MS = 10 * 60_000;
/** From the beginning of a round to the beginning of the next, unless the round takes longer. */
const ROUND_MS = 24 * 60 * 60_000;
/** Pauses shorter than this are saved up. */
const PAUSE_MS_MIN = 50;
/** Records looked at from one list of the state. */
const SCAN_ROWS = 500;
/** Times that one thing is fetched in a round: levels of a large object. */
const MENDS_MAX = 3;
/** Damaged things named in the status; the rest is counted. */
const NAMED_MAX = 16;
/** Faults of a whole store, after which going on makes no sense. */
const STORE_FAULTS = ['storage.failed', 'storage.full', 'storage.closed', 'storage.locked'];

export interface ScrubOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly headers: HeaderStore;
  readonly payloads: PayloadStore;
  readonly copies: Copies;
  readonly replicas: Replicas;
  readonly companions: Companions;
  readonly segments: (custodian: MemberId) => Promise<SegmentFolder>;
  /** Members that keep each record. */
  readonly factor: number;
  readonly clock: () => number;
  readonly bytesPerSecond?: number;
  readonly onEvent: (name: string, fields: Readonly<Record<string, unknown>>) => void;
}

/** Something that a look found damaged or missing: of a record or of an index. */
export interface Damage {
  /** Record id, or `<custodian>/<segment>`. */
  readonly of: string;
  readonly what: 'header' | 'payload' | 'segment' | 'companion';
  /** Why it could not be mended. */
  readonly code: string;
}

export interface ScrubStatus {
  /** When the last whole round ended, in ms; null before the first. */
  readonly endedAt: number | null;
  /** Things looked at, and bytes read, since the node started. */
  readonly checked: number;
  readonly bytes: number;
  /** Mended since the node started. */
  readonly mended: number;
  /** Damaged at the last look and not mended. */
  readonly damaged: number;
  /** The first of them. */
  readonly named: readonly Damage[];
}

/** How one thing is looked at. `isVoid` tells whether it has lost its purpose meanwhile. */
interface Look {
  readonly read: () => Promise<void>;
  readonly mend: () => Promise<unknown>;
  readonly isVoid: () => boolean;
}

export class Scrub {
  readonly #options: ScrubOptions;
  readonly #damaged = new Map<string, Damage>();
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #endedAt: number | null = null;
  #checked = 0;
  #bytes = 0;
  #mended = 0;
  /** Bytes that were read and not yet waited for. */
  #unpaid = 0;

  constructor(options: ScrubOptions) {
    this.#options = options;
  }

  /** Makes a round now and then. Answers how to stop; stopping waits for the look under way. */
  start(): () => Promise<void> {
    const { clock } = this.#options;
    const rounds = async (): Promise<void> => {
      for (let wait = FIRST_ROUND_MS; ; ) {
        await this.#pause(wait);
        if (this.#stop.signal.aborted) return;
        const began = clock();
        await this.round();
        wait = Math.max(0, began + ROUND_MS - clock());
      }
    };
    this.#running = rounds();
    return async () => {
      this.#stop.abort();
      await this.#running;
    };
  }

  status(): ScrubStatus {
    const named = [...this.#damaged.values()];
    return {
      endedAt: this.#endedAt,
      checked: this.#checked,
      bytes: this.#bytes,
      mended: this.#mended,
      damaged: named.length,
      named: named.slice(0, NAMED_MAX),
    };
  }

  /** Looks at everything once. Never throws: a fault of a whole store ends the round and is told. */
  async round(): Promise<void> {
    const { ledger, onEvent, clock } = this.#options;
    try {
      await this.#records();
      for (const custodian of ledger.members()) await this.#index(custodian);
    } catch (error) {
      onEvent('scrub.failed', { error: codeOf(error) });
      return;
    }
    if (this.#stop.signal.aborted) return;
    this.#endedAt = clock();
    const { checked, mended, damaged } = this.status();
    onEvent('scrub.round', { checked, mended, damaged });
  }

  async #records(): Promise<void> {
    const { ledger } = this.#options;
    let after: string | undefined;
    for (;;) {
      const rows = await ledger.list('record/', {
        limit: SCAN_ROWS,
        ...(after === undefined ? {} : { after }),
      });
      for (const [key] of rows) {
        if (this.#stop.signal.aborted) return;
        await this.#record(recordId(key.slice('record/'.length)));
      }
      if (rows.length < SCAN_ROWS) return;
      after = rows[rows.length - 1][0];
    }
  }

  /** What this node should hold of a record, or holds because somebody read it here. */
  async #record(id: RecordId): Promise<void> {
    const { copies, headers, ledger, member, payloads, factor } = this.#options;
    const record = ledger.state(STATE.record(id));
    if (record === undefined || record.erased) return this.#forget(id);
    const isHolder = holdersOf(record, ledger.members(), factor).includes(member);
    const { headerHash, cid } = record;
    if (isHolder || headers.has(headerHash)) {
      await this.#look(id, 'header', {
        read: () => this.#header(headerHash),
        mend: () => copies.mendHeader(id),
        isVoid: () => this.#isVoid(id, record),
      });
    }
    // An object whose first block is here was here: a cached one that has lost others is mended too.
    if (cid !== null && (isHolder || (await this.#begins(payloads, cid)))) {
      await this.#look(id, 'payload', {
        read: () => this.#payload(cid),
        mend: () => copies.mendPayload(id),
        isVoid: () => this.#isVoid(id, record),
      });
    }
  }

  async #begins(payloads: PayloadStore, cid: string): Promise<boolean> {
    try {
      return (await payloads.getBlock(cid)) !== undefined;
    } catch (error) {
      if (hasCode(error, 'storage.corrupt')) return true;
      throw error;
    }
  }

  async #index(custodian: MemberId): Promise<void> {
    const { companions, replicas, member } = this.#options;
    const listed = (): readonly SegmentMeta[] => {
      try {
        return replicas.listed(custodian);
      } catch (error) {
        // A copy that has not come yet; Replicas is after it.
        if (hasCode(error, 'index.unknown')) return [];
        throw error;
      }
    };
    for (const meta of listed()) {
      if (this.#stop.signal.aborted) return;
      const name = segmentName(meta);
      const isVoid = (): boolean => !listed().some((one) => segmentName(one) === name);
      const of = `${custodian}/${name}`;
      await this.#look(of, 'segment', {
        read: () => this.#segment(custodian, meta),
        mend: () => replicas.mend(custodian, meta),
        isVoid,
      });
      if (custodian === member) {
        await this.#look(of, 'companion', {
          read: async () => this.#took(await companions.check(name)),
          mend: () => replicas.mendCompanion(custodian, name),
          isVoid,
        });
      } else if ((await companions.missing(custodian, [name])).length > 0) {
        // Only its custodian can tell whether it is good, and only that one would miss it.
        await replicas.mendCompanion(custodian, name).catch(() => undefined);
      }
    }
  }

  /** Reads, mends what does not read, reads again. */
  async #look(of: string, what: Damage['what'], how: Look): Promise<void> {
    const name = `${of} ${what}`;
    this.#checked += 1;
    this.#unpaid += ITEM_BYTES;
    try {
      await how.read();
      this.#damaged.delete(name);
    } catch (error) {
      if (isStoreFault(error)) throw error;
      if (!how.isVoid()) await this.#mend(name, { of, what, code: codeOf(error) }, how);
    }
    await this.#pay();
  }

  async #mend(name: string, damage: Damage, { read, mend, isVoid }: Look): Promise<void> {
    const { onEvent } = this.#options;
    try {
      await this.#mendThrough(mend, read);
      this.#damaged.delete(name);
      this.#mended += 1;
      onEvent('scrub.mended', { ...damage });
    } catch (error) {
      if (isStoreFault(error)) throw error;
      if (isVoid()) return;
      if (!this.#damaged.has(name)) onEvent('scrub.damaged', { ...damage, mending: codeOf(error) });
      this.#damaged.set(name, damage);
    }
  }

  /** Below an inner block that was damaged others may be, which show only once that one is whole. */
  async #mendThrough(mend: () => Promise<unknown>, read: () => Promise<void>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      await mend();
      try {
        return await read();
      } catch (error) {
        if (attempt === MENDS_MAX || !hasCode(error, 'storage.corrupt')) throw error;
      }
    }
  }

  async #header(hash: Uint8Array): Promise<void> {
    const bytes = await this.#options.headers.get(hash);
    if (bytes === undefined) throw new CodedError('storage.not_found', 'the header is not here');
    this.#took(bytes.length);
  }

  async #payload(cid: string): Promise<void> {
    for await (const chunk of this.#options.payloads.get(cid)) {
      this.#took(chunk.length);
      await this.#pay();
    }
  }

  async #segment(custodian: MemberId, meta: SegmentMeta): Promise<void> {
    const file = await (await this.#options.segments(custodian)).getSegment(segmentName(meta));
    this.#took(file.length);
    verifySegmentFile(meta, file);
  }

  #took(bytes: number): void {
    this.#bytes += bytes;
    this.#unpaid += bytes;
  }

  #isVoid(id: RecordId, { version, cid }: RecordState): boolean {
    const now = this.#options.ledger.state(STATE.record(id));
    return now === undefined || now.erased || now.version !== version || now.cid !== cid;
  }

  #forget(id: RecordId): void {
    for (const what of ['header', 'payload']) this.#damaged.delete(`${id} ${what}`);
  }

  /** Waits until what was read is within the rate. */
  async #pay(): Promise<void> {
    const ms = (1000 * this.#unpaid) / (this.#options.bytesPerSecond ?? SCRUB_BYTES_PER_S);
    if (ms < PAUSE_MS_MIN) return;
    this.#unpaid = 0;
    await this.#pause(ms);
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
  }
}

function isStoreFault(error: unknown): boolean {
  return STORE_FAULTS.some((code) => hasCode(error, code));
}

function codeOf(error: unknown): string {
  return error instanceof CodedError ? error.code : 'internal';
}
