/**
 * The index of a custodian that is lost and restored: keywords that waited for the index at the backup are in it, segments
 * and companions that came later return from the copies, and merging goes on.
 */
import { randomBytes } from 'node:crypto';
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { People, type Person } from '../../../src/cli/tour/people.ts';
import { memberId } from '../../../src/codec/ids.ts';
import { restoreNode, withRepository } from '../../../src/node/backup.ts';
import { type Consortium, startConsortium } from '../../../src/node/consortium.ts';
import type { MemberNode } from '../../../src/node/member.ts';
import { segmentName } from '../../../src/search/index.ts';
import { PASSWORD, startTown, type Town } from '../consortium.ts';
import { putTexts } from './people.ts';

const MERCY = memberId('mercy');
const RESEARCHER: Person = {
  name: 'researcher',
  member: 'mercy',
  kind: 'person',
  attributes: ['mercy/role:researcher'],
  custody: 'client',
};
const condition = (text: string): string => JSON.stringify({ resourceType: 'Condition', code: { text } });

let town: Town;
let scratch: string;
let again: Consortium | undefined;
const events: string[] = [];

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'hippocrypt-index-'));
  await writeFile(join(scratch, 'backup.key'), randomBytes(64));
  town = await startTown();
});
afterAll(async () => {
  await again?.close();
  await rm(town.dir, { recursive: true, force: true });
  await rm(scratch, { recursive: true, force: true });
});

const restored = (): MemberNode => {
  const node = again?.nodes.get(MERCY);
  if (node === undefined) throw new Error('mercy does not run');
  return node;
};
const listed = (node: MemberNode): string[] => node.replicas.listed(MERCY).map(segmentName);

it('copies the companions of segments to the other members, padded and sealed', async () => {
  await putTexts(town, [condition('earliest')]);
  await town.settled();
  const mercy = town.node('mercy');
  for (const name of listed(mercy)) {
    const copy = await (await town.node('university').companions.folder(MERCY)).getSegment(name);
    expect(Math.log2(copy.length - 16) % 1).toBe(0);
    const own = await mercy.companions.vault.getSegment(name);
    expect(Buffer.from(copy).includes(Buffer.from(own.subarray(0, 16)))).toBe(false);
  }
});

it('restores a custodian from a backup of before its newest segments, while keywords waited', async () => {
  const mercy = town.node('mercy');
  const repository = join(scratch, 'repository');
  const keyFile = join(scratch, 'backup.key');
  // From here on nothing is indexed any more: the machine is lost before.
  Object.assign(mercy.indexService(), { flush: async () => undefined });
  await putTexts(town, [condition('waiting')]);
  await withRepository(repository, keyFile, (one) => mercy.backup(one));
  expect(mercy.staging.all().length).toBeGreaterThan(0);
  await town.consortium.close();

  const dir = join(town.dir, 'data', 'mercy');
  await copyFile(join(dir, 'keystore.key'), join(scratch, 'keystore.key'));
  await rm(dir, { recursive: true });
  await withRepository(repository, keyFile, (one) => restoreNode(dir, one, Date.now()));
  await copyFile(join(scratch, 'keystore.key'), join(dir, 'keystore.key'));
  again = await startConsortium({
    dir: join(town.dir, 'data'),
    port: 0,
    ratePerMinute: 0,
    log: { event: (name, fields) => events.push(`${fields.member} ${name}`) },
  });
  await restored().indexService().flush();
  const people = await People.open(join(town.dir, 'people'), again.urls);
  const researcher = await people.enrol(RESEARCHER);
  const found = await researcher.search.query('text:waiting', { unit: 'record', custodians: ['mercy'] });
  expect(found.records).toHaveLength(1);
  expect(restored().staging.all()).toEqual([]);
}, 120_000);

it('gets back segments and companions that were made after the backup, and merges them', async () => {
  const node = restored();
  const dir = node.options.dir;
  const author = await authorOf(again as Consortium);
  // Eight neighbours of the lowest level are merged into one; what was there before counts.
  for (let i = 0; listed(node).length < 7; i++) {
    await author(condition(`later ${i}`));
    await node.indexService().flush();
  }
  const others = [...(again as Consortium).nodes.values()];
  await Promise.all(others.map((one) => one.replicas.idle()));
  const names = listed(node);
  for (const name of names.slice(1)) {
    await node.companions.vault.deleteSegment(name);
    await (await node.segments(MERCY)).deleteSegment(name);
  }
  await node.replicas.ownIndex();
  expect((await readdir(join(dir, 'vault'))).sort()).toEqual(expect.arrayContaining([...names].sort()));
  await author(condition('the eighth'));
  await node.indexService().flush();
  expect(listed(node).length).toBeLessThan(names.length);
  expect(events.filter((name) => name.includes('index.'))).toEqual([]);
}, 120_000);

it('goes on indexing, without merging, when a companion is with nobody, and says so', async () => {
  const node = restored();
  const author = await authorOf(again as Consortium);
  const [name] = listed(node);
  for (const one of (again as Consortium).nodes.values())
    await (await one.companions.folder(MERCY)).deleteSegment(name);
  const before = listed(node).length;
  await author(condition('findable all the same'));
  for (let i = 0; listed(node).length < before + 8 && i < 12; i++) {
    await author(condition(`more ${i}`));
    await node.indexService().flush();
  }
  await node.scrub.round();
  expect(node.scrub.status().named).toContainEqual({
    of: `mercy/${name}`,
    what: 'companion',
    code: 'index.unknown',
  });
  await expect(node.indexService().purge()).resolves.toBeUndefined();
}, 120_000);

async function authorOf(consortium: Consortium): Promise<(content: string) => Promise<void>> {
  const app = consortium.nodes.get(MERCY)?.app;
  if (app === undefined) throw new Error('mercy does not listen');
  const login = await app.inject({
    method: 'POST',
    url: '/v1/auth/login',
    payload: { account: 'import', password: PASSWORD },
  });
  const { token } = login.json() as { token: string };
  return async (content) => {
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/records',
      headers: { authorization: `Bearer ${token}` },
      payload: { records: [{ content, patient: null, policy: 'mercy/role:nurse' }] },
    });
    if (answer.statusCode >= 300) throw new Error(answer.body);
  };
}
