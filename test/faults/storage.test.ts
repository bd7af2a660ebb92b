/** Ten moments of the kill script, short ones: more, and at length, with `npm run faults -- storage`. */
import { expect, it } from 'vitest';
import { COMMAND, isBuilt } from '../cli/process.ts';
import { storageMoments } from './storage-moments.ts';

it.skipIf(!isBuilt)(
  'a custodian killed in the middle of put, import, index, erasure and backup loses nothing and leaves nothing half done; damaged payloads are repaired from copies (needs dist/)',
  async () => {
    const summary = await storageMoments({ moments: 10, seed: 3, command: COMMAND, quick: true });
    expect(summary.violations).toEqual([]);
    expect(summary.moments).toHaveLength(10);
    expect(summary.moments.filter(({ at }) => at !== undefined).length).toBeGreaterThanOrEqual(7);
    expect(summary.damage).toHaveLength(4);
    expect(summary.erased).toBeGreaterThan(0);
  },
  300_000,
);
