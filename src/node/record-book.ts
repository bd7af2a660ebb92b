/**
 * Which record stands behind which index number, for one pass over many: the state holds the same facts one key at a
 * time. Kept in memory, about 200 bytes a record; rebuilt from the state at start.
 */
import { toHex } from '../codec/bytes.ts';
import { type MemberId, memberId, type RecordId, recordId, type SubjectId, subjectId } from '../codec/ids.ts';
import { type CommittedEntry, type LedgerEngine, STATE, type StateView } from '../ledger/index.ts';

/** State rows read at a time while loading. */
const LOAD_ROWS = 2_000;

interface Row {
  readonly record: RecordId;
  readonly patient: SubjectId | null;
  dead: boolean;
}

export class RecordBook {
  readonly #rows = new Map<MemberId, Row[]>();
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
        this.#read(engine.state, memberId(member), Number(number));
      }
      if (rows.length < LOAD_ROWS) return;
      after = rows[rows.length - 1][0];
    }
  }

  /** Takes in what an applied entry changed. */
  follow(entry: CommittedEntry, state: StateView): void {
    const { transaction, leaf } = entry;
    if (transaction?.type === 'RecordPut') {
      for (const { record } of transaction.bodies[leaf.item].records)
        this.#refresh(state, recordId(toHex(record)));
    } else if (transaction?.type === 'Erase') {
      this.#refresh(state, recordId(toHex(transaction.bodies[leaf.item].record)));
    }
  }

  /** Records of a custodian by number; a hole only while a block is being taken in. */
  rows(custodian: MemberId): readonly (Row | undefined)[] {
    return this.#rows.get(custodian) ?? [];
  }

  dead(custodian: MemberId): Uint32Array {
    const numbers: number[] = [];
    this.rows(custodian).forEach((row, number) => {
      if (row?.dead === true) numbers.push(number);
    });
    return Uint32Array.from(numbers);
  }

  ofPatient(patient: SubjectId): readonly RecordId[] {
    return [...(this.#byPatient.get(patient) ?? [])];
  }

  #refresh(state: StateView, id: RecordId): void {
    const record = state.get(STATE.record(id));
    if (record === undefined || record.indexNo === null) return;
    const custodian = memberId(record.custodian);
    this.#read(state, custodian, record.indexNo);
    // A new version has a new number; the one before it died in the same entry.
    if (record.version === 0) return;
    for (const [number, row] of this.rows(custodian).entries()) {
      if (row?.record === id && number !== record.indexNo) row.dead = true;
    }
  }

  #read(state: StateView, custodian: MemberId, number: number): void {
    const known = state.get(STATE.indexNo(custodian, number));
    if (known === undefined) return;
    const id = recordId(toHex(known.record));
    const patientBytes = state.get(STATE.record(id))?.patient ?? null;
    const patient = patientBytes === null ? null : subjectId(toHex(patientBytes));
    const rows = this.#rows.get(custodian) ?? [];
    this.#rows.set(custodian, rows);
    rows[number] = { record: id, patient, dead: known.dead };
    if (patient !== null) {
      const own = this.#byPatient.get(patient) ?? new Set();
      this.#byPatient.set(patient, own.add(id));
    }
  }
}
