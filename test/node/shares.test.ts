/** Shares are renewed by the operators' proposal while people read: the public key stays, and nobody is turned away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEMO_MEMBERS } from '../../src/node/consortium.ts';
import { startTown, type Town } from './consortium.ts';

const MEMBERS = DEMO_MEMBERS.map((one) => one.id);

let town: Town;
let admins: ReadonlyMap<string, string>;
beforeAll(async () => {
  town = await startTown();
  admins = new Map(
    await Promise.all(MEMBERS.map(async (one) => [one, await town.token(one, 'admin')] as const)),
  );
});
afterAll(() => town?.close());

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

async function ask(member: string, method: 'GET' | 'POST', url: string, payload?: object): Promise<Answer> {
  const answer = await town.app(member).inject({
    method,
    url,
    headers: { authorization: `Bearer ${admins.get(member) ?? ''}` },
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answer.statusCode, json: answer.json() };
}

/** Proposes as mercy; the next `approvals` members approve. */
async function decide(change: object, approvals: number): Promise<string> {
  const [first, ...others] = MEMBERS;
  const proposed = await ask(first, 'POST', '/v1/proposals', { change });
  expect(proposed.status, JSON.stringify(proposed.json)).toBe(201);
  const id = String(proposed.json.entryId);
  for (const member of others.slice(0, approvals))
    expect((await ask(member, 'POST', `/v1/proposals/${id}/approve`, {})).status).toBe(201);
  return id;
}

/** A record of mercy's that its doctors and nurses may open. */
async function putNote(): Promise<string> {
  await town.client('import');
  const token = await town.token('mercy', 'import');
  const answer = await town.app('mercy').inject({
    method: 'POST',
    url: '/v1/records',
    headers: { authorization: `Bearer ${token}` },
    payload: {
      records: [{ content: 'a note', patient: null, policy: 'mercy/role:nurse or mercy/role:doctor' }],
    },
  });
  return (answer.json() as { records: readonly string[] }).records[0];
}

const epochsOf = (): readonly (number | null)[] =>
  [...town.consortium.nodes.values()].map((node) => node.ledger.shareEpoch());

describe('a refresh by proposal', () => {
  it('keeps the public key; keys of before are renewed on the way, at clients and at gateways', async () => {
    const doctor = await town.client('doctor');
    await town.client('nurse');
    const record = await putNote();
    const before = await ask('mercy', 'GET', '/v1/authorities');
    expect(before.json).toMatchObject({ shareEpoch: 0, ceremony: { phase: 'done', blamed: [] } });
    expect((await doctor.records.open(record)).plaintext).toBeDefined();
    const old = await doctor.keys.request();

    let isOver = false;
    const opened: Promise<number>[] = [doctor.records, town].map(async (reader) => {
      let count = 0;
      while (!isOver) {
        if (reader === town) {
          const nurse = await town.token('mercy', 'nurse');
          const answer = await town.app('mercy').inject({
            method: 'POST',
            url: `/v1/records/${record}/open`,
            headers: { authorization: `Bearer ${nurse}` },
            payload: { purpose: 'treatment' },
          });
          expect(answer.statusCode, answer.body).toBe(200);
        } else await doctor.records.open(record);
        count++;
      }
      return count;
    });
    const id = await decide({ kind: 'ShareRenew' }, 2);
    await expect.poll(epochsOf, { timeout: 30_000 }).toEqual([1, 1, 1, 1]);
    await doctor.records.open(record);
    isOver = true;
    for (const count of await Promise.all(opened)) expect(count).toBeGreaterThan(0);

    const after = await ask('mercy', 'GET', '/v1/authorities');
    expect(after.json).toMatchObject({ shareEpoch: 1, threshold: 3, members: before.json.members });
    const shares = [0, 1].map(
      (epoch) => town.node('mercy').ledger.get(`share/${epoch}`) as { mpk: Uint8Array },
    );
    expect(shares[1].mpk).toEqual(shares[0].mpk);
    expect((await ask('st-luke', 'GET', `/v1/proposals/${id}`)).json).toMatchObject({
      kind: 'ShareRenew',
      approvals: ['mercy', 'st-luke', 'county-general'],
      needed: 3,
      executed: true,
      open: false,
    });
    // No authority answers for the epoch before any more.
    const parts = await ask('mercy', 'POST', `/v1/keys/${old.keyId}/parts`, {});
    expect(parts.json).toMatchObject({ parts: { parts: [] } });
    const { missing } = parts.json.parts as { missing: { code: string }[] };
    expect(missing.map(({ code }) => code)).toEqual(['key.stale', 'key.stale', 'key.stale', 'key.stale']);
    for (const node of town.consortium.nodes.values()) {
      const names = async () =>
        (await node.options.keystore.names()).filter((one) => /^(share|ceremony)\//.test(one));
      await expect.poll(names, { timeout: 30_000 }).toEqual(['share/1']);
    }
  });

  it('is the operators’, and takes a majority', async () => {
    const nurse = await town.token('mercy', 'nurse');
    const answer = await town.app('mercy').inject({
      method: 'POST',
      url: '/v1/proposals',
      headers: { authorization: `Bearer ${nurse}` },
      payload: { change: { kind: 'ShareRenew' } },
    });
    expect([answer.statusCode, answer.json().code]).toEqual([403, 'right.missing']);
    const id = await decide({ kind: 'ShareRenew', members: [...MEMBERS].reverse() }, 1);
    expect((await ask('mercy', 'GET', `/v1/proposals/${id}`)).json).toMatchObject({
      executed: false,
      open: true,
    });
    expect(epochsOf()).toEqual([1, 1, 1, 1]);
    const again = await ask('mercy', 'POST', `/v1/proposals/${id}/approve`, {});
    expect([again.status, again.json.code]).toEqual([409, 'proposal.approved']);
    expect((await ask('mercy', 'GET', '/v1/proposals')).json.proposals).toHaveLength(2);
    const unknown = await ask('mercy', 'GET', `/v1/proposals/${'0'.repeat(64)}`);
    expect([unknown.status, unknown.json.code]).toEqual([404, 'proposal.unknown']);
    const wrong = await ask('mercy', 'POST', '/v1/proposals', {
      change: { kind: 'ShareRenew', members: ['mercy'] },
    });
    expect([wrong.status, wrong.json.code]).toEqual([409, 'share.members']);
  });
});
