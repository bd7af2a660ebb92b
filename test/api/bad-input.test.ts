/** Bad input at the gateway: each kind has a stable code, a status and a text that says what to do; nothing is a 500. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BODY_BYTES_MAX } from '../../src/api/app.ts';
import type { Hippocrypt } from '../../src/client/index.ts';
import { fromBase64url, fromHex, toBase64url } from '../../src/codec/bytes.ts';
import type { EntryBodies, EntryType } from '../../src/ledger/entries/index.ts';
import { PASSWORD, startTown, type Town } from '../node/consortium.ts';
import { type Problem, problemIn } from './shared.ts';

interface Asked {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly url: string;
  readonly token?: string;
  readonly member?: string;
  readonly payload?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

const NOBODY = '0'.repeat(32);
const NOTHING = '0'.repeat(64);
const CONDITION = '{"resourceType":"Condition","code":{"text":"chest pain"}}';

let town: Town;
let admin: string;
let author: string;
let nurse: string;
let doctor: string;
let doctorClient: Hippocrypt;
/** A record of mercy that the nurse may open. */
let record: string;

function ask({ method = 'GET', url, token, member = 'mercy', payload, headers = {} }: Asked) {
  return town.app(member).inject({
    method,
    url,
    headers: { ...headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) },
    ...(payload === undefined ? {} : { payload: payload as object }),
  });
}

async function refused(asked: Asked): Promise<Problem> {
  return problemIn(await ask(asked));
}

/** `tx` and `sig` of the doctor's device. */
function signed<K extends EntryType>(type: K, body: EntryBodies[K]): Promise<{ tx: string; sig: string }> {
  return doctorClient.context.sign(type, body);
}

beforeAll(async () => {
  town = await startTown();
  await town.client('import');
  await town.client('nurse');
  doctorClient = await town.client('doctor');
  [admin, author, nurse, doctor] = await Promise.all(
    ['admin', 'import', 'nurse', 'doctor'].map((account) => town.token('mercy', account)),
  );
  const policy = 'mercy/role:nurse or mercy/role:doctor';
  const put = await ask({
    method: 'POST',
    url: '/v1/records',
    token: author,
    payload: { records: [{ content: CONDITION, policy }] },
  });
  [record] = (put.json() as { records: string[] }).records;
});
afterAll(() => town?.close());

describe('what is not a request', () => {
  it('says not JSON of a body that is not', async () => {
    const headers = { 'content-type': 'application/json' };
    for (const payload of ['{"account":', '', 'null,', '{"a":1}}']) {
      const problem = await refused({ method: 'POST', url: '/v1/can-i', token: nurse, payload, headers });
      expect([problem.status, problem.code]).toEqual([400, 'request.not_json']);
    }
  });

  it('does not let a body reach a prototype', async () => {
    const headers = { 'content-type': 'application/json' };
    for (const payload of ['{"__proto__":{"a":1}}', '{"constructor":{"prototype":{"a":1}}}']) {
      const problem = await refused({ method: 'POST', url: '/v1/can-i', token: nurse, payload, headers });
      expect(problem.status).toBe(400);
    }
  });

  it('says 415 of another media type', async () => {
    for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x']) {
      const problem = await refused({
        method: 'POST',
        url: '/v1/can-i',
        token: nurse,
        payload: 'x',
        headers: { 'content-type': type },
      });
      expect([problem.status, problem.code]).toEqual([415, 'request.media_type']);
    }
  });

  it('says 413 of a body above the limit, and reads one at it', async () => {
    const body = (bytes: number): string => `{"record":"${'0'.repeat(bytes - 13)}"}`;
    const headers = { 'content-type': 'application/json' };
    const over = body(BODY_BYTES_MAX + 1);
    const asked = { method: 'POST', url: '/v1/can-i', token: nurse, headers } as const;
    expect(over.length).toBe(BODY_BYTES_MAX + 1);
    const large = await refused({ ...asked, payload: over });
    expect([large.status, large.code]).toEqual([413, 'request.too_large']);
    const within = await refused({ ...asked, payload: body(BODY_BYTES_MAX) });
    expect(within.code).toBe('request.invalid');
  });

  it('says 404 of a route that does not exist, and of a method that a route does not have', async () => {
    for (const asked of [
      { url: '/v2/records' },
      { url: '/v1/record' },
      { method: 'DELETE', url: '/v1/me' },
    ] as const) {
      const problem = await refused({ ...asked, token: nurse });
      expect([problem.status, problem.code]).toEqual([404, 'route.unknown']);
    }
    const long = await refused({ url: `/v1/records/${'0'.repeat(513)}`, token: nurse });
    expect([long.status, long.code]).toEqual([400, 'request.invalid']);
  });

  it('answers a path that cannot be decoded with a problem', async () => {
    const problem = await refused({ url: '/v1/records/%zz', token: nurse });
    expect([problem.status, problem.code]).toEqual([400, 'request.invalid']);
  });

  it('names each field that has another form', async () => {
    const problem = await refused({
      method: 'POST',
      url: '/v1/search/query',
      token: nurse,
      payload: { query: '', unit: 'ward', limit: 0 },
    });
    expect(problem.code).toBe('request.invalid');
    const errors = problem.errors as readonly { path: string; message: string }[];
    expect(errors.map((one) => one.path).sort()).toEqual(['/limit', '/query', '/unit']);
  });

  it('refuses ids, times, cursors and ranges of another form', async () => {
    for (const url of [
      '/v1/records/abc',
      `/v1/records/${NOTHING.toUpperCase().replaceAll('0', 'A')}`,
      '/v1/subjects/abc',
      '/v1/ledger/entries/abc',
      '/v1/ledger/entries?limit=0',
      '/v1/ledger/entries?limit=501',
      '/v1/ledger/entries?limit=x',
      '/v1/ledger/entries?kind=NoSuchKind&cursor=%00',
      '/v1/records?cursor=nonsense',
      '/v1/consents?cursor=nonsense',
      '/v1/subjects?cursor=nonsense',
      '/v1/ledger/blocks/-1',
      '/v1/ledger/blocks/1.5',
      '/v1/search/manifests/UPPER',
      '/v1/search/segments/xyz',
    ]) {
      const problem = await refused({ url, token: nurse });
      expect(problem.status, `${url}: ${problem.code}`).toBe(400);
    }
    for (const range of ['bytes=5-2', 'bytes=-5', 'lines=1-2', 'bytes=1-2,4-5']) {
      const url = `/v1/search/segments/${NOBODY}`;
      const problem = await refused({ url, token: nurse, headers: { range } });
      expect([problem.status, problem.code]).toEqual([400, 'request.invalid']);
    }
  });

  it('refuses an Idempotency-Key of another form', async () => {
    for (const key of ['short', 'x'.repeat(129), 'with space']) {
      const problem = await refused({
        method: 'POST',
        url: '/v1/records',
        token: author,
        payload: { records: [{ content: CONDITION }] },
        headers: { 'idempotency-key': key },
      });
      expect([problem.status, problem.code]).toEqual([400, 'request.invalid']);
    }
  });
});

describe('sessions', () => {
  it('says the same of a wrong password and of an unknown account', async () => {
    const problems = await Promise.all(
      [
        { account: 'nurse', password: `${PASSWORD}!` },
        { account: 'nobody', password: PASSWORD },
      ].map((payload) => refused({ method: 'POST', url: '/v1/auth/login', payload })),
    );
    for (const problem of problems) {
      expect([problem.status, problem.code]).toEqual([401, 'auth.failed']);
      expect(problem.detail).toBe(problems[0].detail);
      expect(JSON.stringify(problem)).not.toContain(PASSWORD);
    }
  });

  it('refuses an expired token by its own code', async () => {
    const app = town.app('mercy');
    const { sub, account } = app.jwt.decode(nurse) as { sub: string; account: string };
    const expired = app.jwt.sign({ sub, account }, { expiresIn: '1s', clockTimestamp: Date.now() - 60_000 });
    const problem = await refused({ url: '/v1/me', token: expired });
    expect([problem.status, problem.code]).toEqual([401, 'auth.expired']);
  });

  it("refuses another member's token", async () => {
    const foreign = await town.token('st-luke', 'admin');
    const problem = await refused({ url: '/v1/me', token: foreign });
    expect([problem.status, problem.code]).toEqual([401, 'auth.required']);
  });

  it("refuses a token of our key that names another issuer, another account's subject, or no account", async () => {
    const app = town.app('mercy');
    const { sub, account } = app.jwt.decode(nurse) as { sub: string; account: string };
    for (const token of [
      app.jwt.sign({ sub, account }, { iss: 'st-luke' }),
      app.jwt.sign({ sub, account: 'admin' }),
      app.jwt.sign({ sub, account: 'nobody' }),
      app.jwt.sign({ sub: NOBODY, account }),
    ]) {
      const problem = await refused({ url: '/v1/me', token });
      expect([problem.status, problem.code]).toEqual([401, 'auth.required']);
    }
  });
});

describe('what is not there', () => {
  it('says 404 with the code of what is unknown', async () => {
    const cases: readonly (readonly [Asked, string])[] = [
      [{ url: `/v1/records/${NOTHING}` }, 'record.unknown'],
      [{ url: `/v1/records/${NOTHING}/header` }, 'record.unknown'],
      [{ url: `/v1/records/${NOTHING}/payload` }, 'record.unknown'],
      [{ url: `/v1/records/${NOTHING}/explain` }, 'record.unknown'],
      [{ method: 'POST', url: `/v1/records/${NOTHING}/open`, payload: {} }, 'record.unknown'],
      [{ method: 'POST', url: '/v1/can-i', payload: { record: NOTHING } }, 'record.unknown'],
      [
        { method: 'PUT', url: `/v1/records/${NOTHING}/policy`, payload: { policy: 'mercy/role:nurse' } },
        'record.unknown',
      ],
      [{ url: `/v1/subjects/${NOBODY}` }, 'subject.unknown'],
      [{ url: `/v1/consents/${NOTHING}` }, 'consent.unknown'],
      [{ method: 'POST', url: `/v1/consents/${NOTHING}/accept`, payload: {} }, 'consent.unknown'],
      [{ url: `/v1/ledger/entries/${NOTHING}` }, 'entry.unknown'],
      [{ url: '/v1/ledger/blocks/1000000' }, 'ledger.block_unknown'],
      [{ url: `/v1/keys/${NOTHING}` }, 'key.unknown'],
      [{ url: `/v1/search/segments/${NOBODY}` }, 'index.unknown'],
      [{ url: '/v1/search/manifests/elsewhere' }, 'index.unknown'],
    ];
    for (const [asked, code] of cases) {
      const problem = await refused({ ...asked, token: nurse });
      expect([problem.status, problem.code], asked.url).toEqual([404, code]);
    }
  });

  it('says 404 of an unknown subject to a registrar', async () => {
    const problem = await refused({
      method: 'PUT',
      url: `/v1/subjects/${NOBODY}/attributes/mercy%2Frole:doctor`,
      token: admin,
      payload: {},
    });
    expect([problem.status, problem.code]).toEqual([404, 'subject.unknown']);
  });
});

describe('policies and attributes', () => {
  const put = (policy: string): Asked => ({
    method: 'POST',
    url: '/v1/records',
    token: author,
    payload: { records: [{ content: CONDITION, policy }] },
  });

  it('tells line and column of a typo in a policy', async () => {
    const problem = await refused(put('mercy/role:doctor and (mercy/dept:cardiology'));
    expect([problem.status, problem.code]).toEqual([400, 'policy.syntax']);
    expect(problem).toMatchObject({ line: 1, column: 45 });
    const second = await refused(put('mercy/role:doctor and\n  orr'));
    expect(second).toMatchObject({ status: 400, line: 2 });
  });

  it('refuses a policy over a label that the registry does not know', async () => {
    const problem = await refused(put('mercy/rolle:doctor'));
    expect(problem.status).toBe(400);
    expect(problem.code).toMatch(/^policy\./);
    expect(problem.detail).toContain('rolle');
  });

  it('refuses the grant of an attribute that the registry does not know', async () => {
    const { subject } = (await ask({ url: '/v1/me', token: nurse })).json() as { subject: string };
    const problem = await refused({
      method: 'PUT',
      url: `/v1/subjects/${subject}/attributes/${encodeURIComponent('mercy/rolle:doctor')}`,
      token: admin,
      payload: {},
    });
    expect(problem.status).toBeGreaterThanOrEqual(400);
    expect(problem.status).toBeLessThan(500);
    expect(problem.detail).not.toBe('');
  });

  it("refuses to grant another member's attribute, and to grant without the right", async () => {
    const { subject } = (await ask({ url: '/v1/me', token: nurse })).json() as { subject: string };
    const grant = (attribute: string, token: string): Promise<Problem> =>
      refused({
        method: 'PUT',
        url: `/v1/subjects/${subject}/attributes/${encodeURIComponent(attribute)}`,
        token,
        payload: {},
      });
    expect(await grant('st-luke/role:doctor', admin)).toMatchObject({ status: 403, code: 'right.missing' });
    expect(await grant('mercy/role:attending', nurse)).toMatchObject({ status: 403, code: 'right.missing' });
  });
});

describe('FHIR', () => {
  const post = (payload: string, type = 'application/fhir+json'): Asked => ({
    method: 'POST',
    url: '/fhir/R4',
    token: author,
    payload,
    headers: { 'content-type': type },
  });

  it('refuses a Bundle that cannot be read', async () => {
    for (const payload of ['', '{"resourceType":"Bundle"', 'not json', '[]', '"text"', '\u0000']) {
      const answer = await ask(post(payload));
      if (answer.statusCode === 200) {
        const report = answer.json() as { records: unknown[]; refused: { code: string }[] };
        expect(report.records).toEqual([]);
        expect(report.refused.map((one) => one.code)).toEqual([expect.stringMatching(/^fhir\./)]);
      } else expect(problemIn(answer).status).toBe(400);
    }
  });

  it('lists a resource without a type with its position, and takes the others', async () => {
    const bundle = {
      resourceType: 'Bundle',
      type: 'collection',
      entry: [{ resource: { id: 'x' } }, { resource: JSON.parse(CONDITION) as unknown }],
    };
    const answer = await ask(post(JSON.stringify(bundle)));
    expect(answer.statusCode).toBe(200);
    const report = answer.json() as {
      records: { resourceType: string }[];
      refused: { code: string; message: string; position: unknown }[];
    };
    expect(report.records.map((one) => one.resourceType)).toEqual(['Condition']);
    expect(report.refused).toHaveLength(1);
    expect(report.refused[0].code).toMatch(/^fhir\./);
    expect(report.refused[0].position).toBeTypeOf('object');
  });

  it('says 415 of XML', async () => {
    const problem = await refused(post('<Bundle/>', 'application/fhir+xml'));
    expect([problem.status, problem.code]).toEqual([415, 'request.media_type']);
  });
});

describe('signed transactions', () => {
  const consentBody = async (): Promise<EntryBodies['ConsentRequest']> => {
    const patient = await (await town.client('patient')).me();
    return { patient: fromHex(patient.subject), until: Date.now() + 86_400_000, purpose: 'treatment' };
  };

  it('refuses a wrong signature', async () => {
    const pair = await signed('ConsentRequest', await consentBody());
    const sig = fromBase64url(pair.sig);
    sig[5] ^= 1;
    const problem = await refused({
      method: 'POST',
      url: '/v1/consents',
      token: doctor,
      payload: { tx: pair.tx, sig: toBase64url(sig) },
    });
    expect([problem.status, problem.code]).toEqual([400, 'tx.signature']);
  });

  it('refuses one changed byte of the transaction', async () => {
    const pair = await signed('ConsentRequest', await consentBody());
    const tx = fromBase64url(pair.tx);
    tx[tx.length - 3] ^= 1;
    const problem = await refused({
      method: 'POST',
      url: '/v1/consents',
      token: doctor,
      payload: { tx: toBase64url(tx), sig: pair.sig },
    });
    expect(problem.status).toBe(400);
  });

  it('refuses a transaction of another kind, or about another record, than the URL says', async () => {
    const pair = await signed('ConsentRequest', await consentBody());
    const other = await refused({ method: 'POST', url: '/v1/access', token: doctor, payload: pair });
    expect([other.status, other.code]).toEqual([400, 'tx.mismatch']);
    const erase = await signed('Erase', { record: fromHex(NOTHING), reason: 'error' });
    const elsewhere = await refused({
      method: 'DELETE',
      url: `/v1/records/${record}`,
      token: doctor,
      payload: { ...erase, reason: 'error' },
    });
    expect([elsewhere.status, elsewhere.code]).toEqual([400, 'tx.mismatch']);
  });

  it('refuses tx without sig and sig without tx', async () => {
    const { tx, sig } = await signed('ConsentRequest', await consentBody());
    for (const payload of [{ tx }, { sig }]) {
      const problem = await refused({ method: 'POST', url: '/v1/consents', token: doctor, payload });
      expect([problem.status, problem.code]).toEqual([400, 'request.invalid']);
    }
  });

  it('refuses a transaction that its signer wrote for another chain, or that is void already', async () => {
    const { device } = doctorClient.context;
    const random = (n: number): Uint8Array => crypto.getRandomValues(new Uint8Array(n));
    const body = await consentBody();
    const { chainId } = town.consortium;
    const foreign = device.sign({ chainId: 'elsewhere', nowMs: Date.now(), random }, 'ConsentRequest', body);
    const late = device.sign({ chainId, nowMs: Date.now() - 3_600_000, random }, 'ConsentRequest', body);
    const early = device.sign({ chainId, nowMs: Date.now() + 3_600_000, random }, 'ConsentRequest', body);
    const codes = [];
    for (const payload of [foreign, late, early]) {
      codes.push((await refused({ method: 'POST', url: '/v1/consents', token: doctor, payload })).code);
    }
    expect(codes).toEqual(['tx.chain', 'tx.expiry', 'tx.expiry']);
  });

  it('answers a transaction that is sent again with its first result', async () => {
    const payload = await signed('ConsentRequest', await consentBody());
    const first = await ask({ method: 'POST', url: '/v1/consents', token: doctor, payload });
    const second = await ask({ method: 'POST', url: '/v1/consents', token: doctor, payload });
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    const [a, b] = [first, second].map((one) => one.json() as { entryId: string; index: number });
    expect([b.entryId, b.index]).toEqual([a.entryId, a.index]);
  });

  it('leaves the keys of a client with the client', async () => {
    for (const asked of [
      { method: 'POST', url: `/v1/records/${record}/open`, payload: {} },
      { method: 'POST', url: '/v1/keys', payload: {} },
      { method: 'POST', url: '/v1/records', payload: { records: [{ content: CONDITION }] } },
      { method: 'PUT', url: `/v1/records/${record}/policy`, payload: { policy: 'mercy/role:doctor' } },
    ] as const) {
      const problem = await refused({ ...asked, token: doctor });
      expect([problem.status, problem.code], asked.url).toEqual([403, 'custody.client_signs']);
    }
  });
});

describe('verdicts', () => {
  it('answers a denied access with 200 and the verdict that stands on the ledger', async () => {
    const key = await ask({ method: 'POST', url: '/v1/keys', token: nurse, payload: {} });
    expect(key.statusCode).toBe(201);
    const { keyId, committed } = key.json() as {
      keyId: string;
      committed: { result: { generation: number } };
    };
    const hidden = await ask({
      method: 'POST',
      url: '/v1/records',
      token: author,
      payload: { records: [{ content: CONDITION, policy: 'mercy/role:privacy' }] },
    });
    const [secret] = (hidden.json() as { records: string[] }).records;
    const answer = await ask({
      method: 'POST',
      url: '/v1/access',
      token: nurse,
      payload: {
        keyId,
        generation: committed.result.generation,
        records: [record, secret, NOTHING].map((one) => ({ record: one, version: 0 })),
        purpose: 'treatment',
      },
    });
    expect(answer.statusCode).toBe(200);
    const seen = answer.json() as {
      verdicts: { granted: boolean; reason: string }[];
      committed: { entryId: string };
      parts: { parts: unknown[] };
    };
    expect(seen.verdicts.map((one) => one.granted)).toEqual([true, false, false]);
    expect(seen.parts.parts.length).toBeGreaterThan(0);
    const entry = await ask({ url: `/v1/ledger/entries/${seen.committed.entryId}`, token: nurse });
    const { result } = (entry.json() as { entry: { result: { verdicts: unknown } } }).entry;
    expect(result.verdicts).toEqual(seen.verdicts);
  });

  it('refuses a custodial opening that the ledger denies with 403 and the entry that says so', async () => {
    const put = await ask({
      method: 'POST',
      url: '/v1/records',
      token: author,
      payload: { records: [{ content: CONDITION, policy: 'mercy/role:privacy' }] },
    });
    const [secret] = (put.json() as { records: string[] }).records;
    const problem = await refused({
      method: 'POST',
      url: `/v1/records/${secret}/open`,
      token: nurse,
      payload: {},
    });
    expect(problem).toMatchObject({ status: 403, code: 'access.denied', reason: 'policy' });
    const entry = await ask({ url: `/v1/ledger/entries/${String(problem.entryId)}`, token: nurse });
    expect(entry.statusCode).toBe(200);
  });

  it('says 410 of an erased record', async () => {
    const put = await ask({
      method: 'POST',
      url: '/v1/records',
      token: author,
      payload: { records: [{ content: CONDITION, policy: 'mercy/role:nurse' }] },
    });
    const [gone] = (put.json() as { records: string[] }).records;
    const erased = await ask({
      method: 'DELETE',
      url: `/v1/records/${gone}`,
      token: author,
      payload: { reason: 'error' },
    });
    expect(erased.statusCode).toBe(200);
    for (const url of [`/v1/records/${gone}/header`, `/v1/records/${gone}/payload`]) {
      const problem = await refused({ url, token: nurse });
      expect([problem.status, problem.code]).toEqual([410, 'record.erased']);
    }
    const opened = await refused({
      method: 'POST',
      url: `/v1/records/${gone}/open`,
      token: nurse,
      payload: {},
    });
    expect(opened).toMatchObject({ status: 410, code: 'record.erased' });
  });
});

describe('Idempotency-Key', () => {
  const put = (contents: readonly string[], key: string, token = author) =>
    ask({
      method: 'POST',
      url: '/v1/records',
      token,
      payload: { records: contents.map((content) => ({ content, policy: 'mercy/role:nurse' })) },
      headers: { 'idempotency-key': key },
    });

  it('answers the same list under the same key with the first entry, at once and later', async () => {
    const answers = [await put([CONDITION], 'key-one-0001'), await put([CONDITION], 'key-one-0001')];
    const [a, b] = answers.map((one) => one.json() as { records: string[]; committed: { entryId: string } });
    expect(answers.map((one) => one.statusCode)).toEqual([201, 201]);
    expect(b.records).toEqual(a.records);
    expect(b.committed.entryId).toBe(a.committed.entryId);
  });

  it('makes one entry of two requests at the same time', async () => {
    const answers = await Promise.all([put([CONDITION], 'key-two-0002'), put([CONDITION], 'key-two-0002')]);
    expect(answers.map((one) => one.statusCode)).toEqual([201, 201]);
    const [a, b] = answers.map((one) => one.json() as { committed: { entryId: string } });
    expect(b.committed.entryId).toBe(a.committed.entryId);
  });

  it('refuses another list under a used key', async () => {
    expect((await put([CONDITION], 'key-three-003')).statusCode).toBe(201);
    const more = problemIn(await put([CONDITION, CONDITION], 'key-three-003'));
    expect([more.status, more.code]).toEqual([409, 'record.idempotency']);
    const other = problemIn(await put([CONDITION.replace('chest', 'back')], 'key-three-003'));
    expect([other.status, other.code]).toEqual([409, 'record.idempotency']);
  });
});
