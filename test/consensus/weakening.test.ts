/** Each guard is left out in turn, and a scripted schedule or the simulator must notice. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Weakening } from '../../src/consensus/core/weakening.ts';
import { coreSigner } from '../../src/consensus/node/signer.ts';
import { GUARDS, type Guard, seedsToFind } from '../../src/consensus/sim/guards.ts';
import { runSimulation } from '../../src/consensus/sim/run.ts';
import { ZERO_HASH } from '../../src/consensus/wire/bytes.ts';
import { batchHash, encodeBatch, makeProposal } from '../../src/consensus/wire/codec.ts';
import type { Message } from '../../src/consensus/wire/messages.ts';
import { Stage, type } from './support/stage.ts';

/** r1 locks A in view 0; r2 and r3 lock B in a later view, of which only r0 sees the COMMITs and then stops. */
function twoLocks(weaken: Weakening): Stage {
  const quiet = type('status', 'hello', 'welcome', 'fetch', 'blocks', 'request', 'proposal');
  const stage = new Stage(4, { weaken }).start();
  stage.route = (p) =>
    quiet(p) || p.message.type === 'pre-prepare' || (p.message.type === 'prepare' && p.to === 1);
  stage.submit(0);
  stage.until(() => stage.sent.some((p) => p.from === 1 && p.message.type === 'commit'));
  stage.route = (p) => quiet(p) || (type('view-change', 'new-view')(p) && p.from !== 1 && p.to !== 1);
  stage.run(20_000);
  stage.route = (p) =>
    (p.from !== 1 && p.to !== 1 && (p.message.type !== 'commit' || p.to === 0)) || quiet(p);
  stage.until(() => stage.nodes[0].height === 1, 200_000);
  stage.nodes[0].crash('lost');
  stage.held.splice(0);
  // The view of B ends without more of its messages: r1 keeps its lock on A and comes to lead.
  const { view } = stage.decided[0];
  const over = type('commit', 'new-view');
  stage.route = (p) => p.to !== 0 && !(over(p) && 'view' in p.message && p.message.view === view);
  return stage;
}

describe('the highest certificate wins', () => {
  test('B, decided at one replica that stopped, is decided by the others too', () => {
    const stage = twoLocks({});
    stage.until(() => [1, 2, 3].every((i) => stage.nodes[i].height >= 1), 300_000);
    expect(stage.checks.violations).toEqual([]);
  });

  test('without the guard anyCertificate: two blocks at one height', () => {
    const stage = twoLocks({ anyCertificate: true });
    stage.until(() => stage.checks.violations.includes('two blocks at height 1'), 300_000);
    expect(new Set(stage.decided.filter(({ height }) => height === 1).map(({ hash }) => hash)).size).toBe(2);
  });
});

/** What the voters do with a leader's proposal that differs from an honest one by `change`. */
function propose(weaken: Weakening, change: 'empty' | 'bad root'): Stage {
  const stage = new Stage(4, { byzantine: [0], weaken }).start();
  stage.route = (p) => p.message.type !== 'pre-prepare';
  stage.submit(0);
  stage.until(() => stage.held.some(type('pre-prepare')));
  const sent = stage.held.find(type('pre-prepare'))?.message;
  if (sent?.type !== 'pre-prepare') throw new Error('the leader proposed');
  const { epoch, height, view, sender } = sent;
  const batchBytes = change === 'empty' ? encodeBatch([]) : sent.proposal.batchBytes;
  const header = { ...sent.proposal.header, batchHash: batchHash(batchBytes) };
  const roots = stage.nodes[1].application.run(header, change === 'empty' ? [] : sent.proposal.batch);
  if (!roots.ok) throw new Error(roots.reason);
  const hex = (bytes: Uint8Array): typeof ZERO_HASH => Buffer.from(bytes).toString('hex') as typeof ZERO_HASH;
  const stateRoot = change === 'bad root' ? ZERO_HASH : hex(roots.stateRoot);
  const own = { ...header, stateRoot, logRoot: hex(roots.logRoot), treeSize: roots.treeSize };
  const proposal = makeProposal(own, batchBytes, undefined);
  const signer = coreSigner(stage.nodes[0].key, stage.genesis.chainId);
  const signature = signer.vote('pre-prepare', { epoch, height, view, sender }, proposal.hash);
  const message: Message = { ...sent, digest: proposal.hash, signature, proposal };
  for (const to of [1, 2, 3]) stage.deliver({ from: 0, to, message });
  stage.run(300);
  return stage;
}

describe('what a voter refuses', () => {
  test.each<['empty' | 'bad root', keyof Weakening]>([
    ['empty', 'emptyAnytime'],
    ['bad root', 'skipExecution'],
  ])('a proposal that is %s gets no PREPARE; without the guard %s it does', (change, guard) => {
    expect(propose({}, change).sent.some(type('prepare'))).toBe(false);
    expect(propose({ [guard]: true }, change).sent.some(type('prepare'))).toBe(true);
  });

  test('without the guard against clocks in re-proposals a value locked for an hour never commits', () => {
    const stage = new Stage(4, { weaken: { clockOnReproposal: true } }).start();
    stage.route = (parcel) => parcel.message.type !== 'commit';
    stage.submit(0);
    stage.until(() => stage.held.filter(type('commit')).length >= 12);
    stage.route = () => false;
    stage.run(3_600_000);
    stage.held.splice(0);
    stage.route = () => true;
    stage.run(180_000);
    expect(stage.heights()).toEqual([0, 0, 0, 0]);
  });
});

describe('the disk', () => {
  test('without waiting for the disk something leaves before it is durable', () => {
    const result = runSimulation({
      seeds: 1,
      members: [4],
      safetyMs: 3000,
      weaken: { sendBeforeDurable: true },
    });
    expect(result.violations[0].text).toMatch(/before its proposal record was durable/);
  });

  test('an amnesiac that votes at once is what the rule of M + 2 prevents', () => {
    for (const weaken of [{}, { rejoinAtOnce: true }]) {
      const stage = new Stage(4, { weaken }).start();
      stage.submit(0);
      stage.until(() => stage.nodes.every((node) => node.height === 1));
      stage.nodes[3].crash('lost');
      stage.nodes[3].disk.lose();
      stage.nodes[3].start();
      stage.run(1000);
      expect(stage.nodes[3].replica?.voting).toBe('rejoinAtOnce' in weaken);
    }
  });
});

describe('the simulator', () => {
  test.each<[Guard, RegExp]>([
    ['rebuildHeader', /NEW-VIEW that does not hold/],
    ['prepareAnyView', /locked without a quorum/],
    ['leaderCountedTwice', /locked without a quorum/],
    ['prepareQuorumLess', /locked without a quorum/],
    ['commitQuorumLess', /is not one/],
    ['viewChangeQuorumLess', /NEW-VIEW that does not hold/],
    ['viewChangeAnyHeight', /evidence against honest|does not hold/],
    ['viewsOutliveHeights', /evidence against honest|did not open at view 0|does not hold/],
    ['forgetLock', /does not stand where its log says/],
    ['forgetPromise', /does not stand where its log says/],
    ['decideUnexecuted', /without executing it/],
    ['skipExecution', /without executing it|roots that its execution/],
    ['joinAnyone', /at the word of liars/],
    ['nonceUnchecked', /used nonce|executed twice/],
    ['anyCertificate', /NEW-VIEW that does not hold/],
  ])('without the guard %s notices within ten seeds', (guard, breach) => {
    expect(seedsToFind(guard, 1, 10).text).toMatch(breach);
  });

  test('without the guard answersOfFew notices within ten seeds from the fifteenth on', () => {
    expect(seedsToFind('answersOfFew', 15, 10).text).toMatch(/lost its log and votes/);
  });

  test('has a row for every guard of the search', () => {
    const search = readFileSync(join(import.meta.dirname, 'exhaustive.test.ts'), 'utf8');
    for (const [, guard] of search.matchAll(/^ {2}\['(\w+)', \d/gm)) expect(GUARDS).toContain(guard);
  });
});

describe('COMMITs of different views', () => {
  test('counted together they make certificates that others refuse', () => {
    const found = runSimulation({
      seeds: 40,
      weaken: { commitAnyView: true },
      onSeed: (_seed, violations) => violations.length === 0,
    });
    expect(found.violations[0]?.text).toMatch(/is not one|not everything valid/);
  });
});
