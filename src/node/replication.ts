/**
 * Keeps the records that this member is chosen to hold: follows RecordPut and PolicyChange, pulls header and payload from
 * the custodian or another holder some time after the commit, and says so on the ledger with Stored, a list of CIDs at
 * a time. At start, everything that the ledger says this member holds and that is not here is fetched again; what
 * cannot be fetched is tried again until it can.
 *
 * Nothing here delays a commit: until a copy is made, a record lies with its custodian alone.
 */
import { toHex, utf8 } from '../codec/bytes.ts';
import { type MemberId, type RecordId, recordId } from '../codec/ids.ts';
import { type RecordState, STATE } from '../ledger/index.ts';
import type { KvStore } from '../storage/index.ts';
import type { Copies } from './copies.ts';
import { COPIES_BATCH } from './copies-messages.ts';
import { holdersOf } from './holders.ts';
import type { NodeLedger } from './ledger.ts';

/** Table of the CIDs for which this member has committed Stored. */
export const STORED_TABLE = 'stored';
/** A pull begins when no record has come for this long, so that copies are made after an import and not beside it, */
const PULL_IDLE_MS = 1_000;
/** or when the first of those that wait has waited this long. */
const PULL_WAIT_MS_MAX = 10_000;
/** A receipt lists a batch of CIDs, or what there is after so long. */
const RECEIPT_CIDS = 64;
const RECEIPT_WAIT_MS = 5_000;
/** Pause after a pull that did not get everything, doubled up to the second value. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 30_000;
/** Failures are told once the pause has grown beyond this. */
const RETRY_MS_TOLD = 4_000;
/** Records looked at between two turns of the event loop while repairing. */
const SCAN_ROWS = 500;

export interface ReplicationOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly copies: Copies;
  /** Members that keep each record. */
  readonly factor: number;
  readonly store: KvStore;
  /** Commits Stored, signed by this member's operator. */
  readonly commit: (body: { cids: readonly string[] }) => Promise<unknown>;
  /** Records that were erased while their bytes came. */
  readonly onErased: (id: RecordId) => void;
  readonly onError: (event: string, error: unknown) => void;
}

export interface ReplicationStatus {
  readonly copies: number;
  /** Records that this member should hold and has not complete yet. */
  readonly waiting: number;
  /** Of them, those that no member gave when last asked. */
  readonly failing: number;
  /** CIDs that are here and not yet in a committed Stored. */
  readonly unreceipted: number;
}

export class Replication {
  readonly #options: ReplicationOptions;
  readonly #waiting = new Set<RecordId>();
  readonly #failing = new Set<RecordId>();
  readonly #receipts = new Set<string>();
  #idleTimer: ReturnType<typeof setTimeout> | undefined;
  /** Of the first record that waits, or of the next attempt. */
  #pullTimer: ReturnType<typeof setTimeout> | undefined;
  #receiptTimer: ReturnType<typeof setTimeout> | undefined;
  #pulling: Promise<void> = Promise.resolve();
  #committing: Promise<void> = Promise.resolve();
  #retryMs = RETRY_MS;
  #closed = false;

  constructor(options: ReplicationOptions) {
    this.#options = options;
  }

  /** Follows the ledger and repairs. Answers how to stop; stopping waits for a pull under way. */
  start(): () => Promise<void> {
    const stop = this.#options.ledger.subscribe((entry) => {
      if (entry.type === 'RecordPut') {
        const { records } = entry.body as { records: readonly { record: Uint8Array }[] };
        for (const { record } of records) this.#want(recordId(toHex(record)));
      } else if (entry.type === 'PolicyChange') {
        this.#want(recordId(toHex(entry.body.record as Uint8Array)));
      }
    });
    this.#pulling = this.#repair().catch((error: unknown) => this.#tell('replication.repair_failed', error));
    return async () => {
      this.#closed = true;
      stop();
      clearTimeout(this.#idleTimer);
      clearTimeout(this.#pullTimer);
      clearTimeout(this.#receiptTimer);
      await this.#pulling;
    };
  }

  /** Pulls what waits and commits the receipts. Resolves when both are done, or have failed. */
  async flush(): Promise<void> {
    await this.#pullNow();
    await this.#commitSoon(1);
  }

  status(): ReplicationStatus {
    return {
      copies: this.#options.factor,
      waiting: this.#waiting.size,
      failing: this.#failing.size,
      unreceipted: this.#receipts.size,
    };
  }

  #holds(record: RecordState): boolean {
    const { ledger, member, factor } = this.#options;
    return holdersOf(record, ledger.members(), factor).includes(member);
  }

  /** A record that was committed. The custodian stored it before. */
  #want(id: RecordId): void {
    const { ledger, member } = this.#options;
    const record = ledger.state(STATE.record(id));
    if (record === undefined || record.erased || record.custodian === member || !this.#holds(record)) return;
    this.#waiting.add(id);
    this.#due();
  }

  #due(): void {
    if (this.#closed || this.#waiting.size === this.#failing.size) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => void this.#pullNow(), PULL_IDLE_MS);
    this.#idleTimer.unref();
    this.#pullTimer ??= setTimeout(() => void this.#pullNow(), PULL_WAIT_MS_MAX);
    this.#pullTimer.unref();
  }

  /** Pulls everything that waits, after the pull under way. */
  #pullNow(): Promise<void> {
    clearTimeout(this.#idleTimer);
    clearTimeout(this.#pullTimer);
    this.#pullTimer = undefined;
    this.#pulling = this.#pulling
      .then(() => this.#pull())
      .catch((error: unknown) => this.#failed(error))
      .finally(() => this.#due());
    return this.#pulling;
  }

  async #pull(): Promise<void> {
    const { copies, ledger, onErased } = this.#options;
    const wanted = [...this.#waiting];
    let error: unknown;
    for (let i = 0; i < wanted.length && !this.#closed; i += COPIES_BATCH) {
      const batch = wanted.slice(i, i + COPIES_BATCH);
      const pulled = await copies.pull(batch);
      error ??= pulled.error;
      const done = new Set(pulled.complete);
      for (const id of batch) {
        const record = ledger.state(STATE.record(id));
        const gone = record === undefined || record.erased;
        if (gone) onErased(id);
        if (!gone && !done.has(id)) {
          this.#failing.add(id);
          continue;
        }
        this.#waiting.delete(id);
        this.#failing.delete(id);
        if (!gone) this.#receipt(record);
      }
    }
    if (this.#failing.size === 0) this.#retryMs = RETRY_MS;
    else this.#failed(error);
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    if (this.#retryMs > RETRY_MS_TOLD) this.#tell('replication.failed', error);
    clearTimeout(this.#pullTimer);
    this.#pullTimer = setTimeout(() => void this.#pullNow(), this.#retryMs);
    this.#pullTimer.unref();
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS_MAX);
  }

  // ---- receipts ---------------------------------------------------------------------------------------------

  #receipt({ cid, custodian }: RecordState): void {
    const { store, member } = this.#options;
    // RecordPut is the custodian's own word for what it stored.
    if (cid === null || custodian === member || store.get(STORED_TABLE, utf8(cid)) !== undefined) return;
    this.#receipts.add(cid);
    if (this.#receipts.size >= RECEIPT_CIDS) {
      void this.#commitSoon(RECEIPT_CIDS);
      return;
    }
    this.#laterReceipt();
  }

  #laterReceipt(): void {
    if (this.#closed) return;
    this.#receiptTimer ??= setTimeout(() => void this.#commitSoon(1), RECEIPT_WAIT_MS);
    this.#receiptTimer.unref();
  }

  /** Commits lists of receipts while at least `least` CIDs wait for one. */
  #commitSoon(least: number): Promise<void> {
    clearTimeout(this.#receiptTimer);
    this.#receiptTimer = undefined;
    this.#committing = this.#committing
      .then(() => this.#commitReceipts(least))
      .catch((error: unknown) => {
        this.#tell('replication.receipt_failed', error);
      })
      .finally(() => {
        if (this.#receipts.size > 0) this.#laterReceipt();
      });
    return this.#committing;
  }

  async #commitReceipts(least: number): Promise<void> {
    const { commit, store } = this.#options;
    while (!this.#closed && this.#receipts.size >= Math.max(1, least)) {
      const cids = [...this.#receipts].slice(0, RECEIPT_CIDS);
      await commit({ cids });
      if (this.#closed) return;
      await store.write(
        cids.map((cid) => ({ table: STORED_TABLE, key: utf8(cid), value: Uint8Array.of(1) })),
      );
      for (const cid of cids) this.#receipts.delete(cid);
    }
  }

  // ---- repair -----------------------------------------------------------------------------------------------

  /** Looks at every record that this member should hold, its own too: a restored node lacks what came after the backup. */
  async #repair(): Promise<void> {
    const { ledger, copies } = this.#options;
    let after: string | undefined;
    for (;;) {
      const rows = await ledger.list('record/', {
        limit: SCAN_ROWS,
        ...(after === undefined ? {} : { after }),
      });
      for (const [key, value] of rows) {
        if (this.#closed) return;
        const record = value as RecordState;
        if (record.erased || !this.#holds(record)) continue;
        if (await copies.isComplete(record)) this.#receipt(record);
        else this.#waiting.add(recordId(key.slice('record/'.length)));
      }
      if (rows.length < SCAN_ROWS) break;
      after = rows[rows.length - 1][0];
    }
    this.#due();
  }

  #tell(event: string, error: unknown): void {
    if (!this.#closed) this.#options.onError(event, error);
  }
}
