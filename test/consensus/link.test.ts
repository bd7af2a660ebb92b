import { generateKeyPairSync } from 'node:crypto';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type ChannelHandlers,
  type LinkIdentity,
  type LinkPeer,
  linkIdentity,
  linkIdentityFromSeed,
  MemberLink,
} from '../../src/consensus/index.ts';
import { seeded } from './support/cluster.ts';

const links: MemberLink[] = [];
afterEach(async () => {
  await Promise.all(links.splice(0).map((link) => link.stop()));
});

const CHANNELS = ['consensus', 'parts'];

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function linkOf(self: string, identity: LinkIdentity, port: number): MemberLink {
  const link = new MemberLink({
    self,
    identity,
    peers: [],
    listen: { host: '127.0.0.1', port },
    channels: CHANNELS,
    jitter: () => 0,
  });
  links.push(link);
  return link;
}

async function pair(): Promise<{ a: MemberLink; b: MemberLink; portB: number; peers: LinkPeer[] }> {
  const identities = ['a', 'b'].map((name) => linkIdentityFromSeed(seeded(`link ${name}`), name));
  const a = linkOf('a', identities[0], 0);
  const b = linkOf('b', identities[1], 0);
  const ports = await Promise.all([a.start(), b.start()]);
  const peers = identities.map((identity, i) => ({
    id: 'ab'[i],
    pin: identity.pin,
    host: '127.0.0.1',
    port: ports[i],
  }));
  a.setPeers(peers);
  b.setPeers(peers);
  return { a, b, portB: ports[1], peers };
}

describe('member link', () => {
  test('channels carry messages and requests both ways between pinned members', async () => {
    const { a, b } = await pair();
    const seen: string[] = [];
    const handlers = (name: string): ChannelHandlers => ({
      onMessage: (from, body) => seen.push(`${name}<${from}:${Buffer.from(body)}`),
      onRequest: async (from, body) => Buffer.from(`${name}>${from}:${Buffer.from(body)}`),
    });
    const partsA = a.channel('parts', handlers('a'));
    const partsB = b.channel('parts', handlers('b'));
    const consensusB = b.channel('consensus', {});
    a.channel('consensus', { onMessage: (_from, body) => seen.push(`votes:${body.length}`) });
    await until(() => partsA.connected().length === 1 && partsB.connected().length === 1);
    partsA.send('b', Buffer.from('one'));
    consensusB.broadcast(new Uint8Array(3_000_000));
    expect(Buffer.from(await partsB.request('a', Buffer.from('two'), 1000)).toString()).toBe('a>b:two');
    await until(() => seen.length === 2);
    expect(seen.sort()).toEqual(['b<a:one', 'votes:3000000']);
  });

  test('a refused request carries the code and nothing else', async () => {
    const { a, b } = await pair();
    const error = Object.assign(new Error('with a secret'), { code: 'part.refused' });
    b.channel('parts', { onRequest: () => Promise.reject(error) });
    const parts = a.channel('parts', {});
    await until(() => parts.connected().length === 1);
    await expect(parts.request('b', new Uint8Array(1), 1000)).rejects.toMatchObject({ code: 'part.refused' });
  });

  test('a key that is not pinned gets nothing, whatever name it shows', async () => {
    const { b, portB } = await pair();
    const received: Uint8Array[] = [];
    const channel = b.channel('parts', { onMessage: (_from, body) => received.push(body) });
    await until(() => channel.connected().length === 1);
    const stranger = linkIdentityFromSeed(seeded('stranger'), 'a');
    const socket = tlsConnect({
      host: '127.0.0.1',
      port: portB,
      key: stranger.privateKey,
      cert: stranger.certificate,
      rejectUnauthorized: false,
    });
    socket.on('error', () => undefined);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.once('secureConnect', () => socket.write(Buffer.from('0000000701000000000001', 'hex')));
    await closed;
    expect(received).toEqual([]);
    expect(channel.connected()).toEqual(['a']);
  });

  test('a frame above the bound closes the connection, and the members connect again', async () => {
    const { a, b, portB } = await pair();
    const parts = b.channel('parts', {});
    await until(() => parts.connected().length === 1);
    const identity = linkIdentityFromSeed(seeded('link a'), 'a');
    const socket = tlsConnect({
      host: '127.0.0.1',
      port: portB,
      key: identity.privateKey,
      cert: identity.certificate,
      rejectUnauthorized: false,
    });
    socket.on('error', () => undefined);
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.once('secureConnect', () => socket.write(Buffer.from('ffffffff', 'hex')));
    await closed;
    const back = a.channel('parts', {});
    await until(() => back.connected().length === 1 && parts.connected().length === 1);
  });

  test('P-256 keys serve as well as Ed25519', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const identity = linkIdentity(privateKey, 'member');
    expect(identity.certificate).toContain('BEGIN CERTIFICATE');
    expect(() => linkIdentity(generateKeyPairSync('x25519').privateKey, 'member')).toThrow(
      /Ed25519 or P-256/,
    );
  });
});
