/** Epochs and audits of searches by command: what was searched for is shown and checked, and an operator turns the epoch. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenedSearch, OpeningFile } from '../../src/client/index.ts';
import { PASSWORD, startTown, type Town } from '../node/consortium.ts';
import { type Finished, isBuilt, run } from './process.ts';

let town: Town;
let dir: string;

const as = (profile: string, ...args: string[]): Promise<Finished> =>
  run(args, { HIPPOCRYPT_PROFILE: join(dir, profile, 'profile.json') });

async function json<T>(profile: string, ...args: string[]): Promise<T> {
  const done = await as(profile, ...args, '--json');
  expect(done.code, done.stderr).toBe(0);
  return JSON.parse(done.stdout) as T;
}

async function enrol(name: string, custody: 'client' | 'gateway'): Promise<void> {
  const attributes = ['mercy/role:researcher'];
  await town.people.enrol({ name, member: 'mercy', kind: 'person', attributes, custody });
  await login(name, custody === 'client' ? join(town.dir, 'people', `${name}.device.json`) : undefined);
}

async function login(name: string, device?: string): Promise<void> {
  const own = device === undefined ? [] : ['--device', device];
  const password = join(dir, 'password');
  const args = ['--url', town.url('mercy'), '--account', name, '--password-file', password, ...own];
  const done = await as(name, 'login', ...args);
  expect(done.code, done.stderr).toBe(0);
}

describe.skipIf(!isBuilt)('hippocrypt search-audit and epoch (needs the build in dist/)', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hippocrypt-cli-search-'));
    await writeFile(join(dir, 'password'), `${PASSWORD}\n`, { mode: 0o600 });
    town = await startTown();
    const doctor = await town.client('doctor');
    const content = new TextEncoder().encode('{"resourceType":"Condition","code":{"text":"asthma"}}');
    await doctor.records.put([{ content, patient: null, policy: 'mercy/role:doctor' }]);
    await town.settled();
    await enrol('ada', 'client');
    await enrol('bob', 'gateway');
    await login('admin');
  });
  afterAll(async () => {
    await town?.close();
    await rm(dir, { recursive: true, force: true });
  });

  it('counts what a device or the right to hits shows exactly, and tells a right to count nothing of few', async () => {
    const attributes = ['mercy/right:counts'];
    await town.people.enrol({ name: 'cyd', member: 'mercy', kind: 'person', attributes, custody: 'gateway' });
    await login('cyd');
    const counted = (name: string) =>
      json<object>(name, 'search', 'text:asthma', '--unit', 'record', '--custodian', 'mercy', '--count');
    expect(await counted('ada')).toMatchObject({ count: 1, exact: true });
    expect(await counted('bob')).toMatchObject({ count: 1, exact: true });
    expect(await counted('cyd')).toMatchObject({ count: null, exact: false });
    const hits = await as('cyd', 'search', 'text:asthma', '--custodian', 'mercy');
    expect([hits.code === 0, hits.stdout]).toEqual([false, '']);
    expect(hits.stderr).toContain('search.counts_only');
  });

  it.each(['ada', 'bob'])('%s shows an auditor what was searched for', async (name) => {
    type Found = { records: unknown[]; committed: { entryId: string }[] };
    const found = await json<Found>(
      name,
      'search',
      'text:asthma',
      '--unit',
      'record',
      '--custodian',
      'mercy',
    );
    expect(found.records).toHaveLength(1);
    const [{ entryId }] = found.committed;
    const opening = await json<OpeningFile>(name, 'search-audit', 'show', entryId);
    const file = join(dir, `${name}.opening`);
    await writeFile(file, JSON.stringify(opening));
    const seen = await json<OpenedSearch>('admin', 'search-audit', 'verify', file);
    expect(seen).toMatchObject({ entryId, custodian: 'mercy', field: 'text', granted: true });
    expect(seen.shown).toContainEqual({ field: 'text', type: 'text', value: 'asthma' });
    const told = await as('admin', 'search-audit', 'verify', file);
    expect(told.stdout).toContain('text asthma');

    const [first, ...rest] = opening.opened;
    await writeFile(file, JSON.stringify({ ...opening, opened: [...rest, first] }));
    const refused = await as('admin', 'search-audit', 'verify', file, '--json');
    expect([refused.code, refused.stdout]).toEqual([1, '']);
    expect(refused.stderr).toContain('search.opening_wrong');
  });

  it('keeps what it needs sealed, for its owner alone', async () => {
    const folder = join(dir, 'ada', 'searches');
    const names = await readdir(folder);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
      expect((await readFile(join(folder, name))).includes('asthma')).toBe(false);
    }
  });

  it('opens a new epoch for an operator and for nobody else', async () => {
    const opened = await json<{ epochs: unknown[] }>('admin', 'epoch', 'text', 'type');
    expect(opened.epochs).toEqual([
      { field: 'text', epoch: 1 },
      { field: 'type', epoch: 1 },
    ]);
    await town.node('mercy').epochs?.idle();
    const refused = await as('ada', 'epoch', 'text', '--json');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('right.missing');
    const found = await json<{ records: unknown[] }>('ada', 'search', 'text:asthma', '--unit', 'record');
    expect(found.records).toHaveLength(1);
  });
});
