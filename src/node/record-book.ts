/**
 * Which record stands behind which index number, for one pass over many: the state holds the same facts one key at a
 * time. Kept in memory, about 200 bytes a record; rebuilt from the state at start.
 */
import { toHex } from '../codec/bytes.ts';
import { type MemberId, memberId, type RecordId, recordId, type SubjectId, subjectId } from '../codec/ids.ts';
import {
  type CommittedEntry,
  fieldRecordId,
  type LedgerEngine,
  STATE,
  type StateView,
} from '../ledger/index.ts';

/** State rows read at a time while loading. */
const LOAD_ROWS = 2_000;

interface Row {
  readonly record: RecordId;
  readonly patient: SubjectId | null;
  dead: boolean;
}

/** The newest number of a record. */
interface Place {
  readonly custodian: MemberId;
  readonly number: number;
}

export class RecordBook {
  readonly #rows = new Map<MemberId, Row[]>();
  readonly #deaths = new Map<MemberId, number[]>();
  readonly #places = new Map<RecordId, Place>();
  readonly #byPatient = new Map<SubjectId, Set<RecordId>>();

  /** Reads every numbered record of the state. */
  async load(engine: LedgerEngine): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const rows = await engine.list('indexno/', {
        limit: LOAD_ROWS,
        ...(after === undefined ? {} : { after }),
      });
      for (const [key] of rows) {
        const [, member, number] = key.split('/');
        this.#read(engine.state, { custodian: memberId(member), number: Number(number) });
      }
      if (rows.length < LOAD_ROWS) return;
      after = rows[rows.length - 1][0];
    }
  }

  /** Takes in what an applied entry changed. */
  follow(entry: CommittedEntry, state: StateView): void {
    const { transaction, leaf } = entry;
    if (transaction?.type === 'RecordPut') {
      for (const { record } of transaction.bodies[leaf.item].records) this.#refresh(state, record);
    } else if (transaction?.type === 'Erase') {
      this.#refresh(state, transaction.bodies[leaf.item].record);
    } else if (transaction?.type === 'FieldKeyPut') {
      // It takes the place of a record that somebody put under its id.
      const custodian = state.get(STATE.subject(toHex(transaction.subject)))?.member;
      const { field, epoch } = transaction.bodies[leaf.item];
      if (custodian !== undefined) this.#refresh(state, fieldRecordId(custodian, field, epoch));
    }
  }

  /** Records of a custodian by number; a hole only while a block is being taken in. */
  rows(custodian: MemberId): readonly (Row | undefined)[] {
    return this.#rows.get(custodian) ?? [];
  }

  /** Dead numbers of a custodian, increasing. */
  dead(custodian: MemberId): Uint32Array {
    return Uint32Array.from(this.deaths(custodian)).sort();
  }

  /** Dead numbers of a custodian in the order of death. */
  deaths(custodian: MemberId): readonly number[] {
    return this.#deaths.get(custodian) ?? [];
  }

  ofPatient(patient: SubjectId): readonly RecordId[] {
    return [...(this.#byPatient.get(patient) ?? [])];
  }

  /** A new version has a new number; the one before it died in the same entry. */
  #refresh(state: StateView, bytes: Uint8Array): void {
    const id = recordId(toHex(bytes));
    const before = this.#places.get(id);
    if (before !== undefined) this.#read(state, before);
    const record = state.get(STATE.record(id));
    if (record === undefined || record.indexNo === null) return;
    this.#read(state, { custodian: memberId(record.custodian), number: record.indexNo });
  }

  #read(state: StateView, { custodian, number }: Place): void {
    const known = state.get(STATE.indexNo(custodian, number));
    if (known === undefined) return;
    const id = recordId(toHex(known.record));
    const patient = known.patient === null ? null : subjectId(toHex(known.patient));
    const rows = this.#rows.get(custodian) ?? [];
    this.#rows.set(custodian, rows);
    rows[number] = { record: id, patient, dead: known.dead !== null };
    if (known.dead !== null) this.#die(custodian, known.dead, number);
    if (number >= (this.#places.get(id)?.number ?? 0)) this.#places.set(id, { custodian, number });
    if (patient !== null) {
      const own = this.#byPatient.get(patient) ?? new Set();
      this.#byPatient.set(patient, own.add(id));
    }
  }

  #die(custodian: MemberId, place: number, number: number): void {
    const deaths = this.#deaths.get(custodian) ?? [];
    this.#deaths.set(custodian, deaths);
    deaths[place] = number;
  }
}
