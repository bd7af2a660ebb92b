/** Sets of record numbers are the same whether a list came as numbers or as a bitmap, at every edge of a word. */
import { describe, expect, test } from 'vitest';
import { concat } from '../../src/codec/bytes.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { decodeList, encodeList } from '../../src/search/list.ts';
import {
  allMembers,
  intersectMembers,
  isWithin,
  type Members,
  membersOfBits,
  membersOfIds,
  subtractMembers,
  uniteMembers,
  wordsFor,
} from '../../src/search/members.ts';
import { leafHash } from '../../src/search/merkle.ts';
import { PatientNumbers } from '../../src/search/patients.ts';
import { Dice, expectCode } from './support.ts';

const WIDTHS = [1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 95, 100, 128, 1000];

function asBits(ids: readonly number[], width: number): Members {
  const bits = new Uint32Array(wordsFor(width));
  for (const id of ids) bits[id >>> 5] |= 1 << (id & 31);
  return membersOfBits(bits, ids.length);
}

const draw = (dice: Dice, width: number, percent: number): number[] =>
  Array.from({ length: width }, (_, i) => i).filter(() => dice.below(100) < percent);

describe('sets', () => {
  test('both forms of both sides give the same answers as plain sets', () => {
    const dice = new Dice(1);
    for (const width of WIDTHS) {
      for (const [p, q] of [
        [5, 90],
        [50, 50],
        [100, 20],
        [0, 100],
      ]) {
        const a = draw(dice, width, p);
        const b = draw(dice, width, q);
        const inB = new Set(b);
        const either = [...new Set([...a, ...b])].sort((x, y) => x - y);
        for (const left of [membersOfIds(Uint32Array.from(a)), asBits(a, width)]) {
          for (const right of [membersOfIds(Uint32Array.from(b)), asBits(b, width)]) {
            expect([...intersectMembers(left, right).ids]).toEqual(a.filter((id) => inB.has(id)));
            expect([...subtractMembers(left, right).ids]).toEqual(a.filter((id) => !inB.has(id)));
            expect([...uniteMembers(left, right).ids]).toEqual(either);
            expect(uniteMembers(left, right).size).toBe(either.length);
            expect(isWithin(left, right, width)).toBe(a.every((id) => inB.has(id)));
          }
        }
      }
      expect([...allMembers(width).ids]).toEqual(Array.from({ length: width }, (_, i) => i));
    }
  });
});

describe('lists', () => {
  test('come back at every edge of a word, and no bit lies outside the segment', () => {
    const dice = new Dice(2);
    for (const width of WIDTHS) {
      for (const percent of [20, 50, 90]) {
        const ids = draw(dice, width, percent);
        if (ids.length === 0 || ids.length === width) continue;
        const bytes = encodeList({ ids: Uint32Array.from(ids), weights: null }, width);
        // Not at the start of its memory, as it comes from a cipher.
        const moved = concat(new Uint8Array(3), bytes).subarray(3);
        expect([...decodeList(moved, width, 'exact').members.ids]).toEqual(ids);
        if (bytes[0] !== 1) continue;
        for (let bit = width; bit < 8 * Math.ceil(width / 8); bit++) {
          const head = bytes.length - Math.ceil(width / 8);
          const bad = bytes.slice();
          // One bit less elsewhere, so that only the place is wrong.
          bad[head + (ids[0] >>> 3)] ^= 1 << (ids[0] & 7);
          bad[head + (bit >>> 3)] |= 1 << (bit & 7);
          expectCode(() => decodeList(bad, width, 'exact'), 'search.list_malformed');
        }
      }
    }
  });

  test('gaps of every length come back, and a longer form of none is read', () => {
    const gaps = [0, 1, 126, 127, 128, 129, 16_382, 16_383, 16_384, 2_097_151, 2_097_152];
    for (const first of gaps) {
      for (const second of gaps) {
        const ids = [first, first + 1 + second, first + 2 + second];
        const bytes = encodeList({ ids: Uint32Array.from(ids), weights: null }, 2 ** 23);
        expect([...decodeList(bytes, 2 ** 23, 'exact').members.ids]).toEqual(ids);
        for (let end = 2; end < bytes.length; end++)
          expectCode(() => decodeList(bytes.slice(0, end), 2 ** 23, 'exact'), 'search.list_malformed');
      }
    }
    for (const gap of [
      [0x80, 0],
      [0xff, 0],
      [0x80, 0x80, 0],
      [0xff, 0xff, 0xff, 0xff, 0x7f],
    ])
      for (const behind of [[], [1]])
        expectCode(
          () => decodeList(Uint8Array.of(0, 1 + behind.length, ...gap, ...behind), 1000, 'exact'),
          'search.list_malformed',
        );
  });

  test('behind a list in a slot no byte but zero is taken, wherever it stands', () => {
    const list = encodeList({ ids: Uint32Array.of(3, 200), weights: null }, 1000);
    for (const length of [list.length + 1, list.length + 2, list.length + 3, list.length + 9]) {
      const slot = concat(list, new Uint8Array(length - list.length));
      expect(decodeList(slot, 1000, 'slot').members.size).toBe(2);
      for (let at = list.length; at < length; at++) {
        const bad = slot.slice();
        bad[at] = 0x80;
        expectCode(() => decodeList(bad, 1000, 'slot'), 'search.list_malformed');
      }
    }
  });
});

test('a leaf of any length is hashed behind a zero byte, whatever was hashed before', () => {
  const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i * 31);
  for (const length of [0, 1, 16_384, 5, 16_385, 65_536, 16_383]) {
    const leaf = bytes.subarray(7, 7 + length);
    expect(leafHash(leaf)).toEqual(sha256(concat(Uint8Array.of(0), leaf)));
  }
});

test('names of few and of many patients come sorted', () => {
  const dice = new Dice(3);
  const numbers = new PatientNumbers();
  const names = Array.from({ length: 1000 }, () => `patient ${dice.below(1_000_000)}`);
  for (const name of names) numbers.numberOf(name);
  for (const percent of [0, 1, 3, 4, 50, 100]) {
    const chosen = draw(dice, numbers.size, percent);
    expect(numbers.names(Uint32Array.from(chosen))).toEqual(chosen.map((one) => numbers.nameOf(one)).sort());
  }
});
