/** Games small enough to read: who opens what, and the algebra agrees with the rule on each. */
import { describe, expect, test } from 'vitest';
import {
  type Attribute,
  parseAttribute,
  parsePolicy,
  type RecordVersion,
} from '../../../src/abe/policy/index.ts';
import { type HeaderCase, type Part, ruleOpens, spanOpens, type World } from './game.ts';
import { registry } from './worlds.ts';

const record = (version: number): RecordVersion => ({ recordId: new Uint8Array(32), version });

/** `alice/1 @123 a:A gate:1`: authorities 1, 2 and 3 raised this for generation 1 of Alice's key. */
function part(text: string): Part[] {
  const [key, authorities, ...granted] = text.split(' ');
  const [keyId, generation] = key.split('/');
  const attributes: Attribute[] = [];
  const gates: RecordVersion[] = [];
  const emergencies: RecordVersion[] = [];
  for (const grant of granted) {
    const [kind, version] = grant.split(':');
    if (kind === 'gate') gates.push(record(Number(version)));
    else if (kind === 'emergency') emergencies.push(record(Number(version)));
    else attributes.push(parseAttribute(grant));
  }
  return [...authorities.slice(1)].map((authority) => ({
    authority: Number(authority),
    keyId,
    generation: Number(generation),
    epoch: 0,
    attributes,
    gates,
    emergencies,
  }));
}

/** `policy | gate:1 | emergency:1` */
function header(text: string): HeaderCase {
  const [policy, ...beside] = text.split(' | ');
  const versionOf = (kind: string): RecordVersion | undefined => {
    const found = beside.find((item) => item.startsWith(kind));
    return found === undefined ? undefined : record(Number(found.split(':')[1]));
  };
  const [gate, emergency] = [versionOf('gate'), versionOf('emergency')];
  return {
    policy: parsePolicy(policy),
    ...(gate === undefined ? {} : { gate }),
    ...(emergency === undefined ? {} : { emergency }),
  };
}

interface Scenario {
  readonly title: string;
  readonly t?: number;
  readonly n?: number;
  readonly corrupt?: readonly number[];
  readonly parts: readonly string[];
  readonly headers: readonly string[];
  /** For each header. */
  readonly opens: readonly boolean[];
}

const scenarios: readonly Scenario[] = [
  { title: 'a quorum of parts', parts: ['alice/1 @123 a:A'], headers: ['a:A'], opens: [true] },
  { title: 'one part too few', parts: ['alice/1 @12 a:A'], headers: ['a:A'], opens: [false] },
  { title: 'the wrong attribute', parts: ['alice/1 @1234 a:B'], headers: ['a:A'], opens: [false] },
  {
    title: 'Alice has A, Bob has B, the policy wants both',
    parts: ['alice/1 @1234 a:A', 'bob/1 @1234 a:B'],
    headers: ['a:A and a:B'],
    opens: [false],
  },
  {
    title: 'different authorities satisfied for different subjects and branches',
    parts: ['alice/1 @1 a:A', 'alice/1 @2 a:B', 'bob/1 @3 a:A'],
    headers: ['a:A or a:B'],
    opens: [true],
  },
  {
    title: 'a quorum for A and a quorum for B is not a quorum for both',
    parts: ['alice/1 @1 a:A', 'alice/1 @23 a:A a:B', 'alice/1 @4 a:B'],
    headers: ['a:A and a:B'],
    opens: [false],
  },
  { title: 'no gate', parts: ['alice/1 @1234 a:A'], headers: ['a:A | gate:1'], opens: [false] },
  { title: 'with the gate', parts: ['alice/1 @123 a:A gate:1'], headers: ['a:A | gate:1'], opens: [true] },
  {
    title: 'the gate of another version',
    parts: ['alice/1 @1234 a:A gate:1'],
    headers: ['a:A | gate:2', 'a:A | gate:1'],
    opens: [false, true],
  },
  {
    title: "somebody else's gate",
    parts: ['alice/1 @1234 a:A', 'bob/1 @1234 gate:1'],
    headers: ['a:A | gate:1'],
    opens: [false],
  },
  {
    title: 'a gate that only part of the quorum gave',
    parts: ['alice/1 @12 a:A gate:1', 'alice/1 @34 a:A'],
    headers: ['a:A | gate:1'],
    opens: [false],
  },
  {
    title: 'the gate of generation 2 with attributes of generation 1',
    parts: ['alice/1 @1234 a:A', 'alice/2 @1234 gate:1'],
    headers: ['a:A | gate:1'],
    opens: [false],
  },
  {
    title: 'both in generation 2',
    parts: ['alice/1 @1234 a:A', 'alice/2 @123 a:A gate:1'],
    headers: ['a:A | gate:1'],
    opens: [true],
  },
  {
    title: 'break-glass without the gate',
    parts: ['alice/1 @1234 emergency:1'],
    headers: ['a:A | gate:1 | emergency:1'],
    opens: [false],
  },
  {
    title: 'break-glass with the gate',
    parts: ['alice/1 @123 emergency:1 gate:1'],
    headers: ['a:A | gate:1 | emergency:1'],
    opens: [true],
  },
  {
    title: 'break-glass of another version',
    parts: ['alice/1 @1234 emergency:2 gate:1'],
    headers: ['a:A | gate:1 | emergency:1'],
    opens: [false],
  },
  { title: 'tau 2: A twice', parts: ['alice/1 @123 a:A'], headers: ['a:A and (a:A or a:B)'], opens: [true] },
  {
    title: 'tau 2: B alone',
    parts: ['alice/1 @1234 a:B'],
    headers: ['2 of (a:A, a:A, a:B)'],
    opens: [false],
  },
  {
    title: 'tau 3: A three times',
    parts: ['alice/1 @123 a:A', 'bob/1 @1234 a:B'],
    headers: ['a:A and a:A and a:A', 'a:B and (a:A or a:B and (a:A or a:B and a:A))'],
    opens: [true, false],
  },
  {
    title: 'one corrupt, two satisfied',
    corrupt: [4],
    parts: ['alice/1 @12 a:A'],
    headers: ['a:A'],
    opens: [true],
  },
  {
    title: 'one corrupt, one satisfied',
    corrupt: [4],
    parts: ['alice/1 @1 a:A'],
    headers: ['a:A'],
    opens: [false],
  },
  {
    title: 'two corrupt, one satisfied',
    corrupt: [2, 4],
    parts: ['alice/1 @1 a:A'],
    headers: ['a:A'],
    opens: [true],
  },
  {
    title: 'two corrupt, none satisfied',
    corrupt: [2, 4],
    parts: ['alice/1 @13 a:B', 'bob/1 @13 a:C'],
    headers: ['a:A', 'a:B and a:C'],
    opens: [false, false],
  },
  {
    title: 't = 4: three are not enough, four are',
    n: 5,
    t: 4,
    parts: ['alice/1 @123 a:A', 'alice/1 @4 a:A a:B', 'alice/1 @5 a:B'],
    headers: ['a:A', 'a:B'],
    opens: [true, false],
  },
  {
    title: '2 of 3 by one holder, not by two',
    parts: ['alice/1 @123 a:A a:C', 'bob/1 @1234 a:B', 'carol/1 @1234 a:D'],
    headers: ['2 of (a:A, a:B, a:C)', '2 of (a:A, a:B, a:D)'],
    opens: [true, false],
  },
  {
    title: 'two headers share no randomness: B opens the wider one only',
    parts: ['bob/1 @1234 a:B'],
    headers: ['a:A', 'a:A or a:B'],
    opens: [false, true],
  },
  {
    title: 'not equal needs the label, and no such value',
    parts: ['alice/1 @1234 m/role:nurse', 'bob/1 @1234 m/role:nurse m/role:doctor'],
    headers: ['m/role != doctor', 'not m/role in {doctor, nurse}', 'm/role != doctor and m/role:doctor'],
    opens: [true, false, false],
  },
  {
    title: 'ranges: values of two generations do not add up',
    parts: ['alice/1 @1234 m/age:2', 'alice/2 @1234 m/age:5'],
    headers: ['m/age in [1, 3]', 'm/age in [1, 3] and m/age in [4, 6]'],
    opens: [true, false],
  },
  {
    title: "another issuer's number, level and role",
    parts: ['alice/1 @1234 s/age:2 s/rank:3 s/role:nurse'],
    headers: ['m/age in [1, 3]', 'm/rank >= 1', 'm/role:nurse', 'm/role != doctor'],
    opens: [false, false, false, false],
  },
];

describe('fixed games', () => {
  test.each(scenarios)('$title', ({ n = 4, t = 3, corrupt = [], parts, headers, opens }) => {
    const world: World = {
      n,
      t,
      epochs: [{ corrupt }],
      registry,
      parts: parts.flatMap(part),
      headers: headers.map(header),
    };
    expect(world.headers.map((each) => ruleOpens(world, each))).toEqual(opens);
    expect(world.headers.map((_, h) => spanOpens(world, h))).toEqual(opens);
  });
});
