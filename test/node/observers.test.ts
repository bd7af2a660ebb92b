/** The link of a hospital that is about to join: it may follow and ask how far the others are, until it is a member. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memberId } from '../../src/codec/ids.ts';
import { ed25519Signer } from '../../src/codec/signature.ts';
import type { Member } from '../../src/ledger/index.ts';
import { type TlsLinks, tlsLinks } from '../../src/node/link/tls.ts';
import { bytesOf, memberOf } from '../ledger/support.ts';

const seedOf = (id: string): Uint8Array => bytesOf(`link seed ${id}`);
const withLink = (id: string): Member => ({
  ...memberOf(id),
  linkKey: ed25519Signer(seedOf(id)).publicKey.key,
});
const [alder, birch, elm] = ['alder', 'birch', 'elm'].map(withLink);
const ports = new Map<string, number>();
const nodes = new Map<string, TlsLinks>();

/** Starts the link of `self`; all listen on ports that are free, so the others are told afterwards. */
async function open(
  self: Member,
  members: readonly Member[],
  observers: readonly Member[],
): Promise<TlsLinks> {
  const links = tlsLinks({
    self: memberId(self.id),
    seed: seedOf(self.id),
    members,
    observers,
    listen: { host: '127.0.0.1', port: 0 },
    peers: {
      get: (id: string) => {
        const port = ports.get(id);
        return port === undefined ? undefined : { host: '127.0.0.1', port };
      },
    } as ReadonlyMap<string, { host: string; port: number }>,
    jitter: () => 0.5,
  });
  for (const op of ['tip', 'copies'])
    links.link.serve('headers', op, async (from) => new TextEncoder().encode(from));
  links.link.serve('parts', 'key', async () => new Uint8Array(1));
  ports.set(self.id, await links.start());
  nodes.set(self.id, links);
  return links;
}

const linkOf = (id: string) => {
  const found = nodes.get(id);
  if (found === undefined) throw new Error(`no link of ${id}`);
  return found;
};
const ask = (from: string, to: string, channel: 'headers' | 'parts', op: string): Promise<string> =>
  linkOf(from)
    .link.request(memberId(to), channel, op, new Uint8Array(), 2_000)
    .then(
      (answer) => new TextDecoder().decode(answer),
      (error: { code?: string }) => error.code ?? 'none',
    );

beforeAll(async () => {
  await open(alder, [alder, birch], [elm]);
  await open(birch, [alder, birch], [elm]);
  await open(elm, [alder, birch, elm], []);
  for (const id of ['alder', 'birch']) linkOf(id).setMembers([alder, birch]);
  linkOf('elm').setMembers([alder, birch]);
});
afterAll(async () => {
  for (const links of nodes.values()) await links.stop();
});

it('an observer is told how far the others are, and nothing else', async () => {
  await expect.poll(() => ask('elm', 'alder', 'headers', 'tip'), { timeout: 20_000 }).toBe('elm');
  expect(await ask('elm', 'alder', 'headers', 'copies')).toBe('link.unreachable');
  expect(await ask('elm', 'alder', 'parts', 'key')).toBe('link.unreachable');
});

it('members ask it for its admission', async () => {
  linkOf('elm').link.serve('headers', 'admission', async () => new TextEncoder().encode('admit me'));
  await expect.poll(() => ask('birch', 'elm', 'headers', 'admission'), { timeout: 20_000 }).toBe('admit me');
});

it('once the ledger lists it, it is a member; once it does not any more, it is cut off', async () => {
  linkOf('alder').setMembers([alder, birch, elm]);
  await expect.poll(() => ask('elm', 'alder', 'headers', 'copies'), { timeout: 20_000 }).toBe('elm');
  expect(await ask('elm', 'alder', 'parts', 'key')).toBe('\0');
  linkOf('birch').setMembers([alder, elm]);
  linkOf('alder').setMembers([alder, elm]);
  await expect
    .poll(() => ask('birch', 'alder', 'headers', 'tip'), { timeout: 20_000 })
    .toBe('link.unreachable');
  expect(await ask('elm', 'alder', 'headers', 'tip')).toBe('elm');
});
