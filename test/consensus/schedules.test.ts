/** Scripted schedules of ledger-security section 4, by their letters. */
import { describe, expect, test, vi } from 'vitest';
import { DEFAULT_TIMING, HEARTBEAT_MS } from '../../src/consensus/limits.ts';
import { coreSigner } from '../../src/consensus/node/signer.ts';
import { SimApplication } from '../../src/consensus/sim/application.ts';
import { encodeMessage, makeProposal } from '../../src/consensus/wire/codec.ts';
import type { Message } from '../../src/consensus/wire/messages.ts';
import { type Parcel, Stage, type } from './support/stage.ts';

const votes = type('prepare', 'commit');
const quiet = type('status', 'hello', 'welcome', 'fetch', 'blocks', 'request', 'proposal');

function agreed(stage: Stage): void {
  expect(stage.checks.violations).toEqual([]);
}

function decidedBy(stage: Stage, height: number): Set<number> {
  return new Set(stage.decided.filter((decision) => decision.height === height).map(({ node }) => node));
}

describe('2a the stale promise', () => {
  test('a VIEW-CHANGE for a decided height is void and never supports a view at the next one', () => {
    const stage = new Stage(4, { byzantine: [3] }).start();
    // Height 1, view 0: everybody prepares A, but nobody receives a COMMIT.
    stage.route = (parcel) => parcel.message.type !== 'commit';
    stage.submit(0);
    stage.until(() => stage.held.filter(type('commit')).length >= 12);
    // r0 times out and promises view 1 with A prepared; the promise is held back.
    stage.route = (parcel) => !votes(parcel) && parcel.message.type !== 'view-change';
    stage.until(() => stage.held.some((p) => p.from === 0 && p.message.type === 'view-change'));
    const stale = stage.held.filter((p) => p.message.type === 'view-change' && p.message.height === 1);
    // A is decided at view 0 everywhere but at r2, who is cut off.
    stage.release((p) => p.message.type === 'commit' && p.to !== 2);
    stage.route = (p) => p.to !== 2 && p.from !== 2;
    stage.until(() => decidedBy(stage, 1).size >= 3);
    stage.submit(0);
    stage.until(() => stage.nodes[0].height >= 2);
    const second = stage.decided.find(({ height }) => height === 2)?.hash;
    // All stale promises arrive, at everybody, after height 2 was decided; r2 comes back.
    for (const parcel of stale)
      for (let to = 0; to < 4; to++) if (to !== parcel.from) stage.deliver({ ...parcel, to });
    stage.route = () => true;
    stage.submit(1);
    stage.until(() => stage.nodes.every((node) => node.height >= 3));
    expect(stage.decided.filter(({ height }) => height === 2).every(({ hash }) => hash === second)).toBe(
      true,
    );
    agreed(stage);
  });
});

describe('2b, 2c a value locked for an hour', () => {
  test('is proposed again unchanged and commits although clocks and pools have moved on', () => {
    const stage = new Stage(4).start();
    stage.route = (parcel) => parcel.message.type !== 'commit';
    stage.submit(0, stage.request({ expiresAt: stage.genesis.time + 60_000 }));
    stage.until(() => stage.held.filter(type('commit')).length >= 12);
    const locked = stage.held.find(type('commit'))?.message;
    stage.route = (parcel) => quiet(parcel);
    stage.run(3_600_000);
    stage.held.splice(0);
    stage.route = () => true;
    stage.until(() => stage.nodes.every((node) => node.height >= 1), 120_000);
    const [decision] = stage.decided;
    expect(decision.view).toBeGreaterThan(0);
    expect(locked?.type === 'commit' && locked.digest).toBe(decision.hash);
    agreed(stage);
  });
});

describe('2d different prepared values', () => {
  test('the one of the highest view is proposed and accepted', () => {
    const stage = new Stage(4).start();
    // View 0: only r1 locks A. View 1 (led by r1 without its lock known elsewhere) cannot happen, so r1 stays behind:
    // r2 leads view 2 with a fresh value that only r2 and r3 prepare.
    stage.route = (p) =>
      quiet(p) || p.message.type === 'pre-prepare' || (p.message.type === 'prepare' && p.to === 1);
    stage.submit(0);
    stage.until(() => stage.sent.some((p) => p.from === 1 && p.message.type === 'commit'));
    const first = stage.sent.find(type('pre-prepare'))?.message;
    stage.route = (p) => quiet(p) || (type('view-change', 'new-view')(p) && p.from !== 1 && p.to !== 1);
    stage.run(20_000);
    stage.route = (p) => (p.from !== 1 && p.to !== 1 && p.message.type !== 'commit') || quiet(p);
    stage.until(() => stage.sent.some((p) => p.from !== 1 && p.message.type === 'commit'), 200_000);
    const second = stage.sent.find((p) => p.from !== 1 && p.message.type === 'commit')?.message;
    stage.held.splice(0);
    stage.route = () => true;
    stage.until(() => stage.nodes.every((node) => node.height >= 1), 200_000);
    const digests = [first, second].map((m) => (m !== undefined && 'digest' in m ? m.digest : ''));
    expect(digests[0]).not.toBe(digests[1]);
    expect(stage.decided[0].hash).toBe(digests[1]);
    agreed(stage);
  });
});

describe('2e a batch that few hold', () => {
  test('a new leader without the batch fetches it by hash before it proposes', () => {
    const stage = new Stage(4).start();
    // The leader's proposal reaches r2 and r3 only, and they lock it; the next leader, r1, has never seen it.
    stage.route = (p) => !(p.to === 1 && type('pre-prepare', 'request')(p)) && p.message.type !== 'commit';
    stage.submit(0);
    stage.until(() =>
      [2, 3].every((i) => stage.sent.some((p) => p.from === i && p.message.type === 'commit')),
    );
    stage.nodes[0].crash('synced');
    stage.held.splice(0);
    stage.route = () => true;
    stage.until(() => [1, 2, 3].every((i) => stage.nodes[i].height >= 1), 120_000);
    expect(stage.sent.some((p) => p.from === 1 && p.message.type === 'fetch')).toBe(true);
    expect(stage.decided[0].view).toBe(1);
    agreed(stage);
  });
});

describe('2f a certificate before its block', () => {
  test('COMMITs that arrive before the proposal decide once the block is fetched', () => {
    const stage = new Stage(4).start();
    stage.route = (p) => !(p.to === 3 && type('pre-prepare', 'prepare', 'blocks')(p));
    stage.submit(0);
    stage.until(() => decidedBy(stage, 1).size === 3);
    expect(stage.nodes[3].height).toBe(0);
    stage.route = (p) => !(p.to === 3 && type('pre-prepare', 'prepare')(p));
    stage.until(() => stage.nodes[3].height === 1);
    agreed(stage);
  });

  test('COMMITs that arrive twice, in reverse order and during the own view change decide once', () => {
    const stage = new Stage(4).start();
    stage.route = (p) => !(p.to === 3 && (p.message.type === 'commit' || p.message.type === 'blocks'));
    stage.submit(0);
    stage.until(() => decidedBy(stage, 1).size === 3);
    stage.until(() => stage.sent.some((p) => p.from === 3 && p.message.type === 'view-change'));
    const commits = stage.held.filter((p) => p.message.type === 'commit').reverse();
    for (const parcel of [...commits, ...commits]) stage.deliver(parcel);
    stage.until(() => stage.nodes[3].height === 1);
    expect(stage.decided.filter(({ node, height }) => node === 3 && height === 1).length).toBe(1);
    agreed(stage);
  });
});

describe('2g a leader that committed alone', () => {
  test('crashes before anybody sees its COMMIT and returns five heights later with the same block', () => {
    const stage = new Stage(4).start();
    stage.route = (p) => p.message.type !== 'commit' || p.to === 0;
    stage.submit(0);
    stage.until(() => stage.nodes[0].height === 1);
    stage.nodes[0].crash('lost');
    stage.held.splice(0);
    stage.route = () => true;
    stage.until(() => [1, 2, 3].every((i) => stage.nodes[i].height >= 1), 120_000);
    for (let height = 2; height <= 6; height++) {
      stage.submit(1);
      stage.until(() => stage.nodes[1].height >= height);
    }
    stage.nodes[0].start();
    stage.until(() => stage.nodes[0].height >= 6);
    agreed(stage);
  });
});

describe('2h a lone replica', () => {
  test('that is cut off for ten minutes stays at its view and does not slow the rest', () => {
    const stage = new Stage(4).start();
    stage.route = (p) => p.from !== 3 && p.to !== 3;
    stage.submit(3);
    for (let i = 0; i < 20; i++) {
      stage.submit(0);
      stage.run(30_000);
    }
    expect(stage.nodes[3].replica?.view).toBeLessThanOrEqual(1);
    expect(stage.nodes[0].height).toBeGreaterThanOrEqual(20);
    // It costs a view change when the lead comes round to it, never one a height.
    const changed = stage.decided.filter(({ node, view }) => node === 0 && view > 0);
    expect(changed.length).toBeLessThanOrEqual(5);
    stage.route = () => true;
    stage.until(() => stage.nodes[3].height >= stage.nodes[0].height, 5_000);
    agreed(stage);
  });

  test('a pair that was cut off meets the others within two time-outs after healing', () => {
    const stage = new Stage(4).start();
    const side = (i: number): boolean => i < 2;
    stage.route = (p) => side(p.from) === side(p.to);
    for (let i = 0; i < 4; i++) stage.submit(i);
    stage.run(120_000);
    stage.route = () => true;
    const views = Math.max(...stage.nodes.map((node) => node.replica?.view ?? 0));
    expect(views).toBeLessThanOrEqual(1);
    stage.until(() => stage.nodes.every((node) => node.height >= 1), 2 * 2000 + 1000);
    agreed(stage);
  });
});

describe('2i restart of all with votes half sent', () => {
  test('the same bytes are sent again', () => {
    const stage = new Stage(4).start();
    stage.route = (p) => p.message.type !== 'commit';
    stage.submit(0);
    stage.until(() => stage.held.filter(type('commit')).length >= 12);
    const bytesOf = (parcels: readonly Parcel[]): string[] =>
      [
        ...new Set(parcels.filter(votes).map((p) => Buffer.from(encodeMessage(p.message)).toString('hex'))),
      ].sort();
    const before = bytesOf(stage.sent);
    const count = stage.sent.length;
    for (const node of stage.nodes) node.crash('lost');
    for (const node of stage.nodes) node.start();
    stage.route = () => true;
    stage.until(() => stage.nodes.every((node) => node.height >= 1));
    expect(bytesOf(stage.sent.slice(count).filter((p) => votes(p)))).toEqual(expect.arrayContaining([]));
    for (const bytes of bytesOf(stage.sent.slice(count))) expect(before).toContain(bytes);
    agreed(stage);
  });
});

describe('2j a virtual machine set back', () => {
  test.each(['by one vote', 'by one height'])(
    '%s: the answers of the others make it observe until M + 2',
    (how) => {
      const stage = new Stage(4).start();
      stage.submit(0);
      stage.until(() => stage.nodes.every((node) => node.height === 1));
      const node = stage.nodes[3];
      const image = { durable: [...node.disk.durable], boot: node.disk.boot };
      const old = new SimApplication();
      const block = node.application.blocks.get(1);
      if (how === 'by one vote') {
        stage.route = (p) => p.message.type !== 'commit';
        stage.submit(0);
        stage.until(() =>
          stage.sent.some((p) => p.from === 3 && p.message.type === 'prepare' && p.message.height === 2),
        );
        stage.run(50);
      } else {
        stage.submit(0);
        stage.until(() => stage.nodes.every((other) => other.height === 2));
        // State as after height 1.
        if (block !== undefined && node.application.resume !== undefined)
          old.restoreFrom(node.application, 1);
        node.application = old;
      }
      node.crash('lost');
      Object.assign(node.disk, image);
      node.start();
      stage.run(200);
      expect(node.replica?.voting).toBe(false);
      stage.held.splice(0);
      stage.route = () => true;
      for (let i = 0; i < 4; i++) {
        stage.submit(0);
        stage.run(1500);
      }
      stage.until(() => node.replica?.voting === true, 20_000);
      agreed(stage);
    },
  );
});

describe('rule 21 links that come again', () => {
  test('while votes are open make nobody an amnesiac: what the others show is of this very start', () => {
    const stage = new Stage(4).start();
    stage.route = (p) => p.message.type !== 'commit';
    stage.submit(0);
    stage.until(() => stage.held.filter(type('commit')).length >= 12);
    for (const a of stage.nodes) {
      for (const b of stage.nodes) if (a !== b) a.feed({ t: 'connected', peer: b.peer });
    }
    stage.run(200);
    expect(stage.sent.some(type('welcome'))).toBe(true);
    expect(stage.nodes.map((node) => node.replica?.voting)).toEqual([true, true, true, true]);
    stage.route = () => true;
    stage.until(() => stage.nodes.every((node) => node.height === 1), 5_000);
    agreed(stage);
  });
});

describe('rule 28 a member that is behind', () => {
  test('builds no blocks for heights that others have decided, although it leads them', () => {
    const stage = new Stage(4).start();
    const [node] = stage.nodes;
    for (let height = 1; height <= 20; height++) {
      stage.submit(0);
      stage.until(() => stage.heights().every((reached) => reached === height));
    }
    // It has voted at height 21 when its state is lost; its log of votes is whole.
    stage.route = (p) => !(p.to === 0 && type('commit', 'blocks')(p));
    stage.submit(0);
    stage.until(() => [1, 2, 3].every((i) => stage.nodes[i].height === 21));
    node.crash('synced');
    node.application = new SimApplication();
    stage.route = (p) => p.from !== 0 || !type('fetch')(p);
    node.start();
    stage.until(() => node.replica?.voting === true);
    stage.run(DEFAULT_TIMING.statusMs);
    stage.submit(0);
    stage.route = () => true;
    const run = vi.spyOn(node.application, 'run');
    stage.until(() => node.height === 21, 10_000);
    const batches = new Set(run.mock.calls.map(([{ height, batchHash }]) => `${height} ${batchHash}`));
    expect(batches.size).toBe(21);
    stage.until(() => stage.heights().every((height) => height === 22), 10_000);
    agreed(stage);
  });
});

describe('2k a Byzantine client', () => {
  test('with two requests under one nonce for halves of the backups deposes nobody', () => {
    const stage = new Stage(4).start();
    const one = stage.request({ nonce: 1000 });
    const two = stage.request({ nonce: 1000, payload: new Uint8Array([9]) });
    stage.submit(1, one);
    stage.submit(2, two);
    stage.submit(3, two);
    stage.run(5_000);
    expect(stage.decided.every(({ view }) => view === 0)).toBe(true);
    expect(stage.nodes.map((node) => node.application.executed.length)).toEqual([1, 1, 1, 1]);
    agreed(stage);
  });
});

describe('2k requests that not all can act on', () => {
  test('one that is valid for a moment only deposes nobody when it has expired', () => {
    const stage = new Stage(4, { byzantine: [0] }).start();
    // The leader is not given it; the backups hold it until it expires, before their time-out ends.
    stage.route = (p) => !(p.to === 0 && p.message.type === 'request');
    const brief = stage.request({ expiresAt: stage.nodes[1].clock() + 900 });
    for (const i of [1, 2, 3]) stage.submit(i, brief);
    stage.run(10_000);
    expect(stage.sent.some(type('view-change'))).toBe(false);
    expect(stage.nodes.map((node) => node.replica?.pooled)).toEqual([0, 0, 0, 0]);
    agreed(stage);
  });

  test('one that only backups accept costs one view change and commits', () => {
    const stage = new Stage(4).start();
    stage.route = (p) => !(p.to === 0 && p.message.type === 'request');
    const request = stage.request();
    for (const i of [1, 2, 3]) stage.submit(i, request);
    stage.until(() => stage.nodes.every((node) => node.application.executed.length === 1), 4_000);
    expect(stage.decided[0].view).toBe(1);
    stage.route = () => true;
    stage.submit(1);
    stage.until(() => stage.nodes.every((node) => node.height === 2), 2_000);
    expect(stage.decided.filter(({ height }) => height === 2).every(({ view }) => view === 0)).toBe(true);
    agreed(stage);
  });
});

describe('2l a leader that leaves one client out', () => {
  test('is changed although it commits everybody else', () => {
    const stage = new Stage(4, { byzantine: [0] }).start();
    const victim = stage.request();
    const hidden = Buffer.from(victim).toString('hex');
    stage.route = (p) =>
      !(
        p.to === 0 &&
        p.message.type === 'request' &&
        Buffer.from(p.message.request).toString('hex') === hidden
      );
    stage.submit(2, victim);
    const feed = setEvery(stage, 200, () => stage.submit(0));
    stage.until(
      () =>
        stage.nodes[2].application.executedIds.has(
          Buffer.from(stage.nodes[2].application.idOf(victim)).toString('hex'),
        ),
      20_000,
    );
    feed.stop();
    agreed(stage);
  });
});

function setEvery(stage: Stage, ms: number, act: () => void): { stop(): void } {
  let stopped = false;
  const again = (): void => {
    if (stopped) return;
    act();
    stage.schedule.after(ms, again);
  };
  again();
  return {
    stop: () => {
      stopped = true;
    },
  };
}

describe('2o, 2p clocks and empty blocks', () => {
  test('the first block after an hour without a quorum is accepted', () => {
    const stage = new Stage(4).start();
    stage.submit(0);
    stage.until(() => stage.nodes.every((node) => node.height === 1));
    stage.route = () => false;
    stage.run(3_600_000);
    stage.held.splice(0);
    stage.route = () => true;
    stage.submit(1);
    stage.until(() => stage.nodes.every((node) => node.height >= 2), 180_000);
    agreed(stage);
  });

  test('an idle chain closes one empty block about every thirty seconds and not more', () => {
    const stage = new Stage(4).start();
    stage.run(10 * HEARTBEAT_MS);
    expect(stage.nodes[0].height).toBeGreaterThanOrEqual(9);
    expect(stage.nodes[0].height).toBeLessThanOrEqual(11);
    expect(stage.decided.every(({ view }) => view === 0)).toBe(true);
    agreed(stage);
  });

  test.each([
    [-10_500, false],
    [-9_000, true],
    [9_000, true],
    [10_500, false],
  ])('a fresh block %i ms from the clock of the voters is voted for: %s', (offset, accepted) => {
    const stage = new Stage(4).start();
    // The parent must be older than the offset, or the time could not lie before the clock.
    stage.run(20_000);
    // The leader does not learn how far it is off, or it would not lead.
    stage.route = (p) => p.message.type !== 'status';
    stage.nodes[0].skew = offset;
    stage.submit(0);
    stage.run(500);
    expect(stage.nodes[1].height >= 1).toBe(accepted);
    agreed(stage);
  });
});

describe('rule 12 a wrong clock', () => {
  test('a leader six seconds off learns it from the others, says so and leaves the lead to them', () => {
    const stage = new Stage(4).start();
    stage.nodes[0].skew = -6_000;
    stage.run(3_000);
    expect(stage.alarms.map(({ node }) => node)).toEqual([0]);
    expect(stage.alarms[0].offsetMs).toBeGreaterThan(5_000);
    stage.submit(0);
    stage.until(() => stage.nodes.every((node) => node.height === 1), 10_000);
    expect(stage.sent.some((p) => p.from === 0 && p.message.type === 'pre-prepare')).toBe(false);
    agreed(stage);
  });

  test('one liar among the others moves nobody', () => {
    const stage = new Stage(4, { byzantine: [3] }).start();
    stage.nodes[3].skew = 3_600_000;
    stage.run(5_000);
    expect(stage.alarms.filter(({ node }) => node !== 3)).toEqual([]);
    stage.submit(0);
    stage.until(() => [0, 1, 2].every((i) => stage.nodes[i].height === 1), 2_000);
    expect(stage.decided[0].view).toBe(0);
  });
});

describe('2q a change of the set', () => {
  test.each([0, 1, 2])('with a view change at height h + %i: the new set decides from h + 2 on', (at) => {
    const stage = new Stage(4, { spares: 1 }).start();
    const keys = [1, 2, 3, 4].map((i) => stage.nodes[i].key.publicKey);
    const cutAt = 1 + at;
    // The leader goes silent at the chosen height; it is also the member that leaves.
    stage.route = (p) =>
      !(p.from === 0 && 'height' in p.message && p.message.height === cutAt && p.message.type !== 'status');
    stage.submit(1, stage.request({ validators: keys }));
    stage.until(() => [1, 2, 3].every((i) => stage.nodes[i].height >= 1), 30_000);
    for (let i = 0; i < 5; i++) {
      stage.submit(2);
      stage.run(4000);
    }
    stage.until(() => stage.nodes.every((node) => node.height >= 4), 30_000);
    const chain = stage.nodes[4].replica?.chain;
    expect(chain?.validators.epoch).toBe(1);
    expect(chain?.validators.ids).toEqual([1, 2, 3, 4].map((i) => stage.nodes[i].peer));
    expect(stage.nodes[0].replica?.index).toBe(-1);
    expect(
      stage.sent.some((p) => p.from === 4 && p.message.type === 'prepare' && p.message.height >= 3),
    ).toBe(true);
    expect(
      stage.sent.some((p) => p.from === 0 && votes(p) && 'height' in p.message && p.message.height >= 3),
    ).toBe(false);
    agreed(stage);
  });
});

describe('2u, 2v roots and evidence', () => {
  test('a member whose state differs stops, the others go on', () => {
    const stage = new Stage(4).start();
    stage.submit(0);
    stage.until(() => stage.nodes.every((node) => node.height === 1));
    stage.nodes[3].application.corrupt();
    stage.submit(0);
    stage.until(() => [0, 1, 2].every((i) => stage.nodes[i].height === 2));
    stage.until(() => stage.halted.has(3), 20_000);
    const sent = stage.sent.length;
    stage.submit(1);
    stage.until(() => [0, 1, 2].every((i) => stage.nodes[i].height === 3));
    expect(stage.sent.slice(sent).some((p) => p.from === 3)).toBe(false);
  });

  test('two proposals of one view are evidence, one sent twice is not', () => {
    const stage = new Stage(4, { byzantine: [0] }).start();
    stage.route = (p) => p.message.type !== 'pre-prepare' || p.to === 1;
    stage.submit(0);
    stage.until(() => stage.sent.some(type('pre-prepare')));
    const sent = stage.sent.find((p) => p.message.type === 'pre-prepare')?.message;
    if (sent?.type !== 'pre-prepare') throw new Error('the leader proposed');
    const { epoch, height, view, sender, proposal } = sent;
    const other = makeProposal(
      { ...proposal.header, time: proposal.header.time + 1 },
      proposal.batchBytes,
      undefined,
    );
    const signature = coreSigner(stage.nodes[0].key, stage.genesis.chainId).vote(
      'pre-prepare',
      { epoch, height, view, sender },
      other.hash,
    );
    const twin: Message = { ...sent, digest: other.hash, signature, proposal: other };
    stage.run(10);
    expect(stage.evidence).toEqual([]);
    stage.deliver({ from: 0, to: 1, message: sent });
    stage.run(10);
    expect(stage.evidence).toEqual([]);
    stage.deliver({ from: 0, to: 1, message: twin });
    stage.run(10);
    expect(stage.evidence.map(({ kind, first, second }) => [kind, first.digest, second.digest])).toEqual([
      ['pre-prepare', proposal.hash, other.hash],
    ]);
  });
});

describe('the leader is killed', () => {
  /** How long a request waits that comes when the leader stops at height 2. */
  function gap(stage: Stage, over: () => boolean): number {
    stage.submit(1);
    stage.until(over);
    stage.nodes[0].crash('lost');
    const killed = stage.schedule.now;
    const request = stage.submit(2);
    const id = Buffer.from(stage.nodes[2].application.idOf(request)).toString('hex');
    stage.until(() => [1, 2, 3].every((i) => stage.nodes[i].application.executedIds.has(id)), 10_000);
    agreed(stage);
    return stage.schedule.now - killed;
  }

  function begun(): Stage {
    const stage = new Stage(4).start();
    stage.submit(1);
    stage.until(() => stage.nodes.every((node) => node.height === 1));
    return stage;
  }

  test('before it proposes: the others commit a new request within three seconds', () => {
    const stage = begun();
    stage.route = (p) => p.from !== 0;
    expect(gap(stage, () => true)).toBeLessThanOrEqual(3_000);
  });

  test.each(['pre-prepare', 'commit'] as const)('after its %s: the same', (last) => {
    const stage = begun();
    const said = (p: Parcel): boolean => p.from === 0 && p.message.type === last && p.message.height === 2;
    expect(gap(stage, () => stage.sent.some(said))).toBeLessThanOrEqual(3_000);
  });

  test('when its value is locked everywhere: the same, although the next height is its turn again', () => {
    const stage = begun();
    stage.route = (p) => !(p.message.type === 'commit' && p.message.height === 2 && p.message.view === 0);
    const locked = (): boolean => [1, 2, 3].every((i) => stage.nodes[i].replica?.lockedView === 0);
    expect(gap(stage, locked)).toBeLessThanOrEqual(3_000);
    expect(stage.decided.find(({ height }) => height === 2)?.view).toBe(1);
  });
});
