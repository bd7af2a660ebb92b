/** A member that lost its ledger and its log of votes comes back by a snapshot, and is a full member again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memberId } from '../../../src/codec/ids.ts';
import { verifySignature } from '../../../src/codec/signature.ts';
import { type EntryFilter, type LedgerEngine, MachineReplay, STATE } from '../../../src/ledger/index.ts';
import {
  anchorOfGenesis,
  PBFT_LITE,
  RegisteredKeys,
  readExport,
  verifyLedger,
} from '../../../src/ledger/verify/index.ts';
import { type Consortium, type ConsortiumOptions, startConsortium } from '../../../src/node/consortium.ts';
import type { MemberNode } from '../../../src/node/member.ts';
import type { LogEvent } from '../consortium.ts';

const LOST = memberId('university');
/** Blocks that a member must lack to take a snapshot. */
const BEHIND = 5;
let dir: string;
let consortium: Consortium;
const events: LogEvent[] = [];

const start = (options: Partial<ConsortiumOptions> = {}): Promise<Consortium> =>
  startConsortium({
    dir: join(dir, 'data'),
    port: 0,
    ratePerMinute: 0,
    log: { event: (name, fields) => events.push({ name, fields }) },
    ...options,
  });

const node = (id: string): MemberNode => {
  const found = consortium.nodes.get(memberId(id));
  if (found === undefined) throw new Error(`no member ${id}`);
  return found;
};

/** One block of a member's own: a right of its operator, set again. */
async function block(id: string): Promise<void> {
  const { operator } = node(id);
  const attribute = `${id}/right:operator`;
  await node(id).commitAs(operator, 'AttributeSet', {
    subject: Buffer.from(operator, 'hex'),
    attribute,
    until: null,
  });
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hippocrypt-snapshot-'));
  consortium = await start();
  for (let i = 0; i < 2 * BEHIND; i++) await block('mercy');
  await consortium.close();
  for (const folder of ['ledger', 'wal']) {
    await rm(join(dir, 'data', LOST, folder), { recursive: true });
  }
  events.length = 0;
  consortium = await start({ snapshot: { behind: BEHIND, waitMs: 300 } });
}, 120_000);

afterAll(async () => {
  await consortium.close();
  await rm(dir, { recursive: true, force: true });
});

it('took the snapshot of a member that has the newest blocks', () => {
  const taken = events.filter(({ name }) => name.startsWith('snapshot.'));
  expect(taken.map(({ name }) => name)).toEqual(['snapshot.begun', 'snapshot.taken']);
  expect(taken.every(({ fields }) => fields.member === LOST)).toBe(true);
  expect(taken[1].fields.height).toBeGreaterThan(2 * BEHIND);
});

it('votes again: a block needs it when another member is cut off', async () => {
  // The amnesia rule lets it vote two heights after the others' last COMMITs.
  for (let i = 0; i < 3; i++) await block('mercy');
  await expect.poll(() => node(LOST).consensus.status().voting, { timeout: 30_000 }).toBe(true);
  await node('county-general').consensus.stop();
  await block('mercy');
  const { height } = node('mercy').engine.head;
  expect(await node(LOST).ledger.reached(height, 10_000)).toBe(true);
}, 60_000);

it('has the state, the log and the entries of the others', async () => {
  const [mine, theirs] = [node(LOST), node('mercy')].map(({ engine }) => engine);
  expect(mine.head).toEqual(theirs.head);
  const ids = (engine: LedgerEngine, filter: EntryFilter): string[] =>
    engine.entries(filter, { limit: 1000 }).entries.map(({ id }) => id);
  for (const filter of [{}, { subject: node('mercy').operator }, { kind: 'ShareStep' } as const]) {
    expect(ids(mine, filter).length).toBeGreaterThan(0);
    expect(ids(mine, filter)).toEqual(ids(theirs, filter));
  }
  expect(mine.get(STATE.chain)).toEqual(theirs.get(STATE.chain));
  const { size } = mine.head;
  for (let index = 0; index < size; index++)
    expect(mine.inclusionProof(index, size)).toEqual(theirs.inclusionProof(index, size));
});

it('gives receipts for entries from before, and a ledger that verifies whole', async () => {
  const first = node(LOST).engine.entryAt(1);
  if (first === undefined) throw new Error('no entry');
  expect((await node(LOST).engine.awaitReceipt(first.id, AbortSignal.timeout(10_000))).entry).toEqual(
    first.bytes,
  );
  const anchor = anchorOfGenesis(node(LOST).ledger.genesisLeaf());
  const lines: string[] = [];
  for await (const line of node(LOST).ledger.export()) lines.push(line);
  const report = await verifyLedger(readExport(lines), anchor, {
    consensus: PBFT_LITE,
    signatures: new RegisteredKeys(),
    replay: new MachineReplay({ verifies: verifySignature, culpritOf: () => undefined }),
  });
  expect(report).toMatchObject({ ok: true, failures: [], blocks: node(LOST).engine.head.height });
  expect(node(LOST).authority.ready).toBe(true);
});
