/** LMDB's map: it grows with the data, and where it cannot a write is refused before anything is lost. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { u32be } from '../../src/codec/bytes.ts';
import { openEnvironment } from '../../src/storage/index.ts';
import { closing, expectSame, seededBytes, temporaryDirectory } from './support.ts';

const MIB = 2 ** 20;

describe('the map of an environment', () => {
  test('grows past its first size while ranges are read, and the rows are there after reopening', async () => {
    const dir = temporaryDirectory();
    const value = (i: number) => seededBytes(`value ${i}`, 3000);
    const env = openEnvironment(dir, { tables: ['t'], mapBytes: MIB });
    const row = (i: number) => ({ table: 't', key: u32be(i), value: value(i) });
    await env.write(Array.from({ length: 100 }, (_, i) => row(i)));
    const range = env.range('t', {})[Symbol.iterator]();
    const [firstKey] = range.next().value ?? [];
    const early = env.get('t', u32be(7));
    for (let i = 100; i < 3000; i += 100) await env.write(Array.from({ length: 100 }, (_, j) => row(i + j)));
    // What was read under the first map is still readable, and the range goes on in its own snapshot.
    expectSame(early, value(7));
    expectSame(firstKey, u32be(0));
    let seen = 1;
    for (let next = range.next(); next.done !== true; next = range.next()) {
      expectSame(next.value[1], value(seen));
      seen += 1;
    }
    expect(seen).toBe(100);
    expect(env.count('t')).toBe(3000);
    await env.close();

    const again = closing(openEnvironment(dir, { tables: ['t'], mapBytes: MIB }));
    for (let i = 0; i < 3000; i += 37) expectSame(again.get('t', u32be(i)), value(i));
    await again.write([row(3000)]);
    expect(again.count('t')).toBe(3001);
  });
});

const hooks = new URL('typescript-hooks.mjs', import.meta.url).href;
const child = fileURLToPath(new URL('map-child.ts', import.meta.url));

/** Runs the child, under a limit of `kib` if one is given. */
function run(kib: number | 'unlimited', dir: string, leaveMiB: number) {
  const script = `ulimit -v ${kib} && exec "$@"`;
  const args = ['-c', script, 'sh', process.execPath, '--import', hooks, child, dir, String(leaveMiB * MIB)];
  return spawnSync('sh', args, { encoding: 'utf8' });
}

/** What such a process takes by itself: WebAssembly alone reserves gigabytes. */
const probe = process.platform === 'linux' ? run('unlimited', '', 0) : undefined;
const canLimit = probe?.status === 0 && JSON.parse(probe.stdout).peak > 0;
if (!canLimit) console.warn('SKIPPED: maps in a limited address space; it needs Linux and `ulimit -v`');

/** Runs the child with `leaveMiB` of address space left to its store. */
function limited(dir: string, leaveMiB: number) {
  const peak: number = JSON.parse(probe?.stdout ?? '{}').peak;
  return run(Math.ceil(peak / 1024) + 2 * 1024 * 1024, dir, leaveMiB);
}

describe.skipIf(!canLimit)('in a limited address space', () => {
  test('a store opens, grows as far as there is room, and then refuses by name with nothing lost', async () => {
    const dir = temporaryDirectory();
    const grown = limited(dir, 700);
    expect({ status: grown.status, signal: grown.signal }).toEqual({ status: 0, signal: null });
    const said = JSON.parse(grown.stdout);
    expect(said).toMatchObject({ refused: 'storage.full', count: said.done - 1 });
    // Beyond the first map of 64 MiB: it has grown.
    expect(said.done).toBeGreaterThan(80);

    const env = closing(openEnvironment(dir, { tables: ['t'] }));
    expect(env.count('t')).toBe(said.done - 1);
    for (let i = 1; i < said.done; i++) {
      const found = env.get('t', Buffer.from(`${i}`));
      expect(found?.length).toBe(MIB);
      expectSame(found?.subarray((i % 16) * 65_536, (i % 16) * 65_536 + 64), seededBytes(`row ${i}`, 64));
    }
    await env.write([{ table: 't', key: Buffer.from('more'), value: new Uint8Array(MIB) }]);
    await env.close();

    // The same store where not even what is there can be mapped.
    const small = limited(dir, 200);
    expect({ status: small.status, signal: small.signal }).toEqual({ status: 0, signal: null });
    expect(JSON.parse(small.stdout)).toMatchObject({ failed: 'storage.full' });
  }, 60_000);
});
