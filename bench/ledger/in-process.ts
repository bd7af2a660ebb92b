/** Four validators in this process over queues in memory, each with its own log and environment on the disk. */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { FileWal, InProcessNetwork, PbftNode, validatorKey } from '../../src/consensus/index.ts';
import { letHeapGrow } from '../../src/node/heap.ts';
import { Client } from './client.ts';
import type { Load, Loaded } from './cluster.ts';
import { EntryLog } from './entry-log.ts';

const MEMBERS = 4;

const seeded = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest());

export class InProcessCluster {
  readonly #nodes: PbftNode[] = [];
  readonly #logs: EntryLog[] = [];
  readonly #clients: Client[] = [];

  /** Four validators under `dir`, voting. Each checks every signature itself. */
  static async start(dir: string, time: number): Promise<InProcessCluster> {
    letHeapGrow();
    const cluster = new InProcessCluster();
    const network = new InProcessNetwork();
    const keys = Array.from({ length: MEMBERS }, (_, i) => validatorKey(seeded(`validator ${i}`)));
    for (const [i, key] of keys.entries()) {
      const own = join(dir, `member-${i}`);
      mkdirSync(own, { recursive: true });
      const application = new EntryLog(join(own, 'log'));
      const node = new PbftNode({
        key,
        genesis: { chainId: seeded('bench'), time, validators: keys.map(({ publicKey }) => publicKey) },
        application,
        blocks: application,
        wal: new FileWal(join(own, 'wal')),
        transport: network.endpoint(Buffer.from(key.publicKey).toString('hex')),
        random: (count) => crypto.getRandomValues(new Uint8Array(count)),
        now: () => performance.now(),
        clock: () => Date.now(),
      });
      await node.start();
      cluster.#nodes.push(node);
      cluster.#logs.push(application);
      cluster.#clients.push(new Client(validatorKey(seeded(`client ${i}`)), node));
    }
    while (!cluster.#nodes.every((node) => node.status().voting)) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return cluster;
  }

  /** The same load at every member. */
  load(load: Load): Promise<Loaded[]> {
    return Promise.all(this.#clients.map((client) => client.run(load)));
  }

  /** The load at the first member alone. */
  serial(load: Load): Promise<Loaded> {
    return this.#clients[0].run(load);
  }

  async stop(): Promise<void> {
    for (const node of this.#nodes) await node.stop();
    for (const log of this.#logs) await log.close();
  }
}
