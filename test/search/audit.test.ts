/** A custodian that leaves keywords out is found by whoever may open the record. */
import { describe, expect, test } from 'vitest';
import { type FieldValue, missingKeywords, recordKeywords } from '../../src/search/index.ts';
import { CLIENT_KEY, Custodian, REGISTRY, rejectionCode } from './support.ts';

const values: FieldValue[] = [
  { field: 'condition', kind: 'code', system: 'urn:x', code: 'E11.9' },
  { field: 'note', kind: 'text', text: 'diabetes well controlled' },
];

describe('an audit of one record', () => {
  test('finds nothing where every keyword is listed, and names each that is not', async () => {
    const mercy = new Custodian('mercy');
    const { keywords } = recordKeywords(REGISTRY, values);
    mercy.put(values);
    mercy.indexer.add([{ indexNo: 1, keywords: keywords.filter((_, i) => i !== 3 && i !== 5) }]);
    mercy.records++;
    await mercy.flush();
    const audit = (indexNo: number) =>
      missingKeywords({ index: mercy.index(), indexNo, keywords, clientKey: CLIENT_KEY });
    expect(await audit(0)).toEqual([]);
    expect(await audit(1)).toEqual([keywords[3], keywords[5]]);
    expect(await rejectionCode(audit(2))).toBe('search.lag_exceeded');
  });
});
