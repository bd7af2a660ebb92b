/** The index forgets: after a purge no segment lists an erased record, and searches answer as before. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memberId } from '../../src/codec/ids.ts';
import { STATE } from '../../src/ledger/index.ts';
import { startTown, type Town } from './consortium.ts';
import { eraseRecord } from './storage/people.ts';

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterAll(() => town?.close());

it('rebuilds a segment that lists an erased record once, and then has nothing to do', async () => {
  const mercy = town.node('mercy');
  await town.client('import');
  const doctor = await town.client('doctor');
  const content = (text: string): Uint8Array =>
    new TextEncoder().encode(JSON.stringify({ resourceType: 'Basic', code: { text } }));
  const { records } = await doctor.records.put([
    { content: content('one'), patient: null, policy: 'mercy/role:doctor' },
    { content: content('two'), patient: null, policy: 'mercy/role:doctor' },
  ]);
  await town.settled();
  const seq = (): number => mercy.ledger.state(STATE.index(memberId('mercy')))?.seq ?? 0;
  const before = seq();
  await mercy.indexService().purge();
  expect(seq()).toBe(before);
  await eraseRecord(town, records[0]);
  await mercy.indexService().purge();
  expect(seq()).toBe(before + 1);
  await mercy.indexService().purge();
  expect(seq()).toBe(before + 1);
});
