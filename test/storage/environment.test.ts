import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { u32be, utf8 } from '../../src/codec/bytes.ts';
import { KEY_BYTES_MAX, openEnvironment, SPACE_RESERVE_BYTES } from '../../src/storage/index.ts';
import { closing, codeOf, temporaryDirectory } from './support.ts';

const A = utf8('a');
const put = (key: string, value = key) => ({ table: 't', key: utf8(key), value: utf8(value) });
const keys = (found: Iterable<readonly [Uint8Array, Uint8Array]>) =>
  [...found].map(([key]) => Buffer.from(key).toString());

describe('one opener for each environment', () => {
  test('a second open in the process is storage.already_open, also through another path', async () => {
    const dir = temporaryDirectory();
    const env = closing(openEnvironment(dir, { tables: ['t'] }));
    expect(await codeOf(() => openEnvironment(dir, { tables: ['t'] }))).toBe('storage.already_open');
    expect(await codeOf(() => openEnvironment(join(dir, '.'), { tables: ['t'] }))).toBe(
      'storage.already_open',
    );
    await env.close();
    closing(openEnvironment(dir, { tables: ['t'] }));
  });

  test('a lock of another thread of this process is storage.already_open too', async () => {
    const [one, two] = [temporaryDirectory(), temporaryDirectory()];
    closing(openEnvironment(one, { tables: ['t'] }));
    writeFileSync(join(two, 'owner.lock'), readFileSync(join(one, 'owner.lock')));
    expect(await codeOf(() => openEnvironment(two, { tables: ['t'] }))).toBe('storage.already_open');
  });

  test('a lock of another living process is storage.locked', async () => {
    const dir = temporaryDirectory();
    const parent = process.ppid;
    const stat = spawnSync('cat', [`/proc/${parent}/stat`], { encoding: 'utf8' }).stdout;
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    const boot = spawnSync('cat', ['/proc/sys/kernel/random/boot_id'], { encoding: 'utf8' }).stdout.trim();
    writeFileSync(join(dir, 'owner.lock'), `${parent} ${started || '-'} ${boot || 'unknown-boot'}\n`);
    expect(await codeOf(() => openEnvironment(dir, { tables: ['t'] }))).toBe('storage.locked');
  });

  test('a lock whose process has died is taken over, and goes on close', async () => {
    const dir = temporaryDirectory();
    const held = temporaryDirectory();
    const holder = openEnvironment(held, { tables: ['t'] });
    const [, started, boot] = readFileSync(join(held, 'owner.lock'), 'utf8').trim().split(' ');
    await holder.close();
    const { pid } = spawnSync(process.execPath, ['-e', '0']);
    const dead = [
      `${pid} 1 ${boot}`,
      `${process.pid} 1 ${boot}`,
      `${process.pid} ${started} another-boot`,
      'torn',
      '',
    ];
    for (const owner of dead) {
      writeFileSync(join(dir, 'owner.lock'), `${owner}\n`);
      const env = openEnvironment(dir, { tables: ['t'] });
      await env.close();
      expect(existsSync(join(dir, 'owner.lock'))).toBe(false);
    }
  });
});

describe('the key-value port', () => {
  test('what was written is there after reopening', async () => {
    const dir = temporaryDirectory();
    const env = openEnvironment(dir, { tables: ['t', 'u'] });
    await env.write([put('a', 'one'), { table: 'u', key: A, value: utf8('two') }]);
    await env.write([{ table: 't', key: A, remove: true }]);
    await env.close();
    const again = closing(openEnvironment(dir, { tables: ['t', 'u'] }));
    expect(again.get('t', A)).toBeUndefined();
    expect(again.get('u', A)).toEqual(utf8('two'));
  });

  test('a view is of one moment: what is written later is not in it, what was removed still is', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'] }));
    await env.write(['a', 'b', 'c'].map((key) => put(key, 'old')));
    const view = env.view();
    expect(keys(view.range('t', { limit: 1 }))).toEqual(['a']);
    await env.write([put('b', 'new'), put('d', 'new'), { table: 't', key: utf8('c'), remove: true }]);
    expect(keys(view.range('t', { gte: utf8('b') }))).toEqual(['b', 'c']);
    expect(view.get('t', utf8('b'))).toEqual(utf8('old'));
    expect(view.get('t', utf8('d'))).toBeUndefined();
    view.close();
    expect(keys(env.range('t', {}))).toEqual(['a', 'b', 'd']);
    const after = env.view();
    expect(after.get('t', utf8('b'))).toEqual(utf8('new'));
    after.close();
  });

  test('a value belongs to its reader and is a plain Uint8Array', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'] }));
    await env.write([put('a', 'value')]);
    const value = env.get('t', A);
    expect(value?.constructor).toBe(Uint8Array);
    value?.fill(0);
    expect(env.get('t', A)).toEqual(utf8('value'));
  });

  test('a range is in byte order, from gte to below lt, both ways, with a limit', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'] }));
    await env.write(['b', 'd', 'a', 'c', 'e', 'ca'].map((key) => put(key)));
    const range = { gte: utf8('b'), lt: utf8('d') };
    expect(keys(env.range('t', {}))).toEqual(['a', 'b', 'c', 'ca', 'd', 'e']);
    expect(keys(env.range('t', range))).toEqual(['b', 'c', 'ca']);
    expect(keys(env.range('t', { ...range, reverse: true }))).toEqual(['ca', 'c', 'b']);
    expect(keys(env.range('t', { lt: utf8('dd'), reverse: true, limit: 2 }))).toEqual(['d', 'ca']);
    expect(keys(env.range('t', { gte: utf8('d'), reverse: true }))).toEqual(['e', 'd']);
    expect(keys(env.range('t', { gte: utf8('x') }))).toEqual([]);
    expect(keys(env.range('t', { limit: 0 }))).toEqual([]);
  });

  test('numbers of four big-endian bytes keep their order across the sign bit', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'] }));
    const numbers = [0, 1, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff];
    await env.write([...numbers].reverse().map((n) => ({ table: 't', key: u32be(n), value: A })));
    expect([...env.range('t', {})].map(([key]) => key)).toEqual(numbers.map(u32be));
  });

  test('a write is all or nothing: one bad operation leaves none of it, and the next write works', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'] }));
    const tooLong = { table: 't', key: new Uint8Array(KEY_BYTES_MAX + 1), value: A };
    expect(await codeOf(env.write([put('a'), tooLong]))).toBe('storage.bad_key');
    expect(await codeOf(env.write([put('a'), { table: 'nowhere', key: A, value: A }]))).toBe(
      'storage.unknown_table',
    );
    expect(env.count('t')).toBe(0);
    await env.write([{ ...tooLong, key: new Uint8Array(KEY_BYTES_MAX) }]);
    expect(env.count('t')).toBe(1);
  });

  test('writes of one moment commit in the order in which they were made', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'] }));
    await Promise.all(Array.from({ length: 200 }, (_, i) => env.write([put('a', String(i))])));
    expect(env.get('t', A)).toEqual(utf8('199'));
  });

  test('what a resolved write stored is what get and range answer at once, whatever else is under way', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t', 'u'] }));
    for (let i = 0; i < 300; i++) {
      expect(env.get('t', A)).toEqual(i === 0 ? undefined : utf8(String(i - 1)));
      const others = ['x', 'y', 'z'].slice(0, i % 4).map((key) => env.write([{ ...put(key), table: 'u' }]));
      const writing = env.write([put('a', String(i))]);
      const more = env.write([{ ...put('w'), table: 'u' }]);
      await writing;
      expect(env.get('t', A)).toEqual(utf8(String(i)));
      expect([...env.range('t', { limit: 1 })]).toEqual([[A, utf8(String(i))]]);
      if (i % 7 === 0) await Promise.all([...others, more]);
    }
  });

  test('an empty key is refused', async () => {
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'] }));
    expect(await codeOf(env.write([put('')]))).toBe('storage.bad_key');
  });
});

describe('a full disk', () => {
  test('storage.full comes before the reserve is touched; removing and reading go on; space cures it', async () => {
    let free = SPACE_RESERVE_BYTES + 1024 * 1024;
    const env = closing(openEnvironment(temporaryDirectory(), { tables: ['t'], freeBytes: () => free }));
    await env.write([put('a')]);
    free = SPACE_RESERVE_BYTES - 1;
    expect(await codeOf(env.write([put('b')]))).toBe('storage.full');
    expect(env.get('t', A)).toEqual(A);
    await env.write([{ table: 't', key: A, remove: true }]);
    free = 2 * SPACE_RESERVE_BYTES;
    await env.write([put('b')]);
    expect(keys(env.range('t', {}))).toEqual(['b']);
  });
});

describe('closing', () => {
  test('waits for writes under way, and refuses later calls', async () => {
    const dir = temporaryDirectory();
    const env = openEnvironment(dir, { tables: ['t'] });
    const writing = env.write([put('a')]);
    await Promise.all([env.close(), env.close(), writing]);
    expect(await codeOf(env.write([put('b')]))).toBe('storage.closed');
    expect(await codeOf(() => env.get('t', A))).toBe('storage.closed');
    const again = closing(openEnvironment(dir, { tables: ['t'] }));
    expect(keys(again.range('t', {}))).toEqual(['a']);
  });
});
