/** A small registry and random policies and keys over it, for the property tests. */
import fc from 'fast-check';
import {
  type Attribute,
  allOf,
  anyOf,
  atLeast,
  type CompiledPolicy,
  type Condition,
  type Literal,
  makeRegistry,
  negate,
  type Policy,
  policyLeafCount,
  type Registry,
  type Relation,
} from '../../../src/abe/policy/index.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { hasCode } from '../../../src/codec/errors.ts';

export const ROLES = ['doctor', 'nurse', 'lab', 'chief doctor'];
export const PSEUDONYMS = ['00112233445566778899aabbccddeeff', '01234567890123456789012345678901'];

export const registry: Registry = makeRegistry([
  { label: 'role', type: 'text', values: ROLES },
  { label: 'project', type: 'text' },
  { label: 'age', type: 'int', width: 16 },
  { label: 'weight', type: 'int', width: 64 },
  { label: 'born', type: 'date', width: 16 },
  { label: 'until', type: 'date', width: 32 },
  { label: 'clearance', type: 'level' },
  { label: 'country', type: 'text', values: ['pt', 'fr', 'de'], shared: true },
]);

const issuer = fc.constantFrom('mercy', 'stjude');
const text = (value: string): Literal => ({ type: 'text', value });
const int = (value: number): Literal => ({ type: 'int', value });
const date = (value: number): Literal => ({ type: 'date', value });
const order: fc.Arbitrary<Relation> = fc.constantFrom('=', '!=', '<', '<=', '>', '>=');
const equality: fc.Arbitrary<Relation> = fc.constantFrom('=', '!=');
/** A narrow band, so that random values meet random bounds. */
const smallInt = fc.integer({ min: -4, max: 4 });

const numberCondition = (label: string, make: (value: number) => Literal): fc.Arbitrary<Condition> =>
  fc.oneof(
    fc.record({
      kind: fc.constant('compare' as const),
      issuer,
      label: fc.constant(label),
      relation: order,
      literal: smallInt.map(make),
    }),
    fc.tuple(issuer, smallInt, fc.nat(5)).map(([by, low, length]): Condition => {
      return { kind: 'range', issuer: by, label, low: make(low), high: make(low + length) };
    }),
    fc
      .tuple(issuer, fc.uniqueArray(smallInt, { minLength: 1, maxLength: 4 }))
      .map(([by, members]): Condition => ({ kind: 'set', issuer: by, label, members: members.map(make) })),
  );

/** Conditions that may stand under `not`. */
const negatable: fc.Arbitrary<Condition> = fc.oneof(
  fc.tuple(issuer, equality, fc.constantFrom(...ROLES)).map(([by, relation, role]): Condition => {
    return { kind: 'compare', issuer: by, label: 'role', relation, literal: text(role) };
  }),
  fc.tuple(issuer, fc.subarray(ROLES, { minLength: 1 })).map(([by, roles]): Condition => {
    return { kind: 'set', issuer: by, label: 'role', members: roles.map(text) };
  }),
  fc.tuple(equality, fc.constantFrom('pt', 'fr')).map(([relation, country]): Condition => {
    return { kind: 'compare', issuer: '', label: 'country', relation, literal: text(country) };
  }),
  numberCondition('age', int),
  numberCondition('born', date),
);

const positiveOnly: fc.Arbitrary<Condition> = fc.oneof(
  fc.tuple(issuer, fc.constantFrom('alpha', 'and', '12', 'Zo\u00eb "x" \\')).map(([by, name]): Condition => {
    return { kind: 'compare', issuer: by, label: 'project', relation: '=', literal: text(name) };
  }),
  fc
    .tuple(issuer, fc.constantFrom<Relation>('>=', '>'), fc.nat(14))
    .map(([by, relation, level]): Condition => {
      return { kind: 'compare', issuer: by, label: 'clearance', relation, literal: int(level) };
    }),
  fc.constantFrom(...PSEUDONYMS).map((pseudonym): Condition => {
    return { kind: 'compare', issuer: '', label: 'consent', relation: '=', literal: text(pseudonym) };
  }),
);

const listOf = <T>(arb: fc.Arbitrary<T>) => fc.array(arb, { minLength: 2, maxLength: 4 });
const threshold = (arb: fc.Arbitrary<Policy>): fc.Arbitrary<Policy> =>
  fc.tuple(listOf(arb), fc.nat(3)).map(([of, k]) => atLeast(1 + (k % of.length), of));

const { negative } = fc.letrec<{ negative: Policy }>((tie) => ({
  negative: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    negatable,
    listOf(tie('negative')).map(allOf),
    listOf(tie('negative')).map(anyOf),
    threshold(tie('negative')),
    tie('negative').map(negate),
  ),
}));

/** Canonical policies that `registry` gives a meaning; `not` only where it is allowed. */
export const policies: fc.Arbitrary<Policy> = fc
  .letrec<{ policy: Policy }>((tie) => ({
    policy: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      positiveOnly,
      negatable,
      negative.map(negate),
      listOf(tie('policy')).map(allOf),
      listOf(tie('policy')).map(anyOf),
      threshold(tie('policy')),
    ),
  }))
  .policy.filter(isWithinBounds);

/** False for the few that expand to too many leaves. */
function isWithinBounds(policy: Policy): boolean {
  try {
    return policyLeafCount(policy, registry) > 0;
  } catch (error) {
    if (hasCode(error, 'policy.too_many_leaves')) return false;
    throw error;
  }
}

const optional = <T>(arb: fc.Arbitrary<T>) => fc.option(arb, { nil: undefined });
const holdingsOf = (by: string): fc.Arbitrary<Attribute[]> =>
  fc
    .record({
      roles: fc.subarray(ROLES),
      project: optional(fc.constantFrom('alpha', 'and', '12')),
      age: optional(smallInt),
      born: optional(smallInt),
      clearance: optional(fc.nat(15)),
    })
    .map(({ roles, project, age, born, clearance }) => {
      const one = (label: string, value: string | number | undefined): Attribute[] =>
        value === undefined ? [] : [{ issuer: by, label, value }];
      return [
        ...roles.flatMap((role) => one('role', role)),
        ...one('project', project),
        ...one('age', age),
        ...one('born', born),
        ...one('clearance', clearance),
      ];
    });

/** What a subject may hold: sometimes nothing, sometimes much, from two issuers and shared. */
export const subjects: fc.Arbitrary<Attribute[]> = fc
  .tuple(holdingsOf('mercy'), holdingsOf('stjude'), fc.subarray(['pt', 'fr', 'de']), fc.subarray(PSEUDONYMS))
  .map(([mercy, stjude, countries, consents]) => [
    ...mercy,
    ...stjude,
    ...countries.map((value) => ({ issuer: '', label: 'country', value })),
    ...consents.map((value) => ({ issuer: '', label: 'consent', value })),
  ]);

/** Hexadecimal of leaves, as `reconstruct` takes them. */
export function heldSet(leaves: readonly Uint8Array[]): ReadonlySet<string> {
  return new Set(leaves.map(toHex));
}

/** The sum of the used rows, dense, mod r and with empty columns left out: `{0: 1n}` is the target. */
export function combination(
  compiled: CompiledPolicy,
  rows: readonly { readonly index: number; readonly coefficient: bigint }[],
  order: bigint,
): Record<number, bigint> {
  const sum: Record<number, bigint> = {};
  for (const { index, coefficient } of rows) {
    for (const { column, value } of compiled.rows[index].entries) {
      const total = ((sum[column] ?? 0n) + coefficient * value) % order;
      sum[column] = total < 0n ? total + order : total;
    }
  }
  return Object.fromEntries(Object.entries(sum).filter(([, value]) => value !== 0n));
}
