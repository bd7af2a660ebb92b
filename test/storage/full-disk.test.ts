import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { temporaryDirectory } from './support.ts';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Runs `script` in a mount namespace of its own, where a small file system can be mounted without any right. */
function inNamespace(script: string, ...args: string[]) {
  return spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', ...args], { encoding: 'utf8' });
}

const canMount = inNamespace('mount -t tmpfs -o size=1m tmpfs /tmp').status === 0;
if (!canMount) console.warn('SKIPPED: the full-disk test; it needs `unshare -rm` and tmpfs');

test.skipIf(!canMount)(
  'a disk that is really full gives storage.full, and what was acknowledged stays readable',
  () => {
    const dir = temporaryDirectory();
    const hooks = new URL('typescript-hooks.mjs', import.meta.url).href;
    const script = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" --import "$3" "$4" "$1"';
    const child = inNamespace(script, dir, process.execPath, hooks, here('full-disk-child.ts'));
    expect({ status: child.status, signal: child.signal }).toEqual({ status: 0, signal: null });
    const said = JSON.parse(child.stdout);
    expect(said.large).toMatchObject({ code: 'storage.full' });
    expect(said.large.done).toBeGreaterThan(0);
    expect(said.written).toMatchObject({ code: 'storage.full' });
    expect(said.kept).toMatchObject({ code: 'storage.full' });
    expect(said.afterwards).toEqual({ done: 0, code: 'storage.failed' });
    expect(said.count).toBe(said.written.done);
    expect(said.reopening).toEqual({ done: 0, code: 'storage.full' });
  },
);
