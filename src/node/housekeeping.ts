/**
 * What a node tidies while it runs: stagings that came to nothing, payloads that nobody names any more, postings of records
 * that are gone, and index segments that no manifest lists.
 */
import type { IndexService } from './index-service.ts';
import type { NodeLedger } from './ledger.ts';
import type { NodeLog } from './member-options.ts';
import type { Records } from './records.ts';
import type { Replicas } from './replicas.ts';

/** A staging is void two minutes after its transaction was signed, so there is no hurry. */
const SWEEP_MS = 60_000;
/** Sweeps between two collections, which look at every record. */
const SWEEPS_A_COLLECTION = 10;
/** Sweeps between two purges of the index: a day. */
const SWEEPS_A_PURGE = 1_440;
/** A payload is stored before it is staged: it must have been seen unnamed for this long before it goes. */
const COLLECT_GRACE_MS = 5 * 60_000;

export interface HousekeepingOptions {
  readonly records: Records;
  readonly indexes: IndexService;
  readonly replicas: Replicas;
  readonly ledger: NodeLedger;
  readonly clock: () => number;
  readonly log: NodeLog;
  readonly onError: (event: string, error: unknown) => void;
}

/** Sweeps now and from time to time. Answers how to stop; stopping waits for what runs. */
export async function startHousekeeping(options: HousekeepingOptions): Promise<() => Promise<void>> {
  const { records, clock, log, onError } = options;
  let rounds = 0;
  const tidy = async (): Promise<void> => {
    try {
      const swept = await records.sweep();
      if (swept > 0) log.event('records.orphans_removed', { count: swept });
      const round = rounds++;
      if (round > 0 && round % SWEEPS_A_PURGE === 0) await options.indexes.purge();
      if (round % SWEEPS_A_COLLECTION !== 0) return;
      const removed = await records.collect(COLLECT_GRACE_MS, clock());
      if (removed > 0) log.event('payloads.collected', { blocks: removed });
      const segments = await collectIndexes(options, COLLECT_GRACE_MS, clock());
      if (segments > 0) log.event('index.collected', { files: segments });
    } catch (error) {
      onError('housekeeping.failed', error);
    }
  };
  await tidy();
  let running: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    running = running.then(tidy);
  }, SWEEP_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    return running;
  };
}

/** Removes index files that no manifest has listed for `graceMs`, of every custodian. Answers how many. */
export async function collectIndexes(
  { indexes, replicas, ledger }: Pick<HousekeepingOptions, 'indexes' | 'replicas' | 'ledger'>,
  graceMs: number,
  nowMs: number,
): Promise<number> {
  let files = await indexes.collect(graceMs, nowMs);
  for (const custodian of ledger.members())
    if (custodian !== indexes.member) files += await replicas.collect(custodian, graceMs, nowMs);
  return files;
}
