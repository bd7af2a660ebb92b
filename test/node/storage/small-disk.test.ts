/** A member whose disk really fills up: it takes no records, then nothing, says so, votes on, and goes on by itself when there is room. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { People } from '../../../src/cli/tour/people.ts';
import { memberId } from '../../../src/codec/ids.ts';
import { type Consortium, startConsortium } from '../../../src/node/consortium.ts';
import type { MemberNode } from '../../../src/node/member.ts';
import { SmallDisk } from '../../faults/small-disk.ts';
import { CAST, PASSWORD } from '../consortium.ts';

const MIB = 1024 * 1024;
/** Below the reserve of the stores, above that of the ledger. */
const LOW = 150 * MIB;
/** Below that of the ledger. */
const FULL = 40 * MIB;

const root = mkdtempSync(join(tmpdir(), 'hippocrypt-small-disk-'));
const disk = SmallDisk.mount(join(root, 'data', 'mercy'), 700 * MIB);
if (disk === undefined) {
  rmSync(root, { recursive: true, force: true });
  console.warn('SKIPPED: a member on a small disk; this machine lets nobody mount one');
}

describe.skipIf(disk === undefined)('a member on a small disk (needs the right to mount)', () => {
  let consortium: Consortium;
  const events: { name: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const node = (id: string): MemberNode => {
    const found = consortium.nodes.get(memberId(id));
    if (found === undefined) throw new Error(`${id} does not run`);
    return found;
  };
  const ask = (id: string, method: 'GET' | 'POST', url: string, payload?: object, token?: string) => {
    const { app } = node(id);
    if (app === undefined) throw new Error(`${id} does not listen`);
    return app.inject({
      method,
      url,
      ...(payload === undefined ? {} : { payload }),
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    });
  };
  const login = async (id: string, account: string): Promise<string> => {
    const answer = await ask(id, 'POST', '/v1/auth/login', { account, password: PASSWORD });
    return (answer.json() as { token: string }).token;
  };
  /** Something that every operator may write: a person of its own hospital. */
  const enrol = async (id: string): Promise<{ status: number; code?: string }> => {
    const body = { kind: 'person' };
    const answer = await ask(id, 'POST', '/v1/subjects', body, await login(id, 'admin'));
    return { status: answer.statusCode, code: (answer.json() as { code?: string }).code ?? '' };
  };
  const put = async (): Promise<{ status: number; code?: string }> => {
    const body = { records: [{ content: 'a note', patient: null, policy: 'mercy/role:nurse' }] };
    const answer = await ask('mercy', 'POST', '/v1/records', body, await login('mercy', 'import'));
    return { status: answer.statusCode, code: (answer.json() as { code?: string }).code ?? '' };
  };
  const height = (id: string): number => node(id).ledger.tip().height;
  const metrics = async (): Promise<string> => (await ask('mercy', 'GET', '/metrics')).body;

  beforeAll(async () => {
    consortium = await startConsortium({
      dir: join(root, 'data'),
      port: 0,
      ratePerMinute: 0,
      log: { event: (name, fields) => events.push({ name, fields }) },
    });
    for (const one of consortium.nodes.values())
      await one.accounts.add('admin', PASSWORD, one.operator, 'gateway');
    const people = await People.open(join(root, 'people'), consortium.urls);
    await people.enrol(CAST.import);
  }, 120_000);
  afterAll(async () => {
    disk?.empty();
    await consortium?.close();
    disk?.unmount();
    rmSync(root, { recursive: true, force: true });
  });

  it('takes records while there is room', async () => {
    expect(await put()).toMatchObject({ status: 201 });
  });

  it('below the reserve takes no records and says why, while its ledger goes on', async () => {
    disk?.fill(LOW);
    expect(await put()).toEqual({ status: 507, code: 'storage.full' });
    const before = height('mercy');
    expect((await enrol('mercy')).status).toBeLessThan(300);
    expect(height('mercy')).toBeGreaterThan(before);
    expect(node('mercy').disk.status()).toMatchObject({ waiting: false });
    expect(await metrics()).toMatch(/hippocrypt_disk_bytes\{[^}]*what="free"[^}]*\} \d+/);
    expect((await ask('mercy', 'GET', '/readyz')).statusCode).toBe(200);
  });

  it('with nothing left lets its blocks wait, refuses what is submitted, and does not halt; the others go on', async () => {
    disk?.fill(FULL);
    expect((await enrol('st-luke')).status).toBeLessThan(300);
    await expect.poll(() => node('mercy').disk.status().waiting, { timeout: 20_000 }).toBe(true);
    expect(await enrol('mercy')).toEqual({ status: 507, code: 'storage.full' });
    expect((await ask('mercy', 'GET', '/readyz')).statusCode).toBe(503);
    expect(await metrics()).toMatch(/hippocrypt_disk_waiting\{[^}]*\} 1/);
    for (let i = 0; i < 5; i++) expect((await enrol('st-luke')).status).toBeLessThan(300);
    expect(node('mercy').consensus.status()).toMatchObject({ halted: false, voting: true });
    expect(events.some(({ name }) => name === 'consensus.halted')).toBe(false);
    expect(events.filter(({ name }) => name === 'disk.full').length).toBeGreaterThan(0);
  });

  it('goes on by itself when there is room, with everything that was committed meanwhile', async () => {
    disk?.empty();
    await expect.poll(() => node('mercy').disk.status().waiting, { timeout: 20_000 }).toBe(false);
    await expect.poll(() => height('mercy') >= height('st-luke'), { timeout: 20_000 }).toBe(true);
    expect(await put()).toMatchObject({ status: 201 });
    expect((await enrol('mercy')).status).toBeLessThan(300);
    expect((await ask('mercy', 'GET', '/readyz')).statusCode).toBe(200);
    await node('st-luke').ledger.reached(height('mercy'), 10_000);
    expect(node('mercy').consensus.status().headHash).toEqual(node('st-luke').consensus.status().headHash);
    expect(events.some(({ name }) => name === 'disk.room')).toBe(true);
  });
});
