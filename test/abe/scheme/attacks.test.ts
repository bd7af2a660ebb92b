/**
 * Attacks on the equations. Every one goes past our own checks (satisfaction, keyId, quorum, header fields) and
 * asks the group whether K comes out; where a known mistake in the scheme would let the attack work, the test
 * makes that mistake first, to show that it would notice.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import {
  attributeLeaf,
  attributeLeaves,
  type CompiledPolicy,
  compilePolicy,
  type G1,
  type G2,
  type Group,
  type GT,
  gateLeaf,
  makeRegistry,
  openGroup,
  parseAttribute,
  parsePolicy,
  reconstruct,
  type UsedRow,
} from '../../../src/abe/index.ts';
import {
  decryptionSums,
  decryptRaw,
  deriveRandomness,
  encryptRaw,
  keyGenRaw,
  lagrangeScalars,
  mod,
  type Randomness,
  reduceWide,
  scalarToBytes,
} from '../../../src/abe/internal.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { id, seeded } from '../fixtures.ts';
import { tkn20Cases } from '../policy/shared-vectors.ts';

const REGISTRY = makeRegistry([{ label: 'x', type: 'text' }]);
const leaf = (name: string): Uint8Array => attributeLeaf('h', 'x', name);
const hex = (name: string): string => toHex(leaf(name));
const policy = (text: string): CompiledPolicy =>
  compilePolicy(parsePolicy(text.replace(/\b([A-F])\b/g, 'h/x:$1')), REGISTRY, {});
const randomScalar = (seed: string): bigint => reduceWide(seeded(seed)(64));
const randomnessFor = (compiled: CompiledPolicy, seed = 'm'): Randomness =>
  deriveRandomness(id(seed), id('context'), compiled.tau, compiled.columns);

interface RawKey {
  readonly k1: G1;
  readonly k3: G2;
  readonly leaves: ReadonlyMap<string, G1>;
}
interface Ciphertext {
  readonly c1: G2;
  readonly c2: readonly G2[];
  readonly c3: readonly G1[];
}

describe('the equations', () => {
  let group: Group;
  let g1Alpha: G1;
  let E: GT;
  const alpha = randomScalar('alpha');
  beforeAll(async () => {
    group = await openGroup('mcl');
    g1Alpha = group.mulSecretG1(group.g1, scalarToBytes(alpha));
    E = group.powGT(group.gt, alpha);
  });

  const keyGen = (seed: string, names: readonly string[]): RawKey =>
    keyGenRaw(group, g1Alpha, randomScalar(seed), names.map(leaf));

  /** K' for rows and key elements chosen by the attacker; a leaf that is missing counts as the identity. */
  function force(key: RawKey, compiled: CompiledPolicy, used: readonly UsedRow[], c: Ciphertext): GT {
    const leaves = new Map(key.leaves);
    for (const { index } of used) {
      const { leafHex } = compiled.rows[index];
      if (!leaves.has(leafHex)) leaves.set(leafHex, group.mulG1(group.g1, 0n));
    }
    const sums = decryptionSums(group, compiled, used, leaves, (i) => c.c3[i]);
    if (sums === undefined) throw new Error('unreachable: every leaf has an element');
    return decryptRaw(group, key, sums, c.c1, (j) => c.c2[j - 1]);
  }

  /** Coefficients for every leaf of the matrix, as if all were held, and every subset of rows with weight 1. */
  function* choices(compiled: CompiledPolicy): Generator<readonly UsedRow[]> {
    const all = new Set(compiled.rows.map((row) => row.leafHex));
    const honest = reconstruct(compiled, all);
    if (honest !== undefined) yield honest.rows;
    const count = Math.min(compiled.rows.length, 6);
    for (let subset = 1; subset < 2 ** count; subset++) {
      yield compiled.rows.flatMap((_, index) => ((subset >> index) & 1 ? [{ index, coefficient: 1n }] : []));
    }
  }

  function opensBySomeChoice(key: RawKey, compiled: CompiledPolicy, randomness: Randomness): boolean {
    const c = encryptRaw(group, compiled, randomness);
    const K = group.powGT(E, randomness.s);
    for (const used of choices(compiled)) if (group.equalGT(force(key, compiled, used, c), K)) return true;
    return false;
  }

  const cases = tkn20Cases();
  test.skipIf(cases === undefined)(
    `tkn20/policies.json: K comes out iff the case says so, satisfaction check bypassed${cases ? '' : ' (no vectors)'}`,
    () => {
      for (const { text, policy: parsed, expected, attributes, registry } of cases ?? []) {
        const compiled = compilePolicy(parsed, registry, {});
        const leaves = attributeLeaves(attributes, registry);
        const key = keyGenRaw(group, g1Alpha, randomScalar(text), leaves);
        const randomness = randomnessFor(compiled, text);
        const used = reconstruct(compiled, new Set(leaves.map(toHex)));
        expect(used !== undefined, text).toBe(expected);
        expect(opensBySomeChoice(key, compiled, randomness), text).toBe(expected);
      }
    },
  );

  test.each([
    ['A and B', 'A', false],
    ['A and B', 'A B', true],
    ['A or B', 'B', true],
    ['2 of (A, B, C)', 'C', false],
    ['2 of (A, B, C)', 'A C', true],
    ['A and (B or C) and D', 'A B C', false],
    ['A and (B or C) and D', 'A C D', true],
    ['2 of (A, A, B)', 'B', false],
    ['A and A and A', 'A', true],
    ['A or (A and A)', 'B', false],
    ['(A and B) or (C and D)', 'A D', false],
    ['3 of (A, B and C, D, E)', 'A B D', false],
    ['3 of (A, B and C, D, E)', 'A D E', true],
  ] as const)('%s with %s: opens = %s whatever rows are used', (text, names, expected) => {
    const compiled = policy(text);
    const key = keyGen('subject', names.split(' '));
    const held = new Set(names.split(' ').map(hex));
    const used = reconstruct(compiled, held);
    expect(used !== undefined).toBe(expected);
    if (used === undefined) {
      expect(opensBySomeChoice(key, compiled, randomnessFor(compiled))).toBe(false);
    } else {
      const randomness = randomnessFor(compiled);
      const c = encryptRaw(group, compiled, randomness);
      expect(group.equalGT(force(key, compiled, used.rows, c), group.powGT(E, randomness.s))).toBe(true);
    }
  });

  test('one s shared with a repeat of an attribute would break it, and this test would notice', () => {
    const compiled = policy('2 of (A, A, B)');
    const bob = keyGen('bob', ['B']);
    // rows 0 and 1 carry A; their quotient is H(b)^(lambda_0 - lambda_1) if both use one s'.
    // lambda_i = s + v (i + 1), so s = lambda_2 - 3 v with v = lambda_1 - lambda_0.
    const used: UsedRow[] = [
      { index: 0, coefficient: 3n },
      { index: 1, coefficient: -3n },
      { index: 2, coefficient: 1n },
    ];
    const good = randomnessFor(compiled);
    const reused = { ...good, sPrime: good.sPrime.map(() => good.sPrime[0]) };
    for (const [randomness, opens] of [
      [good, false],
      [reused, true],
    ] as const) {
      const c = encryptRaw(group, compiled, randomness);
      // Both repeats are put under one c2, where the A parts of the rows cancel against nothing.
      const leaves = new Map(bob.leaves).set(hex('A'), group.mulG1(group.g1, 0n));
      const sums = decryptionSums(group, compiled, used, leaves, (i) => c.c3[i]);
      if (sums === undefined) throw new Error('unreachable');
      const K = decryptRaw(group, bob, sums, c.c1, (j) => c.c2[j - 1]);
      expect(group.equalGT(K, group.powGT(E, randomness.s))).toBe(opens);
    }
  });

  test('two subjects do not pool attributes: every mixture of k1, k3 and leaves fails', () => {
    const compiled = policy('A and B');
    const alice = keyGen('alice', ['A']);
    const bob = keyGen('bob', ['B']);
    const leaves = new Map([...alice.leaves, ...bob.leaves]);
    const pairs = [alice, bob].flatMap((x) => [alice, bob].map((y) => ({ k1: x.k1, k3: y.k3, leaves })));
    for (const key of pairs) expect(opensBySomeChoice(key, compiled, randomnessFor(compiled))).toBe(false);
    // The pooled leaves do open when they are of one subject.
    const both = keyGen('carol', ['A', 'B']);
    expect(opensBySomeChoice(both, compiled, randomnessFor(compiled))).toBe(true);
    // With one r for both subjects pooling would work: the test would notice.
    const twin = keyGenRaw(group, g1Alpha, randomScalar('alice'), [leaf('B')]);
    const pooled = { ...alice, leaves: new Map([...alice.leaves, ...twin.leaves]) };
    expect(opensBySomeChoice(pooled, compiled, randomnessFor(compiled))).toBe(true);
  });

  test('two subjects of one consortium mixed per authority fail, whatever quorum each gives', () => {
    const t = 3;
    const coefficients = [alpha, randomScalar('a1'), randomScalar('a2')];
    const share = (x: number): bigint => mod(coefficients.reduceRight((acc, a) => acc * BigInt(x) + a, 0n));
    const part = (subject: string, authority: number, names: readonly string[]): RawKey =>
      keyGenRaw(
        group,
        group.mulG1(group.g1, share(authority)),
        randomScalar(`${subject} at ${authority}`),
        names.map(leaf),
      );
    const combine = (
      points: readonly number[],
      parts: readonly RawKey[],
      names: readonly string[],
    ): RawKey => {
      const weights = lagrangeScalars(points);
      const sum = (pick: (part: RawKey) => G1 | undefined): G1 =>
        group.sumG1(
          parts.flatMap((p, i) => {
            const point = pick(p);
            return point === undefined ? [] : [group.mulG1(point, weights[i])];
          }),
        );
      return {
        k1: sum((p) => p.k1),
        k3: group.sumG2(parts.map((p, i) => group.mulG2(p.k3, weights[i]))),
        leaves: new Map(names.map((name) => [hex(name), sum((p) => p.leaves.get(hex(name)))])),
      };
    };
    const compiled = policy('A and B');
    const tryKey = (key: RawKey) => opensBySomeChoice(key, compiled, randomnessFor(compiled));
    const whole = [1, 2, 3].map((i) => part('alice', i, ['A', 'B']));
    expect(tryKey(combine([1, 2, 3], whole, ['A', 'B']))).toBe(true);
    // Alice gives two authorities, Bob the third.
    const mixed = [part('alice', 1, ['A', 'B']), part('alice', 2, ['A', 'B']), part('bob', 3, ['A', 'B'])];
    expect(tryKey(combine([1, 2, 3], mixed, ['A', 'B'])), 'each share is right, so a mixture opens').toBe(
      true,
    );
    // ... but only because each authority individually gave A and B to somebody. Where one gave half, it fails.
    const half = [part('alice', 1, ['A', 'B']), part('alice', 2, ['A', 'B']), part('bob', 3, ['A'])];
    expect(tryKey(combine([1, 2, 3], half, ['A', 'B']))).toBe(false);
    // Fewer than t authorities, weights for two points or for three with one part missing.
    expect(tryKey(combine([1, 2], whole.slice(0, t - 1), ['A', 'B']))).toBe(false);
    const missing = { k1: group.mulG1(group.g1, 0n), k3: group.mulG2(group.g2, 0n), leaves: new Map() };
    expect(tryKey(combine([1, 2, 3], [whole[0], whole[1], missing], ['A', 'B']))).toBe(false);
    // Leaves of one quorum with k1 and k3 of another.
    const other = [2, 3, 4].map((i) => part('alice', i, ['A', 'B']));
    const first = combine([1, 2, 3], whole, ['A', 'B']);
    const second = combine([2, 3, 4], other, ['A', 'B']);
    expect(tryKey(second)).toBe(true);
    expect(tryKey({ ...first, leaves: second.leaves })).toBe(false);
    expect(tryKey({ ...first, k3: second.k3 })).toBe(false);
  });

  test('a gate of another subject, generation, record or version does not open, in any mixture', () => {
    const recordId = id('record');
    const gateOf = (seed: string, record: Uint8Array, version: number): G1 =>
      group.mulG1(group.hashToG1(gateLeaf(record, version)), randomScalar(seed));
    const compiled = compilePolicy(parsePolicy('h/x:A'), REGISTRY, { gate: { recordId, version: 2 } });
    const gateHex = compiled.rows[1].leafHex;
    const tryGate = (gate: G1): boolean => {
      const key = keyGen('alice gen 2', ['A']);
      const leaves = new Map(key.leaves).set(gateHex, gate);
      return opensBySomeChoice({ ...key, leaves }, compiled, randomnessFor(compiled));
    };
    expect(tryGate(gateOf('alice gen 2', recordId, 2))).toBe(true);
    expect(tryGate(gateOf('bob gen 2', recordId, 2))).toBe(false);
    expect(tryGate(gateOf('alice gen 1', recordId, 2))).toBe(false);
    expect(tryGate(gateOf('alice gen 2', recordId, 1))).toBe(false);
    expect(tryGate(gateOf('alice gen 2', id('other record'), 2))).toBe(false);
    expect(tryGate(group.mulG1(group.g1, 0n))).toBe(false);
  });

  test('an attribute called gate is no gate', () => {
    // The label `gate` itself is reserved; what counts is that no text reaches the gate's type byte.
    const registry = makeRegistry([{ label: 'gates', type: 'text' }]);
    const recordId = id('record');
    const compiled = compilePolicy(parsePolicy('h/x:A'), REGISTRY, { gate: { recordId, version: 1 } });
    const forged = attributeLeaves([parseAttribute(`h/gates:record-${toHex(recordId)}-1`)], registry);
    const key = keyGenRaw(group, g1Alpha, randomScalar('mallory'), [leaf('A'), ...forged]);
    expect(opensBySomeChoice(key, compiled, randomnessFor(compiled))).toBe(false);
  });
});
