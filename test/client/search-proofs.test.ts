/**
 * What a searcher need not believe of its gateway: which record and patient stands behind a number, which numbers are dead,
 * how a field is declared, which index is the newest. And what an auditor need not believe of a searcher.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type ConnectOptions,
  FRESHNESS_MS,
  type Hippocrypt,
  MemoryJournal,
  type OpeningFile,
  type SearchReport,
} from '../../src/client/index.ts';
import { type CodedError, hasCode } from '../../src/codec/errors.ts';
import { startTown, type Town } from '../node/consortium.ts';
import { eraseRecord } from '../node/storage/people.ts';
import { deceive, flipped, inJson, Liar } from './liar.ts';

const QUERY = 'type:Condition';

let town: Town;
let researcher: Hippocrypt;
let records: readonly string[];
const journal = new MemoryJournal();
const liar = new Liar();

beforeAll(async () => {
  town = await startTown();
  researcher = await enrol('researcher', 'client');
  await town.client('import');
  const doctor = await town.client('doctor');
  const patient = (await town.client('patient')).context.device.subject;
  const item = (text: string, of: string | null) => ({
    content: new TextEncoder().encode(JSON.stringify({ resourceType: 'Condition', code: { text } })),
    patient: of,
    policy: 'mercy/role:doctor',
  });
  ({ records } = await doctor.records.put([
    item('first', patient),
    item('second', null),
    item('third', patient),
    item('fourth', null),
  ]));
  await eraseRecord(town, records[3]);
  await town.settled();
});
afterAll(() => town?.close());

const enrol = (name: string, custody: 'client' | 'gateway'): Promise<Hippocrypt> =>
  town.people.enrol({
    name,
    member: 'university',
    kind: 'person',
    attributes: ['mercy/role:researcher'],
    custody,
  });

/** The researcher at a new start, behind the liar. */
const deceived = (more: Pick<ConnectOptions, 'now' | 'freshnessMs'> = {}): Promise<Hippocrypt> =>
  deceive(liar, researcher, { url: town.url('university'), account: 'researcher', journal, ...more });

const ask = (client: Hippocrypt, query = QUERY): Promise<SearchReport> =>
  client.search.query(query, { unit: 'record', custodians: ['mercy'] });

/** What a query gives while the gateway lies: the code of who is missing or of the failure; never an answer. */
async function refusal(
  path: RegExp,
  change: Parameters<typeof inJson>[0],
  client?: Hippocrypt,
): Promise<string> {
  const asking = client ?? (await deceived());
  const before = liar.told;
  const code = await liar.during({ path, change: inJson(change) }, () =>
    ask(asking).then(
      (report) => report.missing.map((one) => one.code).join() || 'believed',
      (error: CodedError) => error.code,
    ),
  );
  expect(liar.told).toBeGreaterThan(before);
  return code;
}

interface Row {
  record: string;
  patient: string | null;
}

describe('record numbers', () => {
  it('are those of the ledger, and dead ones are left out', async () => {
    const report = await ask(await deceived());
    expect(report.missing).toEqual([]);
    expect(report.records.map((one) => one.record)).toEqual(records.slice(0, 3));
    expect(report.records.map((one) => one.patient === null)).toEqual([false, true, false]);
  });

  const rows = /\/search\/numbers\/mercy/;
  it.each<[string, (numbers: Row[]) => void]>([
    ['drops the last', (numbers) => numbers.pop()],
    ['drops the first', (numbers) => numbers.shift()],
    ['tells none', (numbers) => numbers.splice(0)],
    ['swaps two records', (numbers) => numbers.splice(0, 2, numbers[1], numbers[0])],
    ['names another record', (numbers) => numbers.splice(1, 1, { ...numbers[1], record: 'ab'.repeat(32) })],
    [
      'gives a hit to another patient',
      (numbers) => numbers.splice(0, 1, { ...numbers[0], patient: '00'.repeat(16) }),
    ],
    ['takes the patient of a hit away', (numbers) => numbers.splice(0, 1, { ...numbers[0], patient: null })],
    [
      'gives a record without a patient one',
      (numbers) => numbers.splice(1, 1, { ...numbers[1], patient: numbers[0].patient }),
    ],
    ['tells something that is no record', (numbers) => numbers.splice(0, 1, { ...numbers[0], record: 'x' })],
    ['puts one in between', (numbers) => numbers.splice(1, 0, numbers[0])],
  ])('of a gateway that %s are refused', async (_, change) => {
    const code = await refusal(rows, (json) => change(json.numbers as Row[]));
    expect(code).toBe('search.numbers_unproven');
  });

  it('beyond the proven count are not looked at', async () => {
    const client = await deceived();
    const more = inJson((json) => (json.numbers as Row[]).push({ record: 'ab'.repeat(32), patient: null }));
    const report = await liar.during({ path: rows, change: more }, () => ask(client));
    expect(report.records.map((one) => one.record)).toEqual(records.slice(0, 3));
  });

  const deaths = /\/search\/deaths\/mercy/;
  it.each<[string, (numbers: number[]) => void]>([
    ['hides a dead number', (numbers) => numbers.pop()],
    ['calls another dead', (numbers) => numbers.splice(0, 1, 0)],
    ['tells something that is no number', (numbers) => numbers.splice(0, 1, -1)],
  ])('of a gateway that %s are refused', async (_, change) => {
    const code = await refusal(deaths, (json) => change(json.deaths as number[]));
    expect(code).toBe('search.numbers_unproven');
  });

  it('that were checked once are taken on from there, and lies about new ones are refused', async () => {
    const client = await deceived();
    await ask(client);
    const doctor = await town.client('doctor');
    const { records: added } = await doctor.records.put([
      {
        content: new TextEncoder().encode(
          JSON.stringify({ resourceType: 'Condition', code: { text: 'fifth' } }),
        ),
        patient: null,
        policy: 'mercy/role:doctor',
      },
    ]);
    await town.settled();
    const asked: string[] = [];
    const code = await refusal(
      rows,
      (json, path) => {
        asked.push(path);
        (json.numbers as Row[]).splice(0, 1, { record: 'cd'.repeat(32), patient: null });
      },
      client,
    );
    expect(code).toBe('search.numbers_unproven');
    expect(asked.every((path) => path.includes('from=4'))).toBe(true);
    expect((await ask(client)).records.map((one) => one.record)).toEqual([...records.slice(0, 3), ...added]);
  });
});

describe('the state of the ledger', () => {
  const states = /\/ledger\/states$/;

  it('that was shown once is not taken back, nor an index with it', async () => {
    const client = await deceived();
    const kept: Uint8Array[] = [];
    const keep = (body: Uint8Array): Uint8Array => {
      kept.push(body);
      return body;
    };
    const first = await liar.during({ path: states, change: keep }, () => ask(client));
    // Something happens on the ledger; then the gateway plays the old answers again.
    await town.client('clerk');
    const doctor = await town.client('doctor');
    await doctor.records.put([
      {
        content: new TextEncoder().encode(
          JSON.stringify({ resourceType: 'Condition', code: { text: 'sixth' } }),
        ),
        patient: null,
        policy: 'mercy/role:doctor',
      },
    ]);
    await town.settled();
    const second = await ask(client);
    expect(second.asOf.height).toBeGreaterThan(first.asOf.height);
    expect(second.records.length).toBe(first.records.length + 1);
    const again = liar.during({ path: states, change: () => kept[0] }, () => ask(client));
    await expect(again).rejects.toMatchObject({ code: 'checkpoint.rolled_back' });
  });

  it('is at most 70 s old by the client’s clock; older only for who allows it', async () => {
    const { time } = (await ask(await deceived())).asOf;
    const at = (late: number, more: object = {}): Promise<Hippocrypt> =>
      deceived({ now: () => time + late, ...more });
    const stale = { code: 'checkpoint.stale', details: { time: expect.any(Number) } };
    await expect(ask(await at(3_600_000))).rejects.toMatchObject(stale);
    const never = await at(120_000, { freshnessMs: Number.POSITIVE_INFINITY });
    expect((await ask(never)).records.length).toBeGreaterThan(2);
    // Within the hour that the client allows, but not within the second that the search does.
    const client = await at(120_000, { freshnessMs: 3_600_000 });
    expect((await ask(client)).asOf.time).toBeGreaterThanOrEqual(time);
    const narrow = { unit: 'record', custodians: ['mercy'], maxAgeMs: 1000 } as const;
    await expect(client.search.query(QUERY, narrow)).rejects.toMatchObject(stale);
    await expect((await at(3_600_000)).proven.state('labels')).rejects.toMatchObject(stale);
  });

  it('is not taken for new because something else that was shown is: an old index beside new keys', async () => {
    const kept = new Map<string, Uint8Array>();
    const old = /\/ledger\/states$|\/search\/manifests\//;
    const keep = (body: Uint8Array, path: string): Uint8Array => {
      if (!kept.has(path)) kept.set(path, body);
      return body;
    };
    const first = await liar.during({ path: old, change: keep }, async () => ask(await deceived()));
    const doctor = await town.client('doctor');
    const content = new TextEncoder().encode('{"resourceType":"Condition","code":{"text":"seventh"}}');
    await doctor.records.put([{ content, patient: null, policy: 'mercy/role:doctor' }]);
    await town.settled();
    /** Each old answer once: what is asked later is new. */
    const replay = (): Parameters<Liar['during']>[0] => {
      const left = new Map(kept);
      return {
        path: old,
        change: (body, path) => {
          const shown = left.get(path) ?? body;
          left.delete(path);
          return shown;
        },
      };
    };
    const trusting = await deceived({ freshnessMs: Number.POSITIVE_INFINITY });
    const seen = await liar.during(replay(), () => ask(trusting));
    expect(seen.asOf).toEqual(first.asOf);
    expect(seen.records.length).toBe(first.records.length);
    expect(trusting.anchors.newest?.height).toBeGreaterThan(first.asOf.height);
    const now = (): number => first.asOf.time + FRESHNESS_MS + 1;
    const careful = await deceived({ now });
    const run = liar.during(replay(), () => ask(careful));
    await expect(run).rejects.toMatchObject({ code: 'checkpoint.stale' });
    const honest = await ask(await deceived({ now }));
    expect(honest.records.length).toBe(first.records.length + 1);
  });

  it('of a gateway that answers itself is as new, and says as of when', async () => {
    const custodial = await enrol('by-gateway', 'gateway');
    const query = (more: object) =>
      custodial.gateway.json<{ asOf: { height: number } }>('POST', '/v1/search/query', {
        body: { query: QUERY, custodians: ['mercy'], ...more },
      });
    expect((await query({})).asOf.height).toBeGreaterThan(0);
    expect((await query({ answer: 'count' })).asOf.height).toBeGreaterThan(0);
    await expect(query({ maxAgeMs: 0 })).rejects.toMatchObject({ code: 'checkpoint.stale' });
  });

  it('under a checkpoint that too few have cosigned, or that was changed, is no state', async () => {
    const changes: readonly ((text: string) => string)[] = [
      (text) => text.slice(0, text.indexOf('\n', text.indexOf('\n\n') + 2) + 1),
      (text) =>
        text.replace(/^(.*\n)(\d+)\n/, (_, origin: string, size: string) => `${origin}${Number(size) + 1}\n`),
    ];
    for (const change of changes) {
      const code = await refusal(states, (json) => {
        const text = String(json.checkpoint);
        json.checkpoint = change(text);
        expect(json.checkpoint).not.toBe(text);
      });
      expect(code).toMatch(/^checkpoint\./);
    }
  });

  it('that does not verify is no state', async () => {
    for (const name of ['value', 'proof'] as const) {
      const code = await refusal(states, (json) => {
        const [one] = (json.states as Record<string, unknown>[]).filter((state) => state[name] !== null);
        one[name] = flipped(one[name]);
      });
      expect(code).toMatch(/^(?:client\.unproven|cbor\.|state\.)/);
    }
  });
});

describe('declarations of fields', () => {
  const fields = /\/search\/fields$/;
  type Field = { custodian: string; field: string; spec: string; publicKey: string };

  /** A lie about how some custodians declare the field of the query. */
  const redeclared = (isTold: (custodian: string) => boolean) =>
    inJson((json) => {
      const all = json.fields as Field[];
      const other = String(all.find((one) => one.field === 'status')?.spec);
      for (const one of all)
        if (one.field === 'type' && isTold(one.custodian)) one.spec = withName(other, 'type');
    });

  it('of a gateway that changes one are refused', async () => {
    for (const isTold of [() => true, (custodian: string) => custodian === 'university']) {
      const client = await deceived();
      const run = liar.during({ path: fields, change: redeclared(isTold) }, () => ask(client));
      await expect(run).rejects.toMatchObject({ code: 'search.field_unproven' });
    }
  });

  it('of another custodian than the query was planned by change nothing', async () => {
    const client = await deceived();
    const lie = redeclared((custodian) => custodian === 'mercy');
    const report = await liar.during({ path: fields, change: lie }, () => ask(client));
    expect(report.missing).toEqual([]);
    expect(report.records.length).toBeGreaterThan(2);
  });

  it('that are hidden make the query fail, not shrink', async () => {
    const code = await refusal(fields, (json) => {
      json.fields = (json.fields as Field[]).filter((one) => one.field !== 'type');
    });
    expect(code).toBe('search.field_unknown');
  });

  it('with another public key change nothing: the key is the ledger\u2019s', async () => {
    const client = await deceived();
    const lie = inJson((json) => {
      for (const one of json.fields as Field[]) one.publicKey = flipped(one.publicKey);
    });
    const report = await liar.during({ path: fields, change: lie }, () => ask(client));
    expect(report.missing).toEqual([]);
    expect(report.records.length).toBeGreaterThan(2);
  });
});

describe('an opening for an auditor', () => {
  let file: OpeningFile;
  let entry: string;

  beforeAll(async () => {
    const client = await deceived();
    client.search.clear();
    const report = await ask(client, 'type:Condition and text:second');
    const named = await Promise.all(
      report.committed.map(async (one) => {
        const opening = await client.search.opening(one.entryId);
        return { opening, seen: await client.search.verifyOpening(opening), id: one.entryId };
      }),
    );
    const text = named.find((one) => one.seen.field === 'text');
    if (text === undefined) throw new Error('no search of the field text');
    file = text.opening;
    entry = text.id;
  });

  it('says what was searched for, who, where and why, from the ledger\u2019s entry', async () => {
    const auditor = await town.client('clerk');
    const seen = await auditor.search.verifyOpening(file);
    expect(seen).toMatchObject({
      entryId: entry,
      subject: researcher.context.device.subject,
      custodian: 'mercy',
      field: 'text',
      epoch: 0,
      purpose: 'research',
      granted: true,
    });
    expect(seen.shown).toEqual([
      { field: 'text', type: 'text', value: 'second' },
      { field: 'text', type: 'any' },
    ]);
  });

  it('can be made in a later session of the device, of one element, and by no other device', async () => {
    const later = await deceived();
    const one = await later.search.opening(entry, [0]);
    expect((await later.search.verifyOpening(one)).shown).toEqual([
      { field: 'text', type: 'text', value: 'second' },
      null,
    ]);
    const other = await enrol('other', 'client');
    await expect(other.search.opening(entry)).rejects.toMatchObject({ code: 'search.opening_unknown' });
  });

  it('is refused when any part of it is another', async () => {
    const { search } = await deceived();
    const own = await search.opening(entry);
    const [word, sentinel] = own.opened;
    if (sentinel === null || word === null) throw new Error('expected two opened elements');
    const lies: OpeningFile[] = [
      { ...own, opened: [{ ...word, input: sentinel.input }, sentinel] },
      { ...own, opened: [{ ...word, blind: sentinel.blind }, sentinel] },
      { ...own, opened: [{ ...word, blind: flipped(word.blind) }, sentinel] },
      { ...own, opened: [sentinel, word] },
      { ...own, opened: [sentinel, word], elements: [...own.elements].reverse() },
      { ...own, elements: own.elements.slice(0, 1), opened: [sentinel] },
      { ...own, opened: [sentinel] },
      { ...own, tx: flipped(own.tx) },
      { ...own, receipt: flipped(own.receipt) },
    ];
    const refused: string[] = [];
    for (const lie of lies)
      refused.push(
        await search.verifyOpening(lie).then(
          () => 'believed',
          (error: CodedError) => error.code,
        ),
      );
    expect(refused.slice(0, 8)).toEqual(refused.slice(0, 8).map(() => 'search.opening_wrong'));
    expect(refused[8]).toMatch(/^(?:receipt|checkpoint|cbor)\./);
  });

  it('of a search through a gateway is the gateway\u2019s to give, to its subject alone', async () => {
    const analyst = await enrol('analyst', 'gateway');
    const answer = await analyst.gateway.json<{ committed: { entryId: string }[] }>(
      'POST',
      '/v1/search/query',
      {
        body: { query: 'text:third', unit: 'record', custodians: ['mercy'] },
      },
    );
    const path = `/v1/search/openings/${answer.committed[0].entryId}`;
    const opening = await analyst.gateway.json<OpeningFile>('GET', path);
    const seen = await researcher.search.verifyOpening(opening);
    expect(seen.shown).toContainEqual({ field: 'text', type: 'text', value: 'third' });
    const stranger = await researcher.gateway.json('GET', path).catch((error: unknown) => error);
    expect(hasCode(stranger, 'search.opening_unknown')).toBe(true);
  });
});

/** A declaration with another name: the text of a dag-cbor map in which the name is one value. */
function withName(spec: string, name: string): string {
  const bytes = Buffer.from(spec, 'base64url');
  const at = bytes.indexOf('status');
  return Buffer.concat([
    bytes.subarray(0, at - 1),
    Buffer.of(0x60 + name.length),
    Buffer.from(name),
    bytes.subarray(at + 'status'.length),
  ]).toString('base64url');
}
