/** Random games: authorities, corruptions, subjects, generations, uneven histories, and policies with repeats. */
import {
  type Attribute,
  allOf,
  atLeast,
  type Condition,
  hasAttribute,
  makeRegistry,
  negate,
  type Policy,
  type RecordVersion,
} from '../../../src/abe/policy/index.ts';
import type { HeaderCase, Part, World } from './game.ts';

export const registry = makeRegistry([
  { label: 'a', type: 'text', shared: true },
  { label: 'role', type: 'text', values: ['doctor', 'nurse', 'lab'] },
  { label: 'age', type: 'int', width: 16 },
  { label: 'rank', type: 'level' },
]);

const NAMES = ['A', 'B', 'C', 'D'];
const ROLES = ['doctor', 'nurse', 'lab'];
const SHAPES = [
  { n: 4, t: 3 },
  { n: 5, t: 3 },
  { n: 5, t: 4 },
  { n: 7, t: 5 },
];

/** A seeded source of choices (mulberry32): the same seed gives the same world for ever. */
export class Choices {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** 0 <= x < 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let z = this.state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(p: number): boolean {
    return this.next() < p;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  some<T>(list: readonly T[], p: number): T[] {
    return list.filter(() => this.chance(p));
  }
}

const record = (i: number): RecordVersion => ({ recordId: new Uint8Array(32).fill(i), version: 1 });

const role = (value: string, relation: '=' | '!=' = '='): Condition => ({
  kind: 'compare',
  issuer: 'm',
  label: 'role',
  relation,
  literal: { type: 'text', value },
});

function randomCondition(choices: Choices): Policy {
  const kind = choices.below(10);
  if (kind < 5) return hasAttribute('', 'a', choices.of(NAMES));
  if (kind === 5) return role(choices.of(ROLES));
  if (kind === 6) return role(choices.of(ROLES), '!=');
  if (kind === 7) return negate(allOf([role(choices.of(ROLES)), role(choices.of(ROLES))]));
  if (kind === 8) {
    return {
      kind: 'compare',
      issuer: 'm',
      label: 'rank',
      relation: '>=',
      literal: { type: 'int', value: 1 + choices.below(3) },
    };
  }
  const low = choices.below(4);
  return {
    kind: 'range',
    issuer: 'm',
    label: 'age',
    low: { type: 'int', value: low },
    high: { type: 'int', value: low + choices.below(3) },
  };
}

function randomPolicy(choices: Choices, depth: number): Policy {
  if (depth === 0 || choices.chance(0.3)) return randomCondition(choices);
  const of = Array.from({ length: 2 + choices.below(2) }, () => randomPolicy(choices, depth - 1));
  return atLeast(1 + choices.below(of.length), of);
}

function randomAttributes(choices: Choices): Attribute[] {
  const held: Attribute[] = choices.some(NAMES, 0.5).map((value) => ({ issuer: '', label: 'a', value }));
  if (choices.chance(0.6)) {
    for (const value of choices.some(ROLES, 0.5)) held.push({ issuer: 'm', label: 'role', value });
  }
  if (choices.chance(0.5)) held.push({ issuer: 'm', label: 'age', value: choices.below(6) });
  if (choices.chance(0.5)) held.push({ issuer: 'm', label: 'rank', value: choices.below(4) });
  return held;
}

/**
 * What an authority that lags, or was asked earlier, had granted: some values of the open label, and all or nothing of
 * each other label, so that it is a state a single generation can pass through.
 */
function earlier(choices: Choices, attributes: readonly Attribute[]): Attribute[] {
  const kept = new Set(choices.some(['role', 'age', 'rank'], 0.7));
  return attributes.filter(({ label }) => (label === 'a' ? choices.chance(0.7) : kept.has(label)));
}

/** The world of `seed`. Corruption stays below t in each epoch: with t the adversary has alpha. */
export function randomWorld(seed: number, epochs = 1): World {
  const choices = new Choices(seed);
  const { n, t } = choices.of(SHAPES);
  const all = Array.from({ length: n }, (_, i) => i + 1);
  const headers: HeaderCase[] = Array.from({ length: 1 + choices.below(2) }, (_, h) => {
    const policy = randomPolicy(choices, 1 + choices.below(3));
    const isGated = choices.chance(0.7);
    const gate = isGated ? { gate: record(h) } : {};
    return { policy, ...gate, ...(isGated && choices.chance(0.3) ? { emergency: record(h) } : {}) };
  });
  const corruptions = Array.from({ length: epochs }, () => ({
    corrupt: choices.some(all, 0.35).slice(0, choices.below(t)),
  }));
  const parts = corruptions.flatMap(({ corrupt }, epoch) =>
    randomParts(
      choices,
      all.filter((authority) => !corrupt.includes(authority)),
      headers.map((_, h) => record(h)),
      epoch,
    ),
  );
  return { n, t, epochs: corruptions, registry, parts, headers };
}

/** What the honest authorities raised in one epoch, for two or three subjects of two generations. */
function randomParts(
  choices: Choices,
  honest: readonly number[],
  records: readonly RecordVersion[],
  epoch: number,
): Part[] {
  const isEven = choices.chance(0.4);
  const parts: Part[] = [];
  const subjects = 2 + choices.below(2);
  for (let subject = 0; subject < subjects; subject++) {
    for (let generation = 1; generation <= 2; generation++) {
      const attributes = randomAttributes(choices);
      const gates = choices.some(records, 0.6);
      const emergencies = choices.some(records, 0.15);
      for (const authority of honest) {
        if (!isEven && choices.chance(0.2)) continue;
        parts.push({
          authority,
          keyId: `k${subject}`,
          generation,
          epoch,
          attributes: isEven ? attributes : earlier(choices, attributes),
          gates: isEven ? gates : choices.some(gates, 0.8),
          emergencies,
        });
      }
    }
  }
  return parts;
}
