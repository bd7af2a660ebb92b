/**
 * Key epochs at running members: a new one is opened by the operator or by a revocation, the index is rebuilt under it
 * while the one before is served, the old secrets go, and a stop in between loses nothing.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Hippocrypt } from '../../src/client/index.ts';
import { memberId } from '../../src/codec/ids.ts';
import { STATE } from '../../src/ledger/index.ts';
import { startConsortium } from '../../src/node/consortium.ts';
import type { MemberNode } from '../../src/node/member.ts';
import {
  decodeManifest,
  deriveFieldKeyPair,
  encodeKeyword,
  evaluateDirect,
  type KeywordSecret,
  keywordSecret,
  listInFile,
  type Manifest,
  segmentName,
  sentinel,
} from '../../src/search/index.ts';
import { startTown, type Town } from './consortium.ts';

const MERCY = memberId('mercy');
const FIELD = 'type';

let town: Town;
let searcher: Hippocrypt;
let mercy: MemberNode;
let stopped = false;

beforeAll(async () => {
  town = await startTown();
  mercy = town.node('mercy');
  searcher = await researcher('first');
  await put(3);
});
afterAll(() => (stopped ? rm(town.dir, { recursive: true }) : town?.close()));

const researcher = (name: string): Promise<Hippocrypt> =>
  town.people.enrol({
    name,
    member: 'university',
    kind: 'person',
    attributes: ['mercy/role:researcher'],
    custody: 'client',
  });

async function put(count: number): Promise<readonly string[]> {
  const doctor = await town.client('doctor');
  const item = (text: string) => ({
    content: new TextEncoder().encode(JSON.stringify({ resourceType: 'Condition', code: { text } })),
    patient: null,
    policy: 'mercy/role:doctor',
  });
  const { records } = await doctor.records.put(Array.from({ length: count }, (_, i) => item(`note ${i}`)));
  await town.settled();
  return records;
}

const openEpochs = (token: string, fields: readonly string[]) =>
  town.app('mercy').inject({
    method: 'POST',
    url: '/v1/search/epochs',
    headers: { authorization: `Bearer ${token}` },
    payload: { fields },
  });
const manifestOf = (node: MemberNode): Manifest => decodeManifest(node.replicas.manifestBytes(MERCY));
const epochOf = (field = FIELD): number => mercy.ledger.state(STATE.field('mercy', field))?.epoch ?? -1;
const epochsOf = (manifest: Manifest, field = FIELD): number[] =>
  manifest.segments.flatMap((meta) =>
    meta.epochs.filter((one) => one.field === field).map((one) => one.epoch),
  );
const find = (client: Hippocrypt, query = 'type:Condition') =>
  client.search.query(query, { unit: 'record', custodians: ['mercy'] });

/** Everything that was due at mercy is done, and every member has the copy. */
async function rebuilt(): Promise<void> {
  await mercy.epochs?.idle();
  await town.settled();
}

describe('an operator', () => {
  it('opens a new epoch; the index moves to it in one step, and the same query answers the same', async () => {
    const before = await find(searcher);
    expect(before.records).toHaveLength(3);
    expect(before.evaluated).toBeGreaterThan(0);
    expect((await find(searcher)).evaluated).toBe(0);
    const seq = manifestOf(mercy).seq;

    const opened = await openEpochs(await town.token('mercy', 'admin'), [FIELD]);
    expect(opened.json()).toEqual({ epochs: [{ field: FIELD, epoch: 1 }] });
    await rebuilt();
    expect(epochsOf(manifestOf(mercy))).toEqual([1]);
    expect(epochsOf(manifestOf(mercy), 'text')).toEqual([0]);
    expect(manifestOf(mercy).seq).toBe(seq + 1);

    const after = await find(searcher);
    expect(after.missing).toEqual([]);
    expect(after.records).toEqual(before.records);
    // Nothing of the epoch before serves: the secrets are derived anew, and field keys of other fields stay.
    expect(after.evaluated).toBeGreaterThan(0);
    expect((await find(searcher)).evaluated).toBe(0);
  });

  it('keeps the old keys for queries that are on their way, then erases them with all that was sealed under them', async () => {
    const { keystore } = mercy.options;
    expect(await keystore.names()).toContain(`oprf/${FIELD}/0`);
    expect(mercy.ledger.state(STATE.field('mercy', FIELD))?.before?.epoch).toBe(0);
    await mercy.indexService().retire();
    expect(await keystore.names()).not.toContain(`oprf/${FIELD}/0`);
    expect(await keystore.names()).toContain(`oprf/${FIELD}/1`);
    expect(mercy.indexService().holds(FIELD, 0)).toBe(false);
    const listed = manifestOf(mercy).segments.map(segmentName).sort();
    expect((await (await mercy.segments(MERCY)).names()).sort()).toEqual(listed);
    expect((await find(searcher)).records).toHaveLength(3);
  });

  it('cannot open one of a field that is not registered', async () => {
    const answer = await openEpochs(await town.token('mercy', 'admin'), ['nothing']);
    expect(answer.json()).toMatchObject({ code: 'search.field_unknown' });
  });

  it('is the only one who can', async () => {
    await town.client('doctor');
    const answer = await openEpochs(await town.token('mercy', 'doctor'), [FIELD]);
    expect([answer.statusCode, (answer.json() as { code: string }).code]).toEqual([403, 'right.missing']);
  });
});

describe('a revocation of who could search', () => {
  it('opens a new epoch of the fields, and what the revoked kept opens nothing of it', async () => {
    const leaver = await researcher('leaver');
    await find(leaver);
    // Their secrets, as the custodian can derive them: what the leaver's client holds for the sentinel.
    const keys = await mercy.options.keystore.get(`oprf/${FIELD}/${epochOf()}`);
    const before = epochOf();
    const kept = secretUnder(keys ?? new Uint8Array(), before);
    const old = manifestOf(mercy);
    expect(await opens(old, kept)).toBe(true);

    await revoke(leaver);
    await rebuilt();
    expect(epochOf()).toBe(before + 1);
    const renewed = manifestOf(mercy);
    expect(epochsOf(renewed)).toEqual([before + 1]);
    expect(await opens(renewed, kept)).toBe(false);
    await expect(find(leaver)).rejects.toThrow();

    const [record] = await put(1);
    expect((await find(searcher)).records.map((one) => one.record)).toContain(record);
    expect(await opens(manifestOf(mercy), kept)).toBe(false);
  });

  it('of somebody who could not search opens none', async () => {
    const before = epochOf();
    const clerk = await town.client('clerk');
    await revoke(clerk);
    await rebuilt();
    expect(epochOf()).toBe(before);
  });
});

describe('while the index is being rebuilt', () => {
  it('the one before is served, records that come wait, and no answer is mixed or short', async () => {
    const gate = held();
    const { pool } = mercy.options;
    const run = pool.run.bind(pool);
    const spy = vi.spyOn(pool, 'run').mockImplementation(async (task) => {
      if (task.task === 'secrets') await gate.opened;
      return run(task);
    });
    const epoch = epochOf();
    await mercy.epochs?.open();
    const all = await find(searcher);
    expect(epochsOf(manifestOf(mercy))).toEqual(epochsOf(manifestOf(mercy)).map(() => epoch));
    // A keyword that was never asked is evaluated under the epoch before, which the ledger serves for a day.
    const fresh = await researcher('fresh');
    expect((await find(fresh)).records).toEqual(all.records);
    gate.open();
    await rebuilt();
    spy.mockRestore();
    expect(new Set(epochsOf(manifestOf(mercy)))).toEqual(new Set([epoch + 1]));
    for (const client of [searcher, fresh]) expect((await find(client)).records).toEqual(all.records);
  });

  it('queries without pause see one epoch or the other, always every record', async () => {
    const expected = (await find(searcher)).records.map((one) => one.record).sort();
    let switched = false;
    const turn = (async () => {
      await mercy.epochs?.open([FIELD, 'text']);
      await rebuilt();
      switched = true;
    })();
    const clients = [searcher, await researcher('second'), await researcher('third')];
    let asked = 0;
    while (!switched || asked < 12) {
      const client = clients[asked++ % clients.length];
      client.search.clear();
      const report = await find(client, 'type:Condition and text:note');
      expect(report.missing).toEqual([]);
      expect(report.records.map((one) => one.record).sort()).toEqual(expected);
    }
    await turn;
  });
});

describe('a stop in the middle of a rebuild', () => {
  it('leaves the index of before; the next start goes on, and meets a revocation that came to nothing', async () => {
    const leaver = await researcher('last');
    await find(leaver);
    const { pool } = mercy.options;
    const run = pool.run.bind(pool);
    const spy = vi
      .spyOn(pool, 'run')
      .mockImplementation((task) =>
        task.task === 'secrets' ? Promise.reject(new Error('the power went')) : run(task),
      );
    const epoch = epochOf();
    const before = (await find(searcher)).records;
    await mercy.epochs?.open();
    await mercy.epochs?.idle();
    expect(epochOf()).toBe(epoch + 1);
    expect(new Set(epochsOf(manifestOf(mercy)))).toEqual(new Set([epoch]));
    expect((await find(searcher)).records).toEqual(before);
    await revoke(leaver);
    await mercy.epochs?.idle();
    expect(epochOf()).toBe(epoch + 1);
    spy.mockRestore();
    await town.consortium.close();
    stopped = true;

    const again = await startConsortium({ dir: join(town.dir, 'data'), port: 0, ratePerMinute: 0 });
    try {
      const node = again.nodes.get(MERCY);
      await node?.epochs?.idle();
      await node?.indexService().flush();
      expect(node?.ledger.state(STATE.field('mercy', FIELD))?.epoch).toBe(epoch + 2);
      expect(node === undefined ? [] : [...new Set(epochsOf(manifestOf(node)))]).toEqual([epoch + 2]);
    } finally {
      await again.close();
    }
  });
});

/** What a client holds for the field's sentinel in an epoch: from the custodian's seed and field key. */
function secretUnder(keys: Uint8Array, epoch: number): KeywordSecret {
  const { secretKey } = deriveFieldKeyPair(keys.slice(0, 32), 'mercy', FIELD, epoch);
  return keywordSecret(evaluateDirect(secretKey, encodeKeyword(sentinel(FIELD))), keys.slice(32));
}

/** Whether `secret` opens a list in any segment. */
async function opens(manifest: Manifest, secret: KeywordSecret): Promise<boolean> {
  const files = await mercy.segments(MERCY);
  const lists = await Promise.all(
    manifest.segments.map(async (meta) =>
      listInFile(meta, await files.getSegment(segmentName(meta)), secret),
    ),
  );
  return lists.some((list) => list !== undefined);
}

async function revoke(client: Hippocrypt): Promise<void> {
  const { member, subject } = client.context.device;
  const answer = await town.app(member).inject({
    method: 'POST',
    url: `/v1/subjects/${subject}/revoke`,
    headers: { authorization: `Bearer ${await town.token(member, 'admin')}` },
    payload: { reason: 'left' },
  });
  expect(answer.statusCode).toBe(200);
  await mercy.ledger.reached((answer.json() as { height: number }).height, 10_000);
}

/** Something that waits until it is opened. */
function held(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}
