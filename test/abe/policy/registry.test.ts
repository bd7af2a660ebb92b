import { describe, expect, test } from 'vitest';
import {
  checkPolicy,
  decodeRegistry,
  EMPTY_REGISTRY,
  encodeRegistry,
  type LabelSpec,
  makeRegistry,
  parsePolicy,
  withLabel,
} from '../../../src/abe/policy/index.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import { thrownBy } from './errors.ts';
import { registry } from './fixtures.ts';

const role: LabelSpec = { label: 'role', type: 'text', values: ['doctor', 'nurse'] };

describe('the registry only grows', () => {
  const start = makeRegistry([
    role,
    { label: 'age', type: 'int', width: 16 },
    { label: 'project', type: 'text' },
  ]);

  test('labels and values are added, the old map stays as it was', () => {
    const next = withLabel(start, { ...role, values: ['nurse', 'lab', 'doctor'] });
    expect(next.get('role')?.values).toEqual(['nurse', 'lab', 'doctor']);
    expect(start.get('role')?.values).toEqual(['doctor', 'nurse']);
    expect(withLabel(start, { label: 'level-of-care', type: 'level' }).size).toBe(start.size + 1);
  });

  test.each<[string, LabelSpec]>([
    ['type', { label: 'age', type: 'date', width: 16 }],
    ['width', { label: 'age', type: 'int', width: 32 }],
    ['sharing', { ...role, shared: true }],
    ['finiteness, by listing', { label: 'project', type: 'text', values: ['x'] }],
    ['finiteness, by opening', { label: 'role', type: 'text' }],
    ['a value, by leaving it out', { ...role, values: ['doctor', 'lab'] }],
  ])('%s is fixed for ever', (_, spec) => {
    expect(thrownBy(() => withLabel(start, spec)).code).toBe('policy.registry');
  });

  test.each<[string, LabelSpec]>([
    ...[
      'gate',
      'emergency',
      'epoch',
      'patient',
      'consent',
      'b',
      'level',
      'window',
      'and',
      'or',
      'not',
      'of',
      'in',
    ].map((label): [string, LabelSpec] => [`reserved ${label}`, { label, type: 'text', shared: true }]),
    ['upper case', { label: 'Role', type: 'text' }],
    ['a label that looks like a derived leaf', { label: 'role!=doctor', type: 'text' }],
    ['no width for int', { label: 'n', type: 'int' }],
    ['width for text', { label: 'n', type: 'text', width: 16 }],
    ['width for level', { label: 'n', type: 'level', width: 16 }],
    ['values for int', { label: 'n', type: 'int', width: 16, values: ['1'] }],
    ['a value twice', { label: 'n', type: 'text', values: ['x', 'x'] }],
    ['an empty value', { label: 'n', type: 'text', values: [''] }],
    ['a value that is not NFC', { label: 'n', type: 'text', values: ['e\u0301'] }],
  ])('refuses %s', (_, spec) => {
    expect(thrownBy(() => makeRegistry([spec])).code).toBe('policy.registry');
  });

  test('a label given twice is an error, not an update', () => {
    expect(thrownBy(() => makeRegistry([role, role])).code).toBe('policy.registry');
  });
});

describe('registry bytes', () => {
  test('round trip, and do not depend on the order of definition', () => {
    const bytes = encodeRegistry(registry);
    expect(decodeRegistry(bytes)).toEqual(registry);
    const backwards = makeRegistry([...registry.values()].slice(EMPTY_REGISTRY.size).reverse());
    expect(encodeRegistry(backwards)).toEqual(bytes);
    expect(decodeRegistry(encodeRegistry(EMPTY_REGISTRY))).toEqual(EMPTY_REGISTRY);
  });

  test.each<[string, unknown]>([
    ['another version', [2]],
    ['labels out of order', [1, ['b1', 'level', 0, null, false], ['a1', 'level', 0, null, false]]],
    ['a label twice', [1, ['a1', 'level', 0, null, false], ['a1', 'level', 0, null, false]]],
    ['a missing field', [1, ['a1', 'level', 0, null]]],
    ['an unknown type', [1, ['a1', 'real', 0, null, false]]],
    ['an unknown width', [1, ['a1', 'int', 8, null, false]]],
    ['a value that is no text', [1, ['a1', 'text', 0, [1], false]]],
    ['shared as a number', [1, ['a1', 'text', 0, null, 1]]],
    ['a reserved label', [1, ['gate', 'text', 0, null, false]]],
    ['a built-in label', [1, ['patient', 'text', 0, null, true]]],
    ['a map', { 1: [] }],
  ])('refuse %s', (_, value) => {
    expect(thrownBy(() => decodeRegistry(encodeCbor(value))).code).toBe('policy.registry');
  });

  test('refuse trailing bytes', () => {
    const bytes = new Uint8Array([...encodeRegistry(registry), 0]);
    expect(thrownBy(() => decodeRegistry(bytes)).code).toBe('policy.registry');
  });
});

describe('a policy against the registry', () => {
  test.each<[string, string, number, RegExp]>([
    ['mercy/rol:doctor', 'policy.unknown_label', 1, /did you mean "role"\?/],
    ['mercy/role:lab or mercy/frobnicate:x', 'policy.unknown_label', 19, /no label "frobnicate" \(/],
    ['mercy/gate:x', 'policy.unknown_label', 1, /no label "gate": the name is reserved/],
    ['mercy/role:docter', 'policy.unknown_value', 1, /did you mean "doctor"\?/],
    ['role:doctor', 'policy.issuer', 1, /mercy\/role/],
    ['mercy/country:pt', 'policy.issuer', 1, /shared/],
    ['mercy/patient:00112233445566778899aabbccddeeff', 'policy.issuer', 1, /shared/],
    ['mercy/age:x', 'policy.type', 1, /integer/],
    ['mercy/age:2026-01-31', 'policy.type', 1, /integer/],
    ['mercy/born:5', 'policy.type', 1, /date such as/],
    ['mercy/project:12', 'policy.type', 1, /write "12" in quotes/],
    ['mercy/project in [1, 2]', 'policy.type', 1, /no ranges/],
    ['mercy/clearance >= 2026-01-31', 'policy.type', 1, /level/],
    ['consent:somebody', 'policy.type', 1, /pseudonym/],
    ['mercy/clearance = 3', 'policy.relation', 1, /">=" and ">" only/],
    ['mercy/clearance < 3', 'policy.relation', 1, /">=" and ">" only/],
    ['mercy/clearance in [1, 3]', 'policy.relation', 1, /">=" and ">" only/],
    ['not mercy/clearance >= 3', 'policy.relation', 5, /no not/],
    ['mercy/project != x', 'policy.not_finite', 1, /!= needs a label whose values/],
    ['not mercy/project:x', 'policy.not_finite', 5, /not needs a label whose values/],
    ['not consent:00112233445566778899aabbccddeeff', 'policy.not_finite', 5, /not needs/],
    ['mercy/role:lab and\n  not (mercy/role:lab or mercy/project in {x})', 'policy.not_finite', 26, /line 2/],
  ])('%s', (text, code, column, message) => {
    const error = thrownBy(() => checkPolicy(parsePolicy(text), registry));
    expect(error.code).toBe(code);
    expect(error.details.column).toBe(column);
    expect(error.message).toMatch(message);
  });

  test('negations that cancel are no negation', () => {
    expect(() =>
      checkPolicy(parsePolicy('not (mercy/role:lab or not mercy/clearance >= 3)'), registry),
    ).not.toThrow();
  });

  test('a policy from bytes has no columns, and says so by leaving them out', () => {
    const policy = { ...parsePolicy('mercy/rol:doctor') };
    expect(thrownBy(() => checkPolicy(policy, registry)).details).toEqual({ label: 'rol' });
  });
});
