import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { encodeCbor } from '../../src/codec/cbor.ts';
import {
  createKeystore,
  KEY_FILE_BYTES_MIN,
  openKeystore,
  SECRET_BYTES_MAX,
} from '../../src/storage/index.ts';
import { parseKdf } from '../../src/storage/secrets/unlock.ts';
import {
  closing,
  codeOf,
  diskHolds,
  filesBelow,
  seededBytes,
  seededRandom,
  temporaryDirectory,
} from './support.ts';

const keyFile = { keyFile: seededBytes('key file', 64) };
const options = () => ({ random: seededRandom('keystore') });

describe('a keystore', () => {
  test('opens under its passphrase only', async () => {
    const dir = temporaryDirectory();
    const made = await createKeystore(dir, { passphrase: 'correct horse' }, options());
    await made.put('share/1', utf8('the share'));
    await made.close();
    expect(await codeOf(openKeystore(dir, { passphrase: 'wrong horse' }, options()))).toBe(
      'storage.keystore_locked',
    );
    expect(await codeOf(openKeystore(dir, keyFile, options()))).toBe('storage.keystore_locked');
    const store = closing(await openKeystore(dir, { passphrase: 'correct horse' }, options()));
    expect(await store.get('share/1')).toEqual(utf8('the share'));
  });

  test('opens under its key file only; a short one is refused', async () => {
    const dir = temporaryDirectory();
    const short = { keyFile: new Uint8Array(KEY_FILE_BYTES_MIN - 1) };
    expect(await codeOf(createKeystore(dir, short, options()))).toBe('storage.keystore_locked');
    await (await createKeystore(dir, keyFile, options())).close();
    const other = { keyFile: seededBytes('another', 64) };
    expect(await codeOf(openKeystore(dir, other, options()))).toBe('storage.keystore_locked');
    closing(await openKeystore(dir, keyFile, options()));
  });

  test('is made once, and opened only where it was made', async () => {
    const dir = temporaryDirectory();
    expect(await codeOf(openKeystore(dir, keyFile, options()))).toBe('storage.not_found');
    await (await createKeystore(dir, keyFile, options())).close();
    expect(await codeOf(createKeystore(dir, keyFile, options()))).toBe('storage.keystore_exists');
  });

  test('lists, replaces and deletes by name, and keeps names off the disk', async () => {
    const dir = temporaryDirectory();
    const store = closing(await createKeystore(dir, keyFile, options()));
    await store.putMany([
      { name: 'oprf/lab.code/1', secret: utf8('seed') },
      { name: 'custodial/4f', secret: utf8('key') },
    ]);
    await store.put('custodial/4f', utf8('key two'));
    expect(await store.names()).toEqual(['custodial/4f', 'oprf/lab.code/1']);
    expect(await store.get('custodial/4f')).toEqual(utf8('key two'));
    await store.delete('oprf/lab.code/1', 'unknown');
    expect(await store.names()).toEqual(['custodial/4f']);
    expect(await store.get('oprf/lab.code/1')).toBeUndefined();
    for (const needle of ['custodial/4f', 'oprf/lab.code/1', 'key two', 'seed']) {
      expect(diskHolds(dir, utf8(needle))).toBe(false);
    }
  });

  test('names outside the form and secrets above the limit are refused', async () => {
    const store = closing(await createKeystore(temporaryDirectory(), keyFile, options()));
    for (const name of ['', 'A', '../x', 'a'.repeat(129), 'a b']) {
      expect(await codeOf(store.put(name, utf8('x')))).toBe('storage.bad_secret_name');
    }
    await store.put('a'.repeat(128), new Uint8Array(SECRET_BYTES_MAX));
    expect(await codeOf(store.put('b', new Uint8Array(SECRET_BYTES_MAX + 1)))).toBe(
      'storage.block_too_large',
    );
  });
});

describe('rotation and erasure', () => {
  test('after rotation the old passphrase opens nothing, not even with the old files beside the slots', async () => {
    const dir = temporaryDirectory();
    const made = await createKeystore(dir, keyFile, options());
    await made.put('share/1', utf8('the share'));
    const slotsBefore = filesBelow(dir).filter((path) => path.endsWith('keys.slots'));
    const masterSlot = readFileSync(slotsBefore[0]).subarray(0, 32);
    await made.rotate({ keyFile: seededBytes('new key file', 64) });
    expect(await made.get('share/1')).toEqual(utf8('the share'));
    await made.close();
    expect(diskHolds(dir, masterSlot)).toBe(false);
    expect(await codeOf(openKeystore(dir, keyFile, options()))).toBe('storage.keystore_locked');
    const store = closing(await openKeystore(dir, { keyFile: seededBytes('new key file', 64) }, options()));
    expect(await store.get('share/1')).toEqual(utf8('the share'));
  });

  test('the slot keys of a replaced and of a deleted secret are gone from the disk', async () => {
    const dir = temporaryDirectory();
    const drawn: Uint8Array[] = [];
    const random = (n: number) => {
      const bytes = seededBytes(`draw ${drawn.length}`, n);
      drawn.push(bytes);
      return bytes.slice();
    };
    const store = closing(await createKeystore(dir, keyFile, { random }));
    const begin = drawn.length;
    await store.put('share/1', utf8('old'));
    await store.put('share/1', utf8('new'));
    await store.put('share/2', utf8('other'));
    await store.delete('share/2');
    const [old, current, deleted] = drawn.slice(begin);
    expect(diskHolds(dir, old)).toBe(false);
    expect(diskHolds(dir, current)).toBe(true);
    expect(diskHolds(dir, deleted)).toBe(false);
  });
});

describe('key derivation parameters', () => {
  const salt = new Uint8Array(16);
  const argon = { v: 1, name: 'argon2id', memoryKiB: 1024 * 1024, passes: 16, salt };

  test('at the limit they are read, above it they are refused before anything is computed', async () => {
    expect(parseKdf(encodeCbor(argon))).toMatchObject({ name: 'argon2id', memoryKiB: 1024 * 1024 });
    for (const more of [{ memoryKiB: 1024 * 1024 + 1 }, { passes: 17 }, { passes: 0 }, { memoryKiB: 7.5 }]) {
      expect(await codeOf(() => parseKdf(encodeCbor({ ...argon, ...more })))).toBe(
        'storage.keystore_malformed',
      );
    }
  });

  test('unknown versions, unknown names and torn bytes are storage.keystore_malformed', async () => {
    const rows = [{ ...argon, v: 2 }, { ...argon, name: 'scrypt' }, { v: 1, name: 'key-file' }, []].map(
      encodeCbor,
    );
    for (const row of [...rows, encodeCbor(argon).subarray(0, -1), new Uint8Array()]) {
      expect(await codeOf(() => parseKdf(row))).toBe('storage.keystore_malformed');
    }
  });
});
