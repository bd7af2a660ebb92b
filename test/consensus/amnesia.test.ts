/** Starts without a whole log (ledger-security rule 21): what such a member may say, and whom it must hear first. */
import { describe, expect, test } from 'vitest';
import { Stage, type } from './support/stage.ts';

describe('a leader that comes back with a damaged log', () => {
  test('passes on nothing that it signed itself: a promise after it may be lost', () => {
    const stage = new Stage(4).start();
    // View 0 fails, r1 proposes in view 1, and nobody hears a vote.
    stage.route = (p) => !type('pre-prepare', 'prepare')(p);
    stage.submit(1);
    const led = (): boolean => stage.sent.some((p) => p.from === 1 && type('new-view')(p));
    stage.until(led);
    const asked = stage.sent.filter((p) => p.from === 3 && p.to === 1 && type('view-change')(p));
    stage.nodes[1].crash('synced');
    stage.nodes[1].loseLog(stage.nodes[1].disk.durable.length);
    stage.route = (p) => p.to !== 1;
    stage.sent.splice(0);
    stage.nodes[1].start();
    stage.run(100);
    expect(stage.nodes[1].replica?.accepted?.view).toBe(1);
    stage.deliver(asked[0]);
    stage.run(100);
    expect(led()).toBe(false);
    expect(stage.checks.violations).toEqual([]);
  });
});
