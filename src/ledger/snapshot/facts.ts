/**
 * What references to entries are made from (`engine/references.ts`), for blocks that are stored without being executed. Of a
 * record's patient the block's own time counts, so RecordPuts are followed; consents and break-glasses keep
 * their people for ever, so the fetched state answers for those.
 */
import { toHex, utf8 } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { fieldRecordId } from '../entries/proofs.ts';
import type { Transaction } from '../entries/transaction.ts';
import { STATE, type StateKey, type StateView } from '../machine/index.ts';
import type { KvOp, KvReader } from '../ports.ts';
import { FACT_TABLE } from './tables.ts';

const RECORD = 'record/';

export class Facts implements StateView {
  readonly #store: KvReader;
  /** The state of the tip, below all blocks that are followed. */
  readonly #before: StateView;
  /** The state of a height at or above all of them. */
  readonly #after: StateView;
  readonly #patients = new Map<string, Uint8Array | null>();

  constructor(store: KvReader, before: StateView, after: StateView) {
    this.#store = store;
    this.#before = before;
    this.#after = after;
  }

  get<T>(key: StateKey<T>): T | undefined {
    if (!key.startsWith(RECORD)) return this.#after.get(key);
    const known = this.#patients.get(key);
    const stored = known === undefined ? this.#store.get(FACT_TABLE, utf8(key)) : undefined;
    if (known === undefined && stored === undefined) return this.#before.get(key);
    // Only the patient of a record is ever asked for.
    return { patient: stored === undefined ? known : decodeCbor(stored) } as T;
  }

  expiredNonces(): readonly [] {
    return [];
  }

  /** Takes in what `transaction` says of records. */
  follow({ type, bodies, subject }: Transaction): void {
    if (type === 'RecordPut') {
      for (const { record, patient } of bodies.flatMap(({ records }) => records))
        this.#patients.set(STATE.record(toHex(record)), patient);
    } else if (type === 'FieldKeyPut') {
      // It takes the place of a record that somebody put under its id.
      const custodian = this.#after.get(STATE.subject(toHex(subject)))?.member;
      if (custodian === undefined) return;
      for (const { field, epoch } of bodies)
        this.#patients.set(STATE.record(toHex(fieldRecordId(custodian, field, epoch))), null);
    }
  }

  /** What was taken in since the last call, to be written with the blocks it came from. */
  *take(): Generator<KvOp> {
    for (const [key, patient] of this.#patients)
      yield { table: FACT_TABLE, key: utf8(key), value: encodeCbor(patient) };
    this.#patients.clear();
  }
}
