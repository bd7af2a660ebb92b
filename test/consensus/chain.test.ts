import { describe, expect, test } from 'vitest';
import {
  advance,
  type Chain,
  type Changes,
  eligible,
  genesisChain,
  leaderOf,
} from '../../src/consensus/chain.ts';
import { ROTATE_BLOCKS, ROTATE_MS } from '../../src/consensus/limits.ts';
import { simKey } from '../../src/consensus/sim/keys.ts';
import { validatorSet } from '../../src/consensus/validators.ts';
import { ZERO_HASH } from '../../src/consensus/wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal } from '../../src/consensus/wire/codec.ts';

const keys = (n: number, from = 0): Uint8Array[] =>
  Array.from({ length: n }, (_, i) => simKey(from + i).publicKey);
const genesis = (n: number): Chain =>
  genesisChain({ chainId: new Uint8Array(32), time: 1_000_000, validators: keys(n) });

/** The chain after one more block by the leader of `view`, `ms` after its parent. */
function next(chain: Chain, options: { view?: number; ms?: number; changes?: Changes } = {}): Chain {
  const { view = 0, ms = 1, changes = {} } = options;
  const batch = encodeBatch([]);
  const proposal = makeProposal(
    {
      version: 1,
      chainId: chain.chainId,
      epoch: chain.validators.epoch,
      height: chain.height + 1,
      view,
      proposer: leaderOf(chain, view),
      time: chain.time + ms,
      parentHash: chain.headHash,
      batchHash: batchHash(batch),
      stateRoot: ZERO_HASH,
      logRoot: ZERO_HASH,
      treeSize: 0,
      validatorsHash: chain.validators.hash,
      nextValidatorsHash: chain.nextValidators.hash,
      parentQcHash: ZERO_HASH,
    },
    batch,
    undefined,
  );
  const qc = {
    epoch: chain.validators.epoch,
    height: chain.height + 1,
    view,
    headerHash: proposal.hash,
    votes: [],
  };
  return advance(chain, proposal, qc, changes);
}

describe('who leads (rule 3)', () => {
  test('views go round the members in index order', () => {
    expect([0, 1, 2, 3, 4].map((view) => leaderOf(genesis(4), view))).toEqual([0, 1, 2, 3, 0]);
  });

  test('the proposer keeps the lead, also one that a view change brought', () => {
    const one = next(genesis(4), { view: 2 });
    expect(leaderOf(one, 0)).toBe(2);
    expect(leaderOf(next(one), 0)).toBe(2);
  });

  test('the lead moves on after a hundred blocks and not before', () => {
    let chain = genesis(4);
    for (let i = 0; i < ROTATE_BLOCKS - 1; i++) chain = next(chain);
    expect(leaderOf(chain, 0)).toBe(0);
    chain = next(chain);
    expect(leaderOf(chain, 0)).toBe(1);
    expect(leaderOf(next(chain), 0)).toBe(1);
  });

  test('the lead moves on when a minute of block time has passed and not before', () => {
    expect(leaderOf(next(genesis(4), { ms: ROTATE_MS - 1 }), 0)).toBe(0);
    expect(leaderOf(next(genesis(4), { ms: ROTATE_MS }), 0)).toBe(1);
  });
});

describe('who may not lead (rule 17)', () => {
  test('a barred member is passed over; n, f and q stay', () => {
    const chain = next(genesis(4), { changes: { barred: keys(1, 1) } });
    expect([0, 1, 2, 3].map((view) => leaderOf(chain, view))).toEqual([0, 2, 3, 0]);
    expect([chain.validators.n, chain.validators.f, chain.validators.q]).toEqual([4, 1, 3]);
  });

  test('the leader itself barred: the next member follows', () => {
    expect(leaderOf(next(genesis(4), { changes: { barred: keys(1, 0) } }), 0)).toBe(1);
    expect(leaderOf(next(genesis(4), { view: 3, changes: { barred: keys(1, 3) } }), 0)).toBe(0);
  });

  test.each([4, 5, 7, 10, 13])('n = %i: never fewer than n - f may lead, whoever is named', (n) => {
    const chain = next(genesis(n), { changes: { barred: keys(n) } });
    expect(eligible(chain).length).toBe(n - chain.validators.f);
    expect(chain.barred.length).toBe(chain.validators.f);
  });

  test('the list stays until it is replaced, and an empty list clears it', () => {
    const barred = next(genesis(4), { changes: { barred: keys(1, 2) } });
    expect(next(barred).barred).toEqual(barred.barred);
    expect(next(barred, { changes: { barred: [] } }).barred).toEqual([]);
  });
});

describe('epochs (rule 26)', () => {
  test('a set decided at h votes from h + 2, and h + 1 names it', () => {
    const one = next(genesis(4), { changes: { nextValidators: keys(5) } });
    expect([one.validators.epoch, one.nextValidators.epoch]).toEqual([0, 1]);
    const two = next(one);
    expect([two.lastValidators.epoch, two.validators.epoch, two.validators.n]).toEqual([0, 1, 5]);
    expect(two.validators.hash).toBe(one.nextValidators.hash);
  });

  test('the proposer keeps the lead by its key when its index moves, and its follower leads when it left', () => {
    const moved = next(next(genesis(5), { view: 3, changes: { nextValidators: keys(4, 1) } }));
    expect(leaderOf(moved, 0)).toBe(2);
    const left = next(next(genesis(5), { view: 0, changes: { nextValidators: keys(4, 1) } }));
    expect(leaderOf(left, 0)).toBe(0);
  });

  test('sets below four, above the bound, with a repeated key or a short key are refused', () => {
    expect(() => validatorSet(0, keys(3))).toThrow(/4 to 64/);
    expect(validatorSet(0, keys(64)).n).toBe(64);
    expect(() => validatorSet(0, keys(65))).toThrow(/4 to 64/);
    expect(() => validatorSet(0, [...keys(3), keys(1)[0]])).toThrow(/distinct/);
    expect(() => validatorSet(0, [...keys(3), new Uint8Array(31)])).toThrow(/32 bytes/);
  });
});
