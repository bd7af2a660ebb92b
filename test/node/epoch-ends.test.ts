/**
 * A right to search that merely ends: new evaluations stop at once, and within a day of the ledger's time the epoch of every
 * field turns in which its holder had keywords evaluated.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { STATE } from '../../src/ledger/index.ts';
import { PASSWORD, startTown, type Town } from './consortium.ts';

const HOUR_MS = 60 * 60_000;
const RIGHT = 'mercy/role:researcher';

let town: Town;
let ahead = 0;

beforeAll(async () => {
  town = await startTown({ clock: () => Date.now() + ahead });
  for (const name of ['stays', 'expires', 'ends']) {
    await town.people.enrol({
      name,
      member: 'university',
      kind: 'person',
      attributes: [],
      custody: 'gateway',
    });
  }
  await town.client('import');
  await call('mercy', 'import', 'POST', '/v1/records', {
    records: [
      {
        content: '{"resourceType":"Condition","code":{"text":"asthma"}}',
        patient: null,
        policy: 'mercy/role:nurse',
      },
    ],
  });
  await town.settled();
});
afterAll(() => town?.close());

/** One request with a new session: the clock moves by hours, and sessions end. */
async function call(
  member: string,
  account: string,
  method: 'POST' | 'PUT' | 'DELETE',
  url: string,
  payload: object,
) {
  const login = await town.app(member).inject({
    method: 'POST',
    url: '/v1/auth/login',
    payload: { account, password: PASSWORD },
  });
  const { token } = login.json() as { token: string };
  return town.app(member).inject({ method, url, payload, headers: { authorization: `Bearer ${token}` } });
}

const subjectOf = (name: string): string | undefined =>
  town.node('university').accounts.session(name)?.subject;

async function grant(name: string, until: number | null): Promise<void> {
  const url = `/v1/subjects/${subjectOf(name)}/attributes/${encodeURIComponent(RIGHT)}`;
  const end = until === null ? null : new Date(until).toISOString();
  const answer = await call('mercy', 'admin', 'PUT', url, { until: end });
  expect(answer.statusCode, answer.body).toBe(200);
}

async function search(name: string, query: string): Promise<number> {
  const answer = await call('university', name, 'POST', '/v1/search/query', {
    query,
    unit: 'record',
    custodians: ['mercy'],
  });
  return answer.statusCode;
}

const epochs = (): number[] =>
  ['type', 'text', 'status'].map(
    (field) => town.node('mercy').ledger.state(STATE.field('mercy', field))?.epoch ?? -1,
  );

/** Moves every clock, has a block of the new time, and lets mercy do what is due. */
async function later(ms: number): Promise<void> {
  ahead += ms;
  // What is signed now is refused until the idle ledger has closed a block of the new time.
  const { ledger } = town.node('mercy');
  await expect
    .poll(() => ledger.tipTimeMs(), { timeout: 30_000 })
    .toBeGreaterThan(Date.now() + ahead - HOUR_MS / 60);
  await grant('stays', null);
  await town.node('mercy').epochs?.carryOn();
  await town.node('mercy').epochs?.idle();
  await town.settled();
}

it('ends evaluations at once, and the epoch of the fields that were searched a day after it began', async () => {
  const mercy = town.node('mercy');
  await grant('stays', null);
  await grant('expires', mercy.ledger.tipTimeMs() + HOUR_MS);
  await grant('ends', null);
  expect(await search('stays', 'status:active')).toBe(200);
  expect(await search('expires', 'type:Condition')).toBe(200);
  expect(await search('ends', 'text:asthma')).toBe(200);

  await later(2 * HOUR_MS);
  expect([await search('expires', 'type:Condition'), await search('stays', 'type:Condition')]).toEqual([
    403, 200,
  ]);
  expect(epochs()).toEqual([0, 0, 0]);

  await later(23 * HOUR_MS);
  expect(epochs()).toEqual([1, 0, 0]);
  expect(await search('stays', 'type:Condition')).toBe(200);

  const url = `/v1/subjects/${subjectOf('ends')}/attributes/${encodeURIComponent(RIGHT)}`;
  expect((await call('mercy', 'admin', 'DELETE', url, {})).statusCode).toBe(200);
  await later(2 * HOUR_MS);
  expect(epochs()).toEqual([1, 1, 0]);
  await later(25 * HOUR_MS);
  expect(epochs()).toEqual([1, 1, 0]);
});
