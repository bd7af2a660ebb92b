/**
 * Agreement among four validators, each a process with its own disk, over the member link: signed entries of 256 bytes,
 * durable at a quorum before they are acknowledged. One at a time, 16 and 200 under way, lists of 16 under one signature;
 * SmartBFT on the same loads, in turn; a member that follows from nothing; and the gap when the leader is killed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measureFlush } from './harness/environment.ts';
import { percentiles, quantile, type Row, round } from './harness/row.ts';
import { withTarget } from './harness/targets.ts';
import { Cluster, type Loaded } from './ledger/cluster.ts';
import { InProcessCluster } from './ledger/in-process.ts';
import { type Figures, ownLoad, type PeerFigures, peerLoad } from './ledger/loads.ts';
import { buildSmartBft } from './ledger/smartbft.ts';

export interface LedgerBenchOptions {
  readonly quick?: boolean;
  /** Where the validators' stores are made; the system's temporary directory unless told. */
  readonly directory?: string;
  /** Progress lines; nothing unless told. */
  readonly log?: (line: string) => void;
}

const REQUESTS_MAX = 1_000_000;
/** The leader is killed this long after the load began. */
const KILL_AFTER_MS = 1_500;
/** Longest wait for the last member to apply what the others acknowledged. */
const SETTLE_MS_MAX = 30_000;
/** Entries of a signed list, and bytes of each. */
const LIST = 16;
const LIST_ENTRY_BYTES = 192;

const suite = 'ledger';
const n = 4;
const bytes = 256;

/** What is asked of both sides. SmartBFT's batch is what suits it best at this load. */
const LOADS = [
  { outstanding: 1, list: 1, batch: 1, target: 'p50_ms <= 3 and p99_ms <= 10', ratio: 'p50_ratio <= 1.5' },
  { outstanding: 16, list: 1, batch: 8, target: 'per_s >= 1500', ratio: undefined },
  { outstanding: 200, list: 1, batch: 100, target: 'per_s >= 4500', ratio: 'rate_ratio >= 0.55' },
  { outstanding: 200, list: LIST, batch: 100, target: undefined, ratio: 'rate_ratio >= 1' },
] as const;

type AskedLoad = (typeof LOADS)[number];

/** The rows in order of running: three minutes, or forty seconds when `quick`. */
export async function runLedgerBench(options: LedgerBenchOptions = {}): Promise<Row[]> {
  const dir = mkdtempSync(join(options.directory ?? tmpdir(), 'hippocrypt-bench-ledger-'));
  const rows: Row[] = [];
  const add = (row: Row): void => {
    rows.push(row);
    options.log?.(JSON.stringify(row));
  };
  const ms = options.quick ? 3_000 : 10_000;
  const program = buildSmartBft(dir, options.log);
  const cluster = await Cluster.start(dir, Date.now());
  try {
    await warmUp(cluster, ms);
    const flush = measureFlush(dir);
    for (const load of LOADS) {
      const own = await ownLoad(cluster, { ...load, ms });
      add(ownRow(load, own, flush.p50_ms));
      if (program === undefined) continue;
      const peer = await peerLoad(program, join(dir, `smartbft-${load.outstanding}-${load.list}`), {
        ...load,
        ms,
      });
      add(peerRow(load, peer));
      add(ratioRow(load, own, peer));
    }
    add(await follower(cluster, ms));
    add(await catchUp(cluster, options.quick ? 500 : 4_000));
    for (const row of await inOneProcess(join(dir, 'one-process'), ms)) add(row);
    add(await leaderKilled(cluster));
  } finally {
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return rows;
}

/** Until the compiler of each process has seen the code paths of a block of one and of many. */
async function warmUp(cluster: Cluster, ms: number): Promise<void> {
  for (const index of cluster.alive)
    await cluster.load(index, { outstanding: 16, requests: 500, ms: 20_000 });
  for (const index of cluster.alive) await cluster.load(index, { outstanding: 1, requests: 500, ms });
}

const nameOf = ({ outstanding, list }: Pick<AskedLoad, 'outstanding' | 'list'>): string =>
  `${outstanding} outstanding${list > 1 ? `, lists of ${list} signed once` : ''}`;

const bytesOf = ({ list }: AskedLoad): number => (list > 1 ? LIST_ENTRY_BYTES : bytes);

function figuresOf(load: AskedLoad, figures: Figures) {
  const { latencies, perSecond, cpuUs, batch, failed } = figures;
  return {
    n,
    bytes: bytesOf(load),
    runs: latencies.length,
    failed,
    ...percentiles(latencies),
    p99_ms: round(quantile(latencies, 0.99)),
    per_s: round(perSecond),
    cpu_us_an_entry_and_replica: round(cpuUs),
    entries_a_block: round(batch),
  };
}

function ownRow(load: AskedLoad, figures: Figures, flushMs: number): Row {
  const row = {
    suite,
    op: `commit, ${nameOf(load)}${load.outstanding === 1 ? ', at a leader' : ''}`,
    ...figuresOf(load, figures),
    disk_flush_ms: flushMs,
  };
  return load.target === undefined ? row : withTarget(row, load.target);
}

function peerRow(load: AskedLoad, figures: PeerFigures): Row {
  const { versions } = figures;
  return { suite, op: `commit, ${nameOf(load)}`, backend: 'smartbft', ...figuresOf(load, figures), versions };
}

function ratioRow(load: AskedLoad, own: Figures, peer: Figures): Row {
  const row = {
    suite,
    op: `against SmartBFT, ${nameOf(load)}`,
    n,
    runs: own.latencies.length,
    ...percentiles(own.latencies),
    p50_ratio: round(quantile(own.latencies, 0.5) / quantile(peer.latencies, 0.5)),
    rate_ratio: round(own.perSecond / peer.perSecond),
    cpu_ratio: round(own.cpuUs / peer.cpuUs),
  };
  return load.ratio === undefined ? row : withTarget(row, load.ratio);
}

/** One entry at a time at a member that does not lead: it travels to the leader first. */
async function follower(cluster: Cluster, ms: number): Promise<Row> {
  const { leader } = await cluster.status(0);
  const load = { outstanding: 1, requests: REQUESTS_MAX, ms };
  const { latencies, failed } = await cluster.load((leader + 1) % n, load);
  const op = 'commit, 1 outstanding, at a follower';
  return { suite, op, n, bytes, runs: latencies.length, failed, ...percentiles(latencies) };
}

/** A member comes back with an empty disk: it fetches, verifies and executes every block since the beginning. */
async function catchUp(cluster: Cluster, blocks: number): Promise<Row> {
  const { leader } = await cluster.status(0);
  const lost = (leader + 2) % n;
  await cluster.kill(lost);
  await cluster.load(leader, { outstanding: 1, requests: blocks, ms: 120_000 });
  const { height, size } = await cluster.status(leader);
  const { ms, cpuMs } = await cluster.revive(lost, height);
  const row = {
    suite,
    op: 'catching up from nothing, every signature verified',
    n: height,
    runs: 1,
    p50_ms: round(ms),
    p95_ms: round(ms),
    blocks_per_s: round(height / (ms / 1000)),
    entries: size,
    entries_per_s: round(size / (ms / 1000)),
    cpu_us_a_block: round((1000 * cpuMs) / height),
  };
  return withTarget(row, 'blocks_per_s >= 2000');
}

/** Four members on one thread, each with its own disk. None takes another's word for a signature. */
async function inOneProcess(dir: string, ms: number): Promise<Row[]> {
  const cluster = await InProcessCluster.start(dir, Date.now());
  try {
    await cluster.load({ outstanding: 16, requests: 500, ms });
    const { latencies: alone } = await cluster.serial({ outstanding: 1, requests: REQUESTS_MAX, ms: ms / 2 });
    const before = process.cpuUsage();
    const loaded = await cluster.load({ outstanding: 200 / n, requests: REQUESTS_MAX, ms });
    const { user, system } = process.cpuUsage(before);
    const latencies = loaded.flatMap((one) => one.latencies);
    const row = {
      suite,
      op: 'commit in one process, 200 outstanding',
      n,
      bytes,
      runs: latencies.length,
      failed: loaded.reduce((total, one) => total + one.failed, 0),
      ...percentiles(latencies),
      per_s: round(latencies.length / spanOf(loaded)),
      cpu_us_an_entry_and_replica: round((user + system) / latencies.length / n),
    };
    const op = 'commit in one process, 1 outstanding';
    return [
      { suite, op, n, bytes, runs: alone.length, ...percentiles(alone) },
      withTarget(row, 'per_s >= 3000'),
    ];
  } finally {
    await cluster.stop();
  }
}

/** Seconds from the first to the last acknowledgement, without the ramp before and the tail after. */
function spanOf(loaded: readonly Loaded[]): number {
  const times = loaded.flatMap((one) => one.times);
  const [first, last] = times.reduce(
    ([low, high], time) => [Math.min(low, time), Math.max(high, time)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  return (last - first) / 1000;
}

/** SIGKILL of the leader under load: how long the survivors acknowledge nothing, and what they lost of what they had. */
async function leaderKilled(cluster: Cluster): Promise<Row> {
  const { leader } = await cluster.status(cluster.alive[0]);
  const load = { outstanding: 8, requests: REQUESTS_MAX, ms: 10_000 };
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
