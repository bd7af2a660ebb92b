/**
 * A fifth hospital joins a running consortium of four processes and another one leaves, by the operators' commands, while
 * people are enrolled: the shares move with the members, and nothing stops.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reservePorts } from '../ports.ts';
import { isBuilt, type Running, run, start } from './process.ts';

const FOUR = ['mercy', 'st-luke', 'county-general', 'university'];
const ELM = 'elm';
const DEADLINE_MS = 280_000;

let dir: string;
const running = new Map<string, Running>();
const ports = new Map<string, { readonly rest: number; readonly link: number }>();

const urlOf = (member: string): string => `http://127.0.0.1:${ports.get(member)?.rest}`;
const linkOf = (member: string) => ({ host: '127.0.0.1', port: ports.get(member)?.link });

/** Runs a command as a member's administrator and gives its JSON. */
async function as<T>(member: string, ...args: string[]): Promise<T> {
  const done = await run([...args, '--json'], { HIPPOCRYPT_PROFILE: join(dir, `${member}.profile`) });
  expect(done.code, done.stderr).toBe(0);
  return (done.stdout === '' ? undefined : JSON.parse(done.stdout)) as T;
}

async function login(member: string): Promise<void> {
  const args = ['login', '--url', urlOf(member), '--account', 'admin'];
  await as(member, ...args, '--password-file', join(dir, 'admin.password'));
}

function boot(member: string): Running {
  const node = start(['node', '--config', join(dir, `${member}.json`)], {}, DEADLINE_MS);
  node.finished.catch(() => undefined);
  running.set(member, node);
  return node;
}

const seen = (member: string, event: string): Promise<string> => {
  const node = running.get(member);
  if (node === undefined) throw new Error(`${member} does not run`);
  return node.until((text) => text.includes(`"event":"${event}"`));
};

interface Proposed {
  readonly entryId: string;
  readonly proposal: { readonly executed: boolean; readonly effect: unknown };
}

/** Proposes as mercy, and the others approve. */
async function decide(args: readonly string[], others: readonly string[]): Promise<Proposed> {
  const proposed = await as<Proposed>('mercy', ...args);
  for (const [i, member] of others.entries()) {
    const { proposal } = await as<Proposed>(member, 'proposal', 'approve', proposed.entryId);
    expect(proposal.executed).toBe(i === others.length - 1);
  }
  return proposed;
}

interface Shares {
  readonly shareEpoch: number;
  readonly threshold: number;
  readonly members: readonly string[];
}

describe.skipIf(!isBuilt)('members that join and leave (needs the build in dist/)', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hippocrypt-members-'));
    for (const member of [...FOUR, ELM]) {
      const rest = await reservePorts(2);
      ports.set(member, { rest, link: rest + 1 });
    }
    const made = await run(['init', '--members', '4', '--dir', dir]);
    expect(made.code, made.stderr).toBe(0);
    const keyFile = join(dir, 'elm.key');
    const names = ['--id', ELM, '--name', 'Elm Hospital', '--url', urlOf(ELM)];
    const newcomer = await run(['init', '--dir', join(dir, ELM), ...names, '--key-file', keyFile]);
    expect(newcomer.code, newcomer.stderr).toBe(0);
    const card = join(ELM, 'elm.card');
    for (const member of FOUR) {
      const path = join(dir, `${member}.json`);
      const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
      const peers = Object.fromEntries(FOUR.filter((one) => one !== member).map((one) => [one, linkOf(one)]));
      const own = {
        rest: { host: '127.0.0.1', port: ports.get(member)?.rest },
        link: linkOf(member),
        peers,
        observers: { [ELM]: { ...linkOf(ELM), card } },
      };
      await writeFile(path, JSON.stringify({ ...config, ...own }));
      if (member !== FOUR[0]) continue;
      const elm = {
        ...config,
        member: ELM,
        dir: ELM,
        card,
        unlock: { keyFile: 'elm.key' },
        rest: { host: '127.0.0.1', port: ports.get(ELM)?.rest },
        link: linkOf(ELM),
        peers: Object.fromEntries(FOUR.map((one) => [one, linkOf(one)])),
      };
      await writeFile(join(dir, `${ELM}.json`), JSON.stringify(elm));
    }
    for (const member of FOUR) boot(member);
    await Promise.all(FOUR.map((member) => seen(member, 'node.ready')));
    await Promise.all(FOUR.map(login));
  }, DEADLINE_MS);

  afterAll(async () => {
    for (const { child } of running.values()) child.kill('SIGKILL');
    await Promise.all([...running.values()].map(({ finished }) => finished.catch(() => undefined)));
    await rm(dir, { recursive: true, force: true });
  });

  it(
    'keep the key, the ledger and the service',
    async () => {
      let isOver = false;
      const { token } = JSON.parse(await readFile(join(dir, 'st-luke.profile'), 'utf8')) as { token: string };
      const traffic = (async () => {
        const statuses = new Set<number>();
        for (let count = 0; !isOver; count++) {
          const answer = await fetch(`${urlOf('st-luke')}/v1/subjects`, {
            method: 'POST',
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            body: JSON.stringify({ kind: 'person', identifiers: [`urn:test|${count}`] }),
          });
          await answer.text();
          statuses.add(answer.status);
        }
        return statuses;
      })();

      boot(ELM);
      await seen(ELM, 'node.observing');
      const follows = async (): Promise<boolean> =>
        (await run(['member', 'add', ELM, '--json'], { HIPPOCRYPT_PROFILE: join(dir, 'university.profile') }))
          .code === 0;
      await expect.poll(follows, { timeout: 60_000 }).toBe(true);
      const [open] = await as<{ proposal: string; effect: unknown }[]>('mercy', 'proposal', 'list');
      expect(open.effect).toEqual([
        { members: 4, faults: 1, quorum: 3 },
        { members: 5, faults: 1, quorum: 4 },
      ]);
      for (const member of ['mercy', 'county-general'])
        await as(member, 'proposal', 'approve', open.proposal);
      await seen(ELM, 'node.admitted');
      await seen(ELM, 'node.ready');
      await login(ELM);
      expect(await as<{ id: string }[]>(ELM, 'member', 'list')).toHaveLength(5);
      // The holders stay those of the share epoch until the shares are moved.
      expect(await as<Shares>(ELM, 'shares', 'status')).toMatchObject({
        shareEpoch: 0,
        members: FOUR.toSorted(),
      });
      await decide(['shares', 'reshare'], ['st-luke', ELM]);
      const five = await as<Shares>('mercy', 'shares', 'wait');
      expect(five).toMatchObject({ shareEpoch: 1, threshold: 4 });
      expect([...five.members].sort()).toEqual([...FOUR, ELM].sort());

      await decide(['member', 'remove', 'university'], ['st-luke', 'county-general', ELM]);
      await decide(['shares', 'reshare', '--window', '5'], ['st-luke', ELM]);
      const four = await as<Shares>(ELM, 'shares', 'wait');
      expect(four).toMatchObject({ shareEpoch: 2, threshold: 3 });
      expect([...four.members].sort()).toEqual(['county-general', ELM, 'mercy', 'st-luke']);
      const ready = async (): Promise<number> => (await fetch(`${urlOf(ELM)}/readyz`)).status;
      await expect.poll(ready, { timeout: 30_000 }).toBe(200);
      isOver = true;
      expect([...(await traffic)]).toEqual([201]);
    },
    DEADLINE_MS,
  );
});
