import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memberId } from '../../src/codec/ids.ts';
import {
  custodianOf,
  type ImportBatch,
  isRefusal,
  patientKeyOf,
  planImport,
  readDocument,
  type SourceItem,
  type SourceResource,
  surveyImport,
} from '../../src/fhir/index.ts';
import { collect, MEMBERS } from './shared.ts';

type Json = Record<string, unknown>;

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const loose = (...resources: Json[]): SourceItem[] =>
  resources.flatMap((one) => readDocument(bytes(one), 'test'));
const bundle = (...entries: { fullUrl?: string; resource: Json }[]): SourceItem[] =>
  readDocument(bytes({ resourceType: 'Bundle', type: 'transaction', entry: entries }), 'test');

async function* stream(items: readonly SourceItem[]): AsyncGenerator<SourceItem> {
  yield* items;
}

async function plan(items: readonly SourceItem[], survey = false): Promise<ImportBatch[]> {
  const all = await collect(
    planImport(stream(items), MEMBERS, survey ? await surveyImport(stream(items)) : undefined),
  );
  return all.filter((one): one is ImportBatch => !isRefusal(one));
}

const keyOf = (item: SourceItem): string | undefined => patientKeyOf(item as SourceResource);
const brief = (batches: ImportBatch[]) =>
  batches.map(({ custodian, patientKey, resources }) => ({
    custodian,
    patientKey,
    ids: resources.map(({ resource }) => resource.id),
  }));

const IDENTIFIER = { system: 'http://example.org/org', value: '7' };
const ORG = { resourceType: 'Organization', id: 'org', identifier: [IDENTIFIER] };
const ORG_TOKEN = 'http://example.org/org|7';

describe('custodian = hash over the members', () => {
  it('is the same whatever order the members are listed in', () => {
    fc.assert(
      fc.property(fc.string(), (identity) => {
        expect(custodianOf(identity, [...MEMBERS].reverse())).toBe(custodianOf(identity, MEMBERS));
      }),
    );
  });

  it('is fixed: changing it would move every patient', () => {
    const seen = ['clinic-01', 'clinic-02', 'clinic-03', 'clinic-04'].map((value) =>
      custodianOf(`http://example.org/sample/organization|${value}`, MEMBERS),
    );
    expect(seen).toEqual(['st-luke', 'mercy', 'county-general', 'university']);
  });

  it('gives every member its share', () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 4000; i++) {
      const member = custodianOf(`organisation ${i}`, MEMBERS);
      counts.set(member, (counts.get(member) ?? 0) + 1);
    }
    for (const member of MEMBERS) expect(counts.get(member)).toBeGreaterThan(850);
  });

  it('needs a member', () => {
    expect(() => custodianOf('x', [])).toThrowError(expect.objectContaining({ code: 'fhir.no_members' }));
    expect(custodianOf('x', [memberId('only')])).toBe('only');
  });
});

describe('one patient is recognised by one name', () => {
  it('in every form of reference to it', () => {
    const items = bundle(
      { fullUrl: 'urn:uuid:p', resource: { resourceType: 'Patient', id: '1', identifier: [IDENTIFIER] } },
      { resource: { resourceType: 'Condition', subject: { reference: 'urn:uuid:p' } } },
      { resource: { resourceType: 'Condition', subject: { reference: 'Patient/1' } } },
      { resource: { resourceType: 'Condition', subject: { reference: 'Patient/1/_history/3' } } },
      {
        resource: {
          resourceType: 'Claim',
          patient: { reference: 'Patient?identifier=http://example.org/org|7' },
        },
      },
      {
        resource: {
          resourceType: 'Claim',
          patient: { reference: 'Patient?identifier=http%3A%2F%2Fexample.org%2Forg%7C7' },
        },
      },
      { resource: { resourceType: 'Claim', patient: { identifier: IDENTIFIER } } },
      {
        resource: {
          resourceType: 'Appointment',
          participant: [{ actor: { reference: 'Location/2' } }, { actor: { reference: 'Patient/1' } }],
        },
      },
      {
        resource: {
          resourceType: 'Account',
          subject: [{ reference: 'Device/1' }, { reference: 'Patient/1' }],
        },
      },
    );
    expect(items.map(keyOf)).toEqual(Array(9).fill('Patient/1'));
  });

  it('and nothing else is taken for a patient', () => {
    const items = bundle(
      { fullUrl: 'urn:uuid:g', resource: { resourceType: 'Group', id: 'g' } },
      { resource: { resourceType: 'Condition', subject: { reference: 'urn:uuid:g' } } },
      { resource: { resourceType: 'Condition', subject: { reference: 'Group/1' } } },
      { resource: { resourceType: 'Condition', subject: { reference: 'urn:uuid:elsewhere' } } },
      { resource: { resourceType: 'Condition', subject: { reference: '#contained' } } },
      { resource: { resourceType: 'Condition', subject: { display: 'somebody' } } },
      { resource: { resourceType: 'Organization' } },
    );
    expect(items.map(keyOf)).toEqual(Array(7).fill(undefined));
  });

  it('keeps patients of different servers apart', () => {
    const [one, other] = loose(
      { resourceType: 'Condition', subject: { reference: 'https://a.example/fhir/Patient/1' } },
      { resourceType: 'Condition', subject: { reference: 'https://b.example/fhir/Patient/1' } },
    );
    expect(keyOf(one)).not.toBe(keyOf(other));
  });

  it('falls back on fullUrl, then on the identifier', () => {
    const [patient, condition] = bundle(
      { fullUrl: 'urn:uuid:p', resource: { resourceType: 'Patient' } },
      { resource: { resourceType: 'Condition', subject: { reference: 'urn:uuid:p' } } },
    );
    expect([keyOf(patient), keyOf(condition)]).toEqual(['urn:uuid:p', 'urn:uuid:p']);
    const [unnamed] = loose({ resourceType: 'Patient', identifier: [IDENTIFIER] });
    expect(keyOf(unnamed)).toBe(`Patient?identifier=${ORG_TOKEN}`);
  });
});

describe('a Bundle', () => {
  const encounter = (id: string, subject: string, serviceProvider?: Json) => ({
    resource: {
      resourceType: 'Encounter',
      id,
      subject: { reference: subject },
      ...(serviceProvider && { serviceProvider }),
    },
  });

  it('of one patient is one batch in source order, kept where its first Encounter was served', async () => {
    const batches = await plan(
      bundle(
        { fullUrl: 'urn:uuid:p', resource: { resourceType: 'Patient', id: 'p' } },
        { fullUrl: 'urn:uuid:o', resource: ORG },
        encounter('e0', 'urn:uuid:p'),
        encounter('e1', 'urn:uuid:p', { reference: 'urn:uuid:o' }),
        encounter('e2', 'urn:uuid:p', { reference: 'Organization/other' }),
      ),
    );
    expect(brief(batches)).toEqual([
      {
        custodian: custodianOf(ORG_TOKEN, MEMBERS),
        patientKey: 'Patient/p',
        ids: ['p', 'org', 'e0', 'e1', 'e2'],
      },
    ]);
    expect(batches[0].resources.map(({ patientKey }) => patientKey)).toEqual([
      'Patient/p',
      undefined,
      'Patient/p',
      'Patient/p',
      'Patient/p',
    ]);
  });

  it('without an Encounter is kept by the hash of the patient', async () => {
    const batches = await plan(bundle({ resource: { resourceType: 'Patient', id: 'p' } }));
    expect(batches[0].custodian).toBe(custodianOf('Patient/p', MEMBERS));
  });

  it('of several patients gives each a batch of its own', async () => {
    const batches = await plan(
      bundle(
        { resource: { resourceType: 'Patient', id: 'a' } },
        { resource: ORG },
        { resource: { resourceType: 'Patient', id: 'b' } },
        encounter('eb', 'Patient/b', { reference: 'Organization/org' }),
        encounter('ea', 'Patient/a', { identifier: { value: 'x' } }),
      ),
    );
    expect(brief(batches)).toEqual([
      { custodian: custodianOf('|x', MEMBERS), patientKey: 'Patient/a', ids: ['a', 'ea'] },
      { custodian: custodianOf(ORG_TOKEN, MEMBERS), patientKey: undefined, ids: ['org'] },
      { custodian: custodianOf(ORG_TOKEN, MEMBERS), patientKey: 'Patient/b', ids: ['b', 'eb'] },
    ]);
  });

  it('is planned apart from its neighbours even when they share a patient', async () => {
    const one = () => bundle({ resource: { resourceType: 'Patient', id: 'p' } });
    expect(await plan([...one(), ...one()])).toHaveLength(2);
  });
});

describe('resources without a Bundle', () => {
  const EXPORT = loose(
    {
      resourceType: 'Condition',
      id: 'c',
      subject: { reference: 'Patient?identifier=http://example.org/org|9' },
    },
    {
      resourceType: 'Encounter',
      id: 'e',
      subject: { reference: 'Patient/p' },
      serviceProvider: { reference: 'Organization/org' },
    },
    { resourceType: 'Patient', id: 'p', identifier: [{ system: 'http://example.org/org', value: '9' }] },
    ORG,
  );

  it('follow the survey: all of a patient goes where its first Encounter was served', async () => {
    const served = custodianOf(ORG_TOKEN, MEMBERS);
    expect(brief(await plan(EXPORT, true))).toEqual([
      { custodian: served, patientKey: 'Patient/p', ids: ['c', 'e', 'p'] },
      { custodian: served, patientKey: undefined, ids: ['org'] },
    ]);
  });

  it('are kept by the hash of the patient without a survey', async () => {
    const batches = await plan(EXPORT.slice(2, 3));
    expect(batches[0].custodian).toBe(custodianOf('Patient/p', MEMBERS));
  });

  it('come in windows of 1,000, so that memory is bounded', async () => {
    const one = (i: number) => ({
      resourceType: 'Condition',
      id: `c${i}`,
      subject: { reference: 'Patient/p' },
    });
    const many = loose(...Array.from({ length: 1001 }, (_, i) => one(i)));
    expect((await plan(many.slice(0, 1000))).map(({ resources }) => resources.length)).toEqual([1000]);
    expect((await plan(many)).map(({ resources }) => resources.length)).toEqual([1000, 1]);
  });

  it('pass refusals through in place', async () => {
    const items = [...EXPORT.slice(0, 1), ...readDocument(bytes([]), 'test'), ...EXPORT.slice(1)];
    const planned = await collect(planImport(stream(items), MEMBERS));
    expect(planned.filter(isRefusal).map(({ refused }) => refused.code)).toEqual(['fhir.shape']);
    expect(await surveyImport(stream(items))).toMatchObject({ resources: 4, refused: 1 });
  });
});
