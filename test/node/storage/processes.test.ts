/** The operator's commands against members in processes of their own: doctor, scheduled backups, backup, restore. */
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { People } from '../../../src/cli/tour/people.ts';
import { isBuilt, type Running, run, start } from '../../cli/process.ts';
import { SmallDisk } from '../../faults/small-disk.ts';
import { reservePorts } from '../../ports.ts';
import { CAST } from '../consortium.ts';

const MEMBERS = ['mercy', 'st-luke', 'county-general', 'university'];

interface Finding {
  readonly part: string;
  readonly grade: string;
  readonly says: string;
}

describe.skipIf(!isBuilt)('operators of members in separate processes (needs dist/)', () => {
  let dir: string;
  let people: People;
  let record: string;
  const urls = new Map<string, string>();
  const running = new Map<string, Running>();
  const config = (member: string): string => join(dir, `${member}.json`);
  const startNode = async (member: string): Promise<Running> => {
    const node = start(['node', '--config', config(member)], {}, 400_000);
    running.set(member, node);
    return node;
  };
  const isUp = (stderr: string): boolean => stderr.includes('"event":"node.ready"');
  const stopNode = async (member: string): Promise<number | null | undefined> => {
    const node = running.get(member);
    node?.child.kill('SIGTERM');
    running.delete(member);
    return (await node?.finished)?.code;
  };
  const doctor = async (...args: string[]): Promise<{ code: number | null; findings: Finding[] }> => {
    const { code, stdout } = await run(['doctor', '--json', ...args]);
    return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
  };
  const grade = (findings: readonly Finding[], part: string): string | undefined =>
    findings.find((one) => one.part === part)?.grade;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'hippocrypt-operators-'));
    const first = await reservePorts(8);
    const made = await run([
      ...['init', '--members', '4', '--dir', dir],
      ...['--rest-port', String(first), '--link-port', String(first + 4)],
    ]);
    expect(made.code).toBe(0);
    writeFileSync(join(dir, 'backup.key'), crypto.getRandomValues(new Uint8Array(64)));
    const mercy = JSON.parse(readFileSync(config('mercy'), 'utf8')) as Record<string, unknown>;
    const backup = { to: 'backups', keyFile: 'backup.key', everyMinutes: 60 };
    // The key file lies beside the data, not in it, as it should.
    renameSync(join(dir, 'mercy', 'keystore.key'), join(dir, 'mercy.key'));
    writeFileSync(config('mercy'), JSON.stringify({ ...mercy, backup, unlock: { keyFile: 'mercy.key' } }));
    for (const [i, member] of MEMBERS.entries()) urls.set(member, `http://127.0.0.1:${first + i}`);
    const nodes = await Promise.all(MEMBERS.map(startNode));
    await Promise.all(nodes.map((node) => node.until(isUp)));
    people = await People.open(join(dir, 'people'), urls);
    const author = await people.enrol(CAST.import);
    await people.enrol(CAST.nurse);
    const put = await author.gateway.json<{ records: string[] }>('POST', '/v1/records', {
      body: { records: [{ content: 'kept through it all', policy: 'mercy/role:nurse' }] },
    });
    record = put.records[0];
  }, 240_000);
  afterAll(async () => {
    await Promise.all([...running.keys()].map(stopNode));
    rmSync(dir, { recursive: true, force: true });
  });

  it('a healthy node needs nothing, and has made its first backup by itself', async () => {
    await expect
      .poll(() => readdirSync(join(dir, 'backups', 'snapshots')), { timeout: 60_000 })
      .toHaveLength(1);
    const { code, findings } = await doctor('--config', config('mercy'));
    expect(findings.filter((one) => one.grade === 'bad')).toEqual([]);
    expect(code).toBe(0);
    for (const part of ['consensus', 'quorum', 'height', 'clock', 'share', 'index', 'disk', 'backup'])
      expect(grade(findings, part), part).toBe('good');
  });

  it('refuses to back up the directory of a running node', async () => {
    const args = [
      '--config',
      config('mercy'),
      '--to',
      join(dir, 'cold'),
      '--key-file',
      join(dir, 'backup.key'),
    ];
    const { code, stderr } = await run(['backup', ...args]);
    expect(code).toBe(1);
    expect(stderr).toContain('storage.locked');
  });

  it('a stopped node is missed by the others, and told by doctor as one to start', async () => {
    expect(await stopNode('mercy')).toBe(0);
    const here = await doctor('--config', config('mercy'));
    expect(here.code).toBe(1);
    expect(here.findings.filter((one) => one.grade === 'bad').map(({ part }) => part)).toEqual(['node']);
    for (const store of ['keystore', 'ledger', 'node', 'headers', 'blocks'])
      expect(grade(here.findings, `store ${store}`), store).toBe('good');
    await expect
      .poll(async () => grade((await doctor('--url', urls.get('st-luke') ?? '')).findings, 'quorum'), {
        timeout: 60_000,
      })
      .toBe('note');
  }, 120_000);

  it("gives a stopped custodian's record from the copy of another member, over the link", async () => {
    const headers = { authorization: `Bearer ${people.admin('university').token}` };
    for (const part of ['header', 'payload']) {
      const url = `${urls.get('university')}/v1/records/${record}/${part}`;
      expect((await fetch(url, { headers })).status, part).toBe(200);
    }
  });

  it('says so when the keystore does not open', async () => {
    const other = join(dir, 'other.json');
    const mercy = JSON.parse(readFileSync(config('mercy'), 'utf8')) as Record<string, unknown>;
    writeFileSync(other, JSON.stringify({ ...mercy, unlock: { keyFile: 'backup.key' } }));
    const { code, findings } = await doctor('--config', other);
    expect(code).toBe(1);
    expect(findings.find((one) => one.part === 'store keystore')?.says).toContain('storage.keystore_locked');
  });

  it('comes back from a backup of its stopped directory: it follows, serves what it held, and votes again', async () => {
    const args = ['--config', config('mercy'), '--key-file', join(dir, 'backup.key')];
    expect((await run(['backup', ...args, '--to', join(dir, 'cold')])).code).toBe(0);
    await rename(join(dir, 'mercy'), join(dir, 'mercy.lost'));
    await mkdir(join(dir, 'mercy'));
    const restored = await run(['restore', ...args, '--from', join(dir, 'cold')]);
    expect(restored.code).toBe(0);
    await rm(join(dir, 'mercy.lost'), { recursive: true });
    // Life goes on without it.
    await people.enrol(CAST.visitor);
    const node = await startNode('mercy');
    await node.until(isUp);
    const nurse = await people.enrol(CAST.nurse);
    const opened = await nurse.gateway.json<{ content: string }>('POST', `/v1/records/${record}/open`, {
      body: { purpose: 'treatment' },
    });
    expect(opened.content).toBe('kept through it all');
    await node.until((stderr) => stderr.includes('"event":"node.rejoined"'));
    expect((await doctor('--url', urls.get('mercy') ?? '')).code).toBe(0);
  }, 240_000);

  it('ends by name when the disk refuses its log of votes, and goes on when it is started with room again', async (context) => {
    const small = join(dir, 'small');
    const disk = SmallDisk.mount(small, 64 * 1024 * 1024);
    if (disk === undefined) {
      console.warn('SKIPPED: a log of votes on a full disk; this machine lets nobody mount one');
      context.skip();
      return;
    }
    onTestFinished(async () => {
      await stopNode('st-luke');
      disk.unmount();
    });
    await stopNode('st-luke');
    const wal = join(dir, 'st-luke', 'wal');
    cpSync(wal, join(small, 'wal'), { recursive: true });
    rmSync(wal, { recursive: true });
    symlinkSync(join(small, 'wal'), wal);
    // Enough for the boot file, too little for a segment.
    disk.fill(256 * 1024);
    const node = await startNode('st-luke');
    const { code, stderr } = await node.finished;
    expect(code).toBe(1);
    expect(stderr).toMatch(/"event":"consensus.halted".*"code":"consensus.wal_failed"/);
    expect(stderr).toContain('node.store_failed');
    disk.empty();
    const again = await startNode('st-luke');
    await again.until(isUp);
    expect((await doctor('--url', urls.get('st-luke') ?? '')).code).toBe(0);
  }, 240_000);

  it('comes back without its ledger by a snapshot over the link, as the others have it', async () => {
    expect(await stopNode('university')).toBe(0);
    for (const folder of ['ledger', 'wal']) await rm(join(dir, 'university', folder), { recursive: true });
    const before = JSON.parse(readFileSync(config('university'), 'utf8')) as Record<string, unknown>;
    writeFileSync(config('university'), JSON.stringify({ ...before, snapshotBehind: 2 }));
    const node = await startNode('university');
    await node.until((stderr) => stderr.includes('"event":"snapshot.taken"'));
    await node.until(isUp);
    const url = urls.get('university') ?? '';
    const profile = { HIPPOCRYPT_PROFILE: join(dir, 'university.profile') };
    const password = join(dir, 'admin.password');
    const login = ['login', '--url', url, '--account', 'admin', '--password-file', password];
    expect((await run(login, profile)).code).toBe(0);
    const verified = await run(['ledger', 'verify', url, '--json'], profile);
    expect(verified.code, verified.stderr).toBe(0);
  }, 120_000);
});
