/** The query language: what parses to what, where mistakes are, what a field refuses, and the normal forms beneath. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CodedError } from '../../src/codec/errors.ts';
import { calendarCover, calendarNodes, parseDate } from '../../src/search/calendar.ts';
import { gridCover, gridNodes } from '../../src/search/grid.ts';
import {
  decodeKeyword,
  encodeKeyword,
  explainQuery,
  type FieldValue,
  fieldOf,
  type Keyword,
  keywordsOf,
  parseQuery,
  planQuery,
  type Query,
  recordKeywords,
} from '../../src/search/index.ts';
import { expectCode, REGISTRY } from './support.ts';

/** A query in prefix form, for reading. */
function shape(query: Query): string {
  switch (query.op) {
    case 'and':
    case 'or':
      return `(${query.op} ${query.args.map(shape).join(' ')})`;
    case 'not':
      return `(not ${shape(query.arg)})`;
    default:
      return query.term.field;
  }
}

const match = (text: string) => {
  const query = parseQuery(text);
  return query.op === 'term' ? query.term.match : undefined;
};

describe('the grammar', () => {
  test.each([
    ['a:1 and b:2 or c:3', '(or (and a b) c)'],
    ['a:1 AND (b:2 Or c:3)', '(and a (or b c))'],
    ['not a:1 and b:2', '(and (not a) b)'],
    ['not not a:1', '(not (not a))'],
    ['a != 1 or b:1', '(or (not a) b)'],
    ['((a:1))', 'a'],
  ])('%s is %s', (text, wanted) => {
    expect(shape(parseQuery(text))).toBe(wanted);
  });

  test.each([
    ['a:x', { kind: 'equals', value: 'x' }],
    ['a = "x y"', { kind: 'equals', value: 'x y' }],
    ['a:"say \\"hi\\" \\\\"', { kind: 'equals', value: 'say "hi" \\' }],
    ['a:http://snomed.info/sct|123', { kind: 'equals', system: 'http://snomed.info/sct', value: '123' }],
    ['a:urn:oid:1.2|"x y"', { kind: 'equals', system: 'urn:oid:1.2', value: 'x y' }],
    ['a:E11*', { kind: 'prefix', value: 'E11' }],
    ['a:*', { kind: 'present' }],
    ['a:missing', { kind: 'missing' }],
    ['a:"missing"', { kind: 'equals', value: 'missing' }],
    ['a:missing*', { kind: 'prefix', value: 'missing' }],
    ['a:and', { kind: 'equals', value: 'and' }],
    ['a in {x, s|y}', { kind: 'set', values: [{ value: 'x' }, { system: 's', value: 'y' }] }],
    ['a in [2010-01-01, 2019-12-31]', range('2010-01-01', '2019-12-31')],
    ['a >= 2020-01-01T10:00:00Z', { kind: 'range', low: { value: '2020-01-01T10:00:00Z', inclusive: true } }],
    ['a < -1.5', { kind: 'range', high: { value: '-1.5', inclusive: false } }],
  ])('%s', (text, wanted) => {
    expect(match(text)).toEqual(wanted);
  });

  test.each([
    ['', 1],
    ['a', 2],
    ['a:', 3],
    ['a:1 b:2', 5],
    ['a:1 and', 8],
    ['(a:1', 5],
    ['a:1)', 4],
    ['a in [1]', 8],
    ['a in {}', 7],
    ['a:"open', 3],
    ['9a:1', 1],
    ['"a":1', 1],
    ['a:x * and b:1', 5],
    ['a ~ 1', 3],
    ['a:!x', 3],
  ])('%s is refused at its column', (text, column) => {
    let thrown: unknown;
    try {
      parseQuery(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(CodedError);
    expect(thrown).toMatchObject({ code: 'search.syntax', details: { column } });
  });

  test('bounds: 4,096 characters, nesting of 32', () => {
    expect(parseQuery(`a:${'x'.repeat(4094)}`).op).toBe('term');
    expectCode(() => parseQuery(`a:${'x'.repeat(4095)}`), 'search.too_large');
    const nested = (depth: number) => `${'('.repeat(depth)}a:1${')'.repeat(depth)}`;
    expect(shape(parseQuery(nested(32)))).toBe('a');
    expectCode(() => parseQuery(nested(33)), 'search.syntax');
    expectCode(() => parseQuery(`${'not '.repeat(33)}a:1`), 'search.syntax');
  });

  test('no text breaks the parser: it parses or names a column', () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      '"',
      '(',
      ')',
      'and',
      'or',
      'not',
      'in',
      '[',
      ']',
      '{',
      '}',
      ',',
      '|',
      '*',
      '<',
      '=',
      '!',
      ' ',
      '\\',
      'é',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        try {
          parseQuery(pieces.join(''));
        } catch (error) {
          expect(error).toMatchObject({ code: 'search.syntax' });
        }
      }),
      { seed: 1, numRuns: 3000 },
    );
  });
});

function range(low: string, high: string) {
  return { kind: 'range', low: { value: low, inclusive: true }, high: { value: high, inclusive: true } };
}

const plan = (text: string) => planQuery(parseQuery(text), REGISTRY);

describe('a plan', () => {
  test('brings the sentinel of every field once, and nothing twice', () => {
    const { keywords, formula } = plan('condition:E11 and (condition:E11 or note:pain) and not kind:*');
    expect(keywords.map(({ bytes }) => decodeKeyword(bytes))).toEqual([
      { field: 'condition', type: 'code', system: null, value: 'E11' },
      { field: 'note', type: 'text', value: 'pain' },
      { field: 'kind', type: 'any' },
      { field: 'condition', type: 'any' },
      { field: 'note', type: 'any' },
    ]);
    expect(formula.op).toBe('and');
  });

  test('is explained without a value of the query', () => {
    const explained = explainQuery(
      plan('condition:E11 and onset in [2010-01-01, 2019-12-31] or note:missing'),
    );
    expect(explained).toEqual({
      evaluations: { condition: 2, onset: 2, note: 1 },
      keywords: 5,
      formula: '((k0 and k1) or not k2)',
    });
  });

  test.each([
    ['nothing:1', 'search.field_unknown'],
    ['condition > E11', 'search.unsupported'],
    ['condition in [E10, E14]', 'search.unsupported'],
    ['note:urn|pain', 'search.unsupported'],
    ['onset:2010*', 'search.unsupported'],
    ['author:a*', 'search.unsupported'],
    ['condition:E*', 'search.unsupported'],
    ['condition:E11.65*', 'search.unsupported'],
    ['condition:sys|E11*', 'search.unsupported'],
    ['onset:tomorrow', 'search.unsupported'],
    ['onset > 2010-02-30', 'search.unsupported'],
    ['glucose:7.15', 'search.unsupported'],
    ['glucose > 200', 'search.unsupported'],
    ['glucose < -1', 'search.unsupported'],
    ['glucose:high', 'search.unsupported'],
    ['note:"."', 'search.unsupported'],
    [`condition:${'x'.repeat(600)}`, 'search.too_large'],
  ])('%s is refused with %s', (text, code) => {
    expectCode(() => plan(text), code);
  });

  test('256 keywords are taken, 257 are not', () => {
    const set = (n: number) => `condition in {${Array.from({ length: n }, (_, i) => `c${i}`).join(',')}}`;
    expect(plan(set(255)).keywords).toHaveLength(256);
    expectCode(() => plan(set(256)), 'search.too_large');
  });

  test('every keyword of a plan is one that some value is indexed under', () => {
    const values: FieldValue[] = [
      { field: 'condition', kind: 'code', system: 'urn:x', code: 'E11.9' },
      { field: 'procedure', kind: 'code', system: null, code: '12', ancestors: ['1'] },
      { field: 'note', kind: 'text', text: 'Señor Müller’s ＤＩＡＢＥＴＥＳ controlled' },
      { field: 'onset', kind: 'date', date: '2014-03-05T23:59:59.999+14:00' },
      { field: 'glucose', kind: 'number', value: '7.1', unit: 'mmol/L' },
    ];
    const { keywords } = recordKeywords(REGISTRY, values);
    const indexed = new Set(keywords.map((bytes) => bytes.join()));
    for (const text of [
      'condition:E11.9 and condition:urn:x|E11.9 and condition:e11.*',
      'procedure:12* and procedure:1*',
      'note:senor and note:"muller diabetes" and note:CONTRO* and note:diabetic',
      'onset:2014-03-05 and onset in [2014-01-01, 2014-03-31]',
      'glucose:7.1',
    ]) {
      for (const { bytes } of plan(text).keywords) {
        expect(indexed.has(bytes.join()), `${text} ${JSON.stringify(decodeKeyword(bytes))}`).toBe(true);
      }
    }
  });
});

describe('keywords', () => {
  test('encode and decode to themselves; other bytes are none', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 20 });
    const keyword: fc.Arbitrary<Keyword> = fc.oneof(
      fc.record({
        field: fc.constant('a.b'),
        type: fc.constant('code' as const),
        system: fc.option(text),
        value: text,
      }),
      fc.record({
        field: fc.constant('a'),
        type: fc.constantFrom('text', 'date', 'prefix', 'reference', 'type'),
        value: text,
      }),
      fc.record({
        field: fc.constant('a'),
        type: fc.constant('number' as const),
        value: fc.tuple(fc.nat(), fc.nat()),
      }),
      fc.record({ field: fc.constant('a'), type: fc.constant('any' as const) }),
    );
    fc.assert(
      fc.property(keyword, (one) => {
        expect(decodeKeyword(encodeKeyword(one))).toEqual(one);
      }),
      { seed: 2 },
    );
    for (const bytes of [[], [0x80], [0x84, 2, 0x61, 0x61, 0x63, 0x61, 0x6e, 0x79, 0xf6]]) {
      expectCode(() => decodeKeyword(Uint8Array.from(bytes)), 'search.keyword_malformed');
    }
  });

  test('values of another type or unit than the field are refused', () => {
    const glucose = fieldOf(REGISTRY, 'glucose');
    expectCode(
      () => keywordsOf(glucose, { field: 'glucose', kind: 'text', text: 'x' }),
      'search.value_malformed',
    );
    const wrong: FieldValue = { field: 'glucose', kind: 'number', value: '7', unit: 'mg/dL' };
    expectCode(() => keywordsOf(glucose, wrong), 'search.value_malformed');
    const onset = fieldOf(REGISTRY, 'onset');
    for (const date of ['2014-02-29', '2014-13', '14', '2014-1-1', '0000', 'T']) {
      expectCode(() => keywordsOf(onset, { field: 'onset', kind: 'date', date }), 'search.value_malformed');
    }
  });

  test('a code has two, a repeated word one with its count as weight', () => {
    const { keywords, weights } = recordKeywords(REGISTRY, [
      { field: 'note', kind: 'text', text: 'pain pain pains' },
      { field: 'note', kind: 'text', text: 'pain' },
    ]);
    const found = keywords.map((bytes, i) => [decodeKeyword(bytes), weights[i]]);
    expect(found).toContainEqual([{ field: 'note', type: 'text', value: 'pain' }, 4]);
    expect(found).toContainEqual([{ field: 'note', type: 'any' }, 0]);
    expect(found).toContainEqual([{ field: 'note', type: 'prefix', value: 'pai' }, 0]);
  });
});

describe('covers', () => {
  const day = fc
    .date({ min: new Date('1900-01-01'), max: new Date('2099-12-31'), noInvalidDate: true })
    .map((date) => date.toISOString().slice(0, 10));

  test('a calendar cover holds a day iff it lies inside, and has at most 110 nodes', () => {
    fc.assert(
      fc.property(day, day, day, (a, b, c) => {
        const cover = calendarCover(parseDate(a), parseDate(b));
        expect(cover.length).toBeLessThanOrEqual(110);
        expect(new Set(cover).size).toBe(cover.length);
        const nodes = new Set(calendarNodes(parseDate(c)));
        expect(cover.filter((node) => nodes.has(node)).length).toBe(a <= c && c <= b ? 1 : 0);
      }),
      { seed: 3, numRuns: 2000 },
    );
    expect(calendarCover(parseDate('1901-01-02'), parseDate('2099-12-30')).length).toBeLessThanOrEqual(110);
    expect(calendarCover(parseDate('2010-01-01'), parseDate('2019-12-31'))).toEqual(['T201']);
  });

  test('a grid cover holds a value iff it lies inside, with at most 2 bits - 2 nodes', () => {
    const grid = { min: '-5', step: '0.25', bits: 8, unit: '1' };
    fc.assert(
      fc.property(fc.nat(255), fc.nat(255), fc.nat(255), (a, b, c) => {
        const cover = gridCover(grid, a, b).map(String);
        expect(cover.length).toBeLessThanOrEqual(14);
        const nodes = new Set(gridNodes(grid, String(-5 + c / 4)).map(String));
        expect(cover.filter((node) => nodes.has(node)).length).toBe(a <= c && c <= b ? 1 : 0);
      }),
      { seed: 4, numRuns: 2000 },
    );
  });

  test('values off the grid count as its first or last cell, and decimals are exact', () => {
    const grid = { min: '0', step: '0.1', bits: 8, unit: '1' };
    expect(gridNodes(grid, '-3')[0]).toEqual([0, 0]);
    expect(gridNodes(grid, '1e9')[0]).toEqual([0, 255]);
    for (let i = 0; i < 256; i++) expect(gridNodes(grid, (i / 10).toFixed(1))[0]).toEqual([0, i]);
    expect(gridNodes(grid, '0.79999')[0]).toEqual([0, 7]);
  });
});
