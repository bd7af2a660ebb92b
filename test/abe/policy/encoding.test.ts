import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compilePolicy,
  decodePolicy,
  decodeRegistry,
  encodePolicy,
  encodeRegistry,
  makeRegistry,
  negate,
  type Policy,
  parsePolicy,
  printPolicy,
} from '../../../src/abe/policy/index.ts';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import { encodeCbor } from '../../../src/codec/cbor.ts';
import { thrownBy } from './errors.ts';
import { policies } from './fixtures.ts';

interface Golden {
  readonly registry: { readonly labels: Parameters<typeof makeRegistry>[0]; readonly bytes: string };
  readonly policies: readonly { readonly text: string; readonly printed: string; readonly bytes: string }[];
  readonly matrix: {
    readonly text: string;
    readonly recordId: string;
    readonly version: number;
    readonly columns: number;
    readonly tau: number;
    /** Leaf in hexadecimal, rho, and entries as "column:value". */
    readonly rows: readonly (readonly [string, number, ...string[]])[];
  };
}

const golden: Golden = JSON.parse(
  readFileSync(new URL('../../golden/policy/policy-v1.json', import.meta.url), 'utf8'),
);

describe('policy bytes', () => {
  test('decoding an encoded policy gives it back', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        expect(decodePolicy(encodePolicy(policy))).toEqual(policy);
      }),
      { numRuns: 1000 },
    );
  });

  test('one policy, one encoding: text, spelling and shape by hand lead to the same bytes', () => {
    fc.assert(
      fc.property(policies, (policy) => {
        const bytes = encodePolicy(policy);
        expect(encodePolicy(parsePolicy(printPolicy(policy)))).toEqual(bytes);
        expect(encodePolicy({ kind: 'and', of: [{ kind: 'threshold', k: 1, of: [policy] }] })).toEqual(bytes);
        expect(encodePolicy({ kind: 'not', of: { kind: 'not', of: policy } })).toEqual(bytes);
        expect(encodePolicy(negate(negate(policy)))).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  const leaf = ['=', 'm', 'a', 'x'];
  test.each<[string, unknown]>([
    ['another version', [2, leaf]],
    ['no version', [leaf]],
    ['a field too many', [1, leaf, 0]],
    ['a map', { v: 1 }],
    ['an unknown node', [1, ['xor', leaf, leaf]]],
    ['an empty and', [1, ['and']]],
    ['an empty or', [1, ['or']]],
    ['an and of one', [1, ['and', leaf]]],
    ['an and under and', [1, ['and', leaf, ['and', leaf, leaf]]]],
    ['an or under or', [1, ['or', leaf, ['or', leaf, leaf]]]],
    ['not under not', [1, ['not', ['not', leaf]]]],
    ['not of two', [1, ['not', leaf, leaf]]],
    ['0 of 2', [1, ['of', 0, leaf, leaf]]],
    ['3 of 2', [1, ['of', 3, leaf, leaf]]],
    ['1 of 2, which is or', [1, ['of', 1, leaf, leaf]]],
    ['2 of 2, which is and', [1, ['of', 2, leaf, leaf]]],
    ['k as text', [1, ['of', '2', leaf, leaf, leaf]]],
    ['a fraction', [1, ['=', 'm', 'a', 1.5]]],
    ['a date as a fraction', [1, ['=', 'm', 'a', [1.5]]]],
    ['a date beyond the calendar', [1, ['=', 'm', 'a', [2932897]]]],
    ['an integer beyond 53 bits', [1, ['=', 'm', 'a', 2n ** 60n]]],
    ['a literal of another kind', [1, ['=', 'm', 'a', true]]],
    ['no literal', [1, ['=', 'm', 'a']]],
    ['two literals', [1, ['=', 'm', 'a', 'x', 'y']]],
    ['order on text', [1, ['<', 'm', 'a', 'x']]],
    ['an empty set', [1, ['in', 'm', 'a']]],
    ['a set with a member twice', [1, ['in', 'm', 'a', 'x', 'x']]],
    ['a set of two types', [1, ['in', 'm', 'a', 'x', 1]]],
    ['a reversed range', [1, ['range', 'm', 'a', 2, 1]]],
    ['a range of text', [1, ['range', 'm', 'a', 'a', 'b']]],
    ['half a range', [1, ['range', 'm', 'a', 1]]],
    ['an issuer with a capital', [1, ['=', 'M', 'a', 'x']]],
    ['a label with a slash', [1, ['=', 'm', 'a/b', 'x']]],
    ['text that is not NFC', [1, ['=', 'm', 'a', 'e\u0301']]],
    ['text with a control character', [1, ['=', 'm', 'a', 'x\u0000']]],
    ['a node that is a text', [1, 'and']],
  ])('refuse %s', (_, value) => {
    expect(thrownBy(() => decodePolicy(encodeCbor(value))).code).toBe('policy.malformed');
  });

  test('refuse bytes that are no canonical cbor', () => {
    const bytes = encodePolicy(parsePolicy('m/a:x'));
    expect(thrownBy(() => decodePolicy(new Uint8Array([...bytes, 0]))).code).toBe('policy.malformed');
    expect(thrownBy(() => decodePolicy(bytes.slice(0, -1))).code).toBe('policy.malformed');
    expect(thrownBy(() => decodePolicy(new Uint8Array())).code).toBe('policy.malformed');
    // [1, ...] with 1 in two bytes instead of one.
    const longer = new Uint8Array([bytes[0], 0x18, 0x01, ...bytes.slice(2)]);
    expect(thrownBy(() => decodePolicy(longer)).code).toBe('policy.malformed');
  });

  test('flipping any bit of an encoding never gives the same policy', () => {
    const policy: Policy = parsePolicy(
      'm/a:x and (m/n in [1, 9] or 2 of (m/b:y, m/d < 2026-01-31, m/c in {u, v}))',
    );
    const bytes = encodePolicy(policy);
    let read = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      try {
        expect(decodePolicy(changed)).not.toEqual(policy);
        read++;
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^policy\./) });
      }
    }
    expect(read).toBeGreaterThan(0);
  });
});

describe('golden bytes of version 1', () => {
  const registry = makeRegistry(golden.registry.labels);

  test('registry', () => {
    expect(toHex(encodeRegistry(registry))).toBe(golden.registry.bytes);
    expect(decodeRegistry(fromHex(golden.registry.bytes))).toEqual(registry);
  });

  test.each(golden.policies)('$printed', ({ text, printed, bytes }) => {
    const policy = parsePolicy(text);
    expect(printPolicy(policy)).toBe(printed);
    expect(toHex(encodePolicy(policy))).toBe(bytes);
    expect(decodePolicy(fromHex(bytes))).toEqual(policy);
  });

  test('sharing matrix of a header policy', () => {
    const { text, recordId, version, columns, tau, rows } = golden.matrix;
    const at = { recordId: fromHex(recordId), version };
    const compiled = compilePolicy(parsePolicy(text), registry, { gate: at, emergency: at });
    expect(compiled.columns).toBe(columns);
    expect(compiled.tau).toBe(tau);
    expect(
      compiled.rows.map(({ leafHex, rho, entries }) => [
        leafHex,
        rho,
        ...entries.map(({ column, value }) => `${column}:${value}`),
      ]),
    ).toEqual(rows);
  });
});
