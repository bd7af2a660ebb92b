/**
 * Scripted schedules of ledger-security section 4 about members and clients that press the protocol's bounds: machines
 * set back, one key on two machines, leaders that censor or are besieged, the largest legal batches, signatures that
 * verifiers could judge differently.
 */
import { createHash } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { describe, expect, test } from 'vitest';
import { checkPublicKey, verifySignature } from '../../src/codec/signature.ts';
import { eligible } from '../../src/consensus/chain.ts';
import { BATCH_BYTES_MAX, REQUEST_BYTES_MAX, ROTATE_MS } from '../../src/consensus/limits.ts';
import { verifyEd25519 } from '../../src/consensus/node/keys.ts';
import { coreSigner } from '../../src/consensus/node/signer.ts';
import { SimApplication } from '../../src/consensus/sim/application.ts';
import { SimNode } from '../../src/consensus/sim/node.ts';
import { decodeBatch, encodeBatch } from '../../src/consensus/wire/codec.ts';
import { type Parcel, Stage, type } from './support/stage.ts';

function agreed(stage: Stage): void {
  expect(stage.checks.violations).toEqual([]);
}

/** Commits `count` blocks, whoever leads. */
function commit(stage: Stage, count: number, at = 0): void {
  for (let i = 0; i < count; i++) {
    const { height } = stage.nodes[at];
    stage.submit(at);
    stage.until(() => stage.nodes[at].height > height, 30_000);
  }
}

describe('2j machines set back', () => {
  test('by a hundred heights: it follows the others and votes again from M + 2', () => {
    const stage = new Stage(4).start();
    commit(stage, 1);
    stage.run(100);
    const node = stage.nodes[3];
    const restore = node.image();
    commit(stage, 100);
    stage.run(100);
    const lastVoted = node.height;
    node.crash('lost');
    restore();
    expect(node.appliedHeight).toBe(1);
    node.start();
    stage.run(200);
    expect(node.replica?.voting).toBe(false);
    stage.until(() => node.height >= lastVoted, 20_000);
    const sent = stage.sent.length;
    commit(stage, 4);
    stage.until(() => node.replica?.voting === true, 20_000);
    const votes = stage.sent.slice(sent).filter((p) => p.from === 3 && type('prepare', 'commit')(p));
    for (const { message } of votes) {
      expect('height' in message && message.height).toBeGreaterThan(lastVoted);
    }
    agreed(stage);
  });

  test('two at once, n = 7: both observe, the five others decide, both vote again', () => {
    const stage = new Stage(7).start();
    commit(stage, 2);
    stage.run(100);
    const restores = [5, 6].map((i) => stage.nodes[i].image());
    commit(stage, 5);
    stage.run(100);
    for (const [k, i] of [5, 6].entries()) {
      stage.nodes[i].crash('lost');
      restores[k]();
      stage.nodes[i].start();
    }
    stage.run(200);
    expect([5, 6].map((i) => stage.nodes[i].replica?.voting)).toEqual([false, false]);
    commit(stage, 6);
    stage.until(() => [5, 6].every((i) => stage.nodes[i].replica?.voting === true), 20_000);
    agreed(stage);
  });

  test('two at once, n = 4: both observe, nothing is decided, nothing forks', () => {
    const stage = new Stage(4).start();
    commit(stage, 2);
    stage.run(100);
    const restores = [2, 3].map((i) => stage.nodes[i].image());
    commit(stage, 3);
    stage.run(100);
    for (const [k, i] of [2, 3].entries()) {
      stage.nodes[i].crash('lost');
      restores[k]();
      stage.nodes[i].start();
    }
    const { height } = stage.nodes[0];
    stage.submit(0);
    stage.run(30_000);
    expect([2, 3].map((i) => stage.nodes[i].replica?.voting)).toEqual([false, false]);
    expect(stage.heights()).toEqual([height, height, height, height]);
    agreed(stage);
  });

  test('whose count of starts went with its log counts on from what the others saw: later starts vote at once', () => {
    const stage = new Stage(5).start();
    const [, , , node] = stage.nodes;
    const restart = (): void => {
      node.crash('synced');
      node.start();
      stage.run(1_000);
    };
    restart();
    restart();
    commit(stage, 2);
    node.crash('lost');
    node.loseLog();
    node.start();
    stage.until(() => node.height >= 2);
    commit(stage, 3);
    stage.until(() => node.replica?.voting === true, 20_000);
    expect(node.disk.boot?.boot).toBe(3);
    // One that shows its old starts only now does not end its voting.
    stage.nodes[0].feed({ t: 'connected', peer: node.peer });
    node.feed({ t: 'connected', peer: stage.nodes[0].peer });
    stage.run(1_000);
    expect(node.replica?.voting).toBe(true);
    for (let i = 0; i < 3; i++) {
      restart();
      expect(node.replica?.voting).toBe(true);
    }
    agreed(stage);
  });

  test('the old and the new machine of one key alive together: at worst one liar, so the others agree', () => {
    const stage = new Stage(4, { byzantine: [3] }).start();
    commit(stage, 3);
    stage.run(100);
    const [, , , node] = stage.nodes;
    const old = new SimNode(stage, 3, node.key, new SimApplication(), false);
    old.application.restoreFrom(node.application, 1);
    old.disk.boot = { boot: 1, voteFrom: 0 };
    stage.twins.push(old);
    old.start();
    for (let i = 0; i < 5; i++) {
      commit(stage, 1);
      stage.run(500);
    }
    const chain = (i: number): string => stage.nodes[i].application.executed.join();
    stage.until(() => stage.nodes[1].height === stage.nodes[0].height && chain(1) === chain(0), 5_000);
    agreed(stage);
  });
});

describe('2l leaders that press their bounds', () => {
  test('one that includes all but one client is changed', () => {
    const stage = new Stage(4, { byzantine: [0] }).start();
    const victim = stage.request({ client: 7 });
    const hidden = Buffer.from(victim).toString('hex');
    const isHidden = (p: Parcel): boolean =>
      p.message.type === 'request' && Buffer.from(p.message.request).toString('hex') === hidden;
    stage.route = (p) => !(p.to === 0 && isHidden(p));
    stage.submit(2, victim);
    let others = 0;
    const feed = (): void => {
      stage.submit(1, stage.request({ client: 8 }));
      others += 1;
      stage.schedule.after(150, feed);
    };
    feed();
    const id = Buffer.from(stage.nodes[2].application.idOf(victim)).toString('hex');
    stage.until(() => stage.nodes[2].application.executedIds.has(id), 20_000);
    expect(others).toBeGreaterThan(10);
    expect(stage.nodes[2].application.executedIds.size).toBeGreaterThan(10);
    agreed(stage);
  });

  test('one that answers at nine tenths of every time-out stays, and everything commits', () => {
    const stage = new Stage(4, { byzantine: [0] }).start();
    stage.delay = (p) => (p.from === 0 && type('pre-prepare', 'new-view')(p) ? 900 : 1);
    for (let i = 0; i < 10; i++) {
      const request = stage.submit(1);
      const id = Buffer.from(stage.nodes[1].application.idOf(request)).toString('hex');
      stage.until(() => stage.nodes[1].application.executedIds.has(id), 4_000);
    }
    agreed(stage);
  });
});

describe('2m a siege', () => {
  /** Blocks in a minute with r2 slow and r3 silent; `besieged`: r3 asks for another leader at every height. */
  function play(besieged: boolean): Stage {
    const stage = new Stage(4, { byzantine: [3] }).start();
    const [, , , liar] = stage.nodes;
    stage.delay = (p) => (p.from === 2 || p.to === 2 ? 200 : 1);
    stage.route = (p) => p.from !== 3 || type('status', 'hello', 'welcome', 'fetch')(p);
    const signer = coreSigner(liar.key, stage.genesis.chainId);
    const act = (): void => {
      stage.submit(0);
      const chain = stage.nodes[0].replica?.chain;
      if (besieged && chain !== undefined) {
        for (let view = 1; view <= 3; view++) {
          const at = { epoch: chain.validators.epoch, height: chain.height + 1, view, sender: 3 };
          const message = signer.viewChange(at, chain.qc, undefined);
          for (let to = 0; to < 3; to++) stage.deliver({ from: 3, to, message });
        }
      }
      stage.schedule.after(100, act);
    };
    act();
    stage.run(60_000);
    return stage;
  }

  test('by f liars beside a slow honest member: nobody loses the right to lead, a third of the rate is left', () => {
    const calm = play(false);
    const besieged = play(true);
    const blocks = (stage: Stage): number => stage.nodes[0].height;
    expect(blocks(calm)).toBeGreaterThan(30);
    expect(blocks(besieged)).toBeGreaterThanOrEqual(blocks(calm) / 3);
    const chain = besieged.nodes[0].replica?.chain;
    expect(chain && eligible(chain).length).toBeGreaterThanOrEqual(3);
    agreed(besieged);
  });
});

describe('2n the largest legal batches', () => {
  test('commit at view 0 under every leader in turn', () => {
    const stage = new Stage(4).start();
    const payload = new Uint8Array(32 * 1024);
    const leaders = new Set<number>();
    for (let turn = 0; turn < 5; turn++) {
      // More than one batch holds: the leader fills it to its bytes.
      for (let i = 0; i < 40; i++) stage.submit(turn % 4, stage.request({ payload }));
      const { size } = stage.nodes[0].application.executedIds;
      stage.until(() => stage.nodes.every((node) => node.application.executedIds.size === size + 40), 10_000);
      stage.run(ROTATE_MS);
    }
    for (const { message } of stage.sent) {
      if (message.type === 'pre-prepare' && message.proposal.batch.length > 1) leaders.add(message.sender);
    }
    const largest = Math.max(
      ...stage.sent.map(({ message }) =>
        message.type === 'pre-prepare' ? message.proposal.batchBytes.length : 0,
      ),
    );
    expect(leaders.size).toBe(4);
    expect(largest).toBeGreaterThan(stage.batch.bytesMax - 2 * payload.length);
    expect(largest).toBeLessThanOrEqual(stage.batch.bytesMax);
    expect(stage.decided.every(({ view }) => view === 0)).toBe(true);
    agreed(stage);
  });

  test('a byte or a request beyond a bound is not decoded', () => {
    const full = Array.from({ length: 4 }, () => new Uint8Array(REQUEST_BYTES_MAX - 8));
    expect(encodeBatch(full).length).toBeLessThanOrEqual(BATCH_BYTES_MAX);
    expect(decodeBatch(encodeBatch(full)).length).toBe(4);
    expect(() => decodeBatch(encodeBatch([new Uint8Array(REQUEST_BYTES_MAX + 1)]))).toThrow();
  });
});

describe('2t signatures on which verifiers could differ', () => {
  const seed = new Uint8Array(createHash('sha256').update('2t').digest());
  const key = ed25519.getPublicKey(seed);
  const message = new TextEncoder().encode('a request');
  const good = ed25519.sign(message, seed);
  const { Point } = ed25519;
  const order = Point.Fn.ORDER;

  const littleEndian = (value: bigint): Uint8Array =>
    Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
  const toBig = (bytes: Uint8Array): bigint =>
    bytes.reduceRight((sum, byte) => (sum << 8n) + BigInt(byte), 0n);
  const join = (r: Uint8Array, s: Uint8Array): Uint8Array => Uint8Array.from([...r, ...s]);
  /** A point of order 8. */
  const torsion = Point.fromHex('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a');

  /** Signs like RFC 8032 with R moved by a point of small order. */
  function withTorsion(): Uint8Array {
    const { scalar } = ed25519.utils.getExtendedPublicKey(seed);
    const nonce = 12_345n;
    const r = Point.BASE.multiply(nonce).add(torsion).toBytes();
    const k = toBig(createHash('sha512').update(r).update(key).update(message).digest()) % order;
    return join(r, littleEndian((nonce + k * scalar) % order));
  }

  const cases: [string, Uint8Array][] = [
    ['good', good],
    ['S + L', join(good.slice(0, 32), littleEndian(toBig(good.slice(32)) + order))],
    ['R not canonical', join(littleEndian(2n ** 255n - 19n + 1n), good.slice(32))],
    ['R with a torsion part', withTorsion()],
    ['R of small order', join(torsion.toBytes(), good.slice(32))],
  ];

  test.each(cases)('Ed25519, %s: members, gateways and browsers give one verdict', (name, signature) => {
    const expected = name === 'good';
    expect(verifyEd25519(key, message, signature)).toBe(expected);
    expect(verifySignature({ alg: 'ed25519', key }, message, signature)).toBe(expected);
    // What a browser runs, where there is no OpenSSL; it may be laxer for keys that registration refuses only.
    const browser = ed25519.verify(signature, message, key, { zip215: false });
    expect(expected && !browser).toBe(false);
  });

  test.each([
    ['of small order', torsion.toBytes()],
    ['with a torsion part', Point.fromBytes(key).add(torsion).toBytes()],
    ['not canonical', littleEndian(2n ** 255n - 19n + 1n)],
  ])('a key %s is refused when it is registered', (_name, bad) => {
    expect(() => checkPublicKey({ alg: 'ed25519', key: bad })).toThrow();
  });

  test('P-256 with a high s is refused, the same with a low one is not', () => {
    const secret = p256.utils.randomSecretKey(createHash('sha384').update('2t').digest());
    const publicKey = { alg: 'p256' as const, key: p256.getPublicKey(secret, true) };
    const low = p256.sign(message, secret, { lowS: true });
    const s = BigInt(`0x${Buffer.from(low.slice(32)).toString('hex')}`);
    const high = Uint8Array.from([
      ...low.slice(0, 32),
      ...Buffer.from((p256.Point.Fn.ORDER - s).toString(16).padStart(64, '0'), 'hex'),
    ]);
    expect(verifySignature(publicKey, message, low)).toBe(true);
    expect(verifySignature(publicKey, message, high)).toBe(false);
    expect(p256.verify(high, message, publicKey.key, { lowS: true })).toBe(false);
  });
});
