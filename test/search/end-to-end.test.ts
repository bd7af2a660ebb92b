/** The whole path on a small corpus: values, keywords, VOPRF, sealed segments, manifest, query. */
import { describe, expect, test } from 'vitest';
import {
  blindKeywords,
  deriveFieldKeyPair,
  encodeKeyword,
  evaluate,
  type FieldValue,
  finalize,
  keywordKey,
  keywordSecret,
  parseQuery,
  planQuery,
  runQuery,
} from '../../src/search/index.ts';
import { ask, CLIENT_KEY, Custodian, REGISTRY, seededRandom } from './support.ts';

const SNOMED = 'http://snomed.info/sct';

const diabetes: FieldValue[] = [
  { field: 'condition', kind: 'code', system: 'http://hl7.org/fhir/sid/icd-10', code: 'E11.9' },
  { field: 'note', kind: 'text', text: 'Diabetes mellitus, well controlled. Diabetes diary reviewed.' },
  { field: 'onset', kind: 'date', date: '2014-03-05' },
  { field: 'kind', kind: 'type', resourceType: 'Condition' },
];
const glucose: FieldValue[] = [
  { field: 'glucose', kind: 'number', value: '7.1', unit: 'mmol/L' },
  { field: 'onset', kind: 'date', date: '2021' },
  { field: 'kind', kind: 'type', resourceType: 'Observation' },
];
const surgery: FieldValue[] = [
  {
    field: 'procedure',
    kind: 'code',
    system: SNOMED,
    code: '80146002',
    ancestors: ['71388002', '387713003'],
  },
  { field: 'author', kind: 'reference', id: 'ab'.repeat(16) },
  { field: 'kind', kind: 'type', resourceType: 'Procedure' },
];

async function hospital(): Promise<Custodian> {
  const custodian = new Custodian('mercy');
  custodian.put(diabetes, 'anna');
  custodian.put(glucose, 'anna');
  await custodian.flush();
  custodian.put(surgery, 'anna');
  custodian.put(diabetes, 'ben');
  custodian.put([], undefined);
  custodian.put(glucose, 'cleo');
  await custodian.flush();
  return custodian;
}

describe('a small hospital answers', () => {
  test.each([
    ['condition:E11.9', [0, 3]],
    ['condition:http://hl7.org/fhir/sid/icd-10|E11.9', [0, 3]],
    ['condition:"http://example.org"|E11.9', []],
    ['condition:e11*', [0, 3]],
    ['condition in {E11.9, I10}', [0, 3]],
    ['procedure:387713003*', [2]],
    ['procedure:80146002 and author:abababababababababababababababab', [2]],
    ['note:diabetic or note:"diary reviewed"', [0, 3]],
    ['note:diab*', [0, 3]],
    ['onset in [2010-01-01, 2019-12-31]', [0, 3]],
    ['onset >= 2020', [1, 5]],
    ['onset < 2014-03-05', []],
    ['onset <= 2014-03-05 and kind:Condition', [0, 3]],
    ['glucose > 7.0', [1, 5]],
    ['glucose in [0, 7]', []],
    ['glucose:7.1', [1, 5]],
    ['onset:missing', [2, 4]],
    ['not kind:Condition', [1, 2, 4, 5]],
    ['not (kind:Condition or kind:Observation)', [2, 4]],
    ['kind != Condition AND onset:*', [1, 5]],
  ])('%s by record', async (text, numbers) => {
    const result = await ask(text, 'record', [await hospital()]);
    expect([...result.records[0].numbers]).toEqual(numbers);
  });

  test('a conjunction by patient spans records and custodians', async () => {
    const mercy = await hospital();
    const clinic = new Custodian('clinic');
    clinic.put(surgery, 'ben');
    await clinic.flush();
    const text = 'condition:e11* and procedure:80146002';
    expect((await ask(text, 'record', [mercy, clinic])).records.map(({ numbers }) => numbers.length)).toEqual(
      [0, 0],
    );
    expect((await ask(text, 'patient', [mercy])).patients).toEqual(['anna']);
    const both = await ask(text, 'patient', [mercy, clinic]);
    expect(both.patients).toEqual(['anna', 'ben']);
    expect(both.records.map(({ numbers }) => [...numbers])).toEqual([[0, 2, 3], [0]]);
    expect((await ask('not condition:*', 'patient', [mercy, clinic])).patients).toEqual(['cleo']);
  });

  test('dead numbers vanish at once, and from the lists at the next purge', async () => {
    const mercy = await hospital();
    mercy.dead.add(0);
    expect([...(await ask('condition:E11.9', 'record', [mercy])).records[0].numbers]).toEqual([3]);
    expect(await mercy.mergeAll(true)).toBe(1);
    expect([...(await ask('condition:E11.9', 'record', [mercy])).records[0].numbers]).toEqual([3]);
    expect(await mercy.mergeAll(true)).toBe(0);
  });

  test('ranking sums word weights and prefers the later record', async () => {
    const mercy = await hospital();
    mercy.put([{ field: 'note', kind: 'text', text: 'diabetes diabetes diabetes' }], 'dora');
    await mercy.flush();
    const { ranked } = await ask('note:diabetes', 'record', [mercy], 2);
    expect(ranked).toEqual([
      { custodian: 'mercy', indexNo: 6, score: 3 },
      { custodian: 'mercy', indexNo: 3, score: 2 },
    ]);
  });

  test('ranking by patient takes the best record of each word, and never names a record of somebody else', async () => {
    const mercy = await hospital();
    mercy.put([{ field: 'note', kind: 'text', text: 'diabetes diabetes diabetes' }], 'dora');
    await mercy.flush();
    const byWord = await ask('note:diabetes and not kind:Procedure', 'patient', [mercy], 5);
    expect(byWord.ranked).toEqual([
      { custodian: 'mercy', indexNo: 6, patient: 'dora', score: 3 },
      { custodian: 'mercy', indexNo: 3, patient: 'ben', score: 2 },
    ]);
    const byAbsence = await ask('not note:*', 'patient', [mercy], 5);
    expect(byAbsence.ranked).toEqual([{ custodian: 'mercy', indexNo: 5, patient: 'cleo', score: 0 }]);
    expect((await ask('kind:*', 'record', [mercy], 2)).ranked.map(({ indexNo }) => indexNo)).toEqual([5, 3]);
    expect((await ask('kind:*', 'record', [mercy], 0)).ranked).toEqual([]);
  });

  test('a client that has only field key and VOPRF answers reads the same', async () => {
    const mercy = await hospital();
    const plan = planQuery(parseQuery('condition:e11* and onset >= 2010'), REGISTRY);
    const secrets = new Map<string, ReturnType<typeof keywordSecret>>();
    for (const field of new Set(plan.keywords.map((one) => one.field))) {
      const keys = mercy.keys.find((one) => one.field === field);
      if (keys === undefined) throw new Error('field without keys');
      const pair = deriveFieldKeyPair(keys.seed, 'mercy', field, 1);
      expect(pair.publicKey).toEqual(mercy.indexer.publicKey(field, 1));
      const asked = plan.keywords.filter((one) => one.field === field).map((one) => one.bytes);
      const batch = blindKeywords(asked, seededRandom('client'));
      const outputs = finalize(batch, mercy.indexer.evaluate(field, 1, batch.elements), pair.publicKey);
      expect(evaluate(pair, batch.elements, seededRandom('x')).elements).toHaveLength(batch.elements.length);
      asked.forEach((bytes, i) => {
        secrets.set(keywordKey(bytes), keywordSecret(outputs[i], keys.fieldKey));
      });
    }
    const result = await runQuery({
      plan,
      unit: 'record',
      custodians: [mercy.index((keyword) => secrets.get(keywordKey(keyword)))],
      clientKey: CLIENT_KEY,
    });
    expect([...result.records[0].numbers]).toEqual([0, 3]);
    expect(encodeKeyword({ field: 'condition', type: 'prefix', value: 'e11' })).toEqual(
      plan.keywords[0].bytes,
    );
  });
});
