/**
 * What version 1 of every stored form looks like, byte for byte. A change of a form takes a new version and a new
 * file, written with GOLDEN_WRITE=1 and a reason in the commit.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { toHex, utf8 } from '../../src/codec/bytes.ts';
import {
  backup,
  createKeystore,
  headerHash,
  openEmbeddedStore,
  openEnvironment,
  openHeaderStore,
  openRepository,
  restore,
  verifyBackup,
} from '../../src/storage/index.ts';
import { openErasable } from '../../src/storage/secrets/erasable.ts';
import { closing, collectBytes, seededBytes, seededRandom, temporaryDirectory } from './support.ts';

const FILE = new URL('../golden/storage/forms-v1.json', import.meta.url);
const unlock = { keyFile: seededBytes('golden key file', 32) };

/** Every row of every table, as hexadecimal. */
async function rowsOf(
  dir: string,
  tables: readonly string[],
): Promise<Record<string, Record<string, string>>> {
  const env = openEnvironment(dir, { tables });
  const rows: Record<string, Record<string, string>> = {};
  for (const table of tables) {
    rows[table] = Object.fromEntries(
      [...env.range(table, {})].map(([key, value]) => [toHex(key), toHex(value)]),
    );
  }
  await env.close();
  return rows;
}

const firstSlots = (dir: string) =>
  toHex(new Uint8Array(readFileSync(join(dir, 'keys.slots'))).subarray(0, 128));

async function forms(base: string) {
  const random = seededRandom('golden');
  const header = seededBytes('golden header', 80);
  const headers = await openHeaderStore(join(base, 'headers'), { random });
  await headers.put(headerHash(header), header);
  await headers.close();

  const keystore = await createKeystore(join(base, 'keystore'), unlock, { random });
  await keystore.put('share/1', utf8('a share'));
  await keystore.close();

  const payloads = openEmbeddedStore(join(base, 'payloads'));
  const stored = await payloads.put(utf8('hello world'));
  await payloads.collect([], 1000, 42);
  const car = toHex(await collectBytes(payloads.exportCar([stored.cid])));
  await payloads.close();

  const repository = await openRepository(join(base, 'repository'), unlock, random);
  const source = {
    path: 'one',
    copyTo: async (dir: string) => writeFileSync(join(dir, 'file.txt'), 'backed up'),
  };
  await backup([source], repository, join(base, 'staging'), 1_700_000_000_000);
  repository.close();
  const files: Record<string, string> = {};
  for (const name of readdirSync(join(base, 'repository'), { recursive: true, encoding: 'utf8' }).sort()) {
    if (/^(repository|snapshots\/.+|chunks\/..\/.+)$/.test(name)) {
      files[name] = toHex(new Uint8Array(readFileSync(join(base, 'repository', name))));
    }
  }
  const erasable = ['sealed', 'slots', 'meta'];
  return {
    headers: { ...(await rowsOf(join(base, 'headers'), erasable)), keys: firstSlots(join(base, 'headers')) },
    keystore: {
      ...(await rowsOf(join(base, 'keystore'), erasable)),
      keys: firstSlots(join(base, 'keystore')),
    },
    payloads: await rowsOf(join(base, 'payloads', 'index'), ['small', 'large', 'dead', 'live', 'meta']),
    car,
    backup: files,
  };
}

test('every stored form is that of version 1', async () => {
  const made = await forms(temporaryDirectory());
  if (process.env.GOLDEN_WRITE === '1') writeFileSync(FILE, `${JSON.stringify(made, null, 2)}\n`);
  expect(made).toEqual(JSON.parse(readFileSync(FILE, 'utf8')));
});

test('a backup of version 1 still opens, verifies and restores', async () => {
  const base = temporaryDirectory();
  const golden: { backup: Record<string, string> } = JSON.parse(readFileSync(FILE, 'utf8'));
  for (const [name, bytes] of Object.entries(golden.backup)) {
    mkdirSync(join(base, 'repository', name, '..'), { recursive: true });
    writeFileSync(join(base, 'repository', name), Buffer.from(bytes, 'hex'));
  }
  const repository = await openRepository(join(base, 'repository'), unlock, seededRandom('unused'));
  onTestFinished(() => repository.close());
  expect(await verifyBackup(repository)).toEqual({ files: 1, bytes: 9 });
  await restore(repository, join(base, 'into'), 1);
  expect(readFileSync(join(base, 'into', 'one', 'file.txt'), 'utf8')).toBe('backed up');
});

test('rows of version 1 still open', async () => {
  const golden: { headers: { sealed: Record<string, string>; keys: string } } = JSON.parse(
    readFileSync(FILE, 'utf8'),
  );
  const store = closing(
    await openErasable(temporaryDirectory(), {
      random: () => Buffer.from(golden.headers.keys.slice(0, 64), 'hex'),
    }),
  );
  const [[key, sealed]] = Object.entries(golden.headers.sealed);
  const rowKey = new Uint8Array(Buffer.from(key, 'hex'));
  await store.put([{ key: rowKey, bytes: utf8('replaced below'), pepper: new Uint8Array() }]);
  await store.env.write([{ table: 'sealed', key: rowKey, value: Buffer.from(sealed, 'hex') }]);
  expect(store.get(rowKey, new Uint8Array())).toEqual(seededBytes('golden header', 80));
});
