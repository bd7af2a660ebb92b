/**
 * A crash at every effect boundary (ledger-security section 4.3): one member stops right after its k-th record was
 * appended, flushed, or half flushed, and starts again. It must go on as if it had never stopped: nobody signs twice,
 * nothing is lost, everything commits.
 */
import { describe, expect, test } from 'vitest';
import type { WalRecord } from '../../src/consensus/core/types.ts';
import type { CrashMode, SimNode } from '../../src/consensus/sim/node.ts';
import { Stage } from './support/stage.ts';

/** Stops `victim` when its k-th record is appended. */
class CrashingStage extends Stage {
  crashAt = Number.POSITIVE_INFINITY;
  victim = -1;
  mode: CrashMode = 'lost';
  #records = 0;

  override observePersist(
    node: SimNode,
    record: WalRecord,
    chain: Parameters<Stage['observePersist']>[2],
  ): void {
    super.observePersist(node, record, chain);
    if (node.index !== this.victim || ++this.#records !== this.crashAt) return;
    // After the step, before its flush has ended.
    this.schedule.after(0, () => {
      node.crash(this.mode);
      this.schedule.after(300, () => node.start());
    });
  }

  get records(): number {
    return this.#records;
  }
}

/** Three heights; at the second the leader's COMMITs are lost, so that a view change happens. */
function play(victim: number, crashAt: number, mode: CrashMode): CrashingStage {
  const stage = new CrashingStage(4);
  stage.victim = victim;
  stage.crashAt = crashAt;
  stage.mode = mode;
  stage.start();
  stage.route = (p) => !(p.message.type === 'commit' && p.message.height === 2 && p.message.view === 0);
  for (let i = 0; i < 3; i++) {
    const request = stage.submit(1);
    stage.nodes[2].submit(request);
    stage.run(6000);
  }
  stage.route = () => true;
  for (const node of stage.nodes) if (!node.up) node.start();
  stage.run(3000);
  return stage;
}

describe('a crash at every record', () => {
  const records = play(0, Number.POSITIVE_INFINITY, 'lost').records;

  test('the undisturbed play writes proposals, locks, a view change and decisions', () => {
    expect(records).toBeGreaterThanOrEqual(10);
  });

  for (const mode of ['lost', 'partly', 'synced'] as const) {
    test.each([0, 1, 3])(`what was not flushed is ${mode}: member %i`, (victim) => {
      for (let k = 1; k <= records; k++) {
        const stage = play(victim, k, mode);
        expect(stage.checks.violations, `record ${k}`).toEqual([]);
        const executed = stage.nodes.map((node) => node.application.executed.join());
        expect(executed[0].split(',').length, `record ${k}`).toBe(3);
        expect(new Set(executed).size, `record ${k}`).toBe(1);
        expect(stage.nodes[victim].replica?.voting, `record ${k}`).toBe(true);
      }
    });
  }
});
