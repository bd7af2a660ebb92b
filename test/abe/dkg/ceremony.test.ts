import { beforeAll, describe, expect, test } from 'vitest';
import {
  checkSubShare,
  type Dealing,
  dealingHash,
  drawPolynomial,
  encodeDealing,
  openDealing,
} from '../../../src/abe/dkg/dealing.ts';
import { decodeDkg, encodeDkg } from '../../../src/abe/dkg/messages.ts';
import {
  type AuthorityKeys,
  type DkgEffect,
  type Group,
  type GT,
  openAuthority,
  openGroup,
  startDkg,
  stepDkg,
} from '../../../src/abe/index.ts';
import { bytesToBigint, lagrangeScalars, mod, reduceWide, scalarToBytes } from '../../../src/abe/internal.ts';
import { concat, equalBytes } from '../../../src/codec/bytes.ts';
import { id, issueRing, keyOf, seeded } from '../fixtures.ts';
import { fresh, type Outcome, runCeremony, SESSION } from './harness.ts';

let group: Group;
beforeAll(async () => {
  group = await openGroup('mcl');
});

const kindOf = (effect: DkgEffect): string =>
  effect.kind === 'broadcast' || effect.kind === 'private' ? decodeDkg(effect.bytes).kind : effect.kind;
const encodings = (keys: AuthorityKeys): string =>
  [keys.mpk.E, ...keys.E].map((E) => Buffer.from(group.encodeGT(E)).toString('hex')).join();

/** Everybody in `who` got a share of one key, the shares interpolate to it, and the result is that key. */
function expectAgreement(outcome: Outcome, who: readonly number[]): AuthorityKeys {
  const results = who.map((i) => outcome.results.get(i));
  const [first] = results;
  if (first === undefined) throw new Error('no result');
  for (const result of results) {
    if (result === undefined) throw new Error('no result');
    expect(encodings(result.keys)).toBe(encodings(first.keys));
    expect(result.qualified).toEqual(first.qualified);
    const alpha = bytesToBigint(result.share.alpha);
    expect(group.equalGT(group.powGT(group.gt, alpha), first.keys.E[result.share.authority - 1])).toBe(true);
  }
  return first.keys;
}

describe('key generation without a dealer', () => {
  test.each([
    [1, 1],
    [4, 3],
    [5, 4],
  ])('%i honest participants with threshold %i agree on one key that any quorum can issue under', (n, t) => {
    const outcome = runCeremony(fresh(group, n, t));
    expect(outcome.blames.size).toBe(0);
    const keys = expectAgreement(
      outcome,
      Array.from({ length: n }, (_, i) => i),
    );
    const authorities = [...outcome.results.values()].map(({ share }) => openAuthority(group, share));
    const ring = issueRing({ group, keys, authorities }, [], {
      points: Array.from({ length: t }, (_, i) => n - i),
    });
    expect(keyOf({ group, keys, authorities }, ring).mpkHash).toEqual(keys.mpk.hash);
    for (const state of outcome.states.values())
      expect([state.phase, state.own]).toEqual(['done', undefined]);
  });

  test('the shares interpolate to the discrete logarithm of E, and t - 1 of them do not', () => {
    const { results } = runCeremony(fresh(group, 4, 3));
    const all = [...results.values()];
    const alphaOf = (points: readonly number[]): bigint => {
      const weights = lagrangeScalars(points);
      return mod(points.reduce((sum, p, i) => sum + weights[i] * bytesToBigint(all[p - 1].share.alpha), 0n));
    };
    const [{ keys }] = all;
    expect(group.equalGT(group.powGT(group.gt, alphaOf([2, 3, 4])), keys.mpk.E)).toBe(true);
    expect(group.equalGT(group.powGT(group.gt, alphaOf([1, 2])), keys.mpk.E)).toBe(false);
  });

  test('every message is needed in its phase, and repeated or foreign ones change nothing', () => {
    const refused = expect.objectContaining({ code: 'abe.dkg_input' });
    const step = startDkg({ group, session: SESSION, n: 4, t: 3, me: 1 }, seeded('one'));
    const announce = encodeDkg({ kind: 'announce', hash: id('a') });
    const from = (sender: number, bytes = announce) => ({ kind: 'broadcast' as const, from: sender, bytes });
    const { state } = stepDkg(step.state, from(2));
    expect(stepDkg(state, from(2, encodeDkg({ kind: 'announce', hash: id('b') }))).state).toBe(state);
    for (const bad of [0, 5, 1.5]) expect(() => stepDkg(state, from(bad))).toThrow(refused);
    expect(() => stepDkg(state, from(3, encodeDkg({ kind: 'complain', dealers: [] })))).toThrow(refused);
    expect(() => stepDkg(state, from(3, new Uint8Array([1])))).toThrow(refused);
    expect(() => stepDkg(state, { kind: 'private', from: 2, bytes: announce })).toThrow(refused);
    const share = encodeDkg({ kind: 'share', share: id('s') });
    expect(() => stepDkg(state, from(3, share))).toThrow(refused);
    expect(() => stepDkg(state, { kind: 'private', from: 9, bytes: share })).toThrow(refused);
    expect(stepDkg(state, { kind: 'overdue' })).toEqual({ state, effects: [] });
    for (const bad of [{ n: 0 }, { n: 65 }, { t: 0 }, { t: 5 }, { me: 0 }, { me: 5 }, { me: undefined }]) {
      const config = { group, session: SESSION, n: 4, t: 3, me: 1, ...bad };
      expect(() => startDkg(config, seeded('one'))).toThrow(
        expect.objectContaining({ code: 'abe.argument' }),
      );
    }
  });

  test('messages are read back from their bytes, and from nothing else', () => {
    const refused = expect.objectContaining({ code: 'abe.dkg_input' });
    for (const message of [
      { kind: 'announce', hash: id('a') },
      { kind: 'open', opening: id('a') },
      { kind: 'complain', dealers: [1, 3] },
      { kind: 'answer', shares: [{ receiver: 2, share: id('s') }] },
      { kind: 'share', share: id('s') },
    ] as const) {
      expect(decodeDkg(encodeDkg(message))).toEqual(message);
    }
    for (const bad of [
      encodeDkg({ kind: 'announce', hash: new Uint8Array(31) }),
      encodeDkg({ kind: 'share', share: new Uint8Array(31) }),
      encodeDkg({ kind: 'complain', dealers: [3, 1] }),
      encodeDkg({ kind: 'complain', dealers: [1, 1] }),
      encodeDkg({ kind: 'answer', shares: [{ receiver: 2, share: new Uint8Array(1) }] }),
      new Uint8Array(),
    ]) {
      expect(() => decodeDkg(bad)).toThrow(refused);
    }
  });
});

describe('corrupt participants', () => {
  test('a wrong sub-share is complained about, shown, and the dealer stays', () => {
    let spoiled = false;
    const outcome = runCeremony(
      fresh(group, 4, 3, (who, effect) => {
        if (who !== 0 || effect.kind !== 'private' || effect.to !== 3) return [effect];
        spoiled = true;
        return [{ ...effect, bytes: encodeDkg({ kind: 'share', share: scalarToBytes(5n) }) }];
      }),
    );
    expect(spoiled).toBe(true);
    expect(outcome.blames.size).toBe(0);
    expectAgreement(outcome, [0, 1, 2, 3]);
    expect(outcome.results.get(2)?.qualified).toEqual([1, 2, 3, 4]);
  });

  test('a missing sub-share is complained about when it is overdue', () => {
    const outcome = runCeremony(
      fresh(group, 4, 3, (who, effect) =>
        who === 1 && effect.kind === 'private' && effect.to === 4 ? [] : [effect],
      ),
    );
    expectAgreement(outcome, [0, 1, 2, 3]);
    expect(outcome.results.get(3)?.qualified).toEqual([1, 2, 3, 4]);
  });

  test.each([
    ['shows nothing', (): readonly DkgEffect[] => []],
    [
      'shows a wrong sub-share',
      (): readonly DkgEffect[] => [
        {
          kind: 'broadcast',
          bytes: encodeDkg({ kind: 'answer', shares: [{ receiver: 3, share: scalarToBytes(6n) }] }),
        },
      ],
    ],
  ])('a dealer that is complained about and %s is out, and the others have a key', (_, answer) => {
    const outcome = runCeremony(
      fresh(group, 4, 3, (who, effect) => {
        if (who !== 0) return [effect];
        if (effect.kind === 'private' && effect.to === 3) {
          return [{ ...effect, bytes: encodeDkg({ kind: 'share', share: scalarToBytes(5n) }) }];
        }
        return kindOf(effect) === 'answer' ? answer() : [effect];
      }),
    );
    for (const who of [1, 2, 3]) expect(outcome.blames.get(who)).toEqual(['1: bad answer']);
    expectAgreement(outcome, [0, 1, 2, 3]);
    expect(outcome.results.get(2)?.qualified).toEqual([2, 3, 4]);
  });

  test.each(['announce', 'open'])('a dealer that is silent in the phase "%s" is blamed and out', (phase) => {
    const outcome = runCeremony(
      fresh(group, 4, 3, (who, effect) => (who === 3 && kindOf(effect) === phase ? [] : [effect])),
    );
    expect(outcome.blames.get(0)).toEqual(['4: silent']);
    expectAgreement(outcome, [0, 1, 2]);
    expect(outcome.results.get(0)?.qualified).toEqual([1, 2, 3]);
  });

  test('false complaints by fewer than t receivers put nobody out, by t they do', () => {
    const lie = (liars: number) =>
      runCeremony(
        fresh(group, 5, 3, (who, effect) =>
          who < liars && kindOf(effect) === 'complain'
            ? [{ kind: 'broadcast', bytes: encodeDkg({ kind: 'complain', dealers: [5] }) }]
            : [effect],
        ),
      );
    const two = lie(2);
    expect(two.blames.size).toBe(0);
    expect(two.results.get(4)?.qualified).toEqual([1, 2, 3, 4, 5]);
    expectAgreement(two, [0, 1, 2, 3, 4]);
    const three = lie(3);
    expect(three.blames.get(4)).toEqual(['5: too many complaints']);
    expectAgreement(three, [0, 1, 2, 3, 4]);
  });

  test('with fewer than t good dealers the ceremony fails for everybody', () => {
    const outcome = runCeremony(
      fresh(group, 4, 3, (who, effect) => (who >= 2 && kindOf(effect) === 'open' ? [] : [effect])),
    );
    expect([...outcome.failed].sort()).toEqual([0, 1, 2, 3]);
    expect(outcome.results.size).toBe(0);
  });

  test("another dealer's opening does not pass as one's own", () => {
    const polynomial = drawPolynomial(3, seeded('p'));
    const opening = encodeDealing(group, SESSION, 2, polynomial, seeded('q'));
    const openAs = (session: Uint8Array, dealer: number) =>
      openDealing(group, session, dealer, 3, dealingHash(session, dealer, opening), opening);
    expect(openAs(SESSION, 2)).toBeDefined();
    expect(openAs(SESSION, 3)).toBeUndefined();
    expect(openAs(id('another ceremony'), 2)).toBeUndefined();
    for (const at of [0, 600, 1728 + 31, opening.length - 1]) {
      const damaged = opening.slice();
      damaged[at] ^= 1;
      expect(openDealing(group, SESSION, 2, 3, dealingHash(SESSION, 2, damaged), damaged)).toBeUndefined();
    }
  });
});

describe('the attack of the last dealer', () => {
  // Two of four are corrupt (c = n - t + 1): the honest receivers are t - 1, so a polynomial through any two
  // sub-shares and a chosen A_0 exists, although nobody knows its constant term.
  const x = reduceWide(seeded('the master key the attacker wants')(64));
  const y = [reduceWide(seeded('y1')(64)), reduceWide(seeded('y2')(64))];

  /** Commitments of the polynomial with A(0) as given, f(1) = y1, f(2) = y2. */
  function craft(A0: GT): GT[] {
    // Basis at 0, 1, 2: l0 = 1 - 3/2 x + 1/2 x^2, l1 = 2x - x^2, l2 = -1/2 x + 1/2 x^2.
    const half = (1n + 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n) / 2n;
    const combine = (a: bigint, b: bigint, c: bigint): GT =>
      group.mulGT(group.powGT(A0, mod(a)), group.powGT(group.gt, mod(b * y[0] + c * y[1])));
    return [combine(1n, 0n, 0n), combine(-3n * half, 2n, -half), combine(half, -1n, half)];
  }

  test('would pass every check of sub-shares and own the master key, were there no proof of knowledge', () => {
    const others = [1, 2, 3].map((i) => group.powGT(group.gt, reduceWide(seeded(`dealer ${i}`)(64))));
    const product = others.reduce((a, b) => group.mulGT(a, b));
    const A0 = group.mulGT(group.powGT(product, mod(-1n)), group.powGT(group.gt, x));
    const dealing: Dealing = { commitments: craft(A0) };
    expect(checkSubShare(group, dealing, 1, scalarToBytes(y[0]))).toBeDefined();
    expect(checkSubShare(group, dealing, 2, scalarToBytes(y[1]))).toBeDefined();
    expect(group.equalGT(group.mulGT(product, dealing.commitments[0]), group.powGT(group.gt, x))).toBe(true);
  });

  test.each([
    ['waits for the openings of the others and answers a hash that it gave before', false],
    ['foresees the openings of the others and announces the right hash', true],
  ])('loses when it %s', (_, foresees) => {
    const honest = runCeremony(fresh(group, 4, 3));
    const A0s = [0, 1, 2].map((who) => {
      const start = startDkg({ group, session: SESSION, n: 4, t: 3, me: who + 1 }, seeded(`dealer ${who}`));
      const opening = start.state.own?.opening ?? new Uint8Array();
      return group.decodeGT(opening.slice(0, 576));
    });
    const product = A0s.reduce((a, b) => group.mulGT(a, b));
    const A0 = group.mulGT(group.powGT(product, mod(-1n)), group.powGT(group.gt, x));
    const commitments = concat(...craft(A0).map((A) => group.encodeGT(A)));
    const opening = concat(commitments, scalarToBytes(11n), scalarToBytes(13n));
    const outcome = runCeremony(
      fresh(group, 4, 3, (who, effect) => {
        if (who !== 3) return [effect];
        if (kindOf(effect) === 'open')
          return [{ kind: 'broadcast', bytes: encodeDkg({ kind: 'open', opening }) }];
        if (kindOf(effect) === 'announce' && foresees) {
          const hash = dealingHash(SESSION, 4, opening);
          return [{ kind: 'broadcast', bytes: encodeDkg({ kind: 'announce', hash }) }];
        }
        if (effect.kind === 'private' && effect.to <= 2) {
          return [{ ...effect, bytes: encodeDkg({ kind: 'share', share: scalarToBytes(y[effect.to - 1]) }) }];
        }
        return [effect];
      }),
    );
    expect(outcome.blames.get(0)).toEqual(['4: bad opening']);
    const keys = expectAgreement(outcome, [0, 1, 2]);
    expect(group.equalGT(keys.mpk.E, group.powGT(group.gt, x))).toBe(false);
    expect(group.equalGT(keys.mpk.E, product)).toBe(true);
    expect(honest.results.get(0)?.qualified).toHaveLength(4);
  });
});

describe('resharing', () => {
  const first = () => {
    const outcome = runCeremony(fresh(group, 4, 3));
    const keys = expectAgreement(outcome, [0, 1, 2, 3]);
    return { keys, shares: [0, 1, 2, 3].map((i) => outcome.results.get(i)?.share) };
  };

  test('to the same members refreshes every share and leaves the master key', () => {
    const { keys, shares } = first();
    const participants = shares.map((share, i) => ({ dealer: i + 1, me: i + 1, share }));
    const outcome = runCeremony({ group, n: 4, t: 3, participants, previous: keys, seed: 'refresh' });
    const next = expectAgreement(outcome, [0, 1, 2, 3]);
    expect(next.mpk.hash).toEqual(keys.mpk.hash);
    expect(next.shareEpoch).toBe(1);
    for (const [i, old] of shares.entries()) {
      const share = outcome.results.get(i)?.share;
      if (share === undefined || old === undefined) throw new Error('no share');
      expect(share.shareEpoch).toBe(1);
      expect(equalBytes(share.alpha, old.alpha) || equalBytes(share.seed, old.seed)).toBe(false);
    }
  });

  test('to another set and threshold leaves the master key; who left has no share, who joined has', () => {
    const { keys, shares } = first();
    // Old 1 leaves; old 2, 3, 4 become 1, 2, 3; 4 and 5 join. Threshold 3 becomes 4.
    const participants = [
      { dealer: 1, share: shares[0] },
      { dealer: 2, me: 1, share: shares[1] },
      { dealer: 3, me: 2, share: shares[2] },
      { dealer: 4, me: 3, share: shares[3] },
      { me: 4 },
      { me: 5 },
    ];
    const outcome = runCeremony({ group, n: 5, t: 4, participants, previous: keys, seed: 'reshare' });
    const next = expectAgreement(outcome, [1, 2, 3, 4, 5]);
    expect(outcome.left.get(0)?.mpk.hash).toEqual(keys.mpk.hash);
    expect([next.n, next.t, next.shareEpoch]).toEqual([5, 4, 1]);
    expect(next.mpk.hash).toEqual(keys.mpk.hash);
    const authorities = [1, 2, 3, 4, 5].map((i) => {
      const share = outcome.results.get(i)?.share;
      if (share === undefined) throw new Error('no share');
      return openAuthority(group, share);
    });
    const ring = issueRing({ group, keys: next, authorities }, [], { points: [1, 3, 4, 5] });
    expect(keyOf({ group, keys: next, authorities }, ring).shareEpoch).toBe(1);
    // Parts of two share epochs are never combined.
    const old = openAuthority(group, shares[1] ?? authorities[0].share);
    expect(() =>
      issueRing({ group, keys: next, authorities: [old, ...authorities.slice(1)] }, [], { points: [1] }),
    ).toThrow(expect.objectContaining({ code: 'abe.part_mismatch' }));
  });

  test('needs t old authorities, and one that deals anything but its own share is out', () => {
    const { keys, shares } = first();
    const participants = shares.map((share, i) => ({ dealer: i + 1, me: i + 1, share }));
    const other = drawPolynomial(3, seeded('another secret'));
    const opening = encodeDealing(group, SESSION, 1, other, seeded('proof'));
    const outcome = runCeremony({
      group,
      n: 4,
      t: 3,
      participants,
      previous: keys,
      replace: (who, effect) => {
        if (who !== 0) return [effect];
        const kind = kindOf(effect);
        if (kind === 'announce') {
          return [{ kind: 'broadcast', bytes: encodeDkg({ kind, hash: dealingHash(SESSION, 1, opening) }) }];
        }
        return kind === 'open' ? [{ kind: 'broadcast', bytes: encodeDkg({ kind, opening }) }] : [effect];
      },
    });
    expect(outcome.blames.get(1)).toEqual(['1: bad opening']);
    expect(expectAgreement(outcome, [1, 2, 3]).mpk.hash).toEqual(keys.mpk.hash);
    const tooFew = runCeremony({
      group,
      n: 4,
      t: 3,
      participants,
      previous: keys,
      replace: (who, effect) => (who < 2 && kindOf(effect) === 'announce' ? [] : [effect]),
    });
    expect(tooFew.failed.size).toBe(4);
  });
});
