/**
 * Records through the SDK: sealed before they leave, opened after they arrive, against a gateway that may lie. And the
 * ways in which an opening ends: custody, revocation, the end of a consent.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeAuthorityKeys, parsePolicy } from '../../src/abe/index.ts';
import { sealRecord } from '../../src/abe/record.ts';
import { Device, type DeviceFile, Hippocrypt, platformRandom } from '../../src/client/index.ts';
import { fromBase64url, fromHex, toBase64url, toHex } from '../../src/codec/bytes.ts';
import { cidOf } from '../../src/codec/cid.ts';
import type { CodedError } from '../../src/codec/errors.ts';
import { memberId } from '../../src/codec/ids.ts';
import { consortium } from '../abe/fixtures.ts';
import { PASSWORD, startTown, type Town } from '../node/consortium.ts';
import { codeOf, deceive, flipped, inJson, Liar } from './liar.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const CONDITION = text('{"resourceType":"Condition",  "code":{"text":"heart failure"}, "x": 1.50}');

let town: Town;
let doctor: Hippocrypt;
let nurse: Hippocrypt;
/** The doctor behind a gateway that lies on demand. */
let deceived: Hippocrypt;
const liar = new Liar();

async function put(content: Uint8Array, policy?: string, patient: string | null = null): Promise<string> {
  const report = await doctor.records.put([
    { content, patient, ...(policy === undefined ? {} : { policy }) },
  ]);
  return report.records[0];
}

beforeAll(async () => {
  town = await startTown();
  doctor = await town.client('doctor');
  nurse = await town.client('nurse');
  deceived = await deceive(liar, doctor, { url: town.url('mercy'), account: 'doctor' });
});
afterAll(() => town?.close());

describe('sealing and opening on the client', () => {
  it('gives a FHIR resource back byte for byte, under the default policy of its type', async () => {
    const record = await put(CONDITION);
    const opened = await doctor.records.open(record);
    expect(opened.plaintext).toEqual(CONDITION);
    expect(opened.record.policy).toContain(
      'mercy/dept:cardiology and (mercy/role:doctor or mercy/role:nurse)',
    );
    expect(opened.record).toMatchObject({ custodian: 'mercy', version: 0, erased: false });
  });

  it('gives bytes of no format back, empty ones too', async () => {
    const bytes = Uint8Array.from({ length: 1024 }, (_, i) => (i * 7) & 0xff);
    for (const content of [bytes, text('{"resourceType":'), Uint8Array.of(0xff), new Uint8Array(0)]) {
      const record = await put(content, 'mercy/role:doctor');
      expect((await doctor.records.open(record)).plaintext).toEqual(content);
    }
  });

  it('carries more than one block of IPFS', async () => {
    const content = new Uint8Array(2_600_000).map((_, i) => (i * 31 + (i >> 8)) & 0xff);
    const record = await put(content, 'mercy/role:doctor');
    const opened = await doctor.records.open(record);
    expect(Buffer.compare(opened.plaintext, content)).toBe(0);
    expect(opened.record.cid).toMatch(/^bafybei/);
  });

  it('puts a list as one entry, and opens it from another member', async () => {
    const report = await doctor.records.put([
      { content: text('one'), patient: null, policy: 'mercy/role:doctor or st-luke/role:doctor' },
      { content: text('two'), patient: null, policy: 'mercy/role:doctor or st-luke/role:doctor' },
    ]);
    expect(report.records).toHaveLength(2);
    const visitor = await town.client('visitor');
    expect(new TextDecoder().decode((await visitor.records.open(report.records[1])).plaintext)).toBe('two');
  });

  it('refuses a policy that does not parse, before anything is sent', async () => {
    const asked: string[] = [];
    const spy = await Hippocrypt.connect({
      url: town.url('mercy'),
      account: 'doctor',
      password: PASSWORD,
      device: doctor.context.device,
      fetch: (input, init) => {
        asked.push(`${init?.method} ${new URL(String(input)).pathname}`);
        return fetch(input, init);
      },
    });
    const run = spy.records.put([{ content: text('x'), patient: null, policy: 'mercy/role:doctor and' }]);
    await expect(run).rejects.toMatchObject({ code: 'policy.syntax', details: { line: 1, column: 22 } });
    expect(asked).not.toContain('POST /v1/records');
  });

  it('sends neither plaintext nor key to the gateway', async () => {
    const sent: string[] = [];
    const spy = await Hippocrypt.connect({
      url: town.url('mercy'),
      account: 'doctor',
      password: PASSWORD,
      device: doctor.context.device,
      fetch: (input, init) => {
        sent.push(String(init?.body ?? ''));
        return fetch(input, init);
      },
    });
    const content = text('{"resourceType":"Condition","code":{"text":"unmistakable"}}');
    const { records } = await spy.records.put([{ content, patient: null, policy: 'mercy/role:doctor' }]);
    await spy.records.open(records[0]);
    const all = sent.join('\n');
    const { signingSeed, hpkeSeed } = doctor.context.device.toFile();
    for (const secret of [
      'unmistakable',
      Buffer.from('unmistakable').toString('base64url'),
      signingSeed,
      hpkeSeed,
    ])
      expect(all.includes(secret)).toBe(false);
  });

  it('leaves nothing behind at the gateway for a put that the ledger refuses', async () => {
    await town.settled();
    const { staging } = town.node('mercy');
    expect(staging.all()).toEqual([]);
    const clerk = await town.client('clerk');
    const run = clerk.records.put([
      { content: text('no right'), patient: null, policy: 'mercy/role:doctor' },
    ]);
    expect(await codeOf(run)).toBe('right.missing');
    expect(staging.all()).toEqual([]);
  });

  it('is answered with the first entry when the same sealed put is sent again', async () => {
    const bodies: string[] = [];
    const spy = await Hippocrypt.connect({
      url: town.url('mercy'),
      account: 'doctor',
      password: PASSWORD,
      device: doctor.context.device,
      fetch: (input, init) => {
        if (String(input).endsWith('/v1/records')) bodies.push(String(init?.body));
        return fetch(input, init);
      },
    });
    const first = await spy.records.put([
      { content: text('once'), patient: null, policy: 'mercy/role:doctor' },
    ]);
    const again = await doctor.gateway.json<typeof first>('POST', '/v1/records', {
      body: JSON.parse(bodies[0]) as unknown,
    });
    expect(again.records).toEqual(first.records);
    expect(again.committed.entryId).toBe(first.committed.entryId);
  });

  it('changes a policy without touching the payload', async () => {
    const record = await put(text('policy'), 'mercy/role:doctor or mercy/role:nurse');
    const before = await doctor.records.get(record);
    await doctor.records.changePolicy(record, 'mercy/role:doctor and mercy/dept:cardiology');
    const after = await doctor.records.open(record);
    expect(after.record).toMatchObject({ version: 1, cid: before.cid });
    expect(new TextDecoder().decode(after.plaintext)).toBe('policy');
    await expect(
      nurse.gateway.json('POST', `/v1/records/${record}/open`, { body: {} }),
    ).rejects.toMatchObject({ code: 'access.denied', details: { reason: 'policy' } });
  });
});

describe('a gateway that lies', () => {
  let record: string;
  let other: string;
  beforeAll(async () => {
    record = await put(text('the record'), 'mercy/role:doctor');
    other = await put(text('another one'), 'mercy/role:doctor');
  });
  const isOf = (path: string): RegExp => new RegExp(`^/v1/records/${record}/${path}$`);

  it('is refused when it sends another header, or a changed one', async () => {
    const { header } = await doctor.gateway.json<{ header: string }>('GET', `/v1/records/${other}/header`);
    for (const change of [
      inJson((json) => {
        json.header = header;
      }),
      inJson((json) => {
        json.header = flipped(json.header);
      }),
    ]) {
      const run = liar.during({ path: isOf('header'), change }, () => deceived.records.open(record));
      expect(await codeOf(run)).toBe('abe.header_mismatch');
    }
  });

  it('is refused when it sends another payload, a changed one, or half of it', async () => {
    const payload = await doctor.gateway.bytes('GET', `/v1/records/${other}/payload`);
    for (const change of [
      () => payload,
      (body: Uint8Array) => body.map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
      (body: Uint8Array) => body.subarray(0, body.length >> 1),
    ]) {
      const run = liar.during({ path: isOf('payload'), change }, () => deceived.records.open(record));
      expect(await codeOf(run)).toBe('payload.cid_mismatch');
    }
  });

  it('is refused when header and payload of another record come with their own ledger facts', async () => {
    const facts = await doctor.records.get(other);
    const payload = await doctor.gateway.bytes('GET', `/v1/records/${other}/payload`);
    const { header } = await doctor.gateway.json<{ header: string }>('GET', `/v1/records/${other}/header`);
    const change = (body: Uint8Array, path: string): Uint8Array => {
      if (path.endsWith('/payload')) return payload;
      if (path.endsWith('/header')) return text(JSON.stringify({ header }));
      const own = JSON.parse(new TextDecoder().decode(body)) as object;
      return text(JSON.stringify({ ...own, cid: facts.cid, headerHash: facts.headerHash }));
    };
    const lie = { path: new RegExp(`^/v1/records/${record}(?:/header|/payload)?$`), change };
    expect(await codeOf(liar.during(lie, () => deceived.records.open(record)))).toBe('client.unproven');
  });

  it('is refused when it seals a forged content under the record itself, facts and all', async () => {
    const { context } = doctor;
    const facts = await doctor.records.get(record);
    const keys = await context.authorityKeys();
    // Anybody can encrypt: the forger needs no key, only the public ones.
    const forged = sealRecord({
      group: await context.group(),
      mpk: keys.mpk,
      registry: await doctor.proven.registry(),
      recordId: fromHex(record),
      version: facts.version,
      policy: parsePolicy(facts.policy),
      gate: 'record',
      plaintext: text('forged'),
      random: platformRandom,
    });
    const change = async (body: Uint8Array, path: string): Promise<Uint8Array> => {
      if (path.endsWith('/payload')) return forged.payload;
      if (path.endsWith('/header')) return text(JSON.stringify({ header: toBase64url(forged.header) }));
      const own = JSON.parse(new TextDecoder().decode(body)) as object;
      return text(
        JSON.stringify({
          ...own,
          cid: await cidOf(forged.payload),
          headerHash: toHex(forged.headerHash),
          commitment: toHex(forged.commitment),
        }),
      );
    };
    const lie = { path: new RegExp(`^/v1/records/${record}(?:/header|/payload)?$`), change };
    expect(await codeOf(liar.during(lie, () => deceived.records.open(record)))).toBe('client.unproven');
  });

  it('is refused when its proof of the ledger state is changed, or is of another record', async () => {
    const path = /^\/v1\/ledger\/states$/;
    const asked = (id: string): Promise<object> =>
      doctor.gateway.json('POST', '/v1/ledger/states', { body: { keys: [`record/${id}`] } });
    const old = await asked(record);
    const first = (json: Record<string, unknown>): Record<string, unknown> =>
      (json.states as Record<string, unknown>[])[0];
    for (const [change, expected] of [
      [
        inJson((json) => {
          first(json).proof = flipped(first(json).proof);
        }),
        /^(?:client\.unproven|state\.bad_proof|cbor\.)/,
      ],
      [
        inJson((json) => {
          first(json).value = flipped(first(json).value);
        }),
        /^client\.unproven$/,
      ],
      [
        inJson((json) => {
          json.checkpoint = String(json.checkpoint).replace(/^\d+$/m, (size) => String(Number(size) + 1));
        }),
        /^checkpoint\./,
      ],
      [() => text(JSON.stringify(old)), /^checkpoint\.rolled_back$/],
      [async () => text(JSON.stringify(await asked(other))), /^client\.unproven$/],
    ] as const) {
      expect(await codeOf(liar.during({ path, change }, () => deceived.records.open(record)))).toMatch(
        expected,
      );
    }
  });

  it('is refused when it names a public key or an indexer key of its own', async () => {
    const fresh = (): Promise<Hippocrypt> =>
      Hippocrypt.connect({
        url: town.url('mercy'),
        account: 'doctor',
        password: PASSWORD,
        device: doctor.context.device,
        fetch: liar.fetch,
      });
    const content = { content: CONDITION, patient: null, policy: 'mercy/role:doctor' };
    // A whole public key of a forger: the same form, another secret.
    const group = await doctor.context.group();
    const forger = consortium(group, 4, 3, 'forger');
    const elsewhere = { keys: toBase64url(encodeAuthorityKeys(group, forger.keys)) };
    const keyed = await fresh();
    const keys = { path: /^\/v1\/authorities$/, change: () => text(JSON.stringify(elsewhere)) };
    expect(await codeOf(liar.during(keys, () => keyed.records.put([content])))).toBe('client.unproven');
    const indexed = await fresh();
    const change = inJson((json) => {
      const [member] = json.states as Record<string, unknown>[];
      member.value = flipped(member.value);
    });
    const member = { path: /^\/v1\/ledger\/states$/, change };
    expect(await codeOf(liar.during(member, () => indexed.records.put([content])))).toBe('client.unproven');
  });

  it('is refused when it puts another policy under a header', async () => {
    const change = inJson((json) => {
      json.policy = 'mercy/role:doctor or mercy/role:nurse';
    });
    const lie = { path: new RegExp(`^/v1/records/${record}$`), change };
    expect(await codeOf(liar.during(lie, () => deceived.records.open(record)))).toBe('client.unproven');
  });

  it('names the authority whose part of a key does not open; the others make the key', async () => {
    const change = inJson((json) => {
      const { parts } = json.parts as { parts: { sealed: string }[] };
      parts[0].sealed = flipped(parts[0].sealed);
    });
    const report = await liar.during({ path: /^\/v1\/keys$/, change }, () => deceived.keys.request());
    expect(report.missing).toEqual([{ member: expect.any(String), code: 'hpke.rejected' }]);
    expect(report.combined).toHaveLength(3);
    expect((await deceived.records.open(record)).plaintext).toEqual(text('the record'));
  });

  it('is refused when too few parts are left', async () => {
    const change = inJson((json) => {
      const { parts } = json.parts as { parts: { sealed: string }[] };
      for (const part of parts.slice(0, 2)) part.sealed = flipped(part.sealed);
    });
    const run = liar.during({ path: /^\/v1\/keys$/, change }, () => deceived.keys.request());
    expect(await codeOf(run)).toBe('authority.too_few');
  });

  it("cannot pass a part off as another authority's", async () => {
    const change = inJson((json) => {
      const { parts } = json.parts as { parts: { authority: number }[] };
      [parts[0].authority, parts[1].authority] = [parts[1].authority, parts[0].authority];
    });
    const run = liar.during({ path: /^\/v1\/keys$/, change }, () => deceived.keys.request());
    expect(await codeOf(run)).toBe('authority.too_few');
    await deceived.keys.request();
  });

  it('is refused when it claims a verdict that the ledger did not give', async () => {
    const secret = await put(text('not for doctors'), 'mercy/role:privacy or mercy/role:attending');
    const change = inJson((json) => {
      for (const verdict of json.verdicts as { granted: boolean }[]) verdict.granted = true;
    });
    const run = liar.during({ path: /^\/v1\/access$/, change }, () => deceived.records.open(secret));
    expect(await codeOf(run)).toBe('authority.too_few');
  });

  it('serves another chain, and is refused by a client that expects this one', async () => {
    const run = Hippocrypt.connect({ url: town.url('mercy'), chainId: 'another-chain' });
    expect(await codeOf(run)).toBe('client.other_chain');
  });

  it('answers with no JSON or not at all, and is told apart', async () => {
    const bad = { path: /^\/v1\/me$/, change: () => text('<html>') };
    expect(await codeOf(liar.during(bad, () => deceived.me()))).toBe('client.bad_answer');
    const nowhere = Hippocrypt.connect({ url: 'http://127.0.0.1:9' });
    expect(await codeOf(nowhere)).toBe('client.unreachable');
  });
});

describe('an authority that cannot be reached', () => {
  it('is named, is not needed, and its later gates do no harm', async () => {
    const record = await put(text('three of four'), 'mercy/role:doctor');
    const { links } = town.consortium;
    const client = await Hippocrypt.connect({
      url: town.url('mercy'),
      account: 'doctor',
      password: PASSWORD,
      device: doctor.context.device,
    });
    links.setDown(memberId('st-luke'), true);
    try {
      const report = await client.keys.request();
      expect(report.missing).toEqual([{ member: 'st-luke', code: 'link.unreachable' }]);
      expect((await client.records.open(record)).plaintext).toEqual(text('three of four'));
    } finally {
      links.setDown(memberId('st-luke'), false);
    }
    expect((await client.records.open(record)).plaintext).toEqual(text('three of four'));
  });
});

describe('receipts', () => {
  it('verify offline, and not after one byte changed', async () => {
    const { committed } = await doctor.records.put([
      { content: text('receipt'), patient: null, policy: 'mercy/role:doctor' },
    ]);
    const good = await doctor.anchors.receipt(committed.receipt ?? '');
    expect(good).toMatchObject({ ok: true, entryId: committed.entryId });
    const receipt = fromBase64url(committed.receipt ?? '');
    for (let i = 0; i < receipt.length; i += Math.ceil(receipt.length / 40)) {
      const changed = receipt.slice();
      changed[i] ^= 1;
      const verdict = await doctor.anchors.receipt(toBase64url(changed));
      expect(verdict.ok && verdict.entryId === committed.entryId, `byte ${i}`).toBe(false);
    }
  });

  it("come from every member, under the same genesis, and hold at another member's client", async () => {
    const visitor = await town.client('visitor');
    const { committed } = await doctor.records.put([
      { content: text('elsewhere'), patient: null, policy: 'mercy/role:doctor' },
    ]);
    expect((await visitor.anchors.receipt(committed.receipt ?? '')).ok).toBe(true);
    const genesis = await Promise.all(
      [...town.consortium.urls.values()].map(async (url) => {
        const client = await Hippocrypt.connect({ url });
        return (await client.context.members()).genesis;
      }),
    );
    expect(new Set(genesis).size).toBe(1);
  });
});

describe('custody', () => {
  it('opens over REST for the nurse, and says that the gateway did', async () => {
    const record = await put(CONDITION, 'mercy/role:nurse');
    const opened = await nurse.gateway.json<{ custody: string; content: string; encoding: string }>(
      'POST',
      `/v1/records/${record}/open`,
      { body: { purpose: 'treatment' } },
    );
    expect(opened).toMatchObject({ custody: 'gateway', encoding: 'utf-8' });
    expect(text(opened.content)).toEqual(CONDITION);
  });

  it("refuses it for the doctor, whose keys are the doctor's", async () => {
    const record = await put(CONDITION, 'mercy/role:doctor');
    const run = doctor.gateway.json('POST', `/v1/records/${record}/open`, { body: {} });
    expect(await codeOf(run)).toBe('custody.client_signs');
  });

  it('refuses a client without a device what needs one', async () => {
    expect(await codeOf(nurse.keys.request())).toBe('device.absent');
  });
});

describe('the end of access', () => {
  it('refuses a revoked subject at once, at its session and at its keys', async () => {
    const person = {
      name: 'leaver',
      member: 'mercy',
      kind: 'person',
      attributes: ['mercy/role:doctor'],
      custody: 'client',
    } as const;
    const leaver = await town.people.enrol(person);
    const record = await put(text('until now'), 'mercy/role:doctor');
    expect((await leaver.records.open(record)).plaintext).toEqual(text('until now'));
    const { subject } = await leaver.me();
    const signed = await leaver.context.sign('ConsentRequest', {
      patient: fromHex((await (await town.client('patient')).me()).subject),
      until: Date.now() + 86_400_000,
      purpose: 'treatment',
    });
    await town.people
      .admin('mercy')
      .json('POST', `/v1/subjects/${subject}/revoke`, { body: { reason: 'left' } });
    expect(await codeOf(leaver.records.open(record))).toBe('subject.revoked');
    // What the device signed before, sent by somebody who may still sign in.
    expect(await codeOf(doctor.gateway.json('POST', '/v1/consents', { body: signed }))).toMatch(
      /^(?:tx\.signer|subject\.revoked)$/,
    );
  });

  it('gives a consent, takes it back, and lets it end by its own date', async () => {
    const patient = await town.client('patient');
    const visitor = await town.client('visitor');
    const { subject } = await patient.me();
    const record = await put(CONDITION, undefined, subject);
    expect(await codeOf(visitor.records.open(record))).toBe('access.denied');

    const asked = await visitor.consents.request(subject, new Date(Date.now() + 86_400_000));
    expect(await codeOf(visitor.records.open(record))).toBe('access.denied');
    await patient.consents.accept(asked.entryId);
    expect((await visitor.records.open(record)).plaintext).toEqual(CONDITION);
    await patient.consents.revoke(asked.entryId);
    expect(await codeOf(visitor.records.open(record))).toBe('access.denied');

    const end = Date.now() + 4_000;
    const short = await visitor.consents.request(subject, new Date(end));
    await patient.consents.accept(short.entryId);
    const { consents } = await patient.consents.list();
    expect(consents.find((one) => one.consent === short.entryId)?.state).toBe('accepted');
    // The ledger's own time decides: ask until a block is later than the end.
    let code = 'granted';
    for (let i = 0; i < 200 && code !== 'access.denied'; i++) {
      code = await visitor.records.open(record).then(
        () => 'granted',
        (error: CodedError) => error.code,
      );
    }
    expect(code).toBe('access.denied');
    expect(town.node('mercy').ledger.tipTimeMs()).toBeGreaterThanOrEqual(end);
  });

  it('lets only the patient answer', async () => {
    const visitor = await town.client('visitor');
    const { subject } = await (await town.client('patient')).me();
    const asked = await visitor.consents.request(subject, new Date(Date.now() + 86_400_000));
    expect(await codeOf(visitor.consents.accept(asked.entryId))).toBe('consent.not_yours');
    expect(await codeOf(doctor.consents.accept(asked.entryId))).toBe('consent.not_yours');
  });

  it('reads a device file back, and refuses one of another form', async () => {
    const file = doctor.context.device.toFile();
    expect((await Device.fromFile(file)).toFile()).toEqual(file);
    for (const change of [{ v: 2 }, { signingSeed: 'x' }, { subject: 'x' }]) {
      expect(await codeOf(Device.fromFile({ ...file, ...change } as DeviceFile))).toBe('device.malformed');
    }
  });
});
