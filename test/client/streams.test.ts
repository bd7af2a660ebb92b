/**
 * Records too large for one request: they pass as streams, sealed before they leave and checked to their last byte, and what
 * breaks off or is never named leaves nothing behind.
 */

import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Hippocrypt } from '../../src/client/index.ts';
import { PASSWORD, startTown, type Town } from '../node/consortium.ts';
import { codeOf, deceive, inJson, Liar, type Lie } from './liar.ts';

const MIB = 1024 * 1024;
const POLICY = 'mercy/role:doctor or mercy/role:nurse';

let ahead = 0;
const now = (): number => Date.now() + ahead;
let town: Town;
let doctor: Hippocrypt;
let deceived: Hippocrypt;
const liar = new Liar();

/** `length` bytes in pieces of an odd size; nothing holds them all. */
async function* source(length: number, size = 300_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < length; at += size) yield piece(at, Math.min(size, length - at));
}

function piece(from: number, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = ((from + i) * 31 + ((from + i) >> 9)) & 0xff;
  return out;
}

/** Whether `stream` gives exactly the bytes of `source(length)`. Throws what the stream throws. */
async function isSource(stream: AsyncIterable<Uint8Array>, length: number): Promise<boolean> {
  let at = 0;
  let isEqual = true;
  for await (const chunk of stream) {
    isEqual &&= Buffer.compare(chunk, piece(at, chunk.length)) === 0;
    at += chunk.length;
  }
  return isEqual && at === length;
}

async function putStream(length: number, client = doctor): Promise<string> {
  const { records } = await client.records.putStream({
    source: source(length),
    patient: null,
    policy: POLICY,
  });
  return records[0];
}

/** Names that wait at the gateway for their record. */
const waiting = (): readonly string[] => town.node('mercy').uploads.cids();

beforeAll(async () => {
  town = await startTown({ clock: now });
  doctor = await town.client('doctor');
  deceived = await deceive(liar, doctor, { url: town.url('mercy'), account: 'doctor' });
});
afterAll(() => town?.close());

describe('a record of any length', () => {
  it.each([0, 1, MIB, 40 * MIB + 5])(
    'of %i bytes is sealed, stored and opened as a stream',
    async (length) => {
      const id = await putStream(length);
      const { plaintext, record, access } = await doctor.records.openStream(id);
      expect(await isSource(plaintext, length)).toBe(true);
      expect(record.bytes).toBeGreaterThan(length);
      expect((await doctor.anchors.receipt(access.receipt ?? '')).ok).toBe(true);
      expect(waiting()).toEqual([]);
    },
  );

  it('opens at another member that fetches it first, and whole where it fits', async () => {
    const id = await putStream(9 * MIB);
    const { plaintext } = await doctor.records.open(id);
    expect(plaintext.length).toBe(9 * MIB);
    await town.settled();
    const { stream } = await town
      .node('university')
      .records.payload((await doctor.records.get(id)).record as never);
    let size = 0;
    for await (const chunk of stream) size += chunk.length;
    expect(size).toBe((await doctor.records.get(id)).bytes);
  });

  it('goes ahead of its request by itself when it is put whole, with its keywords', async () => {
    const content = new TextEncoder().encode(
      JSON.stringify({
        resourceType: 'DocumentReference',
        description: 'angiogram',
        content: 'x'.repeat(30 * MIB),
      }),
    );
    const { records } = await doctor.records.put([{ content, patient: null, policy: POLICY }]);
    expect(Buffer.compare((await doctor.records.open(records[0])).plaintext, content)).toBe(0);
    expect(waiting()).toEqual([]);
  });

  it('may stand in a list with more of its kind than are sent at once', async () => {
    const contents = Array.from({ length: 6 }, (_, i) => piece(i * 1000, MIB + 65_536 + i));
    const { records } = await doctor.records.put(
      contents.map((content) => ({ content, patient: null, policy: POLICY })),
    );
    for (const [i, record] of records.entries())
      expect(Buffer.compare((await doctor.records.open(record)).plaintext, contents[i])).toBe(0);
  });

  it('is refused to a gateway that would have to open it in memory for a subject in its custody', async () => {
    const id = await putStream(25 * MIB);
    await town.client('nurse');
    const answer = await town.app('mercy').inject({
      method: 'POST',
      url: `/v1/records/${id}/open`,
      headers: { authorization: `Bearer ${await town.token('mercy', 'nurse')}` },
      payload: { purpose: 'treatment' },
    });
    expect([answer.statusCode, answer.json().code]).toEqual([413, 'record.too_large']);
  });
});

describe('a gateway that lies about a stream', () => {
  const length = 3 * MIB;
  let id: string;
  let other: string;
  beforeAll(async () => {
    id = await putStream(length);
    other = await putStream(length);
  });

  const open = async (lie: Lie['change']): Promise<string> =>
    codeOf(
      liar.during({ path: /\/payload$/, change: lie }, async () => {
        const { plaintext } = await deceived.records.openStream(id);
        for await (const _ of plaintext);
      }),
    );

  it('opens it when it tells the truth', async () => {
    const { plaintext } = await deceived.records.openStream(id);
    expect(await isSource(plaintext, length)).toBe(true);
  });

  it.each<[string, Lie['change']]>([
    [
      'flips a bit in the middle',
      (body) => body.map((byte, i) => (i === body.length >> 1 ? byte ^ 1 : byte)),
    ],
    [
      'flips a bit of the last chunk',
      (body) => body.map((byte, i) => (i === body.length - 1 ? byte ^ 1 : byte)),
    ],
    ['cuts it at a chunk', (body) => body.subarray(0, 61 + 10 * (65536 + 16))],
    ['cuts it inside the first bytes', (body) => body.subarray(0, 40)],
    ['sends nothing', () => new Uint8Array()],
    ['adds a byte', (body) => Buffer.concat([body, Uint8Array.of(0)])],
    ['sends the payload of another record', async () => Buffer.concat(await payloadOf(other))],
  ])('and %s is found out', async (_name, lie) => {
    expect(await open(lie)).toBe('abe.payload_rejected');
  });

  it('about the CID that it stored is found out before anything is signed', async () => {
    const run = liar.during(
      {
        path: /\/payloads$/,
        change: inJson((json) => Object.assign(json, { bytes: Number(json.bytes) - 1 })),
      },
      () => putStream(length, deceived),
    );
    expect(await codeOf(run)).toBe('payload.cid_mismatch');
  });

  async function payloadOf(record: string): Promise<Uint8Array[]> {
    const parts: Uint8Array[] = [];
    for await (const part of doctor.gateway.stream('GET', `/v1/records/${record}/payload`)) parts.push(part);
    return parts;
  }
});

describe('a payload ahead of its record', () => {
  it('is taken only from who may put records', async () => {
    const clerk = await town.client('clerk');
    const before = waiting();
    expect(await codeOf(clerk.gateway.upload('/v1/payloads', source(MIB)))).toBe('right.missing');
    expect(waiting()).toEqual(before);
  });

  it('is no JSON', async () => {
    expect(await codeOf(doctor.gateway.json('POST', '/v1/payloads', { body: { a: 1 } }))).toBe(
      'request.media_type',
    );
  });

  it('cannot be named by another author', async () => {
    const surgeon = await town.people.enrol({
      name: 'surgeon',
      member: 'mercy',
      kind: 'person',
      attributes: ['mercy/role:doctor', 'mercy/right:author'],
      custody: 'client',
    });
    const token = await town.token('mercy', 'doctor');
    const deposits = await Hippocrypt.connect({
      url: town.url('mercy'),
      account: 'surgeon',
      password: PASSWORD,
      device: surgeon.context.device,
      // The payload is sent by the doctor, the record that names it by the surgeon.
      fetch: (input, init) => {
        const headers = new Headers(init?.headers);
        if (String(input).endsWith('/v1/payloads')) headers.set('authorization', `Bearer ${token}`);
        return fetch(input, { ...init, headers });
      },
    });
    expect(await codeOf(putStream(2 * MIB, deposits))).toBe('record.payload_unknown');
    expect(await codeOf(putStream(2 * MIB, surgeon))).toBe('nothing was refused');
  });

  it('is collected an hour later when no record has named it', async () => {
    const { cid } = await doctor.gateway.upload<{ cid: string }>('/v1/payloads', source(2 * MIB + 1));
    const { records, payloads } = town.node('mercy');
    for (let run = 0; run < 2; run++) await records.collect(0, now());
    expect(await payloads.has(cid)).toBe(true);
    ahead = 61 * 60_000;
    await records.sweep();
    for (let run = 0; run < 2; run++) await records.collect(0, now());
    expect(await payloads.has(cid)).toBe(false);
    expect(waiting()).toEqual([]);
  });

  it('that breaks off leaves nothing, and the source learns why', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield piece(0, 2 * MIB);
      throw new Error('the scanner was switched off');
    }
    await expect(doctor.gateway.upload('/v1/payloads', failing())).rejects.toThrow(
      'the scanner was switched off',
    );
    expect(waiting()).toEqual([]);
  });

  it('whose sender hangs up frees its place', async () => {
    const { hostname, port } = new URL(town.url('mercy'));
    const token = await town.token('mercy', 'import');
    await town.client('import');
    for (let i = 0; i < 6; i++) {
      const socket = connect(Number(port), hostname);
      await once(socket, 'connect');
      socket.write(
        `POST /v1/payloads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n` +
          'content-type: application/octet-stream\r\ncontent-length: 1000000\r\n\r\nabc',
      );
      socket.destroy();
      await once(socket, 'close');
    }
    const stored = await vi.waitFor(() =>
      doctor.gateway.upload<{ bytes: number }>('/v1/payloads', source(10)),
    );
    expect(stored.bytes).toBe(10);
  });

  it('waits for a place: four at once of one subject', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* slow(i: number): AsyncGenerator<Uint8Array> {
      yield piece(i, 100);
      await held;
    }
    const begun = [1, 2, 3, 4].map((i) => doctor.gateway.upload('/v1/payloads', slow(i)));
    await vi.waitFor(async () => {
      expect(await codeOf(doctor.gateway.upload('/v1/payloads', source(10)))).toBe('payload.too_many');
    });
    release();
    expect(await Promise.all(begun)).toHaveLength(4);
  });
});
