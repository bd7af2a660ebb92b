/** Rotation of the keystore's key: the old key opens nothing any more, whenever the process ends. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { createKeystore, openKeystore } from '../../src/storage/index.ts';
import { isBuilt, run } from '../cli/process.ts';
import { codeOf, seededBytes, temporaryDirectory } from './support.ts';

const random = (n: number) => new Uint8Array(randomBytes(n));
const keyFile = (i: number) => ({ keyFile: seededBytes(`key ${i}`, 64) });

describe('SIGKILL while the key is rotated again and again', () => {
  test.each([1, 3, 8, 21, 40])(
    'after %i rotations the newest key, or the one that was being set, opens everything, and no older one',
    async (count) => {
      const dir = temporaryDirectory();
      const made = await createKeystore(dir, keyFile(0), { random });
      await made.put('share/1', utf8('the share'));
      await made.close();
      const hooks = new URL('typescript-hooks.mjs', import.meta.url).href;
      const script = fileURLToPath(new URL('rotate-child.ts', import.meta.url));
      const child = spawn(process.execPath, ['--import', hooks, script, dir], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const exited = once(child, 'exit');
      let done = 0;
      for await (const line of createInterface({ input: child.stdout })) {
        done = Number(line);
        if (done === count) child.kill('SIGKILL');
      }
      await exited;
      expect(done).toBeGreaterThanOrEqual(count);
      for (let i = Math.max(0, done - 3); i < done; i++)
        expect(await codeOf(openKeystore(dir, keyFile(i), { random })), `key ${i}`).toBe(
          'storage.keystore_locked',
        );
      const current = await openKeystore(dir, keyFile(done), { random }).catch(() =>
        openKeystore(dir, keyFile(done + 1), { random }),
      );
      expect(await current.get('share/1')).toEqual(utf8('the share'));
      await current.close();
      // One slot for the master key, one for the secret: those of all older seals are empty.
      const slots = readFileSync(join(dir, 'keys.slots'));
      const used = Array.from({ length: slots.length / 32 }, (_, i) => slots.subarray(i * 32, i * 32 + 32));
      expect(used.filter((slot) => slot.some((byte) => byte !== 0))).toHaveLength(2);
    },
  );
});

describe.skipIf(!isBuilt)('hippocrypt keystore rotate (needs dist/)', () => {
  let dir: string;
  const at = (name: string): string => join(dir, name);
  const rotate = (...args: string[]) =>
    run(['keystore', 'rotate', '--json', '--config', at('mercy.json'), ...args]);
  const opens = async (unlock: Record<string, string>): Promise<unknown> => {
    const config = JSON.parse(readFileSync(at('mercy.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(at('other.json'), JSON.stringify({ ...config, unlock }));
    const { stdout } = await run(['doctor', '--json', '--config', at('other.json')]);
    const { findings } = JSON.parse(stdout) as { findings: { part: string; says: string }[] };
    return findings.find(({ part }) => part === 'store keystore')?.says;
  };
  const LOCKED = 'does not open: storage.keystore_locked';

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'hippocrypt-rotate-'));
    expect((await run(['init', '--members', '4', '--dir', dir])).code).toBe(0);
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('makes the new key file and leaves the old one useless', async () => {
    const old = { keyFile: 'mercy/keystore.key' };
    expect(await opens(old)).toBe('opens');
    const { code, stdout } = await rotate('--new-key-file', at('new.key'));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ rotated: true, unlock: { keyFile: at('new.key') } });
    expect(readFileSync(at('new.key'))).toHaveLength(64);
    expect(await opens(old)).toBe(LOCKED);
    expect(await opens({ keyFile: 'new.key' })).toBe('opens');
  });

  it('says that it was done when it is run again, and refuses a key that never opened it', async () => {
    const again = await rotate('--new-key-file', at('new.key'));
    expect(JSON.parse(again.stdout)).toMatchObject({ rotated: false });
    const wrong = await rotate('--new-key-file', at('another.key'));
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain('storage.keystore_locked');
    expect(await opens({ keyFile: 'new.key' })).toBe('opens');
  });

  it('goes from a key file to a passphrase', async () => {
    const config = JSON.parse(readFileSync(at('mercy.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(at('mercy.json'), JSON.stringify({ ...config, unlock: { keyFile: 'new.key' } }));
    writeFileSync(at('passphrase'), 'correct horse battery staple\n');
    expect((await rotate('--new-passphrase-file', at('passphrase'))).code).toBe(0);
    expect(await opens({ keyFile: 'new.key' })).toBe(LOCKED);
    expect(await opens({ passphraseFile: 'passphrase' })).toBe('opens');
  });

  it('wants one of the two', async () => {
    expect((await rotate()).code).toBe(2);
    expect((await rotate('--new-key-file', at('a'), '--new-passphrase-file', at('passphrase'))).code).toBe(2);
  });
});
