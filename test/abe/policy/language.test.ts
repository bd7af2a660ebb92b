import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allOf,
  anyOf,
  atLeast,
  hasAttribute,
  negate,
  type Policy,
  parsePolicy,
  policyLabels,
  printPolicy,
} from '../../../src/abe/policy/index.ts';
import { CodedError } from '../../../src/codec/errors.ts';
import { thrownBy } from './errors.ts';
import { policies } from './fixtures.ts';

const a = hasAttribute('', 'a', 'x');
const b = hasAttribute('', 'b', 'x');
const c = hasAttribute('', 'c', 'x');

describe('what a text means', () => {
  const meanings: [string, Policy][] = [
    ['a:x', a],
    ['a = x', a],
    ['a="x"', a],
    ['a:x or b:x and c:x', anyOf([a, allOf([b, c])])],
    ['a:x and b:x or c:x', anyOf([allOf([a, b]), c])],
    ['(a:x or b:x) and c:x', allOf([anyOf([a, b]), c])],
    ['not a:x and b:x', allOf([negate(a), b])],
    ['not (a:x and b:x)', negate(allOf([a, b]))],
    ['not not a:x', a],
    ['2 of (a:x, b:x, c:x)', atLeast(2, [a, b, c])],
    ['1 of (a:x, b:x)', anyOf([a, b])],
    ['2 of (a:x, b:x)', allOf([a, b])],
    ['(a:x and (b:x and c:x))', allOf([a, b, c])],
  ];
  test.each(meanings)('%s', (text, policy) => {
    expect(parsePolicy(text)).toEqual(policy);
  });

  test('keywords are read in any case, labels and values are not', () => {
    expect(parsePolicy('a:x AND Not b:x Or c:X')).toEqual(
      anyOf([allOf([a, negate(b)]), hasAttribute('', 'c', 'X')]),
    );
  });

  test('issuers, ranges, sets, integers and dates', () => {
    expect(parsePolicy('mercy/age in [-5, 12]')).toEqual({
      kind: 'range',
      issuer: 'mercy',
      label: 'age',
      low: { type: 'int', value: -5 },
      high: { type: 'int', value: 12 },
    });
    expect(parsePolicy('mercy/born >= 2026-01-31')).toEqual({
      kind: 'compare',
      issuer: 'mercy',
      label: 'born',
      relation: '>=',
      literal: { type: 'date', value: 20484 },
    });
    expect(parsePolicy('st-jude/role in {lab, "chief doctor"}')).toEqual({
      kind: 'set',
      issuer: 'st-jude',
      label: 'role',
      members: [
        { type: 'text', value: 'lab' },
        { type: 'text', value: 'chief doctor' },
      ],
    });
  });

  test('an issuer may spell a keyword, because "/" follows it', () => {
    expect(parsePolicy('not not/a:x')).toEqual(negate(hasAttribute('not', 'a', 'x')));
  });

  test('a pseudonym without letters is text, not a number', () => {
    const pseudonym = '01234567890123456789012345678901';
    expect(parsePolicy(`consent:${pseudonym}`)).toEqual(hasAttribute('', 'consent', pseudonym));
  });

  test('labels are listed once each, with their issuer', () => {
    expect(policyLabels(parsePolicy('m/a:x and (m/a:y or n/a:x or a:x)'))).toEqual([
      { issuer: 'm', label: 'a' },
      { issuer: 'n', label: 'a' },
      { issuer: '', label: 'a' },
    ]);
  });
});

describe('the canonical text', () => {
  test.each([
    ['(a:x)', 'a:x'],
    ['a = x AND (b:x OR c:x)', 'a:x and (b:x or c:x)'],
    ['(a:x and b:x) or c:x', 'a:x and b:x or c:x'],
    ['NOT(a:x or b:x)', 'not (a:x or b:x)'],
    ['not(2 of(a:x,b:x,c:x))', 'not 2 of (a:x, b:x, c:x)'],
    ['a:"two words"', 'a:"two words"'],
    ['a:"plain"', 'a:plain'],
    ['a:"12"', 'a:"12"'],
    ['a:"2026-01-31"', 'a:"2026-01-31"'],
    ['a:"Or"', 'a:"Or"'],
    ['a:"q\\"\\\\"', 'a:"q\\"\\\\"'],
    ['a:5', 'a = 5'],
    ['a:2026-01-31', 'a = 2026-01-31'],
    ['a in{1,2}', 'a in {1, 2}'],
    ['a in[1,2]', 'a in [1, 2]'],
  ])('%s is printed %s', (text, printed) => {
    expect(printPolicy(parsePolicy(text))).toBe(printed);
    expect(printPolicy(parsePolicy(printed))).toBe(printed);
  });

  test('parsing a printed policy gives it back', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        expect(parsePolicy(printPolicy(policy))).toEqual(policy);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('what is refused says where and what was meant', () => {
  const refusals: [string, number, RegExp][] = [
    ['', 1, /expected a condition/],
    ['a:x and', 8, /expected a condition/],
    ['a:x b:x', 5, /did you mean and\?/],
    ['a:x adn b:x', 5, /did you mean and\?/],
    ['a:x ro b:x', 5, /did you mean/],
    ['a:x && b:x', 5, /did you mean and\?/],
    ['a:x || b:x', 5, /did you mean or\?/],
    ['!a:x', 1, /did you mean not\?/],
    ['a == x', 3, /did you mean =\?/],
    ['a <> x', 3, /did you mean !=\?/],
    ['a \u2265 3', 3, /did you mean >=\?/],
    ["a:'x'", 3, /double quotes/],
    ['a:\u201cx\u201d', 3, /straight quotes/],
    ['a', 2, /expected "=".* got the end/],
    ['a inn {x}', 3, /did you mean "in"\?/],
    ['a:', 3, /expected a value/],
    ['(a:x', 5, /expected and, or, or \)/],
    ['a:x)', 4, /closes nothing/],
    ['()', 2, /expected a condition/],
    ['2 of ()', 7, /at least one member/],
    ['0 of (a:x)', 1, /expected 1 to 1/],
    ['3 of (a:x, b:x)', 1, /expected 1 to 2/],
    ['2 (a:x, b:x)', 1, /2 of \(\.\.\.\)/],
    ['a in {}', 7, /at least one member/],
    ['a in {x, x}', 1, /each member once/],
    ['a in {x, 1}', 1, /one type/],
    ['a in [5, 1]', 1, /smaller end/],
    ['a in [x, y]', 1, /two integers or two dates/],
    ['a in [1, 2026-01-31]', 1, /two integers or two dates/],
    ['a in [1]', 8, /expected ","/],
    ['a < x', 1, /text has no order/],
    ['a:007', 3, /leading zeros/],
    ['a:-0', 3, /write 0 without/],
    ['a:-x', 3, /begins with a sign/],
    ['a:and', 3, /keyword/],
    [`a:x ${'y'.repeat(99)}`, 5, /got "y{40}\.\.\."/],
    ['a:9007199254740992', 3, /2\^53/],
    ['a:2026-02-29', 3, /no day/],
    ['a:2026-13-01', 3, /no day/],
    ['and:x', 1, /before "and"/],
    ['m/and:x', 3, /keyword/],
    ['Role:x', 1, /did you mean "role"\?/],
    ['Mercy/role:x', 1, /an issuer is/],
    ['m//role:x', 3, /expected a label/],
    ['a:x or "b":x', 8, /got a quoted text/],
    ['a:"x', 3, /not closed/],
    ['a:"x\ny"', 3, /not closed/],
    ['a:"\\n"', 4, /comes/],
    ['a:""', 3, /not empty/],
    ['a:"e\u0301"', 3, /normal form C/],
    ['a:"\u202ex"', 3, /direction/],
    ['a:"\ud800"', 3, /surrogate/],
    ['\u00e9:x', 1, /"quotes"/],
    ['a:x or \u0430:x', 8, /"quotes"/],
    ['a:"\u{1f600}" b:x', 7, /did you mean and\?/],
  ];
  test.each(refusals)('%j at column %i', (text, column, message) => {
    const error = thrownBy(() => parsePolicy(text));
    expect(error.message).toMatch(message);
    expect(error.code).toBe('policy.syntax');
    expect(error.details).toEqual({ line: 1, column });
  });

  test('lines are counted', () => {
    expect(thrownBy(() => parsePolicy('a:x\n  and b:x\n  and c')).details).toEqual({ line: 3, column: 8 });
  });

  test('no text whatever makes the parser fail otherwise', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3 }),
      fc.constantFrom(
        'a',
        ':',
        'and',
        ' or ',
        'not ',
        '(',
        ')',
        '2 of (',
        ',',
        '"',
        'in ',
        '{',
        '}',
        '[',
        ']',
        '<',
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        let policy: Policy;
        try {
          policy = parsePolicy(pieces.join(''));
        } catch (error) {
          expect(error).toBeInstanceOf(CodedError);
          return;
        }
        expect(parsePolicy(printPolicy(policy))).toEqual(policy);
      }),
      { numRuns: 3000 },
    );
  });
});
