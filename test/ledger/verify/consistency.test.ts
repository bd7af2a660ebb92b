/** Two checkpoints of one log: what a reader must notice when it comes back. */
import { beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from '../../../src/codec/hash.ts';
import { type Checkpoint, parseCheckpoint } from '../../../src/ledger/checkpoint/index.ts';
import { checkConsistency } from '../../../src/ledger/verify/index.ts';
import { type Chain, makeChain } from './chain.ts';

let chain: Chain;
let points: Checkpoint[];

beforeAll(async () => {
  chain = await makeChain({ heights: 6 });
  points = chain.checkpoints.map((text) => parseCheckpoint(text).checkpoint);
});

const proof = (older: Checkpoint, newer: Checkpoint) => chain.log.consistencyProof(older.size, newer.size);

describe('a newer checkpoint', () => {
  test('continues every older one, with the proof between their sizes', () => {
    for (const [i, older] of points.entries()) {
      for (const newer of points.slice(i)) {
        expect(checkConsistency(older, newer, proof(older, newer))).toBeUndefined();
      }
    }
  });

  test('of another log, behind, or with the proof of other sizes is refused', () => {
    const [, older, , newer] = points;
    expect(checkConsistency(older, { ...newer, origin: 'hippocrypt/other' }, proof(older, newer))).toBe(
      'origin',
    );
    expect(checkConsistency(newer, older, [])).toBe('rolled_back');
    for (const field of ['size', 'height', 'time', 'epoch'] as const) {
      const behind = { ...newer, [field]: older[field] - 1 };
      expect(checkConsistency(older, behind, proof(older, newer)), field).toBe('rolled_back');
    }
    expect(checkConsistency(older, newer, proof(points[0], newer))).toBe('proof');
    expect(checkConsistency(older, newer, [])).toBe('proof');
    expect(checkConsistency(older, { ...newer, root: sha256() }, proof(older, newer))).toBe('proof');
    expect(checkConsistency(older, older, [sha256()])).toBe('proof');
  });

  test('that says something else of the same height or size is a fork', () => {
    const [, point] = points;
    for (const other of [
      { ...point, root: sha256() },
      { ...point, stateRoot: sha256() },
      { ...point, time: point.time + 1 },
      { ...point, size: point.size + 1 },
    ]) {
      expect(checkConsistency(point, other, [])).toBe('forked');
    }
    expect(checkConsistency(point, { ...point, height: point.height + 1, root: sha256() }, [])).toBe(
      'forked',
    );
    const idle = { ...point, height: point.height + 1, time: point.time + 1, stateRoot: sha256() };
    expect(checkConsistency(point, idle, [])).toBeUndefined();
  });
});
