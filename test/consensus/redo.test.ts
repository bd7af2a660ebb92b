/** An application whose disk lags behind what it applied: the WAL gives back what a crash takes. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type DecidedBlock, FileWal } from '../../src/consensus/index.ts';
import { SimApplication } from '../../src/consensus/sim/application.ts';
import { Cluster } from './support/cluster.ts';

let cluster: Cluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

/** Applies at once; its disk has nothing until `flush`. */
class LaggingApplication extends SimApplication {
  flush: () => void = () => undefined;
  readonly #durable = new Promise<void>((resolve) => {
    this.flush = resolve;
  });

  override async commit(block: DecidedBlock): Promise<{ cosignature: Uint8Array; durable: Promise<void> }> {
    return { ...(await super.commit(block)), durable: this.#durable };
  }
}

function withApplication(c: Cluster, i: number, application: SimApplication): void {
  c.members[i] = { ...c.members[i], application };
}

/** Four members with WALs on disk, started; applications as given. */
async function lagging(): Promise<{ c: Cluster; wal: (i: number) => FileWal; apps: LaggingApplication[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'pbft-redo-'));
  const wal = (i: number): FileWal => new FileWal(join(directory, String(i)));
  const c = new Cluster(4, { wal });
  cluster = c;
  const apps = c.members.map(() => new LaggingApplication());
  for (const [i, application] of apps.entries()) {
    await c.members[i].wal.close();
    withApplication(c, i, application);
    await c.restart(i, wal(i));
  }
  return { c, wal, apps };
}

describe('blocks that are not on the application disk', () => {
  test('all members lose everything that they applied: every acknowledged request is applied again from the WALs', async () => {
    const { c, wal } = await lagging();
    for (let i = 0; i < 12; i++) await c.submit(i % 4);
    await c.until(() => c.members.every((m) => m.application.executed.length === 12));
    const before = [...c.members[0].application.executed];
    await c.stop();
    for (const i of [0, 1, 2, 3]) {
      withApplication(c, i, new SimApplication());
      await c.restart(i, wal(i));
    }
    await c.until(() => c.members.every((m) => m.application.executed.length >= 12));
    for (const { application } of c.members) expect(application.executed.slice(0, 12)).toEqual(before);
    await c.submit(1);
  });

  test('a member alone with its WAL comes back to the height it had acknowledged', async () => {
    const { c, wal } = await lagging();
    for (let i = 0; i < 8; i++) await c.submit(0);
    const { height } = c.members[0].node.status();
    await c.stop();
    withApplication(c, 0, new SimApplication());
    await c.restart(0, wal(0));
    // The certificate of the last block is written with the next vote; all before it are certainly there.
    expect(c.members[0].node.status().height).toBeGreaterThanOrEqual(height - 1);
  });

  test('the WAL forgets nothing before the disk has it, and everything after', async () => {
    const { c, wal, apps } = await lagging();
    for (let i = 0; i < 6; i++) await c.submit(0);
    const heights = (records: readonly { height: number }[]): number =>
      Math.min(...records.map((r) => r.height));
    await c.stop();
    expect(heights(wal(0).contents.records)).toBe(1);
    for (const i of [0, 1, 2, 3]) await c.restart(i, wal(i));
    await c.until(() => c.members.every((m) => m.node.status().voting));
    await c.submit(0);
    for (const application of apps) application.flush();
    await c.submit(0);
    const { height } = c.members[0].node.status();
    await c.stop();
    expect(heights(wal(0).contents.records)).toBeGreaterThan(height - 3);
  });

  test('a member that caught up by blocks votes only once they are on its disk', async () => {
    const { c, apps } = await lagging();
    const lost = c.members[3].id;
    c.network.setFilter((from, to) => from !== lost && to !== lost);
    for (let i = 0; i < 5; i++) await c.submit(0);
    const voted: boolean[] = [];
    c.network.setFilter((from, _to, bytes) => {
      // Types 2 and 3 are PREPARE and COMMIT.
      if (from === lost && (bytes[0] === 2 || bytes[0] === 3)) voted.push(true);
      return true;
    });
    await c.until(() => c.members[3].application.executed.length === 5);
    await c.submit(0);
    await c.until(() => c.members[3].application.executed.length === 6);
    expect(voted).toEqual([]);
    for (const application of apps) application.flush();
    await c.submit(0);
    await c.until(() => voted.length > 0);
  });
});
