/**
 * One validator in a process of its own: pbft-lite over the member link (TLS 1.3), a WAL and an LMDB environment on this disk, and a
 * client beside it that signs entries and waits for them. Messages are in cluster.ts.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  FileWal,
  type Genesis,
  linkIdentityFromSeed,
  linkTransport,
  MemberLink,
  PbftNode,
  validatorKey,
} from '../../src/consensus/index.ts';
import { letHeapGrow } from '../../src/node/heap.ts';
import { Client } from './client.ts';
import type { Answer, Question } from './cluster.ts';
import { EntryLog } from './entry-log.ts';

const seeded = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest());
const send = (answer: Answer): void => {
  process.send?.(answer);
};

/** Waits for `condition` over events of the node's own work. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function main(index: number, dir: string, genesis: Genesis): Promise<void> {
  const key = validatorKey(seeded(`validator ${index}`));
  const application = new EntryLog(join(dir, 'log'));
  const identity = linkIdentityFromSeed(seeded(`link ${index}`), `validator ${index}`);
  const link = new MemberLink({
    self: Buffer.from(key.publicKey).toString('hex'),
    identity,
    peers: [],
    listen: { host: '127.0.0.1', port: 0 },
    channels: ['consensus', 'presence'],
    jitter: Math.random,
  });
  const node = new PbftNode({
    key,
    genesis,
    application,
    blocks: application,
    wal: new FileWal(join(dir, 'wal')),
    transport: linkTransport(link),
    random: (count) => crypto.getRandomValues(new Uint8Array(count)),
    now: () => performance.now(),
    clock: () => Date.now(),
  });
  const client = new Client(validatorKey(seeded(`client ${index}`)), node);
  const presence = link.channel('presence', {});
  const port = await link.start();

  const answer = async (question: Question): Promise<Answer> => {
    switch (question.type) {
      case 'peers':
        link.setPeers(question.peers);
        await node.start();
        await until(() => node.status().voting && presence.connected().length === question.peers.length - 1);
        return { type: 'started' };
      case 'load':
        return client.run(question.load);
      case 'status': {
        const { leader, view, height } = node.status();
        const root = Buffer.from(application.root).toString('hex');
        const { user, system } = process.cpuUsage();
        const cpuMs = (user + system) / 1000;
        return { type: 'status', leader, view, height, size: application.size, root, cpuMs };
      }
      case 'relink':
        link.setPeers(question.peers);
        return { type: 'relinked' };
      case 'follow': {
        link.setPeers(question.peers);
        const began = performance.now();
        const cpu = process.cpuUsage();
        await node.start();
        await until(() => node.status().height >= question.height);
        const ms = performance.now() - began;
        const { user, system } = process.cpuUsage(cpu);
        return { type: 'followed', ms, cpuMs: (user + system) / 1000 };
      }
      case 'missing': {
        const stored = await application.stored();
        return { type: 'missing', count: question.entries.filter((entry) => !stored.has(entry)).length };
      }
      case 'stop':
        await node.stop();
        await link.stop();
        await application.close();
        return { type: 'stopped' };
    }
  };
  process.on('message', (question: Question) => {
    answer(question).then(
      (message) => {
        send(message);
        if (message.type === 'stopped') process.disconnect?.();
      },
      (error: unknown) => {
        send({
          type: 'failed',
          reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
        });
      },
    );
  });
  send({ type: 'listening', id: Buffer.from(key.publicKey).toString('hex'), pin: identity.pin, port });
}

letHeapGrow();
const [, , index, dir, time] = process.argv;
await main(Number(index), dir, {
  chainId: seeded('bench'),
  time: Number(time),
  validators: [0, 1, 2, 3].map((i) => validatorKey(seeded(`validator ${i}`)).publicKey),
});
