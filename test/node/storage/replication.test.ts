/** Copies of records among members: who keeps them, who says so, who gives them, and that an erasure reaches all. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../../src/codec/bytes.ts';
import { memberId, recordId } from '../../../src/codec/ids.ts';
import { STATE } from '../../../src/ledger/index.ts';
import type { MemberNode } from '../../../src/node/member.ts';
import { replicasFor } from '../../../src/storage/index.ts';
import { collectBytes } from '../../storage/support.ts';
import { startTown, type Town } from '../consortium.ts';
import { eraseRecord, openText, type PutRecord, putTexts } from './people.ts';

const OTHERS = ['st-luke', 'county-general', 'university'];

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterAll(() => town?.close());

const all = (): MemberNode[] => [...town.consortium.nodes.values()];
const chosen = (cid: string): string => replicasFor(cid, OTHERS, 1)[0];
const headerOf = (record: string): Uint8Array => {
  const state = town.node('mercy').ledger.state(STATE.record(record));
  if (state === undefined) throw new Error('no such record');
  return state.headerHash;
};
const holds = async (node: MemberNode, { record, cid }: PutRecord): Promise<boolean> =>
  node.headers.has(headerOf(record)) && (await node.payloads.has(cid));
const settle = async (): Promise<void> => {
  const height = Math.max(...all().map((node) => node.ledger.tip().height));
  await Promise.all(all().map((node) => node.ledger.reached(height, 10_000)));
  for (const node of all()) await node.replication.flush();
};
/** CIDs that committed Stored entries name, by the member that signed them. */
function receipts(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const { ledger } = town.node('mercy');
  for (const { subject, body } of ledger.entries({ kind: 'Stored', limit: 1000 }).entries) {
    const member = subject === null ? '' : (ledger.state(STATE.subject(subject))?.member ?? '');
    const cids = found.get(member) ?? new Set();
    found.set(member, cids);
    for (const cid of body.cids as string[]) cids.add(cid);
  }
  return found;
}

describe('copies', () => {
  it('lie with the custodian and the member that rendezvous hashing chooses, which receipts them; nowhere else', async () => {
    const put = await putTexts(
      town,
      Array.from({ length: 12 }, (_, i) => `note ${i}`),
    );
    await settle();
    const named = receipts();
    for (const one of put) {
      for (const node of all()) {
        const wanted = node.id === 'mercy' || node.id === chosen(one.cid);
        expect(await holds(node, one), `${node.id} and ${one.cid}`).toBe(wanted);
      }
      expect(named.get(chosen(one.cid))).toContain(one.cid);
    }
    const entries = town.node('mercy').ledger.entries({ kind: 'Stored', limit: 1000 }).entries;
    expect(entries.length).toBeLessThanOrEqual(OTHERS.length);
  });

  it('are read by any member while the custodian is cut off', async () => {
    const [one] = await putTexts(town, ['read without its custodian']);
    await settle();
    const sealed = await collectBytes(town.node('mercy').payloads.get(one.cid));
    const reader = OTHERS.find((member) => member !== chosen(one.cid)) ?? '';
    town.consortium.links.setDown(memberId('mercy'), true);
    try {
      const headers = { authorization: `Bearer ${await town.token(reader, 'admin')}` };
      const payload = await town.app(reader).inject({ url: `/v1/records/${one.record}/payload`, headers });
      expect(payload.statusCode).toBe(200);
      expect(Buffer.compare(payload.rawPayload, sealed)).toBe(0);
      const header = await town.app(reader).inject({ url: `/v1/records/${one.record}/header`, headers });
      expect(header.statusCode).toBe(200);
    } finally {
      town.consortium.links.setDown(memberId('mercy'), false);
    }
  });

  it('reach a member that was cut off when the record was put, as soon as it is back', async () => {
    for (const member of OTHERS) town.consortium.links.setDown(memberId(member), true);
    const put = await putTexts(town, ['missed one', 'missed two', 'missed three']);
    await settle();
    for (const one of put) expect(await holds(town.node(chosen(one.cid)), one)).toBe(false);
    const failing = OTHERS.map((member) => town.node(member).replication.status().failing);
    expect(failing.reduce((sum, count) => sum + count)).toBe(put.length);
    for (const member of OTHERS) town.consortium.links.setDown(memberId(member), false);
    for (const one of put)
      await expect.poll(() => holds(town.node(chosen(one.cid)), one), { timeout: 40_000 }).toBe(true);
  });

  it('mend the custodian when its own payload is lost', async () => {
    const [one] = await putTexts(town, ['lost by its custodian']);
    await settle();
    const { payloads } = town.node('mercy');
    const now = Date.now();
    const kept = [...receipts().values()].flatMap((cids) => [...cids]).filter((cid) => cid !== one.cid);
    await payloads.collect(kept, 0, now);
    await payloads.collect(kept, 0, now);
    expect(await payloads.has(one.cid)).toBe(false);
    expect(await openText(town, one.record)).toBe('lost by its custodian');
    expect(await payloads.has(one.cid)).toBe(true);
  });
});

describe('an erasure', () => {
  it('removes header, payload and staged keywords from every node that holds them, each holder receipting it', async () => {
    const [gone, kept] = await putTexts(town, ['to be erased', 'to be kept']);
    await settle();
    const reader = OTHERS.find((member) => member !== chosen(gone.cid)) ?? '';
    const headers = { authorization: `Bearer ${await town.token(reader, 'admin')}` };
    await town.app(reader).inject({ url: `/v1/records/${gone.record}/payload`, headers });
    await town.app(reader).inject({ url: `/v1/records/${gone.record}/header`, headers });
    const hash = headerOf(gone.record);
    const held = ['mercy', chosen(gone.cid), reader].sort();
    for (const member of held) expect(await holds(town.node(member), gone), member).toBe(true);

    const height = await eraseRecord(town, gone.record);
    for (const node of all()) {
      await node.ledger.reached(height, 10_000);
      await node.erasure.idle();
      expect(node.headers.has(hash), node.id).toBe(false);
      expect(await node.payloads.has(gone.cid), node.id).toBe(false);
      expect(node.staging.all().some((row) => toHex(row.record) === gone.record)).toBe(false);
    }
    const { ledger } = town.node('mercy');
    await expect
      .poll(
        () =>
          ledger
            .entries({ record: recordId(gone.record), kind: 'Destroyed', limit: 10 })
            .entries.map(({ subject }) => ledger.state(STATE.subject(subject ?? ''))?.member)
            .sort(),
        { timeout: 20_000 },
      )
      .toEqual(held);
    expect(await openText(town, kept.record)).toBe('to be kept');
  });

  it('takes nothing of records that are put meanwhile', async () => {
    const doomed = await putTexts(
      town,
      Array.from({ length: 4 }, (_, i) => `doomed ${i}`),
    );
    const putting = Promise.all(
      Array.from({ length: 6 }, (_, i) => putTexts(town, [`put meanwhile ${i}`, `and ${i}`])),
    );
    for (const { record } of doomed) await eraseRecord(town, record);
    const put = (await putting).flat();
    await town.node('mercy').erasure.idle();
    for (const one of put) expect(await holds(town.node('mercy'), one)).toBe(true);
    for (const { cid } of doomed) expect(await town.node('mercy').payloads.has(cid)).toBe(false);
  });
});
