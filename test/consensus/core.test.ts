import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RequestPool } from '../../src/consensus/core/pool.ts';
import type { PooledRequest } from '../../src/consensus/core/types.ts';
import { VoteTable } from '../../src/consensus/core/votes.ts';
import { POOL_PER_CLIENT_MAX } from '../../src/consensus/limits.ts';
import type { Hash } from '../../src/consensus/wire/bytes.ts';

const CORE = join(import.meta.dirname, '../../src/consensus/core');

describe('the core is sans-IO', () => {
  const forbidden = [
    'Date',
    'Math.random',
    'performance',
    'setTimeout',
    'setInterval',
    'setImmediate',
    'queueMicrotask',
    'process',
    'Promise',
    'async',
    'await',
    'fetch(',
    'crypto',
    'node:',
    'console',
  ];
  test.each(readdirSync(CORE))('%s has no clock, chance, promise or I/O', (file) => {
    const code = readFileSync(join(CORE, file), 'utf8')
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/\/\/.*$/gm, '')
      .replace(/'[^'\n]*'/g, (text) => (text.startsWith("'node:") ? text : "''"));
    for (const word of forbidden) {
      const tail = /\w$/.test(word) ? '(?!\\w)' : '';
      const found = new RegExp(`(^|[^\\w#.])${word.replace(/[.(]/g, '\\$&')}${tail}`, 'm').test(code);
      expect(found, `${word} in ${file}`).toBe(false);
    }
  });

  test('consensus imports nothing from the rest of the product', () => {
    const walk = (dir: string): string[] =>
      readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
        entry.isDirectory() ? walk(join(dir, entry.name)) : [join(dir, entry.name)],
      );
    const root = join(CORE, '..');
    for (const file of walk(root)) {
      for (const [, target] of readFileSync(file, 'utf8').matchAll(/from '([^']+)'/g)) {
        const inside = target.startsWith('node:') || join(file, '..', target).startsWith(root);
        expect(inside, `${file} imports ${target}`).toBe(true);
      }
    }
  });
});

function request(nonce: number, client = 'a', id = `${client}${nonce}`, size = 10): PooledRequest {
  const info = { id: new Uint8Array(32), client, nonce: String(nonce), expiresAt: 1 };
  return { id, info, bytes: new Uint8Array(size) };
}

describe('request pool', () => {
  test('keeps one request per id and per nonce of a client', () => {
    const pool = new RequestPool();
    expect(pool.add(request(1), 0)).toBe('added');
    expect(pool.add(request(1), 0)).toBe('known');
    expect(pool.add(request(1, 'a', 'twin'), 0)).toBe('nonce-used');
    expect(pool.add(request(1, 'b'), 0)).toBe('added');
    expect(pool.remove('a1')).toBe(true);
    expect(pool.add(request(1, 'a', 'twin'), 0)).toBe('added');
  });

  test('holds as many requests of a client as its bound, and not one more', () => {
    const pool = new RequestPool();
    for (let i = 0; i < POOL_PER_CLIENT_MAX - 1; i++) pool.add(request(i), 0);
    expect(pool.add(request(POOL_PER_CLIENT_MAX - 1), 0)).toBe('added');
    expect(pool.add(request(POOL_PER_CLIENT_MAX), 0)).toBe('full');
    expect(pool.add(request(0, 'b'), 0)).toBe('added');
  });

  test('selects in order of arrival within count and bytes, and a single large request alone', () => {
    const pool = new RequestPool();
    for (let i = 0; i < 5; i++) pool.add(request(i, 'a', `a${i}`, 100), 0);
    const ids = (limits: { countMax: number; bytesMax: number }, bad = ''): string[] =>
      pool.select(limits, ({ id }) => id !== bad).map(({ id }) => id);
    expect(ids({ countMax: 3, bytesMax: 10_000 })).toEqual(['a0', 'a1', 'a2']);
    expect(ids({ countMax: 9, bytesMax: 4 + 2 * 104 })).toEqual(['a0', 'a1']);
    expect(ids({ countMax: 9, bytesMax: 4 + 2 * 104 - 1 })).toEqual(['a0']);
    expect(ids({ countMax: 9, bytesMax: 50 })).toEqual(['a0']);
    expect(ids({ countMax: 2, bytesMax: 10_000 }, 'a0')).toEqual(['a1', 'a2']);
  });
});

describe('vote table', () => {
  test('counts senders, keeps the first vote of each and separates views and values', () => {
    const table = new VoteTable();
    const vote = (sender: number, view: number, digest: string): Parameters<typeof table.add>[0] => ({
      epoch: 0,
      height: 1,
      view,
      sender,
      digest: digest as Hash,
      signature: new Uint8Array(64),
    });
    expect(table.add(vote(2, 0, 'x'))).toBeUndefined();
    expect(table.add(vote(2, 0, 'y'))?.digest).toBe('x');
    table.add(vote(0, 0, 'x'));
    table.add(vote(1, 1, 'x'));
    expect(table.count(0, 'x' as Hash)).toBe(2);
    expect(table.count(1, 'x' as Hash)).toBe(1);
    expect(table.list(0, 'x' as Hash).map(({ sender }) => sender)).toEqual([0, 2]);
  });
});
