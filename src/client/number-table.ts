/**
 * Record and patient of each number of a custodian's index, packed: 36 bytes a number, where an object with two strings takes
 * 170. Patients are small numbers of `PatientNumbers`, so that what a query by patients walks over is this very array. A
 * table never changes; one that goes on from it shares its memory where there is room.
 */
import { toHex } from '../codec/bytes.ts';
import { type PatientMap, PatientNumbers } from '../search/index.ts';

const RECORD_BYTES = 32;

/** Room that is left for later numbers: an eighth, so that a growing table is copied now and then and not each time. */
const SPARE_SHARE = 8;

/** What the ledger says of a record number. */
export interface NumberRow {
  readonly record: string;
  readonly patient: string | null;
}

/** Memory that tables share; the first `used` numbers of it belong to one of them and stay as they are. */
interface Room {
  readonly records: Uint8Array;
  readonly patients: Uint32Array;
  used: number;
}

/** Numbers that follow a table's, in order, while it is not known yet whether they are the ledger's. */
export class NewNumbers {
  readonly records: Uint8Array;
  /** Patient plus one in `names`; 0 for a record of no patient. */
  readonly patients: Uint32Array;
  readonly names = new PatientNumbers();
  #length = 0;

  constructor(count: number) {
    this.records = new Uint8Array(RECORD_BYTES * count);
    this.patients = new Uint32Array(count);
  }

  get length(): number {
    return this.#length;
  }

  /** `record` of 32 bytes. Throws a RangeError beyond the count. */
  push(record: Uint8Array, patient: string | null): void {
    this.records.set(record, RECORD_BYTES * this.#length);
    this.patients[this.#length++] = patient === null ? 0 : this.names.numberOf(patient) + 1;
  }
}

export class NumberTable {
  /** Patients of all numbers, as a query takes them; the same object as long as the table. */
  readonly patients: PatientMap;
  readonly #room: Room;

  private constructor(room: Room, length: number, numbers: PatientNumbers) {
    this.#room = room;
    this.patients = { numbers, of: room.patients.subarray(0, length) };
  }

  /** A table of nothing; `numbers` is shared by all custodians that are searched together. */
  static empty(numbers: PatientNumbers): NumberTable {
    return new NumberTable(roomFor(0), 0, numbers);
  }

  get length(): number {
    return this.patients.of.length;
  }

  /** The row of a number; undefined beyond the last. */
  at(indexNo: number): NumberRow | undefined {
    if (!(indexNo >= 0 && indexNo < this.length)) return undefined;
    const { numbers, of } = this.patients;
    const offset = RECORD_BYTES * indexNo;
    return {
      record: toHex(this.#room.records.subarray(offset, offset + RECORD_BYTES)),
      patient: of[indexNo] === 0 ? null : numbers.nameOf(of[indexNo] - 1),
    };
  }

  /** The table of the first `count` numbers. */
  first(count: number): NumberTable {
    return new NumberTable(this.#room, Math.min(count, this.length), this.patients.numbers);
  }

  /** This table with `more` behind it. */
  with(more: NewNumbers): NumberTable {
    const { numbers } = this.patients;
    const length = this.length + more.length;
    const room = this.#roomFor(length);
    room.records.set(more.records.subarray(0, RECORD_BYTES * more.length), RECORD_BYTES * this.length);
    const known = Uint32Array.from({ length: more.names.size }, (_, i) =>
      numbers.numberOf(more.names.nameOf(i)),
    );
    for (let i = 0; i < more.length; i++) {
      const patient = more.patients[i];
      room.patients[this.length + i] = patient === 0 ? 0 : known[patient - 1] + 1;
    }
    room.used = length;
    return new NumberTable(room, length, numbers);
  }

  /** This table's memory if nobody goes on in it yet and it holds `length`, or a copy with some to spare. */
  #roomFor(length: number): Room {
    const room = this.#room;
    if (room.used === this.length && room.patients.length >= length) return room;
    const next = roomFor(this.length === 0 ? length : length + Math.ceil(length / SPARE_SHARE));
    next.records.set(room.records.subarray(0, RECORD_BYTES * this.length));
    next.patients.set(this.patients.of);
    return next;
  }
}

const roomFor = (numbers: number): Room => ({
  records: new Uint8Array(RECORD_BYTES * numbers),
  patients: new Uint32Array(numbers),
  used: 0,
});
