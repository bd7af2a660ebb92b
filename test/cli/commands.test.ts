/**
 * The command against running gateways: data on stdout, notes on stderr, one JSON value with --json, exit codes 0, 1 and
 * 2, and never a secret in what it prints.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flipOneByte } from '../../src/cli/verify.ts';
import type { DeviceFile } from '../../src/client/index.ts';
import { AUDIT_EVENT } from '../fhir/r4.ts';
import { PASSWORD, startTown, type Town } from '../node/consortium.ts';
import { COMMAND, type Finished, isBuilt, run } from './process.ts';

const CONDITION = '{"resourceType":"Condition","code":{"text":"sensitive heart failure"}}';

let town: Town;
let dir: string;
let passwordFile: string;
/** Everything that any command printed. */
const printed: string[] = [];
/** What must never stand in it. */
const secrets: string[] = [PASSWORD];

/** Runs a command as one of the profiles. */
async function as(profile: string, ...args: string[]): Promise<Finished> {
  const done = await run(args, { HIPPOCRYPT_PROFILE: join(dir, `${profile}.profile`) });
  printed.push(done.stdout, done.stderr);
  return done;
}

/** Runs it with --json and gives the one value on stdout. */
async function json<T>(profile: string, ...args: string[]): Promise<T> {
  const done = await as(profile, ...args, '--json');
  expect(done.code, done.stderr).toBe(0);
  return JSON.parse(done.stdout) as T;
}

/** The problem that a failing command tells on stderr with --json; stdout stays empty. */
async function problem(
  profile: string,
  ...args: string[]
): Promise<{ code: string; message: string; [detail: string]: unknown }> {
  const done = await as(profile, ...args, '--json');
  expect(done.code, done.stdout).toBe(1);
  expect(done.stdout).toBe('');
  const last = done.stderr.trimEnd().split('\n').at(-1) ?? '';
  return (JSON.parse(last) as { error: { code: string; message: string } }).error;
}

async function login(account: string, member = 'mercy', device?: string): Promise<Finished> {
  const own = device === undefined ? [] : ['--device', device];
  const url = town.url(member);
  return as(account, 'login', '--url', url, '--account', account, '--password-file', passwordFile, ...own);
}

describe.skipIf(!isBuilt)('hippocrypt (needs the build in dist/)', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hippocrypt-cli-'));
    passwordFile = join(dir, 'password');
    await writeFile(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
    town = await startTown();
    await town.client('doctor');
    await town.client('nurse');
    await town.client('import');
    const device = join(town.dir, 'people', 'doctor.device.json');
    const { signingSeed, hpkeSeed } = JSON.parse(await readFile(device, 'utf8')) as DeviceFile;
    secrets.push(signingSeed, hpkeSeed);
    for (const done of [await login('doctor', 'mercy', device), await login('nurse'), await login('import')])
      expect(done.code, done.stderr).toBe(0);
    await login('admin');
    for (const account of ['doctor', 'nurse', 'import', 'admin']) {
      const profile = await readFile(join(dir, `${account}.profile`), 'utf8');
      secrets.push((JSON.parse(profile) as { token: string }).token);
    }
  });
  afterAll(async () => {
    await town?.close();
    await rm(dir, { recursive: true, force: true });
  });

  describe('usage', () => {
    it('exits 2 and writes nothing to stdout when it is used wrongly', async () => {
      for (const args of [
        ['no-such-command'],
        ['record', 'open'],
        ['record', 'list', '--limit', 'many'],
        ['record', 'list', '--limit', '501'],
        ['login'],
        ['login', '--account'],
        ['ledger', 'export'],
        ['up', '--port', 'x'],
        ['up', '--port', '70000'],
        ['whoami', '--nonsense'],
      ]) {
        const done = await as('nobody', ...args);
        expect(done.code, args.join(' ')).toBe(2);
        expect(done.stdout, args.join(' ')).toBe('');
        expect(done.stderr).toMatch(/error:|Usage:/);
      }
    });

    it('answers --help and --version on stdout', async () => {
      for (const args of [['--help'], ['record', '--help'], ['--version']]) {
        const done = await as('nobody', ...args);
        expect(done.code).toBe(0);
        expect(done.stdout).not.toBe('');
        expect(done.stderr).toBe('');
      }
    });

    it('says what to do when nobody is signed in', async () => {
      expect(await problem('nobody', 'whoami')).toMatchObject({
        code: 'auth.required',
        message: expect.stringContaining('hippocrypt login'),
      });
    });

    it('says what to do with a profile or a device file that is none', async () => {
      await writeFile(join(dir, 'broken.profile'), '{"v":');
      expect((await problem('broken', 'whoami')).code).toBe('cli.profile');
      await writeFile(join(dir, 'other.profile'), '{"v":9}');
      expect((await problem('other', 'whoami')).code).toBe('cli.profile');
      const device = join(dir, 'not.device.json');
      await writeFile(device, 'xx');
      const args = [
        'login',
        '--url',
        town.url('mercy'),
        '--account',
        'doctor',
        '--password-file',
        passwordFile,
      ];
      expect((await problem('x', ...args, '--device', device)).code).toBe('device.malformed');
    });

    it('names a file that is not there', async () => {
      const missing = join(dir, 'missing.json');
      for (const args of [
        ['record', 'put', missing],
        ['import', missing, '--url', town.url('mercy'), '--password-file', passwordFile],
        ['ledger', 'verify', missing],
      ]) {
        const told = await problem('import', ...args);
        expect(told.code).toMatch(/^(?:cli|import)\./);
        expect(told.message).toContain('missing.json');
      }
    });
  });

  describe('session', () => {
    it('keeps the profile readable by its owner alone', async () => {
      const { mode } = await stat(join(dir, 'doctor.profile'));
      expect(mode & 0o077).toBe(0);
    });

    it('exits 1 for a wrong password, and does not repeat it', async () => {
      const wrong = join(dir, 'wrong');
      await writeFile(wrong, 'not-the-secret-word');
      secrets.push('not-the-secret-word');
      const told = await problem(
        'x',
        ...['login', '--url', town.url('mercy'), '--account', 'nurse', '--password-file', wrong],
      );
      expect(told.code).toBe('auth.failed');
    });

    it('exits 1 for a gateway that is not there', async () => {
      const args = [
        'login',
        '--url',
        'http://127.0.0.1:9',
        '--account',
        'nurse',
        '--password-file',
        passwordFile,
      ];
      expect((await problem('x', ...args)).code).toBe('client.unreachable');
    });

    it('whoami tells subject, custody and attributes', async () => {
      const me = await json<{ account: string; custody: string; attributes: { attribute: string }[] }>(
        'doctor',
        'whoami',
      );
      expect(me).toMatchObject({ account: 'doctor', custody: 'client', member: 'mercy' });
      expect(me.attributes.map((one) => one.attribute)).toContain('mercy/role:doctor');
      const text = await as('doctor', 'whoami');
      expect(text.stdout).toContain('mercy/role:doctor');
      expect(text.stderr).toBe('');
    });
  });

  describe('records', () => {
    let record: string;
    let file: string;

    beforeAll(async () => {
      file = join(dir, 'condition.json');
      await writeFile(file, CONDITION);
      const put = await json<{ records: string[]; committed: { receipt: string | null } }>(
        'doctor',
        ...['record', 'put', file, '--policy', 'mercy/role:doctor or mercy/role:nurse'],
      );
      [record] = put.records;
    });

    it('puts from the device and opens on it: the plaintext alone is on stdout', async () => {
      const opened = await as('doctor', 'record', 'open', record);
      expect(opened.code, opened.stderr).toBe(0);
      expect(opened.stdout).toBe(CONDITION);
      expect(opened.stderr).toMatch(/^access entry [0-9a-f]{64}\n$/);
      printed.splice(-2);
    });

    it('opens through the gateway for an account in its custody, and into a file', async () => {
      const opened = await json<{ content: string; record: string }>('nurse', 'record', 'open', record);
      expect([opened.record, opened.content]).toEqual([record, CONDITION]);
      printed.splice(-2);
      const out = join(dir, 'opened.json');
      const toFile = await as('nurse', 'record', 'open', record, '--out', out);
      expect([toFile.code, toFile.stdout]).toEqual([0, '']);
      expect(await readFile(out, 'utf8')).toBe(CONDITION);
      expect((await stat(out)).mode & 0o077).toBe(0);
    });

    it('carries bytes that are no text through both doors', async () => {
      const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
      const binary = join(dir, 'scan.bin');
      await writeFile(binary, bytes);
      for (const author of ['doctor', 'import']) {
        const put = await json<{ records: string[] }>(
          author,
          ...['record', 'put', binary, '--policy', 'mercy/role:doctor or mercy/role:nurse'],
        );
        for (const reader of ['doctor', 'nurse']) {
          const out = join(dir, `${author}-${reader}.bin`);
          const done = await as(reader, 'record', 'open', put.records[0], '--out', out);
          expect(done.code, done.stderr).toBe(0);
          expect(new Uint8Array(await readFile(out))).toEqual(bytes);
        }
      }
    });

    it('lists and gets what the ledger says', async () => {
      const page = await json<{ records: { record: string }[] }>(
        'nurse',
        'record',
        'list',
        '--custodian',
        'mercy',
      );
      expect(page.records.map((one) => one.record)).toContain(record);
      const info = await json<{ record: string; policy: string }>('nurse', 'record', 'get', record);
      expect(info.record).toBe(record);
      expect((await as('nurse', 'record', 'list')).stdout).toContain(record);
      expect((await problem('nurse', 'record', 'get', '0'.repeat(64))).code).toBe('record.unknown');
    });

    it('changes the policy, inspects the header, explains and denies', async () => {
      const changed = await json<{ entryId: string }>(
        'doctor',
        'record',
        'policy',
        record,
        'mercy/role:doctor',
      );
      expect(changed.entryId).toMatch(/^[0-9a-f]{64}$/);
      const seen = await json<{ policy: string; version: number }>('nurse', 'record', 'inspect', record);
      expect(seen).toMatchObject({ policy: 'mercy/role:doctor', version: 1 });
      const denied = await problem('nurse', 'record', 'open', record);
      expect(denied).toMatchObject({ code: 'access.denied', reason: 'policy' });
      expect(denied.entryId).toMatch(/^[0-9a-f]{64}$/);
      const why = await json<{ granted: boolean }>('nurse', 'record', 'explain', record);
      expect(why.granted).toBe(false);
      expect((await as('nurse', 'can-i', record)).code).toBe(1);
      expect((await as('doctor', 'can-i', record)).code).toBe(0);
    });

    it('tells line and column of a policy that does not parse', async () => {
      const told = await problem('doctor', 'record', 'put', file, '--policy', 'mercy/role:doctor or (');
      expect(told).toMatchObject({ code: 'policy.syntax', line: 1 });
      expect(told.column).toBeTypeOf('number');
    });
  });

  describe('search', () => {
    it('finds what was put, and exits 1 for a query that does not parse', async () => {
      const researcher = await town.people.enrol({
        name: 'researcher',
        member: 'mercy',
        kind: 'person',
        attributes: ['mercy/role:researcher'],
        custody: 'gateway',
      });
      await login('researcher');
      await town.settled();
      expect((await researcher.me()).custody).toBe('gateway');
      const found = await json<{ unit: string; missing: unknown[] }>(
        'researcher',
        ...['search', 'condition:I50', '--unit', 'record', '--custodian', 'mercy'],
      );
      expect(found).toMatchObject({ unit: 'record', missing: [] });
      expect((await problem('researcher', 'search', 'condition:')).code).toMatch(/^search\./);
      const fields = await json<{ fields: { custodian: string }[] }>('researcher', 'fields');
      expect(new Set(fields.fields.map((one) => one.custodian)).size).toBe(4);
    });
  });

  describe('ledger', () => {
    it('verifies a good export with exit 0, and names the entry of a tampered copy with exit 1', async () => {
      const path = join(dir, 'ledger.ndjson');
      const written = await json<{ bytes: number }>('doctor', 'ledger', 'export', '--out', path);
      expect(written.bytes).toBe((await stat(path)).size);
      const good = await json<{ ok: boolean; entries: number; blocks: number; failures: unknown[] }>(
        'nobody',
        ...['ledger', 'verify', path],
      );
      expect(good).toMatchObject({ ok: true, failures: [] });
      expect(good.entries).toBeGreaterThan(good.blocks);

      const flipped = flipOneByte(await readFile(path, 'utf8'));
      const copy = join(dir, 'tampered.ndjson');
      await writeFile(copy, flipped.text);
      const bad = await as('nobody', 'ledger', 'verify', copy, '--json');
      expect(bad.code).toBe(1);
      const report = JSON.parse(bad.stdout) as { ok: boolean; failures: { index?: number }[] };
      expect(report.ok).toBe(false);
      expect(report.failures.map((one) => one.index)).toContain(flipped.index);
      const told = await as('nobody', 'ledger', 'verify', copy);
      expect([told.code, told.stdout.includes(`entry ${flipped.index}`)]).toEqual([1, true]);
    });

    it('exports AuditEvents of the standard, one a line, with BALP profiles and no text of a record', async () => {
      const path = join(dir, 'audit.ndjson');
      await writeFile(join(dir, 'audited.json'), CONDITION);
      await json('import', 'record', 'put', join(dir, 'audited.json'), '--policy', 'mercy/role:nurse');
      await json('admin', 'ledger', 'export', '--format', 'fhir', '--out', path);
      const text = await readFile(path, 'utf8');
      const events = text
        .trimEnd()
        .split('\n')
        .map((line) => AUDIT_EVENT.parse(JSON.parse(line)));
      const put = await json<{ entries: { entryId: string }[] }>(
        'admin',
        ...['ledger', 'show', '--kind', 'RecordPut', '--limit', '500'],
      );
      const named = new Set(events.map((event) => event.extension?.[0].valueIdentifier?.value));
      expect(put.entries.length).toBeGreaterThan(0);
      for (const { entryId } of put.entries) expect(named).toContain(entryId);
      for (const event of events.filter(({ outcome }) => outcome === '0'))
        expect(event.meta?.profile?.[0]).toMatch(
          /^https:\/\/profiles\.ihe\.net\/ITI\/BALP\/StructureDefinition\//,
        );
      expect(text).not.toContain('heart failure');
      expect((await as('admin', 'ledger', 'export', '--format', 'pdf', '--out', path)).code).toBe(2);
    });

    it('refuses another genesis, a file that is no export, and a truncated one', async () => {
      const path = join(dir, 'ledger2.ndjson');
      await json('doctor', 'ledger', 'export', '--out', path);
      const other = await problem('nobody', 'ledger', 'verify', path, '--genesis', '0'.repeat(64));
      expect(other.code).toBe('anchor.other_genesis');
      const text = await readFile(path, 'utf8');
      for (const [name, content] of [
        ['empty', ''],
        ['text', 'hello\n'],
        ['cut', text.slice(0, text.length - 100)],
      ]) {
        const file = join(dir, `${name}.ndjson`);
        await writeFile(file, content);
        const done = await as('nobody', 'ledger', 'verify', file, '--json');
        expect(done.code, name).toBe(1);
        expect(done.stderr, name).not.toContain('    at ');
      }
    });

    it('verifies the ledger of the gateway, shows entries, and proves one', async () => {
      expect((await json<{ ok: boolean }>('nurse', 'ledger', 'verify')).ok).toBe(true);
      const page = await json<{ entries: { entryId: string; type: string }[] }>(
        'nurse',
        ...['ledger', 'show', '--kind', 'RecordPut', '--limit', '2'],
      );
      expect(page.entries.every((one) => one.type === 'RecordPut')).toBe(true);
      const proof = await json<{ verified: boolean; members: string[] }>(
        'nurse',
        ...['ledger', 'prove', page.entries[0].entryId],
      );
      expect(proof.verified).toBe(true);
      expect(proof.members.length).toBeGreaterThanOrEqual(3);
      const checkpoint = await json<{ size: number }>('nurse', 'ledger', 'checkpoint');
      expect(checkpoint.size).toBeGreaterThan(0);
    });
  });

  describe('up', () => {
    it('says which port is taken, and makes nothing', async () => {
      const port = new URL(town.url('mercy')).port;
      const data = join(dir, 'never');
      const told = await problem('x', 'up', '--once', '--port', port, '--data', data);
      expect(told.code).toBe('cli.port');
      expect(told.message).toContain(port);
      await expect(stat(data)).rejects.toThrow();
    });

    it('says that another process holds the data', async () => {
      const data = join(town.dir, 'data');
      const told = await problem('x', 'up', '--once', '--port', '0', '--data', data);
      expect(told.code).toBe('storage.locked');
    });

    it('refuses data of another version, and data that is none', async () => {
      for (const content of ['{"v":2,"members":[],"genesis":""}', '{"v":', '[]']) {
        const data = join(dir, 'other-version');
        await mkdir(data, { recursive: true });
        await writeFile(join(data, 'consortium.json'), content);
        const told = await problem('x', 'up', '--once', '--port', '0', '--data', data);
        expect(told.code).toBe('node.bad_data');
        expect(await readdir(data)).toEqual(['consortium.json']);
      }
    });
  });

  it('printed no password, no token, no seed and no text of a record in all of this', () => {
    expect(printed.length).toBeGreaterThan(60);
    const all = printed.join('\n');
    for (const secret of secrets) expect(all.includes(secret)).toBe(false);
    expect(all).not.toContain('sensitive heart failure');
    expect(JSON.stringify(town.events)).not.toContain('sensitive');
    expect(COMMAND).toContain('dist');
  });
});
