/**
 * The checker finds what is broken: each mistake, planted into games whose header must stay shut, opens some of them;
 * what is merely suspicious opens none. A checker that passed everything would pass here too, but for this test.
 */
import { describe, expect, test } from 'vitest';
import { type Break, ruleOpens, spanOpens, type World } from './game.ts';
import { randomWorld } from './worlds.ts';

const SHUT = 261;
/** A mistake is found when it opens this many; searching on would only cost time. */
const ENOUGH = 5;

function shutGames(count: number, epochs: number, seed: number): { world: World; h: number }[] {
  const games: { world: World; h: number }[] = [];
  for (let at = seed; games.length < count; at++) {
    const world = randomWorld(at, epochs);
    world.headers.forEach((header, h) => {
      if (!ruleOpens(world, header) && games.length < count) games.push({ world, h });
    });
  }
  return games;
}

function openedBy(
  games: readonly { world: World; h: number }[],
  planted: Break | undefined,
  enough: number,
): number {
  let opened = 0;
  for (const { world, h } of games) {
    if (opened >= enough) break;
    if (spanOpens(world, h, planted)) opened++;
  }
  return opened;
}

describe(`${SHUT} games that must stay shut`, () => {
  const games = shutGames(SHUT, 1, 10_000);

  test.each<[string, Break?]>([
    ['nothing planted'],
    ['g2^alpha_i published', 'g2^alpha_i published'],
    ['g1^r_i published', 'g1^r_i published'],
  ])('stay shut: %s', (_, planted) => {
    expect(openedBy(games, planted, SHUT)).toBe(0);
  });

  test.each<Break>([
    'generation missing in the PRF',
    'one r for all subjects',
    'one r at all authorities',
    "one s' for repeats",
    "s' shared by headers",
    'AND gives its secret to one child',
    'g2^v published',
    'H(b)^v published',
    'H(b)^r_i published',
    'a client names the point that is raised',
    'g1^alpha_i published',
    'an attribute hashes to H(b)',
    'H is a known multiple of g1',
  ])('are found open with: %s', (planted) => {
    expect(openedBy(games, planted, ENOUGH)).toBe(ENOUGH);
  });
});

describe('two share epochs', () => {
  test('300 games: a header opens iff the rule holds within one epoch', () => {
    const wrong: string[] = [];
    let open = 0;
    for (let seed = 20_000; seed < 20_300; seed++) {
      const world = randomWorld(seed, 2);
      world.headers.forEach((header, h) => {
        const expected = ruleOpens(world, header);
        if (expected) open++;
        if (spanOpens(world, h) !== expected) wrong.push(`seed ${seed} header ${h}: rule says ${expected}`);
      });
    }
    expect(wrong).toEqual([]);
    expect(open).toBeGreaterThan(50);
  });

  const games = shutGames(SHUT, 2, 30_000);
  test.each<Break>(['one r in both share epochs', 'seeds of old epochs are kept'])(
    'are found open with: %s',
    (planted) => {
      expect(openedBy(games, planted, ENOUGH)).toBe(ENOUGH);
    },
  );
});
