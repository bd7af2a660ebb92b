/** Members over the real member link, with WALs on disk: the whole stack but separate processes. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import {
  FileWal,
  type LinkPeer,
  linkIdentityFromSeed,
  linkTransport,
  MemberLink,
  type Transport,
} from '../../src/consensus/index.ts';
import { Cluster, seeded } from './support/cluster.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function linked(n: number): Promise<{ cluster: Cluster; links: MemberLink[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'pbft-tls-'));
  const transports: Transport[] = [];
  const cluster = new Cluster(n, {
    wal: (i) => new FileWal(join(directory, String(i))),
    // Links need the members' ids, which the cluster makes.
    transport: (i) => ({
      start: (events) => transports[i].start(events),
      send: (to, bytes) => transports[i].send(to, bytes),
      broadcast: (bytes) => transports[i].broadcast(bytes),
      stop: () => transports[i].stop(),
    }),
    timing: { viewTimeoutMs: 400 },
  });
  const identities = cluster.members.map((_, i) => linkIdentityFromSeed(seeded(`tls ${i}`), `member ${i}`));
  const links = cluster.members.map(
    ({ id }, i) =>
      new MemberLink({
        self: id,
        identity: identities[i],
        peers: [],
        listen: { host: '127.0.0.1', port: 0 },
        channels: ['consensus', 'parts'],
        jitter: () => 0.5,
      }),
  );
  for (const link of links) stops.push(() => link.stop());
  const ports = await Promise.all(links.map((link) => link.start()));
  const peers: LinkPeer[] = cluster.members.map(({ id }, i) => ({
    id,
    pin: identities[i].pin,
    host: '127.0.0.1',
    port: ports[i],
  }));
  for (const link of links) link.setPeers(peers);
  transports.push(...links.map(linkTransport));
  stops.push(() => cluster.stop());
  await cluster.start();
  return { cluster, links };
}

test('n = 4 over TLS: requests commit, a killed leader is replaced and everybody agrees', async () => {
  const { cluster, links } = await linked(4);
  await Promise.all([0, 1, 2, 3].map((i) => cluster.submit(i)));
  await cluster.until(() => cluster.members.every((m) => m.application.executed.length === 4));
  const leader = cluster.members[1].node.status().leader;
  await links[leader].stop();
  const others = [0, 1, 2, 3].filter((i) => i !== leader);
  const began = performance.now();
  await Promise.all(others.map((i) => cluster.submit(i)));
  expect(performance.now() - began).toBeLessThan(15_000);
  await cluster.until(() => others.every((i) => cluster.members[i].application.executed.length === 7));
  const [a, b, c] = others.map((i) => cluster.members[i].application.executed.join());
  expect([b, c]).toEqual([a, a]);
});
