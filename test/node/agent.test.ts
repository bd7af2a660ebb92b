/** The gateway's agent of a custodial subject: a key that too few authorities answered is refused by name and asked for again. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hasCode } from '../../src/codec/errors.ts';
import { recordId } from '../../src/codec/ids.ts';
import { Agent } from '../../src/node/agent.ts';
import type { Parts } from '../../src/node/parts.ts';
import { startTown, type Town } from './consortium.ts';
import { putTexts } from './storage/people.ts';

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterAll(() => town?.close());

it('does not keep a key ring that lacks parts', async () => {
  await town.client('nurse');
  const [{ record }] = await putTexts(town, ['a note']);
  const node = town.node('mercy');
  let reachable = 2;
  const parts = {
    ofKey: async (id: Parameters<Parts['ofKey']>[0]) => {
      const answer = await node.parts.ofKey(id);
      return { ...answer, parts: answer.parts.slice(0, reachable) };
    },
    gatesOf: (access: Parameters<Parts['gatesOf']>[0]) => node.parts.gatesOf(access),
  };
  const agent = new Agent({
    ledger: node.ledger,
    custody: node.custody,
    parts,
    authorityKeys: () => node.parameters.authorityKeys(),
    commit: (subject, type, body) => node.commitAs(subject, type, body),
  });
  const nurse = node.accounts.session('nurse');
  if (nurse === undefined) throw new Error('the nurse has no account');
  const open = () => agent.access(nurse.subject, [{ id: recordId(record), version: 0 }], 'treatment');
  const refused = await open().catch((error: unknown) => error);
  expect(hasCode(refused, 'authority.too_few')).toBe(true);
  reachable = 4;
  const { ring } = await open();
  expect(ring.parts.size).toBe(4);
});
