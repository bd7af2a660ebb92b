/** What doctor makes of a node's status: each grade at its bound and just beyond. */
import { describe, expect, it } from 'vitest';
import { diagnose, type Finding, type NodeStatus } from '../../../src/cli/diagnosis.ts';

const NOW = 1_800_000_000_000;
const MINUTE = 60_000;

type Parts = NodeStatus['parts'];

const scrub = { endedAt: null, checked: 10, mended: 1, damaged: 0, named: [] };

function partsWith(change: Partial<Parts>): Parts {
  const peer = (member: string) => ({ member, height: 100, clockOffsetMs: 5 });
  return {
    consensus: { height: 100, voting: true, halted: false },
    ledger: { timeMs: NOW - 1_000 },
    authority: { ready: true, shareEpoch: 0 },
    indexer: { ready: true, covered: 10, records: 10 },
    storage: { copies: 2, waiting: 0, failing: 0, unreceipted: 0, erasing: 0, scrub },
    disk: { freeBytes: 4_000, reserveBytes: 1_000, waiting: false },
    backup: { everyMinutes: 60, newestAt: NOW - MINUTE, failed: null },
    restored: false,
    clock: NOW,
    peers: ['b', 'c', 'd'].map(peer),
    ...change,
  };
}

function found(part: string, change: Partial<Parts>): Finding {
  const finding = diagnose({ member: 'a', parts: partsWith(change) }).find((one) => one.part === part);
  if (finding === undefined) throw new Error(`nothing is said of ${part}`);
  return finding;
}

const room = (freeBytes: number, waiting = false): Partial<Parts> => ({
  disk: { freeBytes, reserveBytes: 1_000, waiting },
});
const silent = (count: number): Parts['peers'] =>
  partsWith({}).peers.map((one, i) => (i < count ? { ...one, height: null, clockOffsetMs: null } : one));
const offset = (ms: number): Parts['peers'] =>
  partsWith({}).peers.map((one) => ({ ...one, clockOffsetMs: ms }));
const ahead = (height: number): Parts['peers'] => partsWith({}).peers.map((one) => ({ ...one, height }));
const backup = (change: Partial<NonNullable<Parts['backup']>>): Partial<Parts> => ({
  backup: { everyMinutes: 60, newestAt: NOW, failed: null, ...change },
});
const storage = { copies: 2, waiting: 1, failing: 1, unreceipted: 0, erasing: 0, scrub };
const damaged = { ...scrub, damaged: 1, named: [{ of: 'ab12', what: 'header', code: 'storage.corrupt' }] };

describe('a diagnosis', () => {
  it('of a healthy node finds nothing', () => {
    const all = diagnose({ member: 'a', parts: partsWith({}) });
    expect(all.filter(({ grade }) => grade !== 'good')).toEqual([]);
  });

  const cases: readonly (readonly [string, Finding['grade'], string, Partial<Parts>])[] = [
    ['consensus', 'bad', 'halted', { consensus: { height: 100, voting: true, halted: true } }],
    ['consensus', 'note', 'not voting', { consensus: { height: 100, voting: false, halted: false } }],
    ['quorum', 'note', 'one of four silent', { peers: silent(1) }],
    ['quorum', 'bad', 'two of four silent', { peers: silent(2) }],
    ['height', 'good', '20 blocks behind', { peers: ahead(120) }],
    ['height', 'bad', '21 blocks behind', { peers: ahead(121) }],
    ['height', 'good', 'a block 90 s ago', { ledger: { timeMs: NOW - 90_000 } }],
    ['height', 'bad', 'no block for longer', { ledger: { timeMs: NOW - 90_001 } }],
    ['clock', 'good', '2 s off', { peers: offset(-2_000) }],
    ['clock', 'bad', 'more than 2 s off', { peers: offset(2_001) }],
    ['clock', 'note', 'nobody to compare with', { peers: silent(3) }],
    ['share', 'bad', 'without share', { authority: { ready: false, shareEpoch: 1 } }],
    ['index', 'good', '10,000 behind', { indexer: { ready: true, covered: 0, records: 10_000 } }],
    ['index', 'bad', '10,001 behind', { indexer: { ready: true, covered: 0, records: 10_001 } }],
    ['replication', 'bad', 'copies that nobody gives', { storage }],
    ['replication', 'note', 'copies that a silent member may give', { storage, peers: silent(1) }],
    ['scrub', 'bad', 'damage that nobody mends', { storage: { ...storage, scrub: damaged } }],
    ['disk', 'note', 'little room', room(3_999)],
    ['disk', 'note', 'the reserve just free', room(1_000)],
    ['disk', 'bad', 'less than the reserve', room(999)],
    ['disk', 'bad', 'a ledger that waits', room(5_000, true)],
    ['backup', 'note', 'none configured', { backup: null }],
    ['backup', 'good', 'one missed', backup({ newestAt: NOW - 125 * MINUTE })],
    ['backup', 'bad', 'two missed', backup({ newestAt: NOW - 126 * MINUTE })],
    ['backup', 'bad', 'failed', backup({ failed: 'storage.full' })],
  ];
  it.each(cases)('of %s is %s: %s', (part, grade, _, change) => {
    const finding = found(part, change);
    expect(finding.grade).toBe(grade);
    expect(finding.todo === '').toBe(grade === 'good');
  });
});
