/**
 * Carries out what an applied Erase or PolicyChange made void: deletes the header on every node that holds it; for an erased
 * record also what is staged of it and its payload, which goes at once and not after the collection's grace. A member
 * that holds the record, or did, then commits Destroyed.
 *
 * Everything is decided from the ledger, and looked at again at every start: neither a crash between the entry and the
 * deletion nor a restored backup brings an erased record back.
 */
import { fromHex, toHex } from '../codec/bytes.ts';
import { type MemberId, type RecordId, recordId, type SubjectId } from '../codec/ids.ts';
import { type RecordState, STATE } from '../ledger/index.ts';
import type { HeaderStore, PayloadStore } from '../storage/index.ts';
import { holdersOf } from './holders.ts';
import type { NodeLedger } from './ledger.ts';
import type { Records } from './records.ts';
import type { Staging } from './staging.ts';

/** Records looked at between two turns of the event loop at start. */
const SCAN_ROWS = 500;
/** Pause after a failure. */
const RETRY_MS = 5_000;

export interface ErasureOptions {
  readonly member: MemberId;
  readonly operator: SubjectId;
  readonly ledger: NodeLedger;
  readonly headers: HeaderStore;
  readonly payloads: PayloadStore;
  readonly staging: Staging;
  readonly records: Records;
  readonly factor: number;
  /** Commits Destroyed, signed by this member's operator. */
  readonly commit: (body: {
    record: Uint8Array;
    kinds: readonly ('header' | 'payload')[];
  }) => Promise<unknown>;
  readonly onError: (event: string, error: unknown) => void;
}

export class Erasure {
  readonly #options: ErasureOptions;
  readonly #due = new Set<RecordId>();
  readonly #owed = new Set<RecordId>();
  #working: Promise<void> = Promise.resolve();
  #committing: Promise<void> = Promise.resolve();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: ErasureOptions) {
    this.#options = options;
  }

  /** Follows the ledger, and looks at every record once. Answers how to stop; stopping waits for a deletion under way. */
  start(): () => Promise<void> {
    const stop = this.#options.ledger.subscribe((entry) => {
      if (entry.type === 'PolicyChange' || entry.type === 'Erase')
        this.carryOut(recordId(toHex(entry.body.record as Uint8Array)));
      if (entry.type !== 'RecordPut') return;
      const { records } = entry.body as { records: readonly { record: Uint8Array; version: number }[] };
      for (const { record, version } of records) if (version > 0) this.carryOut(recordId(toHex(record)));
    });
    this.#working = this.#scan().catch((error: unknown) => this.#failed(error));
    return async () => {
      this.#closed = true;
      stop();
      clearTimeout(this.#retry);
      await this.#working;
    };
  }

  /** Deletes what the ledger says is void of a record. */
  carryOut(id: RecordId): void {
    this.#due.add(id);
    this.#work();
  }

  /** Resolves when everything that is known by now is deleted and receipted, or has failed. */
  async idle(): Promise<void> {
    await this.#working;
    await this.#committing;
  }

  /** Records whose deletion or receipt is not done yet. */
  get waiting(): number {
    return this.#due.size + this.#owed.size;
  }

  #work(): void {
    if (this.#closed) return;
    this.#working = this.#working.then(() => this.#drop()).catch((error: unknown) => this.#failed(error));
  }

  async #drop(): Promise<void> {
    const { ledger, headers, payloads, staging, records } = this.#options;
    const batch = [...this.#due];
    if (this.#closed || batch.length === 0) return;
    const cids = new Set<string>();
    for (const id of batch) {
      const record = ledger.state(STATE.record(id));
      let held = false;
      for (const hash of ledger.voidHeaders(id)) {
        if (!headers.has(hash)) continue;
        await headers.delete(hash);
        held = true;
      }
      if (record?.erased !== true) continue;
      await staging.removeRecord(fromHex(id));
      if (record.cid !== null && (await payloads.has(record.cid))) {
        held = true;
        cids.add(record.cid);
      }
      if (held || this.#isHolder(record)) this.#owed.add(id);
    }
    if (cids.size > 0) await records.removeNow([...cids]);
    for (const id of batch) this.#due.delete(id);
    this.#committing = this.#committing
      .then(() => this.#receipts())
      .catch((error: unknown) => this.#failed(error));
  }

  async #receipts(): Promise<void> {
    const { ledger, operator, commit } = this.#options;
    for (const id of [...this.#owed]) {
      if (this.#closed) return;
      const { entries } = ledger.entries({ record: id, kind: 'Destroyed', limit: 1000 });
      const cid = ledger.state(STATE.record(id))?.cid ?? null;
      if (!entries.some((entry) => entry.subject === operator))
        await commit({ record: fromHex(id), kinds: cid === null ? ['header'] : ['header', 'payload'] });
      this.#owed.delete(id);
    }
  }

  async #scan(): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const rows = await this.#options.ledger.list('record/', {
        limit: SCAN_ROWS,
        ...(after === undefined ? {} : { after }),
      });
      for (const [key, value] of rows) {
        const { erased, version } = value as RecordState;
        if (erased || version > 0) this.#due.add(recordId(key.slice('record/'.length)));
      }
      if (this.#closed) return;
      if (rows.length < SCAN_ROWS) break;
      after = rows[rows.length - 1][0];
    }
    await this.#drop();
  }

  #isHolder(record: RecordState): boolean {
    const { ledger, member, factor } = this.#options;
    return holdersOf(record, ledger.members(), factor).includes(member);
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    this.#options.onError('erasure.failed', error);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#committing = this.#committing
        .then(() => this.#receipts())
        .catch((cause: unknown) => this.#failed(cause));
      this.#work();
    }, RETRY_MS);
    this.#retry.unref();
  }
}
