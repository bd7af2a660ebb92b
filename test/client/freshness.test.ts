/** The bound on how old a state may be that is taken for the newest. */
import { describe, expect, it } from 'vitest';
import { FRESHNESS_MS, requireFresh } from '../../src/client/freshness.ts';
import { HEARTBEAT_MS } from '../../src/consensus/limits.ts';

describe('a state', () => {
  const block = { height: 7, time: 1_700_000_000_000 };

  it('is taken up to the bound and refused a millisecond later, with what to do', () => {
    expect(() => requireFresh(block, block.time + FRESHNESS_MS, FRESHNESS_MS)).not.toThrow();
    const late = (): void => requireFresh(block, block.time + FRESHNESS_MS + 1, FRESHNESS_MS);
    expect(late).toThrowError(expect.objectContaining({ code: 'checkpoint.stale', details: block }));
    expect(late).toThrowError(/70 s old.*ask again.*clocks.*another member.*maxAgeMs/s);
  });

  it('from ahead of the clock is new, and any age is taken without a bound', () => {
    expect(() => requireFresh(block, block.time - 3_600_000, FRESHNESS_MS)).not.toThrow();
    expect(() => requireFresh(block, block.time + 1e12, Number.POSITIVE_INFINITY)).not.toThrow();
  });

  it('of an idle ledger is within the bound although one empty block fails', () => {
    expect(FRESHNESS_MS).toBeGreaterThan(2 * HEARTBEAT_MS);
  });
});
