import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { equalBytes, u32be } from '../../src/codec/bytes.ts';
import { headerHash, openEmbeddedStore, openEnvironment, openHeaderStore } from '../../src/storage/index.ts';
import { crashObject } from './seeded.ts';
import {
  closing,
  collectBytes,
  expectSame,
  filesBelow,
  seededBytes,
  seededRandom,
  temporaryDirectory,
} from './support.ts';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Runs the child in `dir` and kills it when it has said `lines` lines. Answers what it said until it died. */
async function killAfter(dir: string, seed: string, lines: number): Promise<string[]> {
  const hooks = new URL('typescript-hooks.mjs', import.meta.url).href;
  const child = spawn(process.execPath, ['--import', hooks, here('crash-child.ts'), dir, seed], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said: string[] = [];
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (said.length === lines) child.kill('SIGKILL');
  }
  await exited;
  return said;
}

describe('SIGKILL in the middle of writing', () => {
  test.each([1, 7, 23, 38, 64, 91, 120, 173])(
    'after %i lines nothing acknowledged is lost or half there',
    async (lines) => {
      const dir = temporaryDirectory();
      const seed = `crash ${lines}`;
      const said = await killAfter(dir, seed, lines);
      expect(said.length).toBeGreaterThanOrEqual(lines);

      const store = closing(openEmbeddedStore(join(dir, 'payloads')));
      const headers = closing(await openHeaderStore(join(dir, 'headers'), { random: seededRandom(seed) }));
      const env = closing(openEnvironment(join(dir, 'state'), { tables: ['a', 'b'] }));
      const deleted = new Set(
        said.filter((line) => line.startsWith('deleted')).map((line) => line.split(' ')[1]),
      );
      for (const line of said) {
        const [what, i, third, fourth] = line.split(' ');
        const header = seededBytes(`${seed}/${i}/header`, 700);
        if (what === 'stored') expectSame(await collectBytes(store.get(third)), crashObject(seed, Number(i)));
        if (what === 'small') {
          expectSame(await collectBytes(store.get(fourth)), seededBytes(`${seed}/${i}/small/${third}`, 300));
        }
        if (what === 'deleted') expect(await headers.get(headerHash(header))).toBeUndefined();
        if (what === 'header' && !deleted.has(i)) {
          const kept = await headers.get(headerHash(header));
          // A deletion that was under way may have happened, but never leaves half a header.
          if (kept !== undefined || said.includes(`header ${Number(i) + 2}`)) expectSame(kept, header);
        }
        if (what === 'pair') expect(env.get('a', u32be(Number(i)))?.length).toBe(3000);
      }
      for (const [key, value] of env.range('a', {})) {
        expect(equalBytes(env.get('b', key) ?? new Uint8Array(), value)).toBe(true);
      }
      expect(env.count('a')).toBe(env.count('b'));

      await store.collect([], 0, Date.now() + 60_000);
      await store.collect([], 0, Date.now() + 60_000);
      expect(filesBelow(join(dir, 'payloads', 'files'))).toEqual([]);
      expect(filesBelow(join(dir, 'payloads', 'tmp'))).toEqual([]);
    },
  );
});
