/** Incremental backups of databases: what changed in a chunk costs its pages, and every snapshot restores byte for byte. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { concat, fromHex, toHex, u32be } from '../../src/codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../src/codec/cbor.ts';
import { encodeFrame } from '../../src/codec/frames.ts';
import { sha256 } from '../../src/codec/hash.ts';
import { PAGE_BYTES, PATCHED_MS_MAX, PATCHES_MAX } from '../../src/storage/backup/patches.ts';
import {
  type BackupSource,
  backup,
  expireBackups,
  headerHash,
  openEnvironment,
  openHeaderStore,
  openRepository,
  type Repository,
  restore,
  verifyBackup,
} from '../../src/storage/index.ts';
import {
  closing,
  codeOf,
  diskHolds,
  expectSame,
  seededBytes,
  seededRandom,
  temporaryDirectory,
} from './support.ts';

const unlock = { keyFile: seededBytes('backup key file', 32) };
const MIB = 1024 * 1024;
const CHUNK_PAGES = MIB / PAGE_BYTES;

/** A database whose bytes the test chooses. */
function fileSource(content: () => Uint8Array): BackupSource {
  return { path: 'db', copyTo: async (dir) => writeFileSync(join(dir, 'data.mdb'), content()) };
}

async function openRepo(base: string, name = 'repository'): Promise<Repository> {
  const repository = await openRepository(join(base, name), unlock, seededRandom('repository'));
  onTestFinished(() => repository.close());
  return repository;
}

/** Draws below `bound` from a seed. */
function dice(label: string): (bound: number) => number {
  const random = seededRandom(label);
  return (bound) => Buffer.from(random(4)).readUInt32BE(0) % bound;
}

async function chunkFiles(base: string): Promise<string[]> {
  return readdirSync(join(base, 'repository', 'chunks'), { recursive: true, encoding: 'utf8' })
    .map((name) => name.split('/').at(-1) ?? '')
    .filter((name) => name.length === 64);
}

/** Whether any chunk holds `needle`, to whoever has the key. */
async function holds(base: string, repository: Repository, needle: Uint8Array): Promise<boolean> {
  for (const name of await chunkFiles(base)) {
    const bytes = Buffer.from(await repository.getChunk(fromHex(name)));
    if (bytes.includes(Buffer.from(needle))) return true;
  }
  return false;
}

describe('a database that has changed here and there', () => {
  test('is backed up by its pages: of a hundred records among many, a few MiB at most', async () => {
    const base = temporaryDirectory();
    const env = closing(openEnvironment(join(base, 'env'), { tables: ['a'] }));
    const random = seededRandom('rows');
    const put = async (count: number): Promise<void> => {
      for (let done = 0; done < count; done += 1000) {
        const rows = Array.from({ length: Math.min(1000, count - done) }, () => random(2000));
        await env.write(rows.map((value) => ({ table: 'a', key: sha256(value), value })));
      }
    };
    await put(10_000);
    const repository = await openRepo(base);
    const sources = [{ path: 'env', copyTo: (to: string) => env.copyTo(to) }];
    const first = await backup(sources, repository, join(base, 'staging'), 1);
    await put(100);
    const second = await backup(sources, repository, join(base, 'staging'), 2);
    expect(first.newBytes).toBeGreaterThan(20 * MIB);
    expect(second.newBytes).toBeLessThan(3 * MIB);
    expect(second.newBytes).toBeGreaterThan(100 * 2000);

    await verifyBackup(repository);
    await restore(repository, join(base, 'restored'), 3);
    const again = closing(openEnvironment(join(base, 'restored', 'env'), { tables: ['a'] }));
    expect(again.count('a')).toBe(10_100);
    for (const [key, value] of env.range('a', {})) expectSame(again.get('a', key), value);
  }, 120_000);

  test.each(['one', 'two'])(
    'restores every snapshot as it was, after many changes, growth and expiry (seed %s)',
    async (seed) => {
      const base = temporaryDirectory();
      const repository = await openRepo(base);
      const draw = dice(seed);
      const random = seededRandom(`bytes ${seed}`);
      let content = random(2 * MIB + 37 * PAGE_BYTES);
      const kept = new Map<string, string>();
      const rounds = PATCHES_MAX + 12;
      for (let round = 0; round < rounds; round++) {
        if (draw(4) === 0) content = concat(content, random((1 + draw(20)) * PAGE_BYTES));
        const next = new Uint8Array(content);
        const changes = draw(12) === 0 ? CHUNK_PAGES : draw(12);
        for (let i = 0; i < changes; i++) {
          // One byte is enough, at the ends of a page too.
          const at = draw(next.length / PAGE_BYTES) * PAGE_BYTES + (draw(2) === 0 ? 0 : PAGE_BYTES - 1);
          next[at] ^= 1 + draw(255);
        }
        content = next;
        const summary = await backup([fileSource(() => content)], repository, join(base, 'staging'), round);
        kept.set(summary.snapshot, toHex(sha256(content)));
        if (draw(20) === 0) await expireBackups(repository, round - 5);
      }
      const left = await repository.snapshots();
      expect(left.length).toBeGreaterThan(2);
      for (const [i, snapshot] of left.entries()) {
        await verifyBackup(repository, snapshot);
        await restore(repository, join(base, `into ${i}`), 1, snapshot);
        const restored = readFileSync(join(base, `into ${i}`, 'db', 'data.mdb'));
        expect(toHex(sha256(new Uint8Array(restored)))).toBe(kept.get(snapshot));
        rmSync(join(base, `into ${i}`), { recursive: true });
      }
    },
    120_000,
  );

  test('is not stored again when it has not changed, patched or not', async () => {
    const base = temporaryDirectory();
    const repository = await openRepo(base);
    let content = seededBytes('still', MIB + 8 * PAGE_BYTES);
    const run = (now: number) => backup([fileSource(() => content)], repository, join(base, 'staging'), now);
    await run(1);
    content = new Uint8Array(content);
    content[5 * PAGE_BYTES] ^= 1;
    expect((await run(2)).newBytes).toBe(PAGE_BYTES);
    expect((await run(3)).newBytes).toBe(0);
    expect((await run(4)).newBytes).toBe(0);
  });

  test('is stored whole from more than half of its pages on', async () => {
    for (const [changed, expected] of [
      [CHUNK_PAGES / 2, (CHUNK_PAGES / 2) * PAGE_BYTES],
      [CHUNK_PAGES / 2 + 1, MIB],
    ]) {
      const base = temporaryDirectory();
      const repository = await openRepo(base);
      let content = seededBytes('half', MIB);
      const run = (now: number) =>
        backup([fileSource(() => content)], repository, join(base, 'staging'), now);
      await run(1);
      content = new Uint8Array(content);
      for (let page = 0; page < changed; page++) content[page * PAGE_BYTES + 7] ^= 1;
      expect((await run(2)).newBytes).toBe(expected);
    }
  });

  test('whose base or pack is lost is named as damaged, and stored whole by the next backup', async () => {
    const base = temporaryDirectory();
    let repository = await openRepo(base);
    let content = seededBytes('lost', MIB);
    const run = (now: number) => backup([fileSource(() => content)], repository, join(base, 'staging'), now);
    await run(1);
    content = new Uint8Array(content);
    content[3] ^= 1;
    await run(2);
    for (const bytes of [PAGE_BYTES, MIB]) {
      repository.close();
      for (const name of await chunkFiles(base)) {
        const path = join(base, 'repository', 'chunks', name.slice(0, 2), name);
        if (readFileSync(path).length === bytes + 16) rmSync(path);
      }
      repository = await openRepo(base);
      const failure = await verifyBackup(repository).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: 'storage.corrupt', details: { path: 'db/data.mdb' } });
      await run(bytes);
      await verifyBackup(repository);
    }
  });

  test('has a table whose rows have another shape: storage.backup_malformed', async () => {
    const base = temporaryDirectory();
    const repository = await openRepo(base);
    const name = sha256(u32be(1));
    const good = [[0, name, 1, [[name, 0, Uint8Array.of(1)]]]];
    const bad = [
      7,
      [[0, name, 1]],
      [[-1, name, 1, []]],
      [[0, name.slice(1), 1, []]],
      [[0, name, 1, [[name, 0, [1]]]]],
      [[0, name, 1, [[name, 0.5, Uint8Array.of(1)]]]],
    ];
    const snapshotOf = async (patched: unknown): Promise<string> => {
      const row = encodeFrame(encodeCbor(['db/data.mdb', 0, MIB, [name], patched]));
      const { name: table } = await repository.putChunk(row);
      return repository.putSnapshot(1, encodeCbor({ v: 2, time: 1, files: 1, bytes: MIB, table: [table] }));
    };
    // The shape is right, the chunks are not there.
    expect(await codeOf(verifyBackup(repository, await snapshotOf(good)))).toBe('storage.corrupt');
    for (const patched of bad)
      expect(await codeOf(verifyBackup(repository, await snapshotOf(patched)))).toBe(
        'storage.backup_malformed',
      );
  });
});

describe('what a patched chunk still holds of before', () => {
  test('goes with the snapshots once the base has been patched for as long as it may be', async () => {
    const base = temporaryDirectory();
    const repository = await openRepo(base);
    const replaced = seededBytes('replaced page', PAGE_BYTES);
    let content = concat(replaced, seededBytes('rest', 9 * PAGE_BYTES));
    const run = (now: number) => backup([fileSource(() => content)], repository, join(base, 'staging'), now);
    const start = 1_700_000_000_000;
    await run(start);
    content = concat(seededBytes('another page', PAGE_BYTES), content.subarray(PAGE_BYTES));
    await run(start + 1);
    await run(start + 1 + PATCHED_MS_MAX);
    await expireBackups(repository, start + 1 + PATCHED_MS_MAX);
    expect(await holds(base, repository, replaced)).toBe(true);
    await run(start + 2 + PATCHED_MS_MAX);
    await expireBackups(repository, start + 2 + PATCHED_MS_MAX);
    expect(await holds(base, repository, replaced)).toBe(false);
    await verifyBackup(repository);
  });

  test('is never a key slot: an erased header is gone with the last snapshot that was made before', async () => {
    const base = temporaryDirectory();
    const headers = closing(
      await openHeaderStore(join(base, 'headers'), { random: seededRandom('headers') }),
    );
    const all = Array.from({ length: 3000 }, (_, i) => seededBytes(`header ${i}`, 300));
    await headers.putMany(all.map((bytes) => ({ hash: headerHash(bytes), bytes })));
    const repository = await openRepo(base);
    const sources = [{ path: 'headers', copyTo: (to: string) => headers.copyTo(to) }];
    await backup(sources, repository, join(base, 'staging'), 1);
    const before = readFileSync(join(base, 'headers', 'keys.slots'));
    await headers.delete(headerHash(all[1234]));
    const after = readFileSync(join(base, 'headers', 'keys.slots'));
    const at = [...before.keys()].find((i) => before[i] !== after[i]) ?? -1;
    const slot = before.subarray(32 * Math.floor(at / 32), 32 * Math.floor(at / 32) + 32);
    expect(slot.some((byte) => byte !== 0)).toBe(true);

    const second = await backup(sources, repository, join(base, 'staging'), 2);
    expect(second.newBytes).toBeLessThan(200_000);
    expect(await holds(base, repository, slot)).toBe(true);
    await expireBackups(repository, 2);
    expect(await holds(base, repository, slot)).toBe(false);
    expect(diskHolds(join(base, 'repository'), slot)).toBe(false);
  });
});

const GOLDEN = new URL('../golden/storage/backup-v2.json', import.meta.url);

/** Two snapshots, of which the second patches the first. */
async function goldenRepository(base: string): Promise<Record<string, string>> {
  const repository = await openRepository(join(base, 'made'), unlock, seededRandom('golden patches'));
  let content = seededBytes('golden database', 4 * PAGE_BYTES);
  const run = (now: number) => backup([fileSource(() => content)], repository, join(base, 'staging'), now);
  await run(1_700_000_000_000);
  content = concat(content, seededBytes('a page more', PAGE_BYTES));
  content[PAGE_BYTES + 1] ^= 1;
  await run(1_700_000_001_000);
  repository.close();
  const files: Record<string, string> = {};
  for (const name of readdirSync(join(base, 'made'), { recursive: true, encoding: 'utf8' }).sort()) {
    if (/^(repository|snapshots\/.+|chunks\/..\/.+)$/.test(name))
      files[name] = toHex(new Uint8Array(readFileSync(join(base, 'made', name))));
  }
  return files;
}

test('a backup with patches is that of version 2, opens and restores', async () => {
  const base = temporaryDirectory();
  const made = await goldenRepository(base);
  if (process.env.GOLDEN_WRITE === '1') writeFileSync(GOLDEN, `${JSON.stringify(made, null, 2)}\n`);
  const golden: Record<string, string> = JSON.parse(readFileSync(GOLDEN, 'utf8'));
  expect(made).toEqual(golden);
  for (const [name, bytes] of Object.entries(golden)) {
    mkdirSync(join(base, 'repository', name, '..'), { recursive: true });
    writeFileSync(join(base, 'repository', name), Buffer.from(bytes, 'hex'));
  }
  const repository = await openRepo(base);
  const [first, second] = await repository.snapshots();
  const versionOf = async (snapshot: string) =>
    (decodeCbor(await repository.getSnapshot(snapshot)) as { v: number }).v;
  expect([await versionOf(first), await versionOf(second)]).toEqual([1, 2]);
  await restore(repository, join(base, 'into'), 1);
  const wanted = concat(
    seededBytes('golden database', 4 * PAGE_BYTES),
    seededBytes('a page more', PAGE_BYTES),
  );
  wanted[PAGE_BYTES + 1] ^= 1;
  expectSame(new Uint8Array(readFileSync(join(base, 'into', 'db', 'data.mdb'))), wanted);
});
