/** One load on the own cluster or on SmartBFT, and its figures in the same units. */
import type { Cluster } from './cluster.ts';
import { SmartBft } from './smartbft.ts';

export interface AskedLoad {
  /** Requests under way at once: one client at the leader, or the same number at each member. */
  readonly outstanding: number;
  /** Entries of each request. */
  readonly list: number;
  readonly ms: number;
}

export interface Figures {
  /** Milliseconds from submission to acknowledgement, a request each. */
  readonly latencies: readonly number[];
  /** Entries a second, from the first to the last acknowledgement. */
  readonly perSecond: number;
  /** Microseconds of processor time an entry and replica, all threads, clients included. */
  readonly cpuUs: number;
  /** Entries a block. */
  readonly batch: number;
  readonly failed: number;
}

export interface PeerFigures extends Figures {
  readonly versions: string;
}

const MEMBERS = 4;
const REQUESTS_MAX = 1_000_000;
/** Loads that are not counted, as warm-up of a cluster that was just started. */
const WARM_MS = 1_500;

function spanOf(times: readonly number[]): number {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const time of times) {
    first = Math.min(first, time);
    last = Math.max(last, time);
  }
  return (last - first) / 1000;
}

async function cpuOf(cluster: Cluster): Promise<number> {
  const all = await Promise.all(cluster.alive.map((index) => cluster.status(index)));
  return all.reduce((total, { cpuMs }) => total + cpuMs, 0);
}

/** The load on four own validators. */
export async function ownLoad(cluster: Cluster, { outstanding, list, ms }: AskedLoad): Promise<Figures> {
  const { leader, height } = await cluster.status(0);
  const cpu = await cpuOf(cluster);
  const indexes = outstanding < MEMBERS ? [leader] : cluster.alive;
  const load = { outstanding: outstanding / indexes.length, requests: REQUESTS_MAX, ms, list };
  const loaded = await Promise.all(indexes.map((index) => cluster.load(index, load)));
  const used = (await cpuOf(cluster)) - cpu;
  const blocks = (await cluster.status(0)).height - height;
  const times = loaded.flatMap((one) => one.times);
  const entries = times.length * list;
  return {
    latencies: loaded.flatMap((one) => one.latencies),
    perSecond: entries / spanOf(times),
    cpuUs: (1000 * used) / entries / MEMBERS,
    batch: entries / blocks,
    failed: loaded.reduce((total, one) => total + one.failed, 0),
  };
}

/** The load on four replicas of SmartBFT, started for it with logs under `dir`. */
export async function peerLoad(
  program: string,
  dir: string,
  { outstanding, list, ms, batch }: AskedLoad & { readonly batch: number },
): Promise<PeerFigures> {
  const peer = await SmartBft.start(program, dir, batch);
  try {
    await peer.load({ outstanding, list, ms: WARM_MS });
    const { latencies_ms: latencies, times, cpu_ms, blocks } = await peer.load({ outstanding, list, ms });
    const entries = times.length * list;
    return {
      latencies,
      perSecond: entries / spanOf(times),
      cpuUs: (1000 * cpu_ms) / entries / MEMBERS,
      batch: entries / blocks,
      failed: 0,
      versions: peer.versions,
    };
  } finally {
    await peer.stop();
  }
}
