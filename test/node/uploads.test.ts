/** Uploads beside removals: neither waits for the other for ever, whatever gates the store below has of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SubjectId } from '../../src/codec/ids.ts';
import { UPLOADS_TABLE, Uploads } from '../../src/node/uploads.ts';
import {
  type EmbeddedStore,
  type Environment,
  openEmbeddedStore,
  openEnvironment,
  type PayloadStore,
} from '../../src/storage/index.ts';
import { WriteGate } from '../../src/storage/kubo/write-gate.ts';

const subject = '0'.repeat(32) as SubjectId;
const session = { subject, account: 'author', member: 'mercy', custody: 'client' } as never;

let dir: string;
let embedded: EmbeddedStore;
let store: Environment;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hippocrypt-uploads-'));
  embedded = openEmbeddedStore(join(dir, 'payloads'));
  store = openEnvironment(join(dir, 'node'), { tables: [UPLOADS_TABLE] });
});
afterAll(async () => {
  await embedded.close();
  await store.close();
  await rm(dir, { recursive: true, force: true });
});

/** A store that removes nothing while something is put, as the one over Kubo does. */
function gated(payloads: PayloadStore): PayloadStore {
  const gate = new WriteGate();
  return {
    ...payloads,
    put: (source) => gate.writing(() => payloads.put(source)),
    has: (cid) => payloads.has(cid),
    remove: (cids, live) => gate.alone(() => payloads.remove(cids, live)),
  };
}

function uploads(payloads: PayloadStore, gate = new WriteGate()): Uploads {
  return new Uploads({ store, payloads, gate, mayPut: () => true, clock: () => 0 });
}

describe('an upload', () => {
  it('ends although an erasure waits for it, and the erasure after it', async () => {
    const payloads = gated(embedded);
    const gate = new WriteGate();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begun: () => void = () => undefined;
    const reading = new Promise<void>((resolve) => {
      begun = resolve;
    });
    async function* source(): AsyncGenerator<Uint8Array> {
      begun();
      yield Uint8Array.of(1, 2, 3);
      await held;
    }
    const received = uploads(payloads, gate).receive(session, source());
    await reading;
    // As an erased record's payload is removed: alone among the node's writers, then alone among the store's.
    const removed = gate.alone(() => payloads.remove([], []));
    release();
    expect((await received).size).toBe(3);
    expect(await removed).toBe(0);
  }, 20_000);

  it('whose blocks went before it was noted is to be sent again', async () => {
    const payloads: PayloadStore = {
      ...gated(embedded),
      put: async (source) => {
        const stored = await embedded.put(source);
        await embedded.remove([stored.cid], []);
        return stored;
      },
    };
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(9);
    }
    await expect(uploads(payloads).receive(session, source())).rejects.toMatchObject({ code: 'payload.cut' });
  });
});
