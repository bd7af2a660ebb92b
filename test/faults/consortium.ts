/** Four members in processes of their own, with a network between them that can be cut and one disk that can be filled. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DEMO_PASSWORD } from '../../src/cli/tour/people.ts';
import { fromBase64url } from '../../src/codec/bytes.ts';
import { anchorOfGenesis, type LedgerAnchor } from '../../src/ledger/verify/index.ts';
import { reservePorts } from '../ports.ts';
import { type ConsensusStatus, Member } from './member.ts';
import { Network } from './network.ts';
import { SmallDisk } from './small-disk.ts';

export const MEMBERS = ['mercy', 'st-luke', 'county-general', 'university'] as const;
/** The one whose data lie on the small disk. */
export const ON_SMALL_DISK = 'university';
/** Room for the stores of a long run beside the reserve that a node keeps free. */
const SMALL_DISK_BYTES = 1024 * 1024 * 1024;

export interface ConsortiumOptions {
  /** An empty directory for everything. */
  readonly dir: string;
  /** The built command, `cli/main.js`. */
  readonly command: string;
  /** Whether to mount a disk that can be filled. */
  readonly smallDisk?: boolean;
  /** Fields for each member's configuration. */
  readonly extra?: (member: string) => Readonly<Record<string, unknown>>;
}

export class Consortium {
  readonly members: readonly Member[];
  readonly network: Network;
  readonly disk: SmallDisk | undefined;
  readonly anchor: LedgerAnchor;

  private constructor(
    members: readonly Member[],
    network: Network,
    disk: SmallDisk | undefined,
    anchor: LedgerAnchor,
  ) {
    this.members = members;
    this.network = network;
    this.disk = disk;
    this.anchor = anchor;
  }

  /** Founds, configures and starts; resolves when all four vote and their administrators are signed in. */
  static async start(options: ConsortiumOptions): Promise<Consortium> {
    const { dir, command } = options;
    const disk = options.smallDisk ? SmallDisk.mount(join(dir, ON_SMALL_DISK), SMALL_DISK_BYTES) : undefined;
    const rests = await reservePorts(2 * MEMBERS.length);
    const links = new Map(MEMBERS.map((name, i) => [name as string, rests + MEMBERS.length + i]));
    const made = spawnSync(process.execPath, [command, 'init', '--members', '4', '--dir', dir], {
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(`init failed: ${made.stderr}`);
    const network = new Network(links);
    const seenAt = await network.start();
    const members = MEMBERS.map((name, i) => {
      const config = join(dir, `${name}.json`);
      const before = JSON.parse(readFileSync(config, 'utf8')) as Record<string, unknown>;
      const peers = Object.fromEntries(
        MEMBERS.filter((peer) => peer !== name).map((peer) => [
          peer,
          { host: '127.0.0.1', port: seenAt(name, peer) },
        ]),
      );
      const local = (port: number): unknown => ({ host: '127.0.0.1', port });
      const changed = {
        ...before,
        rest: local(rests + i),
        link: local(links.get(name) ?? 0),
        peers,
        ...options.extra?.(name),
      };
      writeFileSync(config, JSON.stringify(changed));
      return new Member({
        name,
        url: `http://127.0.0.1:${rests + i}`,
        config,
        dir: join(dir, name),
        command,
      });
    });
    for (const member of members) member.start();
    try {
      await Promise.all(members.map((member) => member.ready()));
      await Promise.all(members.map((member) => member.gateway.login('admin', DEMO_PASSWORD)));
      const { genesis } = await members[0].gateway.json<{ genesis: string }>('GET', '/v1/members');
      return new Consortium(members, network, disk, anchorOfGenesis(fromBase64url(genesis)));
    } catch (error) {
      await Promise.all(members.map((member) => member.kill()));
      await network.close();
      disk?.unmount();
      throw error;
    }
  }

  get living(): readonly Member[] {
    return this.members.filter((member) => member.running);
  }

  member(name: string): Member {
    const found = this.members.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no member ${name}`);
    return found;
  }

  /** Who leads now, by the word of a member that answers. */
  async leader(): Promise<Member> {
    for (;;) {
      const rows = await this.#statuses();
      const [, any] = rows.find(([, status]) => status !== undefined) ?? [];
      const row = rows.find(([, status]) => status !== undefined && status.index === any?.leader);
      if (row !== undefined) return row[0];
      await delay(50);
    }
  }

  /** Until all who run have the same block on top; undefined when they do not come together in time. */
  async together(ms: number): Promise<{ height: number; headHash: string } | undefined> {
    const until = performance.now() + ms;
    while (performance.now() < until) {
      const heads = (await this.#statuses()).map(([, status]) => status);
      const [first] = heads;
      if (
        first !== undefined &&
        heads.every((head) => head?.headHash === first.headHash && head.voting && !head.halted)
      ) {
        return { height: first.height, headHash: first.headHash };
      }
      await delay(50);
    }
    return undefined;
  }

  async heights(): Promise<ReadonlyMap<string, number>> {
    const rows = await this.#statuses();
    return new Map(
      rows.flatMap(([{ name }, status]) => (status === undefined ? [] : [[name, status.height]])),
    );
  }

  async stop(): Promise<void> {
    this.network.heal();
    for (const member of this.members) member.signal('SIGCONT');
    await Promise.all(this.living.map((member) => member.stop()));
    await this.network.close();
    this.disk?.unmount();
  }

  #statuses(): Promise<(readonly [Member, ConsensusStatus | undefined])[]> {
    return Promise.all(this.living.map(async (member) => [member, await member.status()] as const));
  }
}
