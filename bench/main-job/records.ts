/** Keys and records: a key request to a usable key, sealing and putting a record, opening one end to end. */
import type { Gateway, Hippocrypt } from '../../src/client/index.ts';
import { percentiles, type Row, round } from '../harness/row.ts';
import { withTarget } from '../harness/targets.ts';
import { CallTimes } from './calls.ts';
import type { Consortium } from './consortium.ts';
import type { Connect } from './people.ts';

/** The ten attributes of the doctor who asks for keys. */
export const doctorAttributes = (member: string): readonly string[] => [
  `${member}/role:doctor`,
  `${member}/role:attending`,
  `${member}/role:staff`,
  `${member}/role:lab`,
  `${member}/role:pharmacist`,
  `${member}/role:nurse`,
  `${member}/dept:cardiology`,
  `${member}/dept:general`,
  `${member}/dept:nephrology`,
  `${member}/dept:oncology`,
];

/** Runs before the clock counts: compiled code, caches of the registry and of authority keys. */
const WARM_UP = 3;

/** What the rows of this file need: the consortium, and how often each operation is timed. */
export interface Bench {
  readonly consortium: Consortium;
  readonly runs: number;
}

/**
 * A row of timed runs of `act`, after a few that are not counted. Processor time stands beside the clock's, because a busy
 * machine stretches the one and hardly the other.
 */
async function timed(
  { consortium, runs: n }: Bench,
  op: string,
  times: CallTimes,
  act: (run: number) => Promise<unknown>,
): Promise<Row> {
  for (let i = 0; i < WARM_UP; i++) await act(i);
  times.clear();
  const server = await consortium.cpuMs();
  const own = process.cpuUsage();
  const samples: number[] = [];
  for (let i = 0; i < n; i++) {
    const begin = performance.now();
    await act(WARM_UP + i);
    samples.push(performance.now() - begin);
  }
  const { user, system } = process.cpuUsage(own);
  const calls = times.summary();
  return {
    suite: 'main',
    op,
    n,
    ...percentiles(samples),
    server_cpu_ms: round(((await consortium.cpuMs()) - server) / n),
    client_cpu_ms: round((user + system) / 1000 / n),
    ...(calls === '' ? {} : { calls_p50_ms: calls }),
  };
}

/**
 * One signed entry, agreed on, durable at a quorum and answered with its receipt: the part of every write that the ledger
 * is answerable for. The entry is an attribute granted to the caller itself.
 */
export async function commits(bench: Bench, connect: Connect, admin: Gateway, member: string): Promise<Row> {
  const { subject } = await (await connect()).me();
  return timed(bench, 'commit one entry, REST', new CallTimes(), (run) => {
    const attribute = encodeURIComponent(`${member}/dept:bench-${run}`);
    return admin.json('PUT', `/v1/subjects/${subject}/attributes/${attribute}`, { body: {} });
  });
}

/** From the request to a key that was checked and can open: ten attributes, parts of four authorities. */
export async function keyRequests(
  bench: Bench,
  connect: Connect,
  attributes: readonly string[],
): Promise<Row> {
  const times = new CallTimes();
  const client = await connect(times);
  let authorities = 0;
  const op = `key request, ${attributes.length} attributes, 4 authorities`;
  const row = await timed(bench, op, times, async () => {
    authorities = (await client.keys.request(attributes)).received.length;
  });
  return withTarget({ ...row, authorities }, 'p50_ms <= 60');
}

const observation = (number: number): Uint8Array =>
  new TextEncoder().encode(
    JSON.stringify({
      resourceType: 'Observation',
      id: `bench-${number}`,
      status: 'final',
      category: [
        {
          coding: [
            { system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' },
          ],
        },
      ],
      code: { coding: [{ system: 'http://loinc.org', code: '8867-4', display: 'Heart rate' }] },
      effectiveDateTime: '2024-05-06T07:08:09Z',
      valueQuantity: {
        value: 60 + (number % 60),
        unit: '/min',
        system: 'http://unitsofmeasure.org',
        code: '/min',
      },
    }),
  );

export interface OpenRows {
  readonly rows: readonly Row[];
  /** Ids of the records that were put. */
  readonly records: readonly string[];
}

/**
 * Records sealed on the client and put one by one; then each opened once: Access committed, gates of four authorities,
 * header and payload checked against the ledger, decrypted. Every plaintext is compared with what was put.
 */
export async function putAndOpen(bench: Bench, connect: Connect, portal: Connect): Promise<OpenRows> {
  const times = new CallTimes();
  const client = await connect(times);
  const ids: string[] = [];
  const put = await timed(bench, 'seal and put one record, SDK', times, async (run) => {
    ids.push(...(await client.records.put([{ content: observation(run), patient: null }])).records);
  });
  // The key is asked for once a session, not once a record.
  await client.keys.request();
  const open = await timed(bench, 'open one record, SDK', times, async (run) => {
    const { plaintext } = await client.records.open(ids[run]);
    if (!sameBytes(plaintext, observation(run))) throw new Error(`record ${run} opened to something else`);
  });
  const custodial = await openCustodial(bench, await portal(times), ids, times);
  return { rows: [put, withTarget(open, 'p50_ms <= 30'), custodial], records: ids };
}

/** The same by one REST call: the gateway, which keeps this account's keys, does the client's steps. */
async function openCustodial(
  bench: Bench,
  { gateway }: Hippocrypt,
  ids: readonly string[],
  times: CallTimes,
): Promise<Row> {
  return timed(bench, 'open one record, custodial REST', times, (run) => openOne(gateway, ids[run]));
}

const openOne = (gateway: Gateway, id: string): Promise<unknown> =>
  gateway.json('POST', `/v1/records/${id}/open`, { body: { purpose: 'treatment' } });

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
