/**
 * The opening rule against the algebra: over random games a header's key is in the span of the adversary's elements
 * exactly when corrupt authorities plus honest ones that each satisfied the policy for some key reach t.
 */
import { describe, expect, test } from 'vitest';
import { ruleOpens, spanOpens } from './game.ts';
import { randomWorld } from './worlds.ts';

const SCENARIOS = Number(process.env.HIPPOCRYPT_SYMBOLIC_SCENARIOS ?? 2000);

describe('random games', () => {
  test(`${SCENARIOS} worlds: a header opens iff the rule says so`, () => {
    const wrong: string[] = [];
    let open = 0;
    let shut = 0;
    for (let seed = 0; seed < SCENARIOS; seed++) {
      const world = randomWorld(seed);
      world.headers.forEach((header, h) => {
        const expected = ruleOpens(world, header);
        if (expected) open++;
        else shut++;
        if (spanOpens(world, h) !== expected) wrong.push(`seed ${seed} header ${h}: rule says ${expected}`);
      });
    }
    expect(wrong).toEqual([]);
    // Both verdicts are well represented, or agreement would say little.
    expect(open).toBeGreaterThan(SCENARIOS / 3);
    expect(shut).toBeGreaterThan(SCENARIOS / 3);
  });
});
