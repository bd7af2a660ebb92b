/**
 * Chosen ciphertexts, all at once: whatever header the adversary makes of its elements, an honest key h answers with a
 * value in the span W of (alpha + b r) y, x_u r y and z r, for y in G2, z in G1 and u in the key. With a tag on
 * (alpha + b r) s of the challenge, the tag is in the span exactly when the decryption of some header that depends on
 * the challenge can be predicted: allowed only to those who open the challenge anyway, with a key that does too.
 */
import { describe, expect, test } from 'vitest';
import {
  knowledgeOf,
  leavesOfPart,
  type Part,
  partSatisfies,
  products,
  ruleOpens,
  type World,
} from './game.ts';
import { add, multiply, type Polynomial } from './polynomial.ts';
import { isInSpan } from './span.ts';
import { Choices, randomWorld } from './worlds.ts';

interface HonestKey {
  readonly holds: Pick<Part, 'attributes' | 'gates' | 'emergencies'>;
  /** Whether g2^r of the key is known. */
  readonly isK3Public: boolean;
  /** Whether corrupt issuers mixed a key without alpha ("zero key", under an r of theirs) into it. */
  readonly isFed: boolean;
}

function predictsDecryption(world: World, h: number, { holds, isK3Public, isFed }: HonestKey): boolean {
  const { variables, b, x, g1, g2, gt, compiled } = knowledgeOf(world);
  const held = new Set(leavesOfPart(world.registry, holds));
  const mine = [...new Set(compiled.flatMap(({ rows }) => rows.map(({ leafHex }) => leafHex)))].filter(
    (leaf) => held.has(leaf),
  );
  let r = variables.of('r/honest');
  if (isFed) {
    // More than corrupt issuers can have: b, x_u and 1 under a fresh exponent, which then blinds the honest key too.
    const fed = variables.of('r/fed');
    g1.push(multiply(b, fed), ...mine.map((leaf) => multiply(x(leaf), fed)));
    g2.push(fed);
    r = add(r, fed);
  }
  if (isK3Public) g2.push(r);
  const s = variables.of(`s/${h}`);
  const blinded = add(variables.of('alpha'), multiply(b, r));
  const tag = variables.of('tag');
  const answers: Polynomial[] = [];
  for (const y of g2) {
    const value = multiply(blinded, y);
    answers.push(isSame(y, s) ? add(value, tag) : value);
    for (const leaf of mine) answers.push(multiply(multiply(x(leaf), r), y));
  }
  for (const z of g1) answers.push(multiply(z, r));
  return isInSpan(tag, [...gt, ...products(g1, g2), ...answers]);
}

const isSame = (a: Polynomial, b: Polynomial): boolean =>
  a.size === b.size && [...a].every(([monomial, value]) => b.get(monomial) === value);

describe('the decryption oracle', () => {
  test('600 games: a decryption is predictable only where challenge and key are open', () => {
    const wrong: string[] = [];
    let predictable = 0;
    let shut = 0;
    for (let seed = 40_000; seed < 40_600; seed++) {
      const world = randomWorld(seed);
      const choices = new Choices(seed ^ 0x5eed);
      // The honest holder has what some part has: often enough to satisfy the header.
      const holds =
        world.parts.length > 0 ? choices.of(world.parts) : { attributes: [], gates: [], emergencies: [] };
      const key = { holds, isK3Public: choices.chance(0.5), isFed: choices.chance(0.5) };
      const [header] = world.headers;
      const expected = ruleOpens(world, header) && partSatisfies(world.registry, holds, header);
      if (expected) predictable++;
      if (!ruleOpens(world, header)) shut++;
      if (predictsDecryption(world, 0, key) !== expected) wrong.push(`seed ${seed}: expected ${expected}`);
    }
    expect(wrong).toEqual([]);
    expect(predictable).toBeGreaterThan(50);
    expect(shut).toBeGreaterThan(100);
  });
});
