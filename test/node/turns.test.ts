/** Long work of several members beside each other on one event loop. */
import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { giveWay } from '../../src/node/turns.ts';

/** Longer than long work may take of a turn. */
const STEP_MS = 6;

function spin(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe('long work', () => {
  it('of several members has one step in a turn of the event loop, and each its steps in order', async () => {
    let turns = 0;
    let isOver = false;
    const counting = (async () => {
      for (; !isOver; turns++) await turn();
    })();
    const steps: { who: number; turn: number }[] = [];
    const work = async (who: number): Promise<void> => {
      for (let i = 0; i < 5; i++) {
        await giveWay();
        steps.push({ who, turn: turns });
        spin(STEP_MS);
      }
    };
    await Promise.all([work(0), work(1), work(2)]);
    isOver = true;
    await counting;
    expect(steps.map(({ who }) => who)).toEqual(Array.from({ length: 15 }, (_, i) => i % 3));
    expect(new Set(steps.map((step) => step.turn)).size).toBe(15);
  });
});
