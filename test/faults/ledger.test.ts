/** Three rounds of the fault script, short ones: the whole rotation is `npm run faults -- ledger`. */
import { expect, it } from 'vitest';
import { COMMAND, isBuilt } from '../cli/process.ts';
import { ledgerRounds } from './ledger-rounds.ts';

it.skipIf(!isBuilt)(
  'four processes under load lose nothing and do not fork when the leader is killed, a log of votes is damaged, and all are killed (needs dist/)',
  async () => {
    const summary = await ledgerRounds({
      rounds: 3,
      seed: 2,
      command: COMMAND,
      kinds: ['leader killed', 'wal flipped', 'all killed'],
    });
    expect(summary.violations).toEqual([]);
    expect(summary).toMatchObject({ lost: 0, forks: 0 });
    expect(new Set(summary.rounds.map(({ kind }) => kind)).size).toBe(3);
    expect(summary.acknowledged).toBeGreaterThan(20);
    expect(summary.verified).toHaveLength(4);
  },
  300_000,
);
