/**
 * Agreement among four validators, each a process with its own disk, over the member link: signed entries of 256 bytes,
 * durable at a quorum before they are acknowledged. One at a time, 200 under way, and the gap when the leader is killed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { percentiles, type Row, round } from './harness/row.ts';
import { withTarget } from './harness/targets.ts';
import { Cluster, type Loaded } from './ledger/cluster.ts';

export interface LedgerBenchOptions {
  readonly quick?: boolean;
  /** Where the validators' stores are made; the system's temporary directory unless told. */
  readonly directory?: string;
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

const OUTSTANDING = 200;
const ENTRIES_MAX = 1_000_000;
/** The leader is killed this long after the load began. */
const KILL_AFTER_MS = 1_500;
/** Longest wait for the last member to apply what the others acknowledged. */
const SETTLE_MS_MAX = 30_000;

const suite = 'ledger';
const n = 4;
const bytes = 256;

/** The rows in order of running: half a minute, or ten seconds when `quick`. */
export async function runLedgerBench(options: LedgerBenchOptions = {}): Promise<Row[]> {
  const dir = mkdtempSync(join(options.directory ?? tmpdir(), 'hippocrypt-bench-ledger-'));
  const rows: Row[] = [];
  const add = (row: Row): void => {
    rows.push(row);
    options.log?.(JSON.stringify(row));
  };
  const cluster = await Cluster.start(dir, Date.now());
  try {
    const warm = { outstanding: 16, entries: 500, ms: 20_000 };
    for (const index of cluster.alive) await cluster.load(index, warm);
    for (const row of await serial(cluster, options.quick ? 300 : 2_000)) add(row);
    add(await parallel(cluster, options.quick ? 3_000 : 12_000));
    add(await leaderKilled(cluster));
  } finally {
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return rows;
}

/** One entry at a time: at the leader, and at another member, whose entries travel to the leader first. */
async function serial(cluster: Cluster, runs: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const where of ['leader', 'follower'] as const) {
    const { leader } = await cluster.status(0);
    const index = where === 'leader' ? leader : (leader + 1) % n;
    // The lead rotates; a short run at each place keeps to one.
    const { latencies, failed } = await cluster.load(index, { outstanding: 1, entries: runs, ms: 120_000 });
    const row = {
      suite,
      op: `commit, 1 outstanding, at a ${where}`,
      n,
      bytes,
      runs,
      failed,
      ...percentiles(latencies),
    };
    rows.push(where === 'leader' ? withTarget(row, 'p50_ms <= 3') : row);
  }
  return rows;
}

/** 200 under way, spread over all four members, as gateways would. */
async function parallel(cluster: Cluster, ms: number): Promise<Row> {
  const load = { outstanding: OUTSTANDING / n, entries: ENTRIES_MAX, ms };
  const loaded = await Promise.all(cluster.alive.map((index) => cluster.load(index, load)));
  const times = loaded.flatMap((one) => one.times);
  // From the first to the last acknowledgement, without the ramp before and the tail after.
  const seconds = (largest(times) - smallest(times)) / 1000;
  const row = {
    suite,
    op: `commit, ${OUTSTANDING} outstanding`,
    n,
    bytes,
    runs: times.length,
    failed: sum(loaded.map((one) => one.failed)),
    ...percentiles(loaded.flatMap((one) => one.latencies)),
    per_s: round(times.length / seconds),
  };
  return withTarget(row, 'per_s >= 4500');
}

/** SIGKILL of the leader under load: how long the survivors acknowledge nothing, and what they lost of what they had. */
async function leaderKilled(cluster: Cluster): Promise<Row> {
  const { leader } = await cluster.status(0);
  const load = { outstanding: 8, entries: ENTRIES_MAX, ms: 10_000 };
  const survivors = cluster.alive.filter((index) => index !== leader);
  const loads = survivors.map((index) => cluster.load(index, load));
  await new Promise((resolve) => setTimeout(resolve, KILL_AFTER_MS));
  const killedAt = performance.timeOrigin + performance.now();
  await cluster.kill(leader);
  const loaded = await Promise.all(loads);
  const after = loaded.flatMap((one) => one.times).filter((time) => time > killedAt);
  if (after.length === 0) throw new Error('nothing was committed after the leader was killed');
  const gaps = gapsOf(killedAt, loaded);
  await settled(cluster);
  const acknowledged = loaded.flatMap((one) => one.acknowledged);
  const missing = await Promise.all(survivors.map((index) => cluster.missing(index, acknowledged)));
  const row = {
    suite,
    op: 'leader killed, until the next commit',
    n,
    bytes,
    runs: acknowledged.length,
    ...percentiles(gaps),
    lost: Math.max(...missing),
  };
  return withTarget(row, 'p95_ms <= 3000 and lost <= 0');
}

/** Per survivor, the longest silence that began at or after the kill. */
function gapsOf(killedAt: number, loaded: readonly Loaded[]): number[] {
  return loaded.map(({ times }) => {
    let last = killedAt;
    let longest = 0;
    for (const time of times.filter((one) => one > killedAt)) {
      longest = Math.max(longest, time - last);
      last = time;
    }
    return longest;
  });
}

/** Until all survivors have the same log. */
async function settled(cluster: Cluster): Promise<void> {
  const until = performance.now() + SETTLE_MS_MAX;
  for (;;) {
    const roots = await Promise.all(cluster.alive.map(async (index) => (await cluster.status(index)).root));
    if (new Set(roots).size === 1) return;
    if (performance.now() > until) throw new Error('the survivors did not come to the same log');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);
const largest = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b));
const smallest = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b));
