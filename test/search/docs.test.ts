/** docs/search.md: every code of the module is in its table, and its example query is one. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  type FieldSpec,
  fieldRegistry,
  parseQuery,
  planQuery,
  SEARCH_ERRORS,
} from '../../src/search/index.ts';

const page = readFileSync(new URL('../../docs/search.md', import.meta.url), 'utf8');
const budget = { perDay: 200, perEpoch: 2000 };

describe('docs/search.md', () => {
  test('lists every error code, and no other', () => {
    const listed = [...page.matchAll(/^\| `(search\.[a-z_]+)` \|/gm)].map((found) => found[1]);
    expect(listed.sort()).toEqual(Object.keys(SEARCH_ERRORS).sort());
  });

  test('names for each step of the verification tests that meet every one of its refusals', () => {
    const rows = [...page.matchAll(/^\| ([1-9]) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$/gm)];
    expect(rows.map(([, step]) => Number(step))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const [, step, refusals, tests] of rows) {
      const sources = [...tests.matchAll(/`([a-z/-]+)`/g)].map(([, name]) =>
        readFileSync(new URL(`../${name}.test.ts`, import.meta.url), 'utf8'),
      );
      for (const [, code] of refusals.matchAll(/`((?:search|checkpoint|client)\.[a-z_]+)`/g)) {
        const isMet = sources.some((source) => source.replaceAll('\\', '').includes(code));
        expect([step, code, isMet]).toEqual([step, code, true]);
      }
    }
  });

  test('its first example is a query that plans', () => {
    const text = /\n {4}(condition:.*)\n/.exec(page)?.[1] ?? '';
    const code = (name: string): FieldSpec => ({
      name,
      index: { type: 'code', hierarchy: 'ancestors', prefix: null },
      sensitive: true,
      budget,
    });
    const onset: FieldSpec = {
      name: 'onset',
      index: { type: 'date', fromYear: 1900, toYear: 2100 },
      sensitive: false,
      budget,
    };
    const plan = planQuery(parseQuery(text), fieldRegistry([code('condition'), code('medication'), onset]));
    expect(plan.keywords).toHaveLength(6);
  });
});
