import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { FileWal, HEADER_BYTES, MemoryWal } from '../../src/consensus/index.ts';
import { Cluster } from './support/cluster.ts';

let cluster: Cluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

function agree(c: Cluster, indexes: readonly number[]): void {
  const [first, ...others] = indexes.map((i) => c.members[i].application);
  const tip = Math.min(...indexes.map((i) => c.members[i].application.resume?.height ?? 0));
  for (const other of others) {
    for (let height = 1; height <= tip; height++) {
      const a = first.blocks.get(height);
      const b = other.blocks.get(height);
      // Header and batch agree; certificates may differ in views and signers.
      expect(
        Buffer.from(b?.subarray(0, HEADER_BYTES) ?? []).equals(
          Buffer.from(a?.subarray(0, HEADER_BYTES) ?? [1]),
        ),
      ).toBe(true);
    }
  }
}

describe('normal case', () => {
  test.each([4, 5, 6, 7, 9, 10, 12, 13])('n = %i: a request is applied by every member', async (n) => {
    cluster = new Cluster(n, { timing: { viewTimeoutMs: 2000 } });
    await cluster.start();
    const all = [...Array(n).keys()];
    const places = await Promise.all(all.map((i) => cluster?.submit(i)));
    expect(new Set(places.map((place) => `${place?.height}/${place?.index}`)).size).toBe(n);
    await cluster.until(() => cluster?.members.every((m) => m.application.executed.length === n) === true);
    agree(cluster, all);
  });

  test('requests that come while a height is in flight share the next block', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    const c = cluster;
    const places = await Promise.all(Array.from({ length: 100 }, () => c.submit(0)));
    const heights = new Set(places.map(({ height }) => height));
    expect(heights.size).toBeLessThan(20);
    expect(new Set(places.map(({ height, index }) => `${height}/${index}`)).size).toBe(100);
  });

  test('a request submitted twice, here and elsewhere, is executed once and answered alike', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    const request = cluster.request();
    const [a, b, c] = await Promise.all([
      cluster.submit(0, request),
      cluster.submit(0, request),
      cluster.submit(2, request),
    ]);
    expect(b).toEqual(a);
    expect(c).toEqual(a);
    expect(await cluster.submit(0, request)).toEqual(a);
    expect(cluster.members[0].application.executed.length).toBe(1);
  });

  test('a second request under a waiting or used nonce is refused', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    const request = cluster.request();
    const twin = request.slice();
    twin[twin.length - 1] ^= 1;
    const first = cluster.submit(1, request);
    await expect(cluster.submit(1, twin)).rejects.toMatchObject({ code: 'consensus.nonce_used' });
    await first;
    await expect(cluster.submit(1, twin)).rejects.toMatchObject({ code: 'consensus.nonce_used' });
  });

  test.each([true, false])(
    'requests of a burst are shown to all before they are proposed; delivered: %s',
    async (isDelivered) => {
      cluster = new Cluster(4);
      await cluster.start();
      const c = cluster;
      const shown = new Map<string, number>();
      c.network.setFilter((from, _to, bytes) => {
        // Type 14 is PREVIEW.
        if (bytes[0] !== 14) return true;
        shown.set(from, (shown.get(from) ?? 0) + 1);
        return isDelivered;
      });
      await c.submit(0);
      // A request that finds no block under way is proposed at once.
      expect(shown.size).toBe(0);
      await Promise.all(Array.from({ length: 200 }, (_, i) => c.submit(i % 4)));
      expect(shown.size).toBeGreaterThan(0);
      await c.until(() => c.members.every((m) => m.application.executed.length === 201));
      agree(c, [0, 1, 2, 3]);
    },
  );

  test('every member sends its cosignature at once after applying', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    const { height } = await cluster.submit(3);
    await cluster.until(
      () =>
        cluster?.members.every(
          (m) => m.application.cosignatures.filter((s) => s.height === height).length === 3,
        ) === true,
    );
  });
});

describe('view change', () => {
  test('the leader stops: requests commit under another and nothing acknowledged is lost', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    await cluster.submit(1);
    await cluster.members[0].node.stop();
    const c = cluster;
    const places = await Promise.all([1, 2, 3].map((i) => c.submit(i)));
    expect(places.length).toBe(3);
    await cluster.until(() => [1, 2, 3].every((i) => c.members[i].application.executed.length === 4));
    agree(cluster, [1, 2, 3]);
  });

  test('n = 7: two leaders in a row stop', async () => {
    cluster = new Cluster(7);
    await cluster.start();
    await cluster.submit(2);
    await cluster.members[0].node.stop();
    await cluster.members[1].node.stop();
    const c = cluster;
    await c.submit(5);
    await c.until(() => [2, 3, 4, 5, 6].every((i) => c.members[i].application.executed.length === 2));
    agree(c, [2, 3, 4, 5, 6]);
  });

  test('a third of all messages is lost: everything commits', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    let state = 12345;
    cluster.network.setFilter(() => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return state / 2 ** 32 > 0.33;
    });
    const c = cluster;
    for (let round = 0; round < 5; round++) await Promise.all([0, 1, 2, 3].map((i) => c.submit(i)));
    await c.until(() => c.members.every((m) => m.application.executed.length === 20));
    agree(c, [0, 1, 2, 3]);
  });

  test('a member that was cut off catches up by blocks', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    const c = cluster;
    const lost = c.members[3].id;
    c.network.setFilter((from, to) => from !== lost && to !== lost);
    for (let i = 0; i < 40; i++) await c.submit(i % 3);
    expect(c.heights([3])).toEqual([0]);
    c.network.setFilter(() => true);
    await c.until(() => c.members[3].application.executed.length === 40);
    agree(c, [0, 1, 2, 3]);
  });
});

describe('restart', () => {
  test('a member restarted from its WAL votes again and nothing is lost', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pbft-wal-'));
    cluster = new Cluster(4, { wal: (i) => new FileWal(join(directory, String(i))) });
    await cluster.start();
    const c = cluster;
    await c.submit(0);
    await c.members[3].node.stop();
    await c.members[2].node.stop();
    await c.restart(2, new FileWal(join(directory, '2')));
    await c.submit(2);
    expect(c.members[2].node.status().voting).toBe(true);
    await c.until(() => [0, 1, 2].every((i) => c.members[i].application.executed.length === 2));
    agree(c, [0, 1, 2]);
  });

  test('all members restart at once from their WALs and go on', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pbft-wal-'));
    cluster = new Cluster(4, { wal: (i) => new FileWal(join(directory, String(i))) });
    await cluster.start();
    const c = cluster;
    await Promise.all([0, 1, 2, 3].map((i) => c.submit(i)));
    await c.stop();
    await Promise.all([0, 1, 2, 3].map((i) => c.restart(i, new FileWal(join(directory, String(i))))));
    await Promise.all([0, 1, 2, 3].map((i) => c.submit(i)));
    await c.until(() => c.members.every((m) => m.application.executed.length === 8));
    agree(c, [0, 1, 2, 3]);
  });

  test('a member that lost its WAL but not its state observes, then votes from M + 2', async () => {
    cluster = new Cluster(4);
    await cluster.start();
    const c = cluster;
    await c.submit(0);
    await c.until(() => c.members[3].application.executed.length === 1);
    await c.members[3].node.stop();
    await c.restart(3, new MemoryWal());
    await c.until(() => c.members[3].node.status().height === 1);
    expect(c.members[3].node.status().voting).toBe(false);
    // M is what the others have committed when they answer, so it takes a few more blocks.
    while (!c.members[3].node.status().voting) await c.submit(0);
    expect(c.members[3].node.status().height).toBeGreaterThanOrEqual(2);
    agree(c, [0, 1, 2, 3]);
  });
});

describe('amnesia outlives a start', () => {
  test('a node that lost its WAL and is stopped before it has answers still observes at its next start', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pbft-wal-'));
    cluster = new Cluster(4);
    await cluster.start();
    const c = cluster;
    await c.submit(0);
    await c.until(() => c.members[3].application.executed.length === 1);
    await c.members[3].node.stop();
    const cut = c.members[3].id;
    c.network.setFilter((from, to) => from !== cut && to !== cut);
    await c.restart(3, new FileWal(directory));
    await c.members[3].node.stop();
    await c.restart(3, new FileWal(directory));
    await c.submit(0);
    expect(c.members[3].node.status().voting).toBe(false);
    c.network.setFilter(() => true);
    await c.until(() => c.members[3].node.status().height === 2);
    // M is what the others have committed when they answer, so it takes a few more blocks.
    while (!c.members[3].node.status().voting) await c.submit(0);
  });
});

describe('a disk that fails', () => {
  test.each(['append', 'flush'] as const)(
    '%s: the node ends at once, acknowledges nothing more and does not retry',
    async (what) => {
      let broken = false;
      let tries = 0;
      class BadWal extends MemoryWal {
        override append(record: Parameters<MemoryWal['append']>[0]): void {
          if (broken && what === 'append') {
            tries += 1;
            throw new Error('no space');
          }
          super.append(record);
        }

        override async flush(): Promise<void> {
          if (broken && what === 'flush') {
            tries += 1;
            throw new Error('input/output error');
          }
          await super.flush();
        }
      }
      cluster = new Cluster(4, { wal: (i) => (i === 2 ? new BadWal() : new MemoryWal()) });
      await cluster.start();
      const c = cluster;
      await c.submit(2);
      broken = true;
      await expect(c.submit(2)).rejects.toMatchObject({ code: 'consensus.wal_failed' });
      await c.submit(0);
      expect(tries).toBe(1);
      const halts = c.members[2].events.filter((event) => event.type === 'halted');
      expect(halts).toMatchObject([{ code: 'consensus.wal_failed' }]);
      await expect(c.submit(2)).rejects.toMatchObject({ code: 'consensus.wal_failed' });
    },
  );
});
