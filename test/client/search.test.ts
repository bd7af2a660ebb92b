/**
 * Search through the SDK over four hospitals, held against a plain walk over the values of the same records; and a
 * gateway that lies about an index, or a hospital that cannot be reached.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Hippocrypt, SearchReport } from '../../src/client/index.ts';
import { fromBase64url, toBase64url, toHex } from '../../src/codec/bytes.ts';
import type { CodedError } from '../../src/codec/errors.ts';
import { memberId } from '../../src/codec/ids.ts';
import { extractKeywords, fieldSpecs } from '../../src/fhir/index.ts';
import { fieldRecordId } from '../../src/ledger/index.ts';
import { decodeFieldSpec, encodeFieldSpec, fieldRegistry, parseQuery } from '../../src/search/index.ts';
import { startTown, type Town } from '../node/consortium.ts';
import { type ImportedSample, importSample } from '../node/sample.ts';
import { type PlainRecord, plainPatients, plainRecords } from '../search/reference.ts';
import { codeOf, deceive, flipped, inJson, Liar } from './liar.ts';

const MEMBERS = ['mercy', 'st-luke', 'county-general', 'university'];
const REGISTRY = fieldRegistry(fieldSpecs());

/** Conjunctions, unions, complements, hierarchies, prefixes, ranges, words, and what nobody has. */
const QUERIES = [
  'condition:E11.9',
  'condition:E11*',
  'condition:I10 and medication:860975',
  'condition:E11.9 and condition:I10 and medication:860975',
  'condition:E11* or condition:I10',
  'condition:I10 and not condition:E11*',
  'not condition:I10 and type:Patient',
  'medication:860975 or medication:197361',
  'medication:* and not medication:860975',
  'condition:missing and type:Patient',
  'type:Observation',
  'type in {Encounter, Condition}',
  'text:diabetes',
  'text:hypertension and type:Condition',
  'text:diab*',
  'systolic >= 140',
  'systolic in [120, 139]',
  'systolic < 120 or diastolic > 90',
  'bmi >= 30 and condition:E11*',
  'hba1c > 7',
  'onset < 2015-01-01',
  'onset in [2010-01-01, 2020-12-31]',
  'date >= 2020-01-01 and type:Encounter',
  'status:active and condition:E11.9',
  'status:active and type:MedicationRequest',
  'encounter-class:AMB',
  'category:vital-signs and systolic >= 130',
  'condition:Z99.9',
  'condition:E11.9 and condition:Z99.9',
  '(condition:I10 or text:asthma) and not (systolic >= 160)',
  'observation:8480-6 and not medication:*',
  'type:Observation and date < 2000-01-01',
];

let town: Town;
let sample: ImportedSample;
let plain: readonly PlainRecord[];
let researcher: Hippocrypt;
const liar = new Liar();

beforeAll(async () => {
  town = await startTown();
  sample = await importSample(town);
  researcher = await town.people.enrol({
    name: 'researcher',
    member: 'university',
    kind: 'person',
    attributes: MEMBERS.map((member) => `${member}/role:researcher`),
    custody: 'client',
  });
  const numbers = new Map<string, number>();
  for (const custodian of MEMBERS) {
    const page = await researcher.records.list({ custodian, limit: 500 });
    for (const one of page.records) numbers.set(one.record, one.indexNo ?? -1);
  }
  plain = sample.records.map(({ record, custodian, patient, resource }) => ({
    custodian,
    indexNo: numbers.get(record) ?? -1,
    patient: patient ?? undefined,
    values: extractKeywords(resource.json, patient === null ? {} : { patient }),
  }));
});
afterAll(() => town?.close());

/** A researcher without anything cached, behind the liar. */
const deceived = (): Promise<Hippocrypt> =>
  deceive(liar, researcher, { url: town.url('university'), account: 'researcher' });

const hits = (report: SearchReport): string[] =>
  report.records.map((one) => `${one.custodian} ${one.indexNo}`).sort();

describe('answers', () => {
  it('imports the sample without a refusal', () => {
    expect(sample.summary.refused).toEqual([]);
    expect(plain).toHaveLength(170);
    expect(plain.every((one) => one.indexNo >= 0)).toBe(true);
  });

  it('equal a plain walk over the records, in patients', async () => {
    let found = 0;
    for (const query of QUERIES) {
      const report = await researcher.search.query(query, { unit: 'patient' });
      expect(report.missing, query).toEqual([]);
      expect(report.patients, query).toEqual(plainPatients(parseQuery(query), REGISTRY, plain));
      found += report.patients.length;
    }
    expect(found).toBeGreaterThan(QUERIES.length);
  });

  it('equal a plain walk over the records, in records', async () => {
    for (const query of QUERIES) {
      const report = await researcher.search.query(query, { unit: 'record' });
      const expected = MEMBERS.flatMap((custodian) => {
        const own = plain.filter((one) => one.custodian === custodian);
        return plainRecords(parseQuery(query), REGISTRY, own).map((indexNo) => `${custodian} ${indexNo}`);
      });
      expect(hits(report), query).toEqual(expected.sort());
    }
  });

  it('name records that are the custodian’s, and ask once for a keyword', async () => {
    const first = await researcher.search.query('condition:E11.9', { unit: 'record' });
    expect(first.evaluated).toBe(0);
    expect(first.committed).toEqual([]);
    for (const hit of first.records) {
      const own = sample.records.find((one) => one.record === hit.record);
      expect([own?.custodian, own?.patient]).toEqual([hit.custodian, hit.patient]);
    }
  });

  it('of one custodian are of that one alone', async () => {
    const report = await researcher.search.query('type:Patient', { unit: 'record', custodians: ['mercy'] });
    expect(new Set(report.records.map((one) => one.custodian))).toEqual(new Set(['mercy']));
  });

  it('through the gateway, for a custodial account, are the same', async () => {
    const analyst = await town.people.enrol({
      name: 'analyst',
      member: 'university',
      kind: 'person',
      attributes: MEMBERS.map((member) => `${member}/role:researcher`),
      custody: 'gateway',
    });
    const query = 'condition:E11.9 and condition:I10 and medication:860975';
    const answer = await analyst.gateway.json<{ custody: string; patients: string[]; missing: unknown[] }>(
      'POST',
      '/v1/search/query',
      { body: { query } },
    );
    expect(answer).toMatchObject({ custody: 'gateway', missing: [] });
    expect(answer.patients).toEqual(plainPatients(parseQuery(query), REGISTRY, plain));
    expect(answer.patients).toHaveLength(3);
  });

  it('are refused to who may not search the field, and the verdict stands on the ledger', async () => {
    const clerk = await town.client('clerk');
    const report = await clerk.search.query('condition:E11.9').then(
      (seen) => seen.missing.map((one) => one.code),
      (error: CodedError) => [error.code],
    );
    expect(new Set(report)).toEqual(new Set(['access.denied']));
  });

  it('name the column of a query that does not parse', async () => {
    const run = researcher.search.query('condition:E11.9 and (');
    await expect(run).rejects.toMatchObject({ code: 'search.syntax' });
    await run.catch((error: CodedError) => expect(error.details.column).toBeTypeOf('number'));
  });
});

describe('counts', () => {
  const COUNTS = MEMBERS.map((member) => `${member}/right:counts`);
  type Answer = Record<string, unknown> & { missing: { custodian: string; code: string }[] };
  const custodial = (name: string, attributes: readonly string[]): Promise<Hippocrypt> =>
    town.people.enrol({ name, member: 'university', kind: 'person', attributes, custody: 'gateway' });
  const ask = (client: Hippocrypt, query: string, more: object = {}): Promise<Answer> =>
    client.gateway.json<Answer>('POST', '/v1/search/query', { body: { query, answer: 'count', ...more } });
  const patients = (query: string): string[] => plainPatients(parseQuery(query), REGISTRY, plain);

  it('are exact for who may see the hits, however small', async () => {
    const analyst = await custodial(
      'exact',
      MEMBERS.map((member) => `${member}/role:researcher`),
    );
    for (const query of ['condition:E11.9', 'condition:Z99.9', 'type:Patient'])
      expect(await ask(analyst, query)).toMatchObject({ count: patients(query).length, exact: true });
    const observations = MEMBERS.flatMap((custodian) => {
      const own = plain.filter((one) => one.custodian === custodian);
      return plainRecords(parseQuery('type:Observation'), REGISTRY, own);
    });
    expect(await ask(analyst, 'type:Observation', { unit: 'record' })).toMatchObject({
      count: observations.length,
      exact: true,
    });
  });

  it('are rounded and small ones hidden for who has the right to count alone; no answer names a hit', async () => {
    const counter = await custodial('counter', COUNTS);
    const told = patients('type:Patient').length;
    expect(told).toBeGreaterThanOrEqual(10);
    const answers = [
      await ask(counter, 'type:Patient'),
      await ask(counter, 'condition:E11.9 and condition:I10 and medication:860975'),
      await ask(counter, 'condition:Z99.9'),
    ];
    expect(answers.map(({ count, exact }) => [count, exact])).toEqual([
      [5 * Math.round(told / 5), false],
      [null, false],
      [null, false],
    ]);
    const allowed = ['asOf', 'committed', 'count', 'custody', 'evaluated', 'exact', 'lag', 'missing', 'unit'];
    for (const answer of answers) {
      expect(Object.keys(answer).sort()).toEqual(allowed);
      const text = JSON.stringify(answer);
      for (const { record, patient } of sample.records) {
        expect(text).not.toContain(record);
        expect(text).not.toContain(patient ?? record);
      }
    }
  });

  it('are not asked of chosen people: the field of pseudonyms is not open to a right to count', async () => {
    const counter = await custodial('counter', COUNTS);
    const few = patients('type:Patient').slice(0, 9).join(', ');
    const run = ask(counter, `patient in {${few}} and condition:E11.9`);
    expect(await codeOf(run)).toBe('access.denied');
  });

  it('come without hits: those are refused, of all custodians or of the ones that only let count', async () => {
    const counter = await custodial('counter', COUNTS);
    const height = () => town.node('university').ledger.tip().height;
    const before = height();
    expect(await codeOf(ask(counter, 'condition:E11.9', { answer: 'hits' }))).toBe('search.counts_only');
    expect(height()).toBe(before);
    const mixed = await custodial('mixed', ['mercy/role:researcher', 'st-luke/right:counts']);
    const hitsOf = await ask(mixed, 'condition:E11.9', { answer: 'hits', unit: 'record' });
    expect(hitsOf.missing.map(({ custodian, code }) => [custodian, code]).sort()).toEqual([
      ['county-general', 'search.policy'],
      ['st-luke', 'search.counts_only'],
      ['university', 'search.policy'],
    ]);
    const own = plain.filter(({ custodian }) => custodian === 'mercy');
    const numbers = (hitsOf.records as { custodian: string; indexNo: number }[]).map(
      ({ custodian, indexNo }) => `${custodian} ${indexNo}`,
    );
    expect(numbers.sort()).toEqual(
      plainRecords(parseQuery('condition:E11.9'), REGISTRY, own)
        .map((indexNo) => `mercy ${indexNo}`)
        .sort(),
    );
  });

  it('are not mixed with hits: the difference would be the exact number of those that only let count', async () => {
    const mixed = await custodial('mixed', ['mercy/role:researcher', 'st-luke/right:counts']);
    expect(await codeOf(ask(mixed, 'type:Patient'))).toBe('search.counts_mixed');
    expect(await ask(mixed, 'type:Patient', { custodians: ['mercy'] })).toMatchObject({ exact: true });
    expect(await ask(mixed, 'type:Patient', { custodians: ['st-luke'] })).toMatchObject({ exact: false });
  });

  it('cannot be turned into hits by another door: no tokens without a signature of one’s own, no field key', async () => {
    const counter = await custodial('counter', COUNTS);
    const items = [[toBase64url(new Uint8Array(32).fill(1))]];
    expect(await codeOf(counter.gateway.json('POST', '/v1/search/tokens', { body: { items } }))).toBe(
      'custody.client_signs',
    );
    const key = toHex(fieldRecordId('mercy', 'condition', 0));
    const open = counter.gateway.json('POST', `/v1/records/${key}/open`, { body: { purpose: 'research' } });
    expect(await codeOf(open)).toBe('record.no_payload');
    const [hit] = sample.records;
    const record = counter.gateway.json('POST', `/v1/records/${hit.record}/open`, {
      body: { purpose: 'research' },
    });
    expect(await codeOf(record)).toBe('access.denied');
  });

  it('are not for somebody with keys of its own, who would see what they open', async () => {
    const device = town.people.enrol({
      name: 'counter-with-device',
      member: 'university',
      kind: 'person',
      attributes: ['mercy/right:counts'],
      custody: 'client',
    });
    expect(await codeOf(device)).toBe('right.custody');
  });
});

describe('a hospital that cannot be reached', () => {
  it('is named as missing, and the others still answer', async () => {
    const { links } = town.consortium;
    const client = await deceived();
    links.setDown(memberId('mercy'), true);
    try {
      const report = await client.search.query('condition:E11.9', { unit: 'record' });
      expect(report.missing.map((one) => one.custodian)).toEqual(['mercy']);
      expect(report.missing[0].code).toMatch(/^(?:link|search|timeout)\./);
      const expected = MEMBERS.filter((one) => one !== 'mercy').flatMap((custodian) => {
        const own = plain.filter((one) => one.custodian === custodian);
        return plainRecords(parseQuery('condition:E11.9'), REGISTRY, own).map((n) => `${custodian} ${n}`);
      });
      expect(hits(report)).toEqual(expected.sort());
    } finally {
      links.setDown(memberId('mercy'), false);
    }
    const again = await client.search.query('condition:E11.9', { unit: 'record' });
    expect(again.missing).toEqual([]);
  });
});

describe('a gateway that lies about an index', () => {
  /** What a new client makes of a query while the gateway lies: an answer's missing custodians, or the refusal. */
  async function seenThrough(
    path: RegExp,
    change: Parameters<typeof inJson>[0] | 'bytes',
  ): Promise<string[]> {
    const client = await deceived();
    const lie = {
      path,
      change:
        change === 'bytes'
          ? (body: Uint8Array): Uint8Array => {
              const copy = body.slice();
              copy[copy.length >> 1] ^= 1;
              return copy;
            }
          : inJson(change),
    };
    const before = liar.told;
    const run = liar.during(lie, () =>
      client.search.query('condition:E11.9', { unit: 'record', custodians: ['mercy'] }),
    );
    const codes = await run.then(
      (report) => (report.missing.length === 0 ? ['believed'] : report.missing.map((one) => one.code)),
      (error: CodedError) => [error.code, ...Object.values(error.details).map(String)],
    );
    expect(liar.told).toBeGreaterThan(before);
    return codes;
  }

  it('is refused for another manifest', async () => {
    const codes = await seenThrough(/\/search\/manifests\/mercy/, (json) => {
      json.manifest = flipped(json.manifest);
    });
    expect(codes.join()).toMatch(/search\.manifest_hash|search\.manifest_malformed/);
  });

  it("is refused for another custodian's manifest", async () => {
    const other = await researcher.gateway.json<{ manifest: string }>('GET', '/v1/search/manifests/st-luke');
    const codes = await seenThrough(/\/search\/manifests\/mercy/, (json) => {
      json.manifest = other.manifest;
    });
    expect(codes.join()).toMatch(/search\.manifest_hash/);
  });

  it('is refused for one changed byte of a segment', async () => {
    const codes = await seenThrough(/\/search\/segments\//, 'bytes');
    expect(codes.join()).toMatch(/search\.segment_/);
  });

  it('is refused for a state proof that does not verify, or a value that is not proven', async () => {
    for (const name of ['proof', 'value'] as const) {
      const codes = await seenThrough(/\/ledger\/states$/, (json) => {
        const [index] = json.states as Record<string, unknown>[];
        index[name] = flipped(index[name]);
      });
      expect(codes.join()).toMatch(/unverified|unproven|state\.|cbor\./);
      expect(codes).not.toContain('believed');
    }
  });

  it('is refused for a state that is left out, and for the state of another key', async () => {
    for (const change of [
      (states: unknown[]) => states.pop(),
      (states: unknown[]) => states.reverse(),
    ] as const) {
      const codes = await seenThrough(/\/ledger\/states$/, (json) => {
        change(json.states as unknown[]);
      });
      expect(codes.join()).toMatch(/client\.unproven/);
    }
  });

  it('is refused for a consistency proof that does not join its checkpoints', async () => {
    const client = await deceived();
    await client.search.query('condition:E11.9', { custodians: ['mercy'] });
    await town.people.enrol({
      name: 'newcomer',
      member: 'mercy',
      kind: 'person',
      attributes: [],
      custody: 'gateway',
    });
    const lie = {
      path: /\/ledger\/states$/,
      change: inJson((json) => {
        json.consistency = (json.consistency as string[]).map(flipped);
      }),
    };
    const run = liar.during(lie, () => client.search.query('condition:E11.9', { custodians: ['mercy'] }));
    await expect(run).rejects.toMatchObject({ code: 'checkpoint.forked' });
  });

  it('is refused for a field that is declared otherwise on the ledger', async () => {
    const codes = await seenThrough(/\/search\/fields$/, (json) => {
      for (const row of json.fields as { field: string; spec: string }[]) {
        if (row.field !== 'condition') continue;
        const spec = decodeFieldSpec(fromBase64url(row.spec));
        row.spec = toBase64url(encodeFieldSpec({ ...spec, sensitive: !spec.sensitive }));
      }
    });
    expect(codes).toContain('search.field_unproven');
  });

  it('is refused for an evaluation that the custodian did not make', async () => {
    const codes = await seenThrough(/\/search\/tokens/, (json) => {
      for (const answer of json.answers as { proof: string }[]) answer.proof = flipped(answer.proof);
    });
    expect(codes.join()).toMatch(/search\.oprf_/);
  });

  it('is refused for a field header that is not the one on the ledger', async () => {
    const codes = await seenThrough(/\/records\/[0-9a-f]{64}\/header/, (json) => {
      json.header = flipped(json.header);
    });
    expect(codes.join()).toMatch(/abe\.header_mismatch/);
  });
});
