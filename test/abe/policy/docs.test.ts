/** The examples of docs/policies.md and docs/format/policy.md are what the code does. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  attributeLeaf,
  checkPolicy,
  encodePolicy,
  explainPolicy,
  gateLeaf,
  levelLeaf,
  makeRegistry,
  POLICY_ERRORS,
  parseAttribute,
  parsePolicy,
  policyLeafCount,
  printPolicy,
  valuePathLeaf,
} from '../../../src/abe/policy/index.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { thrownBy } from './errors.ts';

const read = (path: string): string =>
  readFileSync(new URL(`../../../docs/${path}`, import.meta.url), 'utf8');
const guide = read('policies.md');
const format = read('format/policy.md');

const registry = makeRegistry([
  { label: 'role', type: 'text', values: ['doctor', 'nurse', 'lab'] },
  { label: 'ward', type: 'text' },
  { label: 'bed', type: 'text' },
  { label: 'age', type: 'int', width: 16 },
  { label: 'weight', type: 'int', width: 64 },
  { label: 'hired', type: 'date', width: 16 },
  { label: 'clearance', type: 'level' },
]);

/** Rows of the table whose head is `head`: cells as text. */
function table(document: string, head: string): string[][] {
  const lines = document.split('\n');
  const from = lines.findIndex((line) => line.startsWith(head));
  expect(from).toBeGreaterThanOrEqual(0);
  const end = lines.findIndex((line, i) => i > from && !line.startsWith('|'));
  return lines.slice(from + 2, end).map((line) =>
    line
      .slice(2, -2)
      .split(' | ')
      .map((cell) => cell.trim()),
  );
}

const codeIn = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]);

describe('docs/policies.md', () => {
  test('every condition of its tables is a policy that the registry allows', () => {
    const rows = table(guide, '| write | means |');
    expect(rows.length).toBeGreaterThan(4);
    for (const text of rows.flatMap(([written]) => codeIn(written))) checkPolicy(parsePolicy(text), registry);
  });

  test('the policy it begins with is in canonical text', () => {
    const [, text] = /```policy\n([^`]+)\n```/.exec(guide) ?? [];
    expect(printPolicy(parsePolicy(text))).toBe(text);
    checkPolicy(parsePolicy(text), registry);
  });

  test('ranges cost what it says', () => {
    const cost = (text: string): number => policyLeafCount(parsePolicy(text), registry);
    expect(cost('mercy/age in [18, 65]')).toBe(5);
    expect(cost('mercy/age > -32768')).toBe(16);
    expect(cost('mercy/age in [-32767, 32766]')).toBe(30);
    expect(cost('mercy/weight in [-9007199254740991, 9007199254740990]')).toBeLessThanOrEqual(126);
  });

  test('errors read as it says', () => {
    for (const [text, message] of table(guide, '| text | error |')) {
      const [policy] = codeIn(text);
      expect(thrownBy(() => checkPolicy(parsePolicy(policy), registry)).message).toBe(message);
    }
  });

  test('every error code is listed, and no other', () => {
    const listed = table(guide, '| code | meaning |').flatMap(([codes]) => codeIn(codes));
    expect(listed.sort()).toEqual(Object.values(POLICY_ERRORS).sort());
  });

  test('the explanation reads as it says', () => {
    const [, text] = /```text\n([^`]+)\n```/.exec(guide) ?? [];
    const policy = parsePolicy('mercy/role:doctor and mercy/age < 40');
    expect(explainPolicy(policy, [parseAttribute('mercy/age:41')], registry).text).toBe(text);
  });
});

describe('docs/format/policy.md', () => {
  test('policy examples', () => {
    const rows = table(format, '| policy | bytes (hex) |');
    expect(rows).toHaveLength(3);
    for (const [policy, bytes] of rows)
      expect(toHex(encodePolicy(parsePolicy(codeIn(policy)[0])))).toBe(codeIn(bytes)[0]);
  });

  test('leaf examples', () => {
    const record = new Uint8Array(32).map((_, i) => i);
    const made = [
      attributeLeaf('mercy', 'role', 'lab'),
      levelLeaf('mercy', 'clearance', 4, 3),
      valuePathLeaf('mercy', 'age', 'int', 16, { depth: 15, prefix: 0x4001n }),
      gateLeaf(record, 5),
    ];
    const written = table(format, '| leaf | bytes (hex) |').map(([, bytes]) => codeIn(bytes)[0]);
    expect(made.map(toHex)).toEqual(written);
  });
});
