/** The packed table of record numbers answers as a list of rows would, and none changes when another goes on from it. */
import { describe, expect, test } from 'vitest';
import { NewNumbers, type NumberRow, NumberTable } from '../../src/client/number-table.ts';
import { toHex, u32be } from '../../src/codec/bytes.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { PatientNumbers } from '../../src/search/index.ts';

const record = (i: number, salt = 0): Uint8Array => sha256(u32be(i), u32be(salt));
const patient = (i: number): string | null =>
  i % 7 === 3 ? null : toHex(sha256(u32be(i % 40)).subarray(0, 16));

const rowsOf = (table: NumberTable): (NumberRow | undefined)[] =>
  Array.from({ length: table.length }, (_, i) => table.at(i));

const expected = (from: number, to: number, salt = 0): NumberRow[] =>
  Array.from({ length: to - from }, (_, i) => ({
    record: toHex(record(from + i, salt)),
    patient: patient(from + i),
  }));

function more(from: number, to: number, salt = 0): NewNumbers {
  const numbers = new NewNumbers(to - from);
  for (let i = from; i < to; i++) numbers.push(record(i, salt), patient(i));
  return numbers;
}

describe('a table of record numbers', () => {
  test('gives back every row, however it grew, and none beyond', () => {
    let table = NumberTable.empty(new PatientNumbers());
    expect(table.length).toBe(0);
    for (const end of [1, 2, 3, 90, 91, 100, 101, 1000]) {
      table = table.with(more(table.length, end));
      expect(rowsOf(table)).toEqual(expected(0, end));
      for (const beyond of [end, end + 1, -1, Number.NaN]) expect(table.at(beyond)).toBeUndefined();
    }
    expect(table.patients.numbers.size).toBe(40);
    expect(
      Array.from(table.patients.of, (one) => (one === 0 ? null : table.patients.numbers.nameOf(one - 1))),
    ).toEqual(expected(0, 1000).map((row) => row.patient));
  });

  test('stays what it is when others go on from it', () => {
    const first = NumberTable.empty(new PatientNumbers()).with(more(0, 100));
    const grown = first.with(more(100, 101));
    // In the room that the copy left, and twice from the same table.
    const one = grown.with(more(101, 105));
    const other = grown.with(more(101, 108, 1));
    const older = one.first(50);
    const fork = older.with(more(50, 60, 2));
    expect(rowsOf(first)).toEqual(expected(0, 100));
    expect(rowsOf(grown)).toEqual(expected(0, 101));
    expect(rowsOf(one)).toEqual(expected(0, 105));
    expect(rowsOf(other)).toEqual([...expected(0, 101), ...expected(101, 108, 1)]);
    expect(rowsOf(older)).toEqual(expected(0, 50));
    expect(rowsOf(fork)).toEqual([...expected(0, 50), ...expected(50, 60, 2)]);
    expect(first.first(1000).length).toBe(100);
  });

  test('numbers patients alike for all custodians', () => {
    const numbers = new PatientNumbers();
    const one = NumberTable.empty(numbers).with(more(0, 40));
    const other = NumberTable.empty(numbers).with(more(20, 60));
    for (let i = 20; i < 40; i++) expect(one.patients.of[i]).toBe(other.patients.of[i - 20]);
  });

  test('takes no row more than was said', () => {
    const numbers = more(0, 3);
    expect(() => numbers.push(record(3), null)).toThrow(RangeError);
  });
});
