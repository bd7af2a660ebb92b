/**
 * Key epochs of a custodian's search fields. A new one is opened by an operator, when a subject that could search is
 * revoked, when an epoch is 30 days old, and when one is a day old in which somebody had keywords evaluated who may not search
 * any more: at most a turn a day, however many attributes end. Its keys are committed first, then the index is rebuilt under them while the
 * one of before is served (`IndexService.renew`), then the old keys are erased. So whoever kept old secrets reads
 * nothing of what is indexed from here on; copies made earlier stay readable with them (THREATS.md).
 *
 * What is due follows from the ledger alone: a stop at any point loses nothing.
 */
import type { CommittedEntry } from '../api/ports.ts';
import { toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { couldSearch, type FieldState, outlivesGrant, STATE, type StateView } from '../ledger/index.ts';
import type { FieldKeys } from '../search/index.ts';
import { type FieldOwner, heldFieldKey, nextEpoch, openEpochs } from './field-keys.ts';
import type { IndexService } from './index-service.ts';

/** Age at which an epoch ends by itself. */
const EPOCH_MS_MAX = 30 * 24 * 60 * 60_000;
/** Age at which an epoch ends whose keywords somebody holds that lost the right to them. */
const OUTLIVED_MS_MIN = 24 * 60 * 60_000;
/** How often, in block time, those are looked for: it takes a walk over the budgets of all searchers. */
const OUTLIVED_LOOK_MS = 60 * 60_000;
const BUDGETS_A_PAGE = 1000;
/** How often a node looks for epochs that are old, and tries again what failed. */
const LOOK_MS = 60_000;
const FIELDS_MAX = 10_000;
const REVOCATIONS_A_PAGE = 1000;

export interface EpochsOptions {
  readonly owner: FieldOwner;
  readonly indexes: IndexService;
  readonly state: () => StateView;
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly onError: (event: string, error: unknown) => void;
}

/** A field and the epoch that is in force. */
export interface OpenedEpoch {
  readonly field: string;
  readonly epoch: number;
}

export class Epochs {
  readonly #options: EpochsOptions;
  readonly #due = new Set<string>();
  #working: Promise<void> = Promise.resolve();
  #closed = false;
  /** Block time of the last walk over the budgets. */
  #walkedAt = 0;

  constructor(options: EpochsOptions) {
    this.#options = options;
  }

  /** Goes on with what an earlier run left, then follows the ledger. Answers how to stop. */
  async start(): Promise<() => Promise<void>> {
    const { owner, onError } = this.#options;
    const stop = owner.ledger.subscribe((entry) => {
      if (entry.type !== 'SubjectRevoke' && entry.type !== 'FieldKeyPut') return;
      const met = entry.type === 'SubjectRevoke' ? this.#meet(entry) : Promise.resolve();
      met.then(() => this.carryOn()).catch((error: unknown) => onError('epochs.failed', error));
    });
    for (const entry of this.#revocations()) await this.#meet(entry);
    const look = (): void => {
      this.carryOn().catch((error: unknown) => onError('epochs.failed', error));
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    timer.unref();
    return async () => {
      this.#closed = true;
      clearInterval(timer);
      stop();
      await this.#working;
    };
  }

  /**
   * Opens a new epoch of these fields of the own index, or of all. Resolves when the ledger has the new keys; the rebuild
   * follows. Throws `search.field_unknown` and what the ledger refuses.
   */
  async open(fields?: readonly string[]): Promise<readonly OpenedEpoch[]> {
    const own = (await this.#fields()).map((state) => state.field);
    const wanted = [...new Set(fields ?? own)];
    const unknown = wanted.find((field) => !own.includes(field));
    if (unknown !== undefined)
      throw new CodedError('search.field_unknown', 'this hospital has registered no such search field');
    for (const field of wanted) this.#due.add(field);
    await this.#serially(() => this.#openDue('operator'));
    this.carryOn().catch((error: unknown) => this.#options.onError('epochs.failed', error));
    return wanted.map((field) => ({ field, epoch: this.#state(field)?.epoch ?? 0 }));
  }

  /** Does what is due now: epochs that are old or that a revocation ended, keys that wait, and the rebuild. */
  async carryOn(): Promise<void> {
    await this.#serially(async () => {
      const { ledger } = this.#options.owner;
      for (const { field, time } of await this.#fields()) {
        if (ledger.tipTimeMs() - time >= EPOCH_MS_MAX) this.#due.add(field);
      }
      await this.#meetOutlived();
      await this.#openDue('ledger');
      await this.#takeUp();
    });
  }

  /** Resolves when everything that was due by now is done, the rebuild included. */
  async idle(): Promise<void> {
    let seen: Promise<void> | undefined;
    while (seen !== this.#working) {
      seen = this.#working;
      await seen;
    }
  }

  async #serially(work: () => Promise<void>): Promise<void> {
    const done = this.#working.then(async () => {
      if (!this.#closed) await work();
    });
    this.#working = done.catch(() => undefined);
    await done;
  }

  #state(field: string): FieldState | undefined {
    const { ledger, id } = this.#options.owner;
    return ledger.state(STATE.field(id, field));
  }

  async #fields(): Promise<readonly FieldState[]> {
    const { ledger, id } = this.#options.owner;
    const rows = await ledger.list(`field/${id}/`, { limit: FIELDS_MAX });
    return rows.flatMap(([key]) => this.#state(key.slice(`field/${id}/`.length)) ?? []);
  }

  *#revocations(): Generator<CommittedEntry> {
    const { ledger } = this.#options.owner;
    let cursor: string | undefined;
    do {
      const page = ledger.entries({
        kind: 'SubjectRevoke',
        limit: REVOCATIONS_A_PAGE,
        ...(cursor === undefined ? {} : { cursor }),
      });
      yield* page.entries;
      cursor = page.next ?? undefined;
    } while (cursor !== undefined);
  }

  /** Marks the fields that the revoked subject could search, unless their epoch was opened after the revocation. */
  async #meet({ body, timeMs }: CommittedEntry): Promise<void> {
    const { owner, state } = this.#options;
    const subject = toHex(body.subject as Uint8Array);
    for (const { field, time } of await this.#fields()) {
      const use = { subject, custodian: owner.id, field };
      if (time <= timeMs && couldSearch(state(), use, timeMs)) this.#due.add(field);
    }
  }

  /** Marks the fields of which somebody holds keywords of the current epoch, a day old, without the right to them. */
  async #meetOutlived(): Promise<void> {
    const { owner, state } = this.#options;
    const now = owner.ledger.tipTimeMs();
    if (now - this.#walkedAt < OUTLIVED_LOOK_MS) return;
    const fields = await this.#fields();
    const old = new Set(fields.flatMap(({ field, time }) => (now - time >= OUTLIVED_MS_MIN ? [field] : [])));
    let rows: readonly (readonly [string, unknown])[] = [];
    do {
      const after = rows.at(-1)?.[0];
      const from = after === undefined ? {} : { after };
      rows = old.size === 0 ? [] : await owner.ledger.list('budget/', { limit: BUDGETS_A_PAGE, ...from });
      for (const [key] of rows) {
        const [, subject, custodian, field] = key.split('/');
        if (custodian !== owner.id || !old.has(field)) continue;
        if (!outlivesGrant(state(), { subject, custodian, field }, now)) continue;
        this.#due.add(field);
        old.delete(field);
      }
    } while (rows.length === BUDGETS_A_PAGE);
    this.#walkedAt = now;
  }

  /** One epoch more for each field that is due, after the rebuild for the epoch before: two at most are ever live. */
  async #openDue(why: 'operator' | 'ledger'): Promise<void> {
    const { owner, log } = this.#options;
    const fields = [...this.#due];
    if (fields.length === 0) return;
    await this.#takeUp();
    await openEpochs(
      owner,
      fields.flatMap((field) => nextEpoch(owner, field) ?? []),
    );
    for (const field of fields) this.#due.delete(field);
    log('epochs.opened', { fields: fields.length, why });
  }

  /** Brings the index under the epochs that the ledger has. */
  async #takeUp(): Promise<void> {
    const { owner, indexes, log } = this.#options;
    const keys: FieldKeys[] = [];
    for (const { field, epoch } of await this.#fields()) {
      if (indexes.holds(field, epoch)) continue;
      const held = await heldFieldKey(owner.keystore, field, epoch);
      // Restored from a backup that is older than the epoch: what cannot be evaluated any more is opened anew.
      if (held === undefined) this.#due.add(field);
      else keys.push(held);
    }
    if (keys.length === 0 && !indexes.isStale) return;
    await indexes.renew(keys);
    log('epochs.rebuilt', { fields: keys.length });
  }
}
