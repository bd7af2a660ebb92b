/** Every bound of the language: the last that passes and the first that does not. */
import { describe, expect, test } from 'vitest';
import {
  ATTRIBUTES_MAX,
  type Attribute,
  allOf,
  anyOf,
  attributeLeaves,
  checkPolicy,
  compilePolicy,
  decodePolicy,
  encodePolicy,
  evaluatePolicy,
  hasAttribute,
  ISSUER_LENGTH_MAX,
  LABEL_LENGTH_MAX,
  LABEL_VALUES_MAX,
  LEVEL_MAX,
  makeRegistry,
  negate,
  POLICY_DEPTH_MAX,
  POLICY_LEAVES_MAX,
  POLICY_ROWS_MAX,
  POLICY_TEXT_BYTES_MAX,
  type Policy,
  parsePolicy,
  policyLeafCount,
  printPolicy,
  REGISTRY_LABELS_MAX,
  VALUE_BYTES_MAX,
} from '../../../src/abe/policy/index.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import { thrownBy } from './errors.ts';
import { registry } from './fixtures.ts';

const project = (name: string): Policy => hasAttribute('mercy', 'project', name);
const projects = (n: number): Policy[] => Array.from({ length: n }, (_, i) => project(`p${i}`));

/** A tree of `depth` levels that canonical form leaves as it is. */
function deep(depth: number): Policy {
  let policy = project('bottom');
  for (let level = 0; level < depth; level++) {
    policy = level % 2 === 0 ? anyOf([policy, project('x')]) : allOf([policy, project('x')]);
  }
  return policy;
}

describe('leaves', () => {
  test('as written', () => {
    const most = allOf(projects(POLICY_LEAVES_MAX));
    expect(policyLeafCount(most, registry)).toBe(POLICY_LEAVES_MAX);
    const over = allOf(projects(POLICY_LEAVES_MAX + 1));
    expect(thrownBy(() => encodePolicy(over)).code).toBe('policy.too_many_leaves');
    expect(thrownBy(() => evaluatePolicy(over, [], registry)).code).toBe('policy.too_many_leaves');
    const text = projects(POLICY_LEAVES_MAX + 1)
      .map(printPolicy)
      .join('\n or ');
    expect(thrownBy(() => parsePolicy(text))).toMatchObject({
      code: 'policy.too_many_leaves',
      details: { line: POLICY_LEAVES_MAX + 1, column: 5, max: POLICY_LEAVES_MAX },
    });
  });

  test('members of a set', () => {
    const set = (n: number): string =>
      `mercy/age in {${Array.from({ length: n }, (_, i) => 2 * i).join(', ')}}`;
    expect(policyLeafCount(parsePolicy(set(POLICY_LEAVES_MAX)), registry)).toBe(POLICY_LEAVES_MAX);
    expect(thrownBy(() => parsePolicy(set(POLICY_LEAVES_MAX + 1))).code).toBe('policy.too_many_leaves');
  });

  test('after ranges are expanded', () => {
    // [-32767, 32766] is the widest cover of 16 bits: 30 nodes.
    const widest = 'mercy/age in [-32767, 32766]';
    expect(policyLeafCount(parsePolicy(widest), registry)).toBe(30);
    const eight = Array(8).fill(widest).join(' or ');
    const most = `${eight} or ${projects(16).map(printPolicy).join(' or ')}`;
    expect(policyLeafCount(parsePolicy(most), registry)).toBe(POLICY_LEAVES_MAX);
    const over = parsePolicy(`${most} or mercy/project:one`);
    expect(thrownBy(() => checkPolicy(over, registry)).code).toBe('policy.too_many_leaves');
    expect(thrownBy(() => compilePolicy(over, registry, {})).code).toBe('policy.too_many_leaves');
  });

  test('gate and emergency come on top', () => {
    const at = { recordId: new Uint8Array(32), version: 1 };
    const compiled = compilePolicy(allOf(projects(POLICY_LEAVES_MAX)), registry, { gate: at, emergency: at });
    expect(compiled.rows).toHaveLength(POLICY_ROWS_MAX);
  });

  test('a policy that would expand to thousands is refused before its leaves are made', () => {
    const huge = Array(256).fill('mercy/weight != 5').join(' or ');
    expect(thrownBy(() => checkPolicy(parsePolicy(huge), registry)).code).toBe('policy.too_many_leaves');
  });
});

describe('depth', () => {
  test('of a tree', () => {
    const policy = deep(POLICY_DEPTH_MAX);
    expect(decodePolicy(encodePolicy(policy))).toEqual(policy);
    expect(parsePolicy(printPolicy(policy))).toEqual(policy);
    expect(thrownBy(() => encodePolicy(deep(POLICY_DEPTH_MAX + 1))).code).toBe('policy.too_deep');
  });

  test('of parentheses, even where they mean nothing', () => {
    const wrapped = (n: number): string => `${'('.repeat(n)}mercy/project:x${')'.repeat(n)}`;
    expect(parsePolicy(wrapped(POLICY_DEPTH_MAX))).toEqual(project('x'));
    expect(thrownBy(() => parsePolicy(wrapped(POLICY_DEPTH_MAX + 1)))).toMatchObject({
      code: 'policy.too_deep',
      details: { line: 1, column: POLICY_DEPTH_MAX + 2 },
    });
  });

  test('of not', () => {
    const nots = (n: number): string => `${'not '.repeat(n)}mercy/role:lab`;
    expect(parsePolicy(nots(POLICY_DEPTH_MAX))).toEqual(hasAttribute('mercy', 'role', 'lab'));
    expect(thrownBy(() => parsePolicy(nots(POLICY_DEPTH_MAX + 1))).code).toBe('policy.too_deep');
  });

  test('of encoded bytes, without exhausting the stack', () => {
    let node: unknown = ['=', 'mercy', 'role', 'lab'];
    for (let i = 0; i < 1000; i++) node = ['not', node];
    expect(thrownBy(() => decodePolicy(encodeCbor([1, node]))).code).toBe('policy.too_deep');
  });

  test('of bytes that nest as deep as their size allows', () => {
    const nested = new Uint8Array(POLICY_TEXT_BYTES_MAX).fill(0x81);
    nested[nested.length - 1] = 0x80;
    expect(thrownBy(() => decodePolicy(nested)).code).toBe('policy.malformed');
  });

  test('of a tree made by hand', () => {
    let policy: Policy = project('x');
    for (let i = 0; i < 100; i++) policy = { kind: 'and', of: [policy, project('y')] };
    expect(thrownBy(() => printPolicy(policy)).code).toBe('policy.too_deep');
    expect(() => printPolicy(negate(negate(project('x'))))).not.toThrow();
  });
});

describe('sizes', () => {
  test('of a text', () => {
    const padded = (bytes: number): string => 'mercy/project:x'.padEnd(bytes, ' ');
    expect(parsePolicy(padded(POLICY_TEXT_BYTES_MAX))).toEqual(project('x'));
    expect(thrownBy(() => parsePolicy(padded(POLICY_TEXT_BYTES_MAX + 1)))).toMatchObject({
      code: 'policy.too_large',
      details: { max: POLICY_TEXT_BYTES_MAX, got: POLICY_TEXT_BYTES_MAX + 1 },
    });
  });

  test('of a text in bytes, not characters', () => {
    const text = `mercy/project:"${'\u00e9'.repeat(20)}"${' '.repeat(POLICY_TEXT_BYTES_MAX - 50)}`;
    expect(text.length).toBeLessThan(POLICY_TEXT_BYTES_MAX);
    expect(thrownBy(() => parsePolicy(text)).code).toBe('policy.too_large');
  });

  test('of the encoding and the printed text', () => {
    const wide = (n: number, bytes: number): Policy =>
      anyOf(Array.from({ length: n }, (_, i) => project(String(i).padStart(bytes, '_'))));
    expect(decodePolicy(encodePolicy(wide(230, 256)))).toEqual(wide(230, 256));
    expect(thrownBy(() => encodePolicy(wide(256, 256))).code).toBe('policy.too_large');
    expect(thrownBy(() => printPolicy(wide(256, 256))).code).toBe('policy.too_large');
    expect(thrownBy(() => decodePolicy(new Uint8Array(POLICY_TEXT_BYTES_MAX + 1))).code).toBe(
      'policy.too_large',
    );
  });

  test('of a text value', () => {
    const value = (bytes: number): Policy => project('v'.repeat(bytes));
    expect(decodePolicy(encodePolicy(value(VALUE_BYTES_MAX)))).toEqual(value(VALUE_BYTES_MAX));
    expect(thrownBy(() => encodePolicy(value(VALUE_BYTES_MAX + 1))).code).toBe('policy.malformed');
    expect(thrownBy(() => encodePolicy(project('\u00e9'.repeat(129)))).code).toBe('policy.malformed');
  });

  test('of labels and issuers', () => {
    const named = (issuer: number, label: number): string => `${'i'.repeat(issuer)}/${'l'.repeat(label)}:x`;
    expect(parsePolicy(named(ISSUER_LENGTH_MAX, LABEL_LENGTH_MAX)).kind).toBe('compare');
    expect(thrownBy(() => parsePolicy(named(ISSUER_LENGTH_MAX + 1, 1))).details.column).toBe(1);
    expect(thrownBy(() => parsePolicy(named(1, LABEL_LENGTH_MAX + 1))).details.column).toBe(3);
  });

  test('of a registry', () => {
    const labels = (n: number) =>
      Array.from({ length: n }, (_, i) => ({ label: `l${i}`, type: 'level' as const }));
    expect(makeRegistry(labels(REGISTRY_LABELS_MAX)).size).toBe(REGISTRY_LABELS_MAX + 2);
    expect(thrownBy(() => makeRegistry(labels(REGISTRY_LABELS_MAX + 1))).code).toBe('policy.registry');
    const values = (n: number) => [
      { label: 'v', type: 'text' as const, values: Array.from({ length: n }, (_, i) => `v${i}`) },
    ];
    expect(makeRegistry(values(LABEL_VALUES_MAX)).get('v')?.values).toHaveLength(LABEL_VALUES_MAX);
    expect(thrownBy(() => makeRegistry(values(LABEL_VALUES_MAX + 1))).code).toBe('policy.registry');
    expect(thrownBy(() => makeRegistry(values(0))).code).toBe('policy.registry');
  });

  test('of the attributes of a key', () => {
    const held = (n: number): Attribute[] =>
      Array.from({ length: n }, (_, i) => ({ issuer: 'mercy', label: 'project', value: `p${i}` }));
    expect(attributeLeaves(held(ATTRIBUTES_MAX), registry)).toHaveLength(ATTRIBUTES_MAX);
    expect(thrownBy(() => attributeLeaves(held(ATTRIBUTES_MAX + 1), registry)).code).toBe('policy.attribute');
  });
});

describe('numbers against the width of their label', () => {
  const check = (text: string): void => checkPolicy(parsePolicy(text), registry);

  test.each([
    ['mercy/age = 32767', 'mercy/age = 32768'],
    ['mercy/age = -32768', 'mercy/age = -32769'],
    ['mercy/age in [-32768, 32767]', 'mercy/age in [-32768, 32768]'],
    ['mercy/age in {1, 32767}', 'mercy/age in {1, 32768}'],
    ['mercy/age < -32767', 'mercy/age < -32768'],
    ['mercy/age > 32766', 'mercy/age > 32767'],
    ['not mercy/age < 32767', 'not mercy/age <= 32767'],
    ['mercy/born = 2059-09-18', 'mercy/born = 2059-09-19'],
    ['mercy/born = 1880-04-14', 'mercy/born = 1880-04-13'],
    [`mercy/clearance >= ${LEVEL_MAX}`, `mercy/clearance >= ${LEVEL_MAX + 1}`],
    [`mercy/clearance > ${LEVEL_MAX - 1}`, `mercy/clearance > ${LEVEL_MAX}`],
    ['mercy/clearance >= 0', 'mercy/clearance > -1'],
  ])('%s, but not %s', (inside, outside) => {
    expect(() => check(inside)).not.toThrow();
    expect(thrownBy(() => check(outside)).code).toBe('policy.range');
  });

  test('64 bits are cut to safe integers, which the text checks', () => {
    expect(() => check('mercy/weight = 9007199254740991')).not.toThrow();
    expect(() => check('mercy/weight >= -9007199254740991')).not.toThrow();
    expect(thrownBy(() => parsePolicy('mercy/weight = 9007199254740992')).code).toBe('policy.syntax');
  });
});
