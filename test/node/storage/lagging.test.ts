/** A custodian whose ledger is a few blocks behind its own stores, as a crash may leave it. */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memberId } from '../../../src/codec/ids.ts';
import { STATE } from '../../../src/ledger/index.ts';
import { type Consortium, startConsortium } from '../../../src/node/consortium.ts';
import { startTown, type Town } from '../consortium.ts';
import { putTexts } from './people.ts';

const MERCY = memberId('mercy');
let town: Town;
let again: Consortium | undefined;

beforeAll(async () => {
  town = await startTown();
});
afterAll(async () => {
  await again?.close();
  await rm(town.dir, { recursive: true, force: true });
});

it('starts although its ledger still names the index manifest of before: it follows the others first', async () => {
  const data = join(town.dir, 'data');
  const ledger = join(data, 'mercy', 'ledger');
  const saved = join(town.dir, 'ledger.before');
  await putTexts(town, ['indexed before']);
  await town.settled();
  const before = town.node('mercy').ledger.state(STATE.index(MERCY))?.seq ?? 0;
  expect(before).toBeGreaterThan(0);
  // A copy of the running store is what a crash at this moment would leave of it.
  await cp(ledger, saved, { recursive: true });
  await putTexts(town, ['indexed after']);
  await town.settled();
  const after = town.node('mercy').ledger.state(STATE.index(MERCY))?.seq ?? 0;
  expect(after).toBeGreaterThan(before);
  await town.consortium.close();
  await rm(ledger, { recursive: true });
  await rm(join(saved, 'owner.lock'), { force: true });
  await cp(saved, ledger, { recursive: true });

  again = await startConsortium({ dir: data, port: 0, ratePerMinute: 0, log: { event: () => undefined } });
  const node = again.nodes.get(MERCY);
  expect(node?.ledger.state(STATE.index(MERCY))?.seq).toBeGreaterThanOrEqual(after);
  expect(node?.replicas.listed(MERCY).length).toBeGreaterThan(0);
});
