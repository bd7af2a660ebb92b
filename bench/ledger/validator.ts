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
import type { Answer, Load, Question } from './cluster.ts';
import { EntryLog, unsignedEntry } from './entry-log.ts';

const LIFE_MS = 10 * 60_000;

const seeded = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest());
const send = (answer: Answer): void => {
  process.send?.(answer);
};

/** Waits for `condition` over events of the node's own work. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

class Client {
  readonly #key;
  readonly #node: PbftNode;
  #nonce = 0;

  constructor(index: number, node: PbftNode) {
    this.#key = validatorKey(seeded(`client ${index}`));
    this.#node = node;
  }

  #entry(): Uint8Array {
    const unsigned = unsignedEntry(this.#key.publicKey, ++this.#nonce, Date.now() + LIFE_MS);
    return Buffer.concat([unsigned, this.#key.sign(unsigned)]);
  }

  /** Keeps `outstanding` entries under way until `entries` are done or `ms` have passed. */
  async run({ outstanding, entries, ms }: Load): Promise<Extract<Answer, { type: 'done' }>> {
    const began = performance.now();
    const latencies: number[] = [];
    const times: number[] = [];
    const acknowledged: string[] = [];
    let started = 0;
    let failed = 0;
    const one = async (): Promise<void> => {
      while (started < entries && performance.now() - began < ms) {
        started++;
        const entry = this.#entry();
        const from = performance.now();
        try {
          await this.#node.submit(entry);
        } catch {
          failed++;
          continue;
        }
        const now = performance.now();
        latencies.push(now - from);
        times.push(performance.timeOrigin + now);
        acknowledged.push(Buffer.from(entry).toString('base64'));
      }
    };
    await Promise.all(Array.from({ length: outstanding }, one));
    return { type: 'done', latencies, times, acknowledged, failed };
  }
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
  const client = new Client(index, node);
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
        return { type: 'status', leader, view, height, size: application.size, root };
      }
      case 'missing': {
        const stored = new Set(application.stored().map((entry) => Buffer.from(entry).toString('base64')));
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

const [, , index, dir, time] = process.argv;
await main(Number(index), dir, {
  chainId: seeded('bench'),
  time: Number(time),
  validators: [0, 1, 2, 3].map((i) => validatorKey(seeded(`validator ${i}`)).publicKey),
});
