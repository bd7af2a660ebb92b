/** The bytes that are hashed to the curve, field by field, and that no two kinds can meet. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  attributeLeaf,
  attributeLeaves,
  bLeaf,
  compilePolicy,
  emergencyLeaf,
  epochLeaf,
  gateLeaf,
  hasAttribute,
  LEAF_TYPE,
  levelLeaf,
  makeRegistry,
  notEqualLeaf,
  parseAttribute,
  parsePolicy,
  reconstruct,
  valuePathLeaf,
  windowCoverLeaf,
} from '../../../src/abe/policy/index.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { heldSet, policies, registry, subjects } from './fixtures.ts';

const record = new Uint8Array(32).fill(0xab);
const recordHex = 'ab'.repeat(32);

describe('typed leaves', () => {
  test.each<[string, Uint8Array, string]>([
    ['00 b', bLeaf(), '00'],
    ['01 attribute', attributeLeaf('mercy', 'role', 'lab'), '01 0005 6d65726379 0004 726f6c65 0003 6c6162'],
    ['01 attribute, shared', attributeLeaf('', 'role', 'lab'), '01 0000 0004 726f6c65 0003 6c6162'],
    ['01 attribute in UTF-8', attributeLeaf('', 'r', '\u00e9'), '01 0000 0001 72 0002 c3a9'],
    ['02 level', levelLeaf('mercy', 'c', 4, 3), '02 0005 6d65726379 0001 63 0001 04 0001 03'],
    [
      '03 value path, int',
      valuePathLeaf('m', 'n', 'int', 16, { depth: 3, prefix: 5n }),
      '03 0001 6d 0001 6e 0001 00 0001 10 0001 03 0008 0000000000000005',
    ],
    [
      '04 window cover, date',
      windowCoverLeaf('m', 'n', 'date', 64, { depth: 64, prefix: 2n ** 64n - 1n }),
      '04 0001 6d 0001 6e 0001 01 0001 40 0001 40 0008 ffffffffffffffff',
    ],
    ['05 not equal', notEqualLeaf('mercy', 'role', 'lab'), '05 0005 6d65726379 0004 726f6c65 0003 6c6162'],
    ['06 epoch', epochLeaf(258), '06 0008 0000000000000102'],
    ['07 gate', gateLeaf(record, 1), `07 0020 ${recordHex} 0008 0000000000000001`],
    ['08 emergency', emergencyLeaf(record, 1), `08 0020 ${recordHex} 0008 0000000000000001`],
  ])('%s', (_, leaf, hex) => {
    expect(toHex(leaf)).toBe(hex.replaceAll(' ', ''));
  });

  test('a record id has 32 bytes and a version is a counter', () => {
    expect(() => gateLeaf(new Uint8Array(31), 1)).toThrow(RangeError);
    expect(() => emergencyLeaf(new Uint8Array(33), 1)).toThrow(RangeError);
    expect(() => gateLeaf(record, -1)).toThrow(RangeError);
    expect(() => epochLeaf(0.5)).toThrow(RangeError);
  });
});

/** Fields of a leaf: the inverse of the encoding, which exists because every field has its length before it. */
function parseLeaf(leaf: Uint8Array): { type: number; fields: string[] } {
  const fields: string[] = [];
  let offset = 1;
  while (offset < leaf.length) {
    const length = leaf[offset] * 256 + leaf[offset + 1];
    fields.push(toHex(leaf.slice(offset + 2, offset + 2 + length)));
    offset += 2 + length;
  }
  expect(offset).toBe(leaf.length);
  return { type: leaf[0], fields };
}

describe('no two meanings share bytes', () => {
  test('a leaf can be read back into its type and fields, so the encoding is injective', () => {
    const name = fc.string({ unit: 'grapheme', maxLength: 20 });
    fc.assert(
      fc.property(name, name, name, (issuer, label, value) => {
        const hex = (text: string): string => toHex(new TextEncoder().encode(text));
        expect(parseLeaf(attributeLeaf(issuer, label, value))).toEqual({
          type: LEAF_TYPE.attribute,
          fields: [hex(issuer), hex(label), hex(value)],
        });
      }),
      { numRuns: 300 },
    );
  });

  test('nothing that is granted or asked for in a policy is b, an epoch, a gate or an emergency', () => {
    const grantable: number[] = [
      LEAF_TYPE.attribute,
      LEAF_TYPE.level,
      LEAF_TYPE.valuePath,
      LEAF_TYPE.notEqual,
    ];
    fc.assert(
      fc.property(subjects, policies, (attributes, policy) => {
        for (const leaf of attributeLeaves(attributes, registry)) expect(grantable).toContain(leaf[0]);
        for (const { leaf } of compilePolicy(policy, registry, {}).rows) expect(grantable).toContain(leaf[0]);
      }),
      { numRuns: 200 },
    );
  });

  test('a value that spells a derived leaf or a gate stays an attribute', () => {
    const anything = makeRegistry([{ label: 'x', type: 'text', shared: true }]);
    for (const value of ['clearance>=3', 'role!=doctor', `gate:record/${recordHex}/1`, '\u00a0']) {
      const [leaf] = attributeLeaves([{ issuer: '', label: 'x', value }], anything);
      expect(leaf[0]).toBe(LEAF_TYPE.attribute);
      expect(compilePolicy(hasAttribute('', 'x', value), anything, {}).rows[0].leaf).toEqual(leaf);
    }
  });

  test('value path and window cover nodes differ, root included', () => {
    for (let depth = 0; depth <= 16; depth++) {
      const node = { depth, prefix: 0n };
      expect(valuePathLeaf('', 'n', 'int', 16, node)).not.toEqual(windowCoverLeaf('', 'n', 'int', 16, node));
    }
  });

  test('nodes of different type, width or depth differ although prefix and label agree', () => {
    const leaves = [16, 32, 64].flatMap((width) =>
      (['int', 'date'] as const).flatMap((type) =>
        [0, 1, 2, 16].map((depth) => toHex(valuePathLeaf('', 'n', type, width, { depth, prefix: 0n }))),
      ),
    );
    expect(new Set(leaves).size).toBe(24);
  });
});

describe('gate, emergency and epoch stand where the design puts them', () => {
  const policy = parsePolicy('mercy/role:doctor and mercy/clearance >= 2');
  const key = attributeLeaves(['mercy/role:doctor', 'mercy/clearance:3'].map(parseAttribute), registry);
  const gate = { recordId: record, version: 2 };
  const gateBytes = gateLeaf(record, 2);
  const emergencyBytes = emergencyLeaf(record, 2);
  const opens = (compiled: ReturnType<typeof compilePolicy>, ...leaves: Uint8Array[]): boolean =>
    reconstruct(compiled, heldSet(leaves)) !== undefined;

  test('(policy or Emergency) and Gate', () => {
    const header = compilePolicy(policy, registry, { gate, emergency: gate });
    expect(header.rows.map((row) => row.leaf[0])).toEqual([1, 2, 8, 7]);
    expect(opens(header, ...key)).toBe(false);
    expect(opens(header, gateBytes)).toBe(false);
    expect(opens(header, emergencyBytes)).toBe(false);
    expect(opens(header, ...key, emergencyBytes)).toBe(false);
    expect(opens(header, ...key, gateBytes)).toBe(true);
    expect(opens(header, emergencyBytes, gateBytes)).toBe(true);
    expect(opens(header, ...key, gateLeaf(record, 1))).toBe(false);
    expect(opens(header, ...key, gateLeaf(new Uint8Array(32), 2))).toBe(false);
  });

  test('policy and Epoch, for records that are opened offline', () => {
    const header = compilePolicy(policy, registry, { epoch: 7 });
    expect(opens(header, ...key)).toBe(false);
    expect(opens(header, ...key, epochLeaf(7))).toBe(true);
    expect(opens(header, ...key, epochLeaf(8))).toBe(false);
  });

  test('an offline policy takes no not, no != and no consent', () => {
    const offline = (text: string) => () => compilePolicy(parsePolicy(text), registry, { epoch: 7 });
    expect(offline('mercy/role:lab')).not.toThrow();
    for (const text of [
      'mercy/role:lab or consent:00112233445566778899aabbccddeeff',
      'mercy/role:lab or patient:00112233445566778899aabbccddeeff',
      'mercy/role != lab',
      'mercy/age != 3',
      'mercy/role:lab and not mercy/age:3',
    ]) {
      expect(offline(text), text).toThrow(/without a gate/);
    }
  });

  test('combinations without meaning are refused', () => {
    expect(() => compilePolicy(policy, registry, { emergency: gate })).toThrow(RangeError);
    expect(() => compilePolicy(policy, registry, { gate, epoch: 1 })).toThrow(RangeError);
  });
});
