/**
 * All schedules of the production core in small worlds (ledger-security section 3), and the same with each guard left
 * out: then there is a fork, not much longer than the shortest that the model of that section found.
 */
import { describe, expect, test } from 'vitest';
import type { Weakening } from '../../src/consensus/core/weakening.ts';
import type { SearchOptions } from '../../src/consensus/sim/exhaustive/model.ts';
import { searchExhaustively } from '../../src/consensus/sim/exhaustive/search.ts';

const STATES_MAX = 2_000_000;
/** A schedule may be longer than the model's by so many steps: what is one step differs a little. */
const SLACK = 4;

describe('all schedules', () => {
  test.each<[string, Omit<SearchOptions, 'statesMax'>, number]>([
    ['n = 4, the liar leads view 0, two views', { byzantine: [0], views: 2 }, 3000],
    ['n = 4, the liar leads view 1, two views', { byzantine: [1], views: 2 }, 2900],
    ['n = 4, the liar leads view 2, three views', { byzantine: [2], views: 3 }, 300_000],
    ['n = 4, the liar leads view 3, three views', { byzantine: [3], views: 3 }, 90_000],
    ['n = 4, one restart with its log', { byzantine: [1], views: 2, crash: 'restart' }, 5000],
    ['n = 4, one amnesiac', { byzantine: [1], views: 2, crash: 'amnesia' }, 10_000],
    ['n = 6, two views', { members: 6, byzantine: [1], views: 2 }, 10_000],
  ])('%s: no fork, every state looked at', (_name, options, atLeast) => {
    const result = searchExhaustively({ ...options, statesMax: STATES_MAX });
    expect(result.fork).toBeUndefined();
    expect(result.exhausted).toBe(true);
    expect(result.states).toBeGreaterThan(atLeast);
  });
});

/** Guard, place of the liar, views, steps of the model's shortest fork, and what else the world needs. */
const ROWS: readonly [keyof Weakening, number, number, number, Partial<SearchOptions>?][] = [
  ['dropLock', 2, 2, 10],
  ['rebuildHeader', 1, 2, 10],
  ['anyCertificate', 3, 3, 14],
  ['certificatesUnchecked', 1, 2, 10],
  ['newViewUnderived', 1, 2, 10],
  ['secondPrePrepare', 0, 2, 8],
  ['voteAfterViewChange', 2, 2, 10],
  ['leaderCountedTwice', 0, 2, 11],
  ['prepareQuorumLess', 0, 2, 11],
  ['commitQuorumLess', 2, 2, 8],
  ['viewChangeQuorumLess', 2, 2, 9],
  ['forgetAccepted', 0, 2, 9, { crash: 'restart' }],
  ['forgetLock', 2, 2, 11, { crash: 'restart' }],
  ['forgetPromise', 2, 2, 11, { crash: 'restart' }],
  ['rejoinEarly', 0, 2, 16, { crash: 'amnesia' }],
  ['rejoinAtOnce', 0, 2, 16, { crash: 'amnesia' }],
  ['answersOfFew', 3, 2, 16, { crash: 'amnesia', heights: 2 }],
  ['viewChangeAnyHeight', 3, 2, 16, { heights: 2 }],
  ['viewsOutliveHeights', 3, 2, 16, { heights: 2 }],
];

describe('without a guard there is a fork', () => {
  test.each(ROWS)(
    '%s, the liar leading view %i of %i: at most %i + 4 steps',
    (guard, liar, views, steps, more) => {
      const weaken = { [guard]: true };
      const result = searchExhaustively({ byzantine: [liar], views, statesMax: STATES_MAX, ...more, weaken });
      expect(result.fork).toBeDefined();
      expect(result.fork?.length).toBeLessThanOrEqual(steps + SLACK);
    },
  );
});
