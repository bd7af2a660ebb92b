/**
 * What an erasure leaves on any disk: before it, who has every disk and every key finds header, data key, plaintext and keywords
 * of a record in the raw bytes; afterwards nothing of them, in no file, free page, log, copy or later backup. (The payload's
 * ciphertext may lie in free pages until they are used again: without its data key it is noise.)
 */
import { randomBytes } from 'node:crypto';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CID } from 'multiformats/cid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GCM_TAG_BYTES } from '../../../src/codec/aead.ts';
import { fromHex, toHex } from '../../../src/codec/bytes.ts';
import { recordId } from '../../../src/codec/ids.ts';
import { type RecordState, STATE } from '../../../src/ledger/index.ts';
import { restoreNode, withRepository } from '../../../src/node/backup.ts';
import { collectIndexes } from '../../../src/node/housekeeping.ts';
import { SECRETS, secretOf } from '../../../src/node/identity.ts';
import type { MemberNode } from '../../../src/node/member.ts';
import { startTown, type Town } from '../consortium.ts';
import { eraseRecord, openText } from './people.ts';
import {
  type Consortium,
  dataKeyOf,
  type Image,
  imagesOf,
  largeValues,
  placesOf,
  plaintextOf,
  stagedKeywords,
  unsealed,
  vaultKeywords,
} from './scanner.ts';

/** Occurs nowhere else, so that it can be looked for. */
const WORD = 'quagmirewort';
const content = (text: string): string => JSON.stringify({ resourceType: 'Condition', code: { text } });
/** A header of several kB, which LMDB keeps on pages of its own. */
const LONG_POLICY = ['mercy/role:nurse', ...Array.from({ length: 24 }, (_, i) => `mercy/dept:d${i}`)].join(
  ' or ',
);
const POLICIES = { short: 'mercy/role:nurse', long: LONG_POLICY };
type Kind = keyof typeof POLICIES;

let town: Town;
let scratch: string;
let power: Consortium;
let local: Uint8Array;
const doomed = new Map<Kind, { id: string; state: RecordState; headers: Uint8Array; dataKey: Uint8Array }>();
/** Bytes that must be nowhere once the records are erased. */
const needles: { what: string; bytes: Uint8Array }[] = [];

const all = (): MemberNode[] => [...town.consortium.nodes.values()];
const digestOf = (state: RecordState): Uint8Array => CID.parse(state.cid ?? '').multihash.digest;
const stateOf = (id: string): RecordState => {
  const state = town.node('mercy').ledger.state(STATE.record(id));
  if (state === undefined) throw new Error('no such record');
  return state;
};
const disks = (): Image[] => imagesOf(join(town.dir, 'data'), join(town.dir, 'people'));

/** What a backup of mercy holds, as whoever has its key file sees it. */
async function backedUp(repositoryName: string): Promise<Image[]> {
  const keyFile = join(scratch, 'backup.key');
  return withRepository(join(scratch, repositoryName), keyFile, async (repository) => {
    const images: Image[] = [];
    for (const snapshot of await repository.snapshots()) {
      const into = join(scratch, `${repositoryName}-${snapshot}`);
      await restoreNode(into, repository, Date.now(), snapshot);
      images.push(...imagesOf(into));
    }
    return images;
  });
}

async function backUp(repositoryName: string): Promise<void> {
  await withRepository(join(scratch, repositoryName), join(scratch, 'backup.key'), (repository) =>
    town.node('mercy').backup(repository),
  );
}

async function putAs(kind: Kind): Promise<string> {
  const token = await town.token('mercy', 'import');
  const answer = await town.app('mercy').inject({
    method: 'POST',
    url: '/v1/records',
    headers: { authorization: `Bearer ${token}` },
    payload: { records: [{ content: content(`${WORD} ${kind}`), patient: null, policy: POLICIES[kind] }] },
  });
  if (answer.statusCode >= 300) throw new Error(answer.body);
  return (answer.json() as { records: string[] }).records[0];
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'hippocrypt-scan-'));
  writeFileSync(join(scratch, 'backup.key'), randomBytes(64));
  town = await startTown();
  await town.client('import');
  const mercy = town.node('mercy');
  local = await secretOf(mercy.options.keystore, SECRETS.local);
  const shares = await Promise.all(
    all().map((node) => secretOf(node.options.keystore, `share/${node.ledger.shareEpoch()}`)),
  );
  const { group } = mercy.options;
  power = { group, keys: mercy.parameters.authorityKeys(), registry: mercy.ledger.registry(), shares };
});
afterAll(async () => {
  await town?.close();
  rmSync(scratch, { recursive: true, force: true });
});

describe('before an erasure, who has every disk and every key', () => {
  it('finds keywords that wait for the index', async () => {
    for (const kind of ['short', 'long'] as const) {
      const id = await putAs(kind);
      // Copied before the event loop can turn to the index, which takes the keywords after a pause.
      const copy = join(scratch, `staging-${kind}`);
      cpSync(join(town.node('mercy').options.dir, 'staging'), copy, { recursive: true });
      const state = stateOf(id);
      const row = { record: fromHex(id), version: 0, headerHash: state.headerHash };
      const found = stagedKeywords(imagesOf(copy), row, local);
      expect(found?.keywords.map((one) => Buffer.from(one).toString('latin1')).join(' ')).toContain(WORD);
      needles.push({ what: `slot of the staged ${kind} record`, bytes: found?.slotKey ?? new Uint8Array() });
      doomed.set(kind, { id, state, headers: new Uint8Array(), dataKey: new Uint8Array() });
    }
  });

  it('finds each header in the raw bytes of every holder, opens it with shares of the master secret, and reads the record', async () => {
    await town.settled();
    for (const node of all()) await node.replication.flush();
    // A member that holds none of it reads it, and keeps a copy.
    for (const { id } of doomed.values()) {
      const headers = { authorization: `Bearer ${await town.token('university', 'admin')}` };
      for (const part of ['header', 'payload'])
        await town.app('university').inject({ url: `/v1/records/${id}/${part}`, headers });
    }
    for (const [kind, one] of doomed) {
      expect(await openText(town, one.id)).toContain(WORD);
      const holders = all().filter((node) => node.headers.has(one.state.headerHash));
      expect(holders.length).toBeGreaterThanOrEqual(2);
      for (const node of holders) {
        const images = imagesOf(join(node.options.dir));
        const header = unsealed(images, one.state.headerHash, new Uint8Array());
        if (header === undefined) throw new Error(`${node.id}: the scanner is blind`);
        needles.push({ what: `slot of the ${kind} header at ${node.id}`, bytes: header.slotKey });
        const dataKey = dataKeyOf(power, header.value);
        const row = { record: fromHex(one.id), commitment: one.state.commitment };
        const plaintext = plaintextOf(images, digestOf(one.state), dataKey, row);
        expect(Buffer.from(plaintext ?? []).toString()).toBe(content(`${WORD} ${kind}`));
        doomed.set(kind, { ...one, headers: header.value, dataKey });
      }
    }
    expect(doomed.get('long')?.headers.length).toBeGreaterThan(2048);
  });

  it('finds its keywords in the vault, and all of it in a backup', async () => {
    expect(vaultKeywords(disks(), local).join(' ')).toContain(WORD);
    await backUp('before');
    const images = await backedUp('before');
    for (const { state } of doomed.values())
      expect(unsealed(images, state.headerHash, new Uint8Array())).toBeDefined();
    expect(vaultKeywords(images, local).join(' ')).toContain(WORD);
  });
});

describe('after it', () => {
  let images: Image[];

  beforeAll(async () => {
    for (const [kind, { headers, dataKey }] of doomed) {
      needles.push(
        { what: `${kind} header`, bytes: headers.subarray(0, 32) },
        {
          what: `${kind} header, further on`,
          bytes: headers.subarray(headers.length / 2, headers.length / 2 + 32),
        },
        { what: `${kind} data key`, bytes: dataKey },
      );
    }
    needles.push({ what: 'plaintext', bytes: Buffer.from(WORD) });
    for (const { id } of doomed.values()) {
      const height = await eraseRecord(town, id);
      await Promise.all(all().map((node) => node.ledger.reached(height, 10_000)));
    }
    for (const node of all()) await node.erasure.idle();
    // What housekeeping does in its time: the index is purged, and what no manifest lists any more goes after a grace.
    await town.node('mercy').indexService().purge();
    await town.settled();
    for (const now of [1, 2])
      for (const node of all()) await collectIndexes({ ...node, indexes: node.indexService() }, 0, now);
    await backUp('later');
    images = [...disks(), ...(await backedUp('later'))];
  });

  it('looks at logs, states, slots, index files, copies and backups of four members', () => {
    for (const part of ['wal', 'data.mdb', 'keys.slots', 'vault', 'companions', 'index', 'later'])
      expect(
        images.some(({ path }) => path.includes(part)),
        part,
      ).toBe(true);
    expect(needles.length).toBeGreaterThan(12);
  });

  it('no key opens anything: no slot fits a header or a staged row', () => {
    const stores = images.filter(({ path }) => path.includes('/headers/'));
    for (const { id, state, headers } of doomed.values()) {
      // Also where no leaf names the value any more: at the start of every page.
      const more = largeValues(stores, headers.length + GCM_TAG_BYTES);
      expect(unsealed(stores, state.headerHash, new Uint8Array(), more)).toBeUndefined();
      expect(unsealed(images, state.headerHash, new Uint8Array())).toBeUndefined();
      const row = { record: fromHex(id), version: 0, headerHash: state.headerHash };
      expect(stagedKeywords(images, row, local)).toBeUndefined();
    }
  });

  it('neither header nor payload is in any store', async () => {
    for (const { state } of doomed.values()) {
      for (const node of all()) {
        expect(node.headers.has(state.headerHash), node.id).toBe(false);
        expect(await node.payloads.has(state.cid ?? ''), node.id).toBe(false);
      }
    }
  });

  it('slot keys, headers, data keys and plaintext stand in no file at any offset', () => {
    const found = needles.flatMap(({ what, bytes }) =>
      placesOf(images, bytes).map((path) => `${what}: ${path}`),
    );
    expect(found).toEqual([]);
  });

  it('its keywords are in no companion of the vault, and the segments that listed it are at no member', () => {
    expect(vaultKeywords(images, local).join(' ')).not.toContain(WORD);
  });

  it('each holder says on the ledger that header and payload are destroyed', async () => {
    const { ledger } = town.node('mercy');
    for (const { id } of doomed.values()) {
      const entries = () => ledger.entries({ record: recordId(id), kind: 'Destroyed', limit: 10 }).entries;
      await expect.poll(() => entries().length, { timeout: 20_000 }).toBeGreaterThanOrEqual(2);
      for (const { body } of entries()) {
        expect(toHex(body.record as Uint8Array)).toBe(id);
        expect(body.kinds).toEqual(['header', 'payload']);
      }
    }
  });
});
