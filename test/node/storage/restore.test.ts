/** A custodian that is lost and restored from an older backup: it rejoins, stays erased where it was, and gets back what came after. */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasCode } from '../../../src/codec/errors.ts';
import { memberId } from '../../../src/codec/ids.ts';
import { STATE } from '../../../src/ledger/index.ts';
import { BackupSchedule, backupStopped, restoreNode, withRepository } from '../../../src/node/backup.ts';
import { type Consortium, startConsortium } from '../../../src/node/consortium.ts';
import { restoredMark, verifyBackup } from '../../../src/storage/index.ts';
import { PASSWORD, startTown, type Town } from '../consortium.ts';
import { eraseRecord, openText, type PutRecord, putTexts } from './people.ts';

let town: Town;
let scratch: string;
let keyFile: string;
let again: Consortium | undefined;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hippocrypt-backup-'));
  keyFile = join(scratch, 'backup.key');
  await writeFile(keyFile, randomBytes(64));
  town = await startTown();
});
afterAll(async () => {
  await again?.close();
  await rm(town.dir, { recursive: true, force: true });
  await rm(scratch, { recursive: true, force: true });
});

async function openAgain(
  consortium: Consortium,
  record: string,
): Promise<{ status: number; content?: string }> {
  const app = consortium.nodes.get(memberId('mercy'))?.app;
  if (app === undefined) throw new Error('mercy does not listen');
  const login = await app.inject({
    method: 'POST',
    url: '/v1/auth/login',
    payload: { account: 'nurse', password: PASSWORD },
  });
  const { token } = login.json() as { token: string };
  const answer = await app.inject({
    method: 'POST',
    url: `/v1/records/${record}/open`,
    headers: { authorization: `Bearer ${token}` },
    payload: { purpose: 'treatment' },
  });
  const { content } = answer.json() as { content?: string };
  return { status: answer.statusCode, ...(content === undefined ? {} : { content }) };
}

describe('a backup of a running node', () => {
  let before: PutRecord;
  let erased: PutRecord;
  let after: PutRecord;

  it('is made by the schedule while records are put, encrypted, and small the second time', async () => {
    [before, erased] = await putTexts(town, ['there before the backup', 'erased after the backup']);
    expect(await openText(town, before.record)).toBe('there before the backup');
    const events: [string, Readonly<Record<string, unknown>>][] = [];
    let now = Date.now();
    const plan = { to: join(scratch, 'repository'), keyFile, everyMinutes: 60, keepDays: 30 };
    const run = async (): Promise<void> => {
      const schedule = new BackupSchedule(
        plan,
        (repository) => town.node('mercy').backup(repository),
        () => now,
        (name, fields) => events.push([name, fields]),
      );
      const stop = schedule.start();
      await stop();
      expect(schedule.status().failed).toBeNull();
    };
    const putting = putTexts(town, ['put while the backup runs']);
    await run();
    await putting;
    await run();
    expect(events.map(([name]) => name)).toEqual(['backup.made']);
    now += 60 * 60_000;
    await run();
    expect(events.map(([name]) => name)).toEqual(['backup.made', 'backup.made']);
    expect(Number(events[1][1].newBytes)).toBeLessThanOrEqual(Number(events[0][1].newBytes));
    await withRepository(plan.to, keyFile, async (repository) => {
      expect((await verifyBackup(repository)).files).toBeGreaterThan(5);
    });
  });

  it('does not open under another key file', async () => {
    const other = join(scratch, 'other.key');
    await writeFile(other, randomBytes(64));
    const opening = withRepository(join(scratch, 'repository'), other, async () => undefined);
    await expect(opening).rejects.toSatisfy((error) => hasCode(error, 'storage.keystore_locked'));
  });

  it('refuses the directory of a running node to the command for stopped ones', async () => {
    const backingUp = withRepository(join(scratch, 'stopped'), keyFile, (repository) =>
      backupStopped(town.node('mercy').options.dir, repository, Date.now()),
    );
    await expect(backingUp).rejects.toSatisfy(
      (error) => hasCode(error, 'storage.locked') || hasCode(error, 'storage.already_open'),
    );
  });

  it('brings the custodian back: erased stays erased, later records come from their copies, and it votes again', async () => {
    await eraseRecord(town, erased.record);
    [after] = await putTexts(town, ['put after the backup']);
    await town.settled();
    for (const node of town.consortium.nodes.values()) await node.replication.flush();
    await town.node('mercy').erasure.idle();
    await town.consortium.close();

    const dir = join(town.dir, 'data', 'mercy');
    await copyFile(join(dir, 'keystore.key'), join(scratch, 'keystore.key'));
    await rm(dir, { recursive: true });
    await withRepository(join(scratch, 'repository'), keyFile, async (repository) => {
      const [first] = await repository.snapshots();
      await restoreNode(dir, repository, Date.now(), first);
    });
    expect(await restoredMark(dir)).toBeDefined();
    await copyFile(join(scratch, 'keystore.key'), join(dir, 'keystore.key'));

    const events: string[] = [];
    again = await startConsortium({
      dir: join(town.dir, 'data'),
      port: 0,
      ratePerMinute: 0,
      log: { event: (name, { member }) => events.push(`${member} ${name}`) },
    });
    const mercy = again.nodes.get(memberId('mercy'));
    if (mercy === undefined) throw new Error('mercy does not run');
    expect(events).toContain('mercy node.restored');
    expect(mercy.ledger.state(STATE.record(erased.record))?.erased).toBe(true);
    await mercy.erasure.idle();
    const voided = mercy.ledger.headersOf(erased.record as Parameters<typeof mercy.ledger.headersOf>[0]);
    expect(voided).toHaveLength(1);
    for (const hash of voided) expect(mercy.headers.has(hash)).toBe(false);
    expect(await mercy.payloads.has(erased.cid)).toBe(false);

    expect(await openAgain(again, before.record)).toEqual({
      status: 200,
      content: 'there before the backup',
    });
    expect(await openAgain(again, after.record)).toEqual({ status: 200, content: 'put after the backup' });
    expect((await openAgain(again, erased.record)).status).toBe(410);
    await expect.poll(() => mercy.replication.status().waiting, { timeout: 30_000 }).toBe(0);
    expect(await mercy.payloads.has(after.cid)).toBe(true);
    // Every opening is a block, so the others are soon past what mercy could have voted on.
    await expect
      .poll(
        async () => {
          await openAgain(again as Consortium, before.record);
          return restoredMark(dir);
        },
        { timeout: 60_000, interval: 500 },
      )
      .toBeUndefined();
    expect(mercy.consensus.status().voting).toBe(true);
  });
});
