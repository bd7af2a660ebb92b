import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  combineKey,
  type DecryptionKey,
  decodeAuthorityKeys,
  decodeHeader,
  decodePolicy,
  encodeAuthorityKeys,
  encodePolicy,
  type G1,
  type Group,
  gateLeaf,
  HEADER_BYTES_MAX,
  type Header,
  heldLeaves,
  inspectHeader,
  openGroup,
  openHeader,
  parsePolicy,
  reconstruct,
  type SealOptions,
  sealHeader,
} from '../../../src/abe/index.ts';
import {
  compileHeader,
  contextHash,
  decapsulate,
  decryptionSums,
  decryptRaw,
  deriveKek,
  deriveRandomness,
  encodeCore,
  encodeHeader,
  encryptRaw,
  maskWithH1,
  wrapDataKey,
} from '../../../src/abe/internal.ts';
import { concat, toHex } from '../../../src/codec/bytes.ts';
import { CodedError } from '../../../src/codec/errors.ts';
import { type Consortium, consortium, id, issueRing, REGISTRY, seeded } from '../fixtures.ts';
import { type Desk, dataKey, expected, leavesOf, openDesk, POLICY, recordId } from './desk.ts';

const rejected = expect.objectContaining({
  code: 'abe.header_rejected',
  message: 'the header does not open with this key',
});

describe('a hostile header', () => {
  let other: Consortium;
  let desk: Desk;
  let group: Group;
  let all: Consortium;
  let doctor: DecryptionKey;
  beforeAll(async () => {
    desk = await openDesk();
    ({ group, all, doctor } = desk);
    other = consortium(group, 1, 1, 'another consortium');
  });
  const options = (change: Partial<SealOptions> = {}) => desk.options(change);
  const open = (header: Uint8Array, key = doctor, verify?: 'full') => desk.open(header, key, verify);
  const keyWith = (...attributes: string[]) => desk.keyWith(...attributes);

  /** Opens with our comparison to the ledger and our choice of rows left out. */
  function openRaw(header: Header, context: Partial<Header> = {}, mpk = all.keys.mpk): Uint8Array {
    const claimed = { ...header, ...context };
    const compiled = compileHeader(decodePolicy(claimed.policyBytes), REGISTRY, claimed);
    const used = reconstruct(compiled, heldLeaves(doctor));
    if (used === undefined) throw new Error('the key satisfies every policy of this test');
    return decapsulate(group, { mpk, ...claimed }, compiled, used.rows, doctor, claimed);
  }

  test('with record, version, policy, flags or master key exchanged does not open past those checks', () => {
    const header = decodeHeader(sealHeader(options()));
    expect(openRaw(header)).toEqual(dataKey);
    // The gate leaf is the same in all of these, so only the binding of the context stands in the way.
    const gated = (change: Partial<Header>) => {
      const claimed = { ...header, ...change };
      const compiled = compileHeader(POLICY, REGISTRY, header);
      const used = reconstruct(compiled, heldLeaves(doctor));
      if (used === undefined) throw new Error('unreachable');
      return decapsulate(group, { mpk: all.keys.mpk, ...claimed }, compiled, used.rows, doctor, claimed);
    };
    expect(gated({})).toEqual(dataKey);
    expect(() => gated({ recordId: id('another') })).toThrow(rejected);
    expect(() => gated({ version: 2 })).toThrow(rejected);
    expect(() => gated({ emergency: true })).toThrow(rejected);
    expect(() => gated({ gate: 'none' })).toThrow(rejected);
    expect(() => gated({ epoch: 0 })).toThrow(rejected);
    // Same matrix, other text: `ward:icu` and `ward:er` in the other order share the first rows' shape.
    expect(() => gated({ policyBytes: encodePolicy(parsePolicy('st-mary/role:nurse')) })).toThrow(rejected);
    expect(() => openRaw(header, {}, other.keys.mpk)).toThrow(rejected);
  });

  test('mauled so that the same K comes out is refused: the rows are bound by H2', () => {
    const sealed = decodeHeader(sealHeader(options()));
    const compiled = compileHeader(POLICY, REGISTRY, sealed);
    const used = reconstruct(compiled, heldLeaves(doctor))?.rows ?? [];
    expect(used.length).toBe(3);
    const row = (index: number): G1 =>
      group.decodeG1(sealed.c3.subarray(48 * index, 48 * index + 48), 'subgroup');
    const replaceRows = (rows: ReadonlyMap<number, G1>, c2 = sealed.c2): Header => {
      const c3 = sealed.c3.slice();
      for (const [index, point] of rows) c3.set(group.encodeG1(point), 48 * index);
      const core = encodeCore({ ...sealed, c2, c3 });
      return { ...sealed, c2, c3, core };
    };
    const KOf = (header: Header): string => {
      const sums = decryptionSums(group, compiled, used, doctor.leaves, (i) =>
        group.decodeG1(header.c3.subarray(48 * i, 48 * i + 48), 'curve'),
      );
      if (sums === undefined) throw new Error('unreachable');
      const c1 = group.decodeG2(header.c1, 'subgroup');
      const c2 = group.decodeG2(header.c2.subarray(0, 96), 'subgroup');
      return toHex(group.encodeGT(decryptRaw(group, doctor, sums, c1, () => c2)));
    };
    const K = KOf(sealed);
    // One row times X, another divided by X.
    const X = group.mulG1(group.g1, 77n);
    const [first, second] = used.map(({ index }) => index);
    const shifted = replaceRows(
      new Map([
        [first, group.sumG1([row(first), X])],
        [second, group.sumG1([row(second), group.negG1(X)])],
      ]),
    );
    expect(KOf(shifted)).toBe(K);
    expect(() => openRaw(shifted)).toThrow(rejected);
    // Re-randomised: c2 shifted by g2^d, every used row by H(u)^d.
    const d = 991n;
    const c2 = group.encodeG2(group.sumG2([group.decodeG2(sealed.c2, 'subgroup'), group.mulG2(group.g2, d)]));
    const rerandomised = replaceRows(
      new Map(
        compiled.rows.map(({ leaf }, i) => [i, group.sumG1([row(i), group.mulG1(group.hashToG1(leaf), d)])]),
      ),
      c2,
    );
    expect(KOf(rerandomised)).toBe(K);
    expect(() => openRaw(rerandomised)).toThrow(rejected);
    // Torsion of order 3 (the point with x = 0) in one row.
    const torsion = group.decodeG1(concat(Uint8Array.of(0x80), new Uint8Array(47)), 'curve');
    const twisted = replaceRows(new Map([[first, group.sumG1([row(first), torsion])]]));
    expect(KOf(twisted)).toBe(K);
    expect(() => openRaw(twisted)).toThrow(rejected);
  });

  test('is refused with one text when one bit differs anywhere, and by a typed error when it is no header', () => {
    const header = sealHeader(options({ emergency: true }));
    const codes = new Set([
      'abe.header_rejected',
      'abe.header_malformed',
      'abe.header_mismatch',
      'policy.malformed',
    ]);
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(fc.nat(header.length - 1), fc.nat(7), (at, bit) => {
        const damaged = header.slice();
        damaged[at] ^= 1 << bit;
        try {
          open(damaged);
          expect.fail(`byte ${at} bit ${bit} opened`);
        } catch (error) {
          if (!(error instanceof CodedError)) throw error;
          expect(codes).toContain(error.code);
          if (error.code === 'abe.header_rejected') expect(error).toEqual(rejected);
          seen.set(error.code, (seen.get(error.code) ?? 0) + 1);
        }
      }),
      { numRuns: 150 },
    );
    expect(seen.get('abe.header_rejected')).toBeGreaterThan(50);
  });

  test('whose commitment or wrapped key is exchanged with another header of the same data key is refused', () => {
    const [a, b] = [sealHeader(options()), sealHeader(options({ random: seeded('m2') }))].map(decodeHeader);
    expect(() => open(encodeHeader(a.core, b.commitment, b.wrapped))).toThrow(rejected);
    expect(() => open(encodeHeader(a.core, a.commitment, b.wrapped))).toThrow(rejected);
    expect(() => open(encodeHeader(a.core, b.commitment, a.wrapped))).toThrow(rejected);
  });

  test('with rows that are not from m opens where the used rows are right, and is refused by verify full', () => {
    const context = {
      mpk: all.keys.mpk,
      recordId,
      version: 1,
      gate: 'record' as const,
      emergency: false,
      epoch: undefined,
      policyBytes: expected.policyBytes,
    };
    const compiled = compileHeader(POLICY, REGISTRY, context);
    /** A header made by a sealer that changes shares as it likes but follows every rule that FO-K sees. */
    const dishonest = (change: (lambda: bigint, row: number) => bigint, sPrime?: bigint): Uint8Array => {
      const m = id('dishonest m');
      const derived = deriveRandomness(m, contextHash(context), compiled.tau, compiled.columns);
      const randomness = sPrime === undefined ? derived : { ...derived, sPrime: [sPrime] };
      const fake = {
        ...compiled,
        rows: compiled.rows.map((row, i) => ({
          ...row,
          entries: [...row.entries, { column: 0, value: change(0n, i) }],
        })),
      };
      const { c1, c2, c3 } = encryptRaw(group, fake, randomness);
      const K = group.encodeGT(group.powGT(all.keys.mpk.E, randomness.s));
      const core = encodeCore({
        ...context,
        c1: group.encodeG2(c1),
        c2: concat(...c2.map((p) => group.encodeG2(p))),
        c3: concat(...c3.map((p) => group.encodeG1(p))),
        w: maskWithH1(m, K),
      });
      const { commitment, wrapped } = wrapDataKey(deriveKek(K, m, core), core, dataKey);
      return encodeHeader(core, commitment, wrapped);
    };
    const honest = dishonest((lambda) => lambda);
    expect(open(honest, doctor, 'full')).toEqual(dataKey);
    // An s prime of the sealer's own, with rows that fit it: c2 is not what m says.
    expect(() => open(dishonest((lambda) => lambda, 77n))).toThrow(rejected);
    // An unused branch (nurse, row 3) made unreadable.
    const branch = dishonest((_, i) => (i === 3 ? 5n : 0n));
    expect(open(branch)).toEqual(dataKey);
    expect(() => open(branch, doctor, 'full')).toThrow(rejected);
    expect(() => open(branch, keyWith('st-mary/role:nurse'))).toThrow(rejected);
    // The gate's share moved onto the policy: the gate row says nothing any more.
    const ungated = dishonest((_, i) => (i === 4 ? -1n : i === 0 ? 1n : 0n));
    expect(open(ungated)).toEqual(dataKey);
    expect(() => open(ungated, doctor, 'full')).toThrow(rejected);
  });

  test('that is malformed is refused before any secret is used', () => {
    const malformed = expect.objectContaining({ code: 'abe.header_malformed' });
    const header = sealHeader(options());
    const core = decodeHeader(header);
    const recode = (change: Partial<Header>) =>
      encodeHeader(encodeCore({ ...core, ...change }), core.commitment, core.wrapped);
    const cases: Record<string, Uint8Array> = {
      empty: new Uint8Array(),
      'another format': concat(Uint8Array.of(2), header.subarray(1)),
      'trailing byte': concat(header, Uint8Array.of(0)),
      cut: header.subarray(0, header.length - 1),
      'too large': new Uint8Array(HEADER_BYTES_MAX + 1).fill(1),
      'one row too few': recode({ c3: core.c3.subarray(48) }),
      'one row too many': recode({ c3: concat(core.c3, core.c3.subarray(0, 48)) }),
      'no row': recode({ c3: new Uint8Array() }),
      'half a row': recode({ c3: core.c3.subarray(1) }),
      'one c2 too many': recode({ c2: concat(core.c2, core.c2) }),
      'c1 of another length': recode({ c1: core.c1.subarray(1) }),
      'w of another length': recode({ w: core.w.subarray(1) }),
      'record id of another length': recode({ recordId: recordId.subarray(1) }),
      'an epoch beside a gate': recode({ epoch: 1 }),
      'an emergency leaf without a gate': recode({ gate: 'none', emergency: true }),
    };
    for (const [name, bytes] of Object.entries(cases)) expect(() => open(bytes), name).toThrow(malformed);
    expect(() => inspectHeader(new Uint8Array(3))).toThrow(malformed);
  });

  test('with a point that is no point, or c2 outside the subgroup, is refused like any other failure by both backends', async () => {
    const core = decodeHeader(sealHeader(options()));
    const recode = (change: Partial<Header>) =>
      encodeHeader(encodeCore({ ...core, ...change }), core.commitment, core.wrapped);
    const infinity = concat(Uint8Array.of(0xc0), new Uint8Array(95));
    const candidates = Array.from({ length: 20 }, (_, x) =>
      concat(Uint8Array.of(0x80), new Uint8Array(94), Uint8Array.of(x)),
    );
    const stray = candidates.find((bytes) => {
      try {
        group.decodeG2(bytes, 'curve');
      } catch {
        return false;
      }
      return true;
    });
    if (stray === undefined) throw new Error('no point of the twist among the first x');
    expect(() => group.decodeG2(stray, 'subgroup')).toThrow();
    const noble = await openGroup('noble');
    const keys = decodeAuthorityKeys(noble, encodeAuthorityKeys(group, all.keys));
    const ring = issueRing(all, [...leavesOf('st-mary/role:nurse'), gateLeaf(recordId, 1)]);
    const { key } = combineKey({ group: noble, keys, ring, random: seeded('check'), check: 'none' });
    const openNoble = (header: Uint8Array) =>
      openHeader({ group: noble, mpk: keys.mpk, key, header, registry: REGISTRY, expected });
    expect(openNoble(recode({}))).toEqual(dataKey);
    for (const bytes of [infinity, stray, new Uint8Array(96), core.c2.map((byte) => byte ^ 255)]) {
      for (const change of [{ c1: bytes }, { c2: bytes }]) {
        expect(() => open(recode(change))).toThrow(rejected);
        expect(() => openNoble(recode(change))).toThrow(rejected);
      }
    }
    const rows = core.c3.slice();
    rows.set(infinity.subarray(0, 48), 0);
    expect(() => open(recode({ c3: rows }))).toThrow(rejected);
  });
});
