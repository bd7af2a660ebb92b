import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { equalBytes, u32be, utf8 } from '../../src/codec/bytes.ts';
import {
  type BackupSource,
  backup,
  CHUNK_BYTES,
  clearRestoredMark,
  createKeystore,
  expireBackups,
  headerHash,
  openEmbeddedStore,
  openEnvironment,
  openHeaderStore,
  openKeystore,
  openRepository,
  plainFile,
  type Repository,
  restore,
  restoredMark,
  stoppedDirectory,
  verifyBackup,
} from '../../src/storage/index.ts';
import {
  closing,
  codeOf,
  collectBytes,
  diskHolds,
  expectSame,
  filesBelow,
  seededBytes,
  seededRandom,
  temporaryDirectory,
} from './support.ts';

const unlock = { keyFile: seededBytes('backup key file', 32) };
const keystoreUnlock = { keyFile: seededBytes('keystore key file', 32) };
const header = (i: number) => seededBytes(`header ${i}`, 700);

async function openNode(dir: string) {
  const random = seededRandom(dir);
  const env = closing(openEnvironment(join(dir, 'state'), { tables: ['a', 'b'] }));
  const headers = closing(await openHeaderStore(join(dir, 'headers'), { random }));
  const keystore = closing(
    existsSync(join(dir, 'keystore'))
      ? await openKeystore(join(dir, 'keystore'), keystoreUnlock, { random })
      : await createKeystore(join(dir, 'keystore'), keystoreUnlock, { random }),
  );
  const payloads = closing(openEmbeddedStore(join(dir, 'payloads')));
  const sources: BackupSource[] = [
    { path: 'state', copyTo: (to) => env.copyTo(to) },
    { path: 'headers', copyTo: (to) => headers.copyTo(to) },
    { path: 'payloads', copyTo: (to) => payloads.copyTo(to), immutable: 'files' },
    { path: 'keystore', copyTo: (to) => keystore.copyTo(to) },
  ];
  return { env, headers, keystore, payloads, sources };
}

async function openRepo(dir: string): Promise<Repository> {
  const repository = await openRepository(dir, unlock, seededRandom(`repository ${dir}`));
  onTestFinished(() => repository.close());
  return repository;
}

describe('backup and restore of a node', () => {
  test('a backup made while the node writes restores to a consistent node, and marks it', async () => {
    const base = temporaryDirectory();
    const node = await openNode(join(base, 'node'));
    writeFileSync(join(base, 'node', 'config.json'), '{"member":"north"}');
    const large = await node.payloads.put(seededBytes('large', 3 * CHUNK_BYTES));
    for (let i = 0; i < 20; i++) await node.headers.put(headerHash(header(i)), header(i));
    await node.keystore.put('share/1', utf8('the share'));

    let running = true;
    const writing = (async () => {
      for (let i = 0; running; i++) {
        const pair = (table: string) => ({ table, key: u32be(i), value: seededBytes(`value ${i}`, 2000) });
        await node.env.write([pair('a'), pair('b')]);
        await node.headers.put(headerHash(header(100 + i)), header(100 + i));
        await node.headers.delete(headerHash(header(100 + i)));
        await node.keystore.put('share/1', utf8('the share'));
        await node.payloads.put(seededBytes(`small ${i}`, 500));
      }
    })();
    const repository = await openRepo(join(base, 'repository'));
    const config = plainFile('config.json', join(base, 'node', 'config.json'));
    const summary = await backup([config, ...node.sources], repository, join(base, 'staging'), 1000);
    running = false;
    await writing;
    expect(existsSync(join(base, 'staging'))).toBe(false);

    const into = join(base, 'restored');
    const restored = await restore(repository, into, 2000);
    expect(restored).toEqual({ snapshot: summary.snapshot, files: summary.files, bytes: summary.bytes });
    expect(await restoredMark(into)).toEqual({ snapshot: summary.snapshot, at: 2000 });
    expect(await restoredMark(join(base, 'node'))).toBeUndefined();
    expect(readFileSync(join(into, 'config.json'), 'utf8')).toBe('{"member":"north"}');

    const again = await openNode(into);
    for (const [key, value] of again.env.range('a', {})) {
      expect(equalBytes(again.env.get('b', key) ?? new Uint8Array(), value)).toBe(true);
    }
    for (let i = 0; i < 20; i++) expectSame(await again.headers.get(headerHash(header(i))), header(i));
    expect(await again.keystore.get('share/1')).toEqual(utf8('the share'));
    expectSame(await collectBytes(again.payloads.get(large.cid)), seededBytes('large', 3 * CHUNK_BYTES));
    await clearRestoredMark(into);
    expect(await restoredMark(into)).toBeUndefined();
  });

  test('the next backup carries only what changed, and an older snapshot still restores', async () => {
    const base = temporaryDirectory();
    const node = await openNode(join(base, 'node'));
    const first = await node.payloads.put(seededBytes('first', 6 * CHUNK_BYTES));
    const repository = await openRepo(join(base, 'repository'));
    const one = await backup(node.sources, repository, join(base, 'staging'), 1000);
    const second = await node.payloads.put(seededBytes('second', CHUNK_BYTES));
    const two = await backup(node.sources, repository, join(base, 'staging'), 2000);
    expect(one.newBytes).toBeGreaterThan(6 * CHUNK_BYTES);
    expect(two.newBytes).toBeLessThan(3 * CHUNK_BYTES);
    expect(two.bytes).toBeGreaterThan(7 * CHUNK_BYTES);
    expect(await verifyBackup(repository)).toEqual({ files: two.files, bytes: two.bytes });

    await restore(repository, join(base, 'old'), 3000, one.snapshot);
    const old = await openNode(join(base, 'old'));
    expect(await old.payloads.has(first.cid)).toBe(true);
    expect(await old.payloads.has(second.cid)).toBe(false);
  });

  test('a stopped node is backed up by its directory, a running one is refused', async () => {
    const base = temporaryDirectory();
    const node = await openNode(join(base, 'node'));
    const stored = await node.payloads.put(seededBytes('object', 2 * CHUNK_BYTES));
    await node.headers.put(headerHash(header(1)), header(1));
    const sources = [
      ...['state', 'headers', 'keystore'].map((path) => stoppedDirectory(path, join(base, 'node', path))),
      stoppedDirectory('payloads', join(base, 'node', 'payloads'), 'files'),
    ];
    const repository = await openRepo(join(base, 'repository'));
    const staging = join(base, 'staging');
    expect(await codeOf(backup(sources, repository, staging, 1000))).toBe('storage.already_open');
    for (const store of [node.env, node.headers, node.keystore, node.payloads]) await store.close();
    const one = await backup(sources, repository, staging, 1000);
    expect((await backup(sources, repository, staging, 2000)).newBytes).toBe(0);
    await restore(repository, join(base, 'restored'), 3000);
    const again = await openNode(join(base, 'restored'));
    expect(one.bytes).toBeGreaterThan(2 * CHUNK_BYTES);
    expectSame(await collectBytes(again.payloads.get(stored.cid)), seededBytes('object', 2 * CHUNK_BYTES));
    expectSame(await again.headers.get(headerHash(header(1))), header(1));
  });

  test('nothing of the node is readable in the repository', async () => {
    const base = temporaryDirectory();
    const node = await openNode(join(base, 'node'));
    const payload = seededBytes('payload', 5000);
    await node.payloads.put(payload);
    await node.env.write([{ table: 'a', key: utf8('some state key'), value: utf8('some state value') }]);
    const repository = await openRepo(join(base, 'repository'));
    await backup(node.sources, repository, join(base, 'staging'), 1000);
    for (const needle of [
      payload.subarray(0, 64),
      utf8('some state key'),
      utf8('data.mdb'),
      utf8('payloads'),
    ]) {
      expect(diskHolds(join(base, 'repository'), needle)).toBe(false);
    }
  });

  test('another key file opens nothing', async () => {
    const dir = temporaryDirectory();
    (await openRepository(dir, unlock, seededRandom('r'))).close();
    const other = { keyFile: seededBytes('another', 32) };
    expect(await codeOf(openRepository(dir, other, seededRandom('r')))).toBe('storage.keystore_locked');
  });
});

describe('damage and expiry', () => {
  async function backedUp() {
    const base = temporaryDirectory();
    const node = await openNode(join(base, 'node'));
    await node.payloads.put(seededBytes('object', 2 * CHUNK_BYTES));
    const repository = await openRepo(join(base, 'repository'));
    await backup(node.sources, repository, join(base, 'staging'), 1000);
    const chunks = filesBelow(join(base, 'repository', 'chunks'));
    return { base, node, repository, chunks };
  }

  test('a flipped, torn or missing chunk is storage.corrupt with the path of the file it belongs to', async () => {
    const { base, repository, chunks } = await backedUp();
    const [chunk] = chunks.filter((path) => statSync(path).size === CHUNK_BYTES + 16);
    const whole = readFileSync(chunk);
    const flipped = Buffer.from(whole);
    flipped[1000] ^= 1;
    const damages = [
      () => writeFileSync(chunk, flipped),
      () => writeFileSync(chunk, whole.subarray(0, 999)),
      () => rmSync(chunk),
    ];
    for (const [i, damage] of damages.entries()) {
      damage();
      const failure = await verifyBackup(repository).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: 'storage.corrupt',
        details: { path: expect.stringContaining('/') },
      });
      const into = join(base, `broken ${i}`);
      expect(await codeOf(restore(repository, into, 2000))).toBe('storage.corrupt');
      expect(await restoredMark(into)).toBeDefined();
    }
  });

  test('chunks that were lost come back with the next backup', async () => {
    const { base, node, repository, chunks } = await backedUp();
    repository.close();
    for (const chunk of chunks) {
      if (statSync(chunk).size === CHUNK_BYTES + 16) rmSync(chunk);
    }
    const again = await openRepo(join(base, 'repository'));
    expect(await codeOf(verifyBackup(again))).toBe('storage.corrupt');
    await backup(node.sources, again, join(base, 'staging'), 2000);
    await verifyBackup(again);
  });

  test('expiry removes older snapshots and their chunks, and never the newest', async () => {
    const { base, node, repository } = await backedUp();
    await node.payloads.collect([], 0, 1);
    await node.payloads.collect([], 0, 2);
    await backup(node.sources, repository, join(base, 'staging'), 2000);
    const before = filesBelow(join(base, 'repository', 'chunks')).length;
    const expired = await expireBackups(repository, 5000);
    expect(expired.snapshots).toBe(1);
    expect(expired.chunks).toBeGreaterThanOrEqual(2);
    expect(filesBelow(join(base, 'repository', 'chunks')).length).toBe(before - expired.chunks);
    await verifyBackup(repository);
    expect(await expireBackups(repository, 5000)).toEqual({ snapshots: 0, chunks: 0 });
  });

  test('an interrupted backup is none, and the next one cleans up after it', async () => {
    const { base, node, repository } = await backedUp();
    const failing: BackupSource = { path: 'late', copyTo: () => Promise.reject(new Error('power is gone')) };
    const sources = [...node.sources, failing];
    await expect(backup(sources, repository, join(base, 'staging'), 2000)).rejects.toThrow('power is gone');
    expect(await repository.snapshots()).toHaveLength(1);
    expect(existsSync(join(base, 'staging'))).toBe(false);
  });

  test('restoring over a directory in use is storage.not_empty', async () => {
    const { base, repository } = await backedUp();
    expect(await codeOf(restore(repository, join(base, 'node'), 2000))).toBe('storage.not_empty');
  });

  test('a snapshot or a repository that is not there is storage.not_found', async () => {
    const dir = temporaryDirectory();
    mkdirSync(join(dir, 'empty'));
    const repository = await openRepo(join(dir, 'empty'));
    expect(await codeOf(verifyBackup(repository))).toBe('storage.not_found');
    expect(await codeOf(restore(repository, join(dir, 'into'), 1, '../../etc'))).toBe('storage.not_found');
  });
});
