/** Holders that lie about the bytes they hold, and requests for copies at their bounds. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeCbor, encodeCbor } from '../../../src/codec/cbor.ts';
import { hasCode } from '../../../src/codec/errors.ts';
import { memberId, recordId } from '../../../src/codec/ids.ts';
import { STATE } from '../../../src/ledger/index.ts';
import { COPIES_BATCH } from '../../../src/node/copies-messages.ts';
import { replicasFor } from '../../../src/storage/index.ts';
import { startTown, type Town } from '../consortium.ts';
import { putTexts } from './people.ts';

const OTHERS = ['st-luke', 'county-general', 'university'];

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterAll(() => town?.close());

const headerHashOf = (record: string): Uint8Array => {
  const state = town.node('mercy').ledger.state(STATE.record(record));
  if (state === undefined) throw new Error('no such record');
  return state.headerHash;
};

describe('a custodian that lies', () => {
  it('about header or payload is believed nothing, and the copy is made from another holder later', async () => {
    const { link } = town.node('mercy').options;
    const [{ record, cid }] = await putTexts(town, ['what the custodian lies about']);
    const hash = headerHashOf(record);
    const { headers, payloads } = town.node('mercy');
    const trueHeader = (await headers.get(hash)) ?? new Uint8Array();
    const { size } = await payloads.stat(cid);
    const lie = new Uint8Array(size).fill(7);
    // The raw door: what this member serves is replaced, the rest of it stays honest.
    link.serve('headers', 'copies', async (_from, body) => {
      const wanted = decodeCbor(body) as (Uint8Array | string | null)[][];
      return encodeCbor(wanted.map(([header]) => [header === null ? null : trueHeader, lie]));
    });
    link.serve('headers', 'header', async () => lie);
    link.serve('headers', 'payload', async (_from, body) => {
      const { start } = decodeCbor(body) as { start: number };
      return encodeCbor({ size, bytes: lie.subarray(start) });
    });

    const holder = town.node(replicasFor(cid, OTHERS, 1)[0]);
    const third = town.node(OTHERS.find((member) => member !== holder.id) ?? '');
    await holder.ledger.reached(town.node('mercy').ledger.tip().height, 10_000);
    await holder.replication.flush();
    expect(await holder.payloads.has(cid)).toBe(false);
    expect(holder.replication.status()).toMatchObject({ failing: 1, unreceipted: 0 });

    // A third member that read it before the custodian began to lie.
    await third.headers.put(hash, trueHeader);
    expect((await third.payloads.put(payloads.get(cid))).cid).toBe(cid);
    await holder.replication.flush();
    expect(await holder.payloads.has(cid)).toBe(true);
    expect(holder.headers.has(hash)).toBe(true);
    expect(holder.replication.status()).toMatchObject({ waiting: 0, failing: 0, unreceipted: 0 });
  });

  it('about the length of a payload fills no disk: what is longer than the ledger says is refused at its first piece', async () => {
    let pieces = 0;
    town.node('mercy').options.link.serve('headers', 'payload', async () => {
      pieces += 1;
      return encodeCbor({ size: 2 ** 40, bytes: new Uint8Array(1024) });
    });
    const [{ record, cid }] = await putTexts(town, ['longer than it is']);
    const reader = town.node(OTHERS.find((member) => member !== replicasFor(cid, OTHERS, 1)[0]) ?? '');
    await reader.ledger.reached(town.node('mercy').ledger.tip().height, 10_000);
    const asked = reader.copies.payload(recordId(record));
    await expect(asked).rejects.toSatisfy((error) => hasCode(error, 'link.malformed'));
    expect(pieces).toBe(1);
  });
});

describe('a request for copies', () => {
  const ask = (count: number): Promise<Uint8Array> =>
    town
      .node('st-luke')
      .options.link.request(
        memberId('county-general'),
        'headers',
        'copies',
        encodeCbor(Array.from({ length: count }, () => [new Uint8Array(32), null])),
      );

  it('is answered up to its bound and refused above it', async () => {
    const nothing = Array.from({ length: COPIES_BATCH }, () => [null, null]);
    expect(decodeCbor(await ask(COPIES_BATCH))).toEqual(nothing);
    await expect(ask(COPIES_BATCH + 1)).rejects.toSatisfy((error) => hasCode(error, 'link.malformed'));
  });
});
