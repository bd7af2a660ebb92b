/**
 * Reads of metadata over HTTP, as a console or a portal makes them, evenly over the four gateways. Paced: requests are due
 * at a fixed rate and their time counts from when they were due, so that a stall is not hidden by waiting clients. Loaded:
 * meanwhile records are sealed and committed without pause, which keeps all worker threads busy with pairings.
 */
import { Agent, request } from 'node:http';
import { Gateway } from '../../src/client/index.ts';
import { percentiles, quantile, type Row, round } from '../harness/row.ts';
import { withTarget } from '../harness/targets.ts';
import type { Consortium } from './consortium.ts';

/** A tenth above the target, so that reaching it is a matter of the server. */
const OFFERED_PER_S = 1100;
const SOCKETS = 32;
/** Records of one sealed list, and lists on their way at once. */
const LIST_RECORDS = 32;
const LISTS_AT_ONCE = 2;

interface Door {
  readonly url: string;
  readonly token: string;
}

export interface ReadOptions {
  readonly consortium: Consortium;
  /** Records that exist, for reads of single ones. */
  readonly records: readonly string[];
  readonly seconds: number;
}

export async function reads(options: ReadOptions): Promise<{ rows: readonly Row[]; sealed: number }> {
  const { consortium, seconds } = options;
  const doors: Door[] = [];
  for (const url of consortium.urls.values()) {
    const gateway = new Gateway({ url });
    await gateway.login('admin', consortium.password);
    doors.push({ url, token: gateway.token ?? '' });
  }
  const paths = mixedPaths(options.records);
  await paced(doors, paths, 1);
  const idle = await measured(consortium, 'reads of metadata, idle', () => paced(doors, paths, seconds));
  const load = sealing(consortium);
  const loaded = await measured(consortium, 'reads of metadata while records are sealed', () =>
    paced(doors, paths, seconds),
  );
  const { records, ms } = await load.end();
  const row = { ...loaded, sealed_per_s: Math.round((1000 * records) / ms) };
  return {
    rows: [idle, withTarget(row, 'requests_per_s >= 1000 and loop_delay_p99_ms < 50')],
    sealed: records,
  };
}

/** What is read: mostly single records, then lists, the checkpoint, entries, oneself. */
function mixedPaths(records: readonly string[]): readonly string[] {
  const one = (i: number): string => `/v1/records/${records[i % records.length]}`;
  return [
    ...Array.from({ length: 12 }, (_, i) => one(i)),
    '/v1/records?limit=10',
    '/v1/ledger/checkpoint',
    '/v1/ledger/entries?kind=Access&limit=10',
    '/v1/me',
    '/v1/search/fields',
    '/v1/members',
  ];
}

async function measured(
  consortium: Consortium,
  op: string,
  run: () => Promise<{ times: readonly number[]; ms: number }>,
): Promise<Row> {
  await consortium.loopDelay();
  const { times, ms } = await run();
  const delay = await consortium.loopDelay();
  return {
    suite: 'main',
    op,
    n: times.length,
    ...percentiles(times),
    p99_ms: round(quantile(times, 0.99)),
    requests_per_s: Math.round((1000 * times.length) / ms),
    offered_per_s: OFFERED_PER_S,
    loop_delay_p50_ms: round(delay.p50),
    loop_delay_p99_ms: round(delay.p99),
    loop_delay_max_ms: round(delay.max),
  };
}

/** Sends requests when they are due, whatever became of those before; answers when all have been answered. */
async function paced(
  doors: readonly Door[],
  paths: readonly string[],
  seconds: number,
): Promise<{ times: readonly number[]; ms: number }> {
  const agents = doors.map(() => new Agent({ keepAlive: true, maxSockets: SOCKETS / doors.length }));
  const total = Math.round(OFFERED_PER_S * seconds);
  const times: number[] = [];
  const begin = performance.now();
  const running: Promise<void>[] = [];
  for (let i = 0; i < total; i++) {
    const due = begin + (1000 * i) / OFFERED_PER_S;
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
    const at = i % doors.length;
    running.push(
      get(agents[at], doors[at], paths[i % paths.length]).then(() => {
        times.push(performance.now() - due);
      }),
    );
  }
  await Promise.all(running);
  const ms = performance.now() - begin;
  for (const agent of agents) agent.destroy();
  return { times, ms };
}

function get(agent: Agent, { url, token }: Door, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(url + path, { agent, headers: { authorization: `Bearer ${token}` } }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`GET ${path} answered ${answer.statusCode}`));
      answer.resume().once('end', resolve);
    });
    call.once('error', reject).end();
  });
}

/** Seals and commits lists of records at the four gateways until it is ended. */
function sealing(consortium: Consortium): { end(): Promise<{ records: number; ms: number }> } {
  let isEnding = false;
  let records = 0;
  const begin = performance.now();
  const urls = [...consortium.urls.values()];
  const loop = async (lane: number): Promise<void> => {
    const gateway = new Gateway({ url: urls[lane % urls.length] });
    await gateway.login('admin', consortium.password);
    for (let round = 0; !isEnding; round++) {
      const list = Array.from({ length: LIST_RECORDS }, (_, i) => ({
        content: JSON.stringify({ resourceType: 'Basic', id: `load-${lane}-${round}-${i}` }),
      }));
      await gateway.json('POST', '/v1/records', { body: { records: list } });
      records += list.length;
    }
  };
  const lanes = Array.from({ length: LISTS_AT_ONCE }, (_, lane) => loop(lane));
  const all = Promise.all(lanes);
  all.catch(() => undefined);
  return {
    async end() {
      isEnding = true;
      await all;
      return { records, ms: performance.now() - begin };
    },
  };
}
