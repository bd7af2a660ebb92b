/**
 * The deterministic half of the claim that multiplications by secrets are constant time: whatever the scalar, the same
 * library calls with the same pointers, and the same words of wasm memory read and written by our own code, in the same
 * order. The statistical half, over the clock, is `npm run bench -- constant-time`.
 */
import { describe, expect, test } from 'vitest';
import { mclGroup } from '../../../src/abe/group/mcl.ts';
import { instantiateMcl, type MclModule } from '../../../src/abe/group/mcl-module.ts';
import { reduceSecret, reduceWide, scalarToBytes } from '../../../src/abe/group/scalar.ts';
import {
  type Authority,
  attributeLeaf,
  GROUP_ORDER,
  type Group,
  issueKeyPart,
  openAuthority,
} from '../../../src/abe/index.ts';
import { toHex } from '../../../src/codec/bytes.ts';
import { id, seeded } from '../fixtures.ts';

type Trace = (string | number)[];

/** A group over a module of its own, and what happened in wasm memory since `start`. */
async function traced(): Promise<{ group: Group; traceOf: (run: () => void) => Trace }> {
  const real = await instantiateMcl();
  let trace: Trace | undefined;
  const recorded = (array: object): object =>
    new Proxy(array, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value === 'function') {
          return (...args: unknown[]) => {
            trace?.push(String(name), ...args.filter((arg) => typeof arg === 'number'));
            return value.apply(target, args);
          };
        }
        trace?.push(Number(name));
        return value;
      },
      set(target, name, value) {
        trace?.push(-Number(name));
        return Reflect.set(target, name, value, target);
      },
    });
  const module = new Proxy(real, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (name === 'HEAP32' || name === 'HEAP8')
        return trace === undefined ? value : recorded(value as object);
      if (typeof value !== 'function') return value;
      return (...args: number[]) => {
        trace?.push(String(name), ...args);
        return value(...args);
      };
    },
  }) as MclModule;
  const group = mclGroup(module);
  return {
    group,
    traceOf(run) {
      const kept: Trace = [];
      trace = kept;
      run();
      trace = undefined;
      return kept;
    },
  };
}

const random = seeded('scalars');
const SCALARS = [
  1n,
  2n,
  31n,
  1n << 128n,
  (1n << 254n) + 1n,
  (1n << 200n) - 1n,
  GROUP_ORDER - 1n,
  GROUP_ORDER - 2n,
  ...Array.from({ length: 6 }, () => reduceWide(random(64))),
].map(scalarToBytes);

const additions = (trace: Trace, name: string): number => trace.filter((item) => item === name).length;

describe('a multiplication by a secret', () => {
  test.each([
    ['G1', 'with a table'],
    ['G1', 'without'],
    ['G2', 'with a table'],
    ['G2', 'without'],
  ] as const)('in %s, %s, leaves one trace for every scalar', async (kind, how) => {
    const { group, traceOf } = await traced();
    const base1 = group.hashToG1(Uint8Array.of(1, 2, 3));
    const base2 = group.mulG2(group.g2, 7n);
    if (how === 'with a table') group.prepare(kind === 'G1' ? base1 : base2);
    const run = (k: Uint8Array) =>
      kind === 'G1' ? group.mulSecretG1(base1, k) : group.mulSecretG2(base2, k);
    const [first, ...others] = SCALARS.map((k) => traceOf(() => run(k)));
    expect(additions(first, `_mclBn${kind}_add`)).toBe(how === 'without' ? 51 + 15 : 51);
    expect(first.length).toBeGreaterThan(20_000);
    // Compared by text: a difference would print two traces of this length.
    expect(others.map((trace) => trace.join() === first.join())).toEqual(others.map(() => true));
  });

  test('is told from a variable-time one by its trace', async () => {
    const { group, traceOf } = await traced();
    const base = group.hashToG1(Uint8Array.of(1, 2, 3));
    group.prepare(base);
    const [a, b] = [5n, 6n].map((seed) => reduceWide(seeded(`${seed}`)(64)));
    const [first, second] = [a, b].map((k) => traceOf(() => group.mulG1(base, k)));
    expect(first.join()).not.toBe(second.join());
  });

  test('gives another projective form of the same point each time, so that its coordinates say nothing', async () => {
    const { group } = await traced();
    const k = scalarToBytes(reduceWide(random(64)));
    const points = [1, 2, 3].map(() => group.mulSecretG1(group.g1, k));
    expect(new Set(points.map((point) => toHex(group.encodeG1(point)))).size).toBe(1);
    const words = points.map((point) => String((point as unknown as { words: Int32Array }).words));
    expect(new Set(words).size).toBe(3);
  });

  test('is all that an authority does with its share: two shares leave one trace', async () => {
    const { group, traceOf } = await traced();
    const authority = (seed: string): Authority =>
      openAuthority(group, {
        authority: 1,
        shareEpoch: 0,
        mpkHash: id('mpk'),
        alpha: scalarToBytes(reduceWide(seeded(seed)(64))),
        seed: id(seed),
      });
    const leaves = ['a', 'b', 'c'].map((value) => attributeLeaf('h', 'x', value));
    for (const leaf of leaves) group.hashToG1(leaf);
    issueKeyPart(authority('warm-up'), { keyId: id('key'), generation: 1, leaves });
    const traces = ['one', 'two'].map((seed) => {
      const made = authority(seed);
      return traceOf(() => issueKeyPart(made, { keyId: id('key'), generation: 1, leaves })).join();
    });
    expect(traces[0] === traces[1]).toBe(true);
    expect(traces[0]).not.toMatch(/_mclBnG[12]_mul(,|CT|Vec)/);
  });
});

test('a secret is reduced to what the remainder says, at every edge', () => {
  const draw = seeded('reduce');
  const wides = [
    new Uint8Array(64),
    new Uint8Array(64).fill(255),
    new Uint8Array(48).fill(128),
    ...[-1n, 0n, 1n].map((d) => {
      const bytes = new Uint8Array(64);
      bytes.set(Buffer.from((GROUP_ORDER + d).toString(16).padStart(64, '0'), 'hex'), 32);
      return bytes;
    }),
    ...Array.from({ length: 200 }, (_, i) => draw(48 + (i % 17))),
  ];
  for (const wide of wides) expect(reduceSecret(wide)).toEqual(scalarToBytes(reduceWide(wide)));
  expect(() => reduceSecret(new Uint8Array(47))).toThrow(expect.objectContaining({ code: 'abe.argument' }));
});
