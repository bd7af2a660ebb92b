/** The offline toolkit as a stranger meets it: files, refusals in words, nothing binary on a terminal. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { COMMAND, type Finished, isBuilt, start } from './process.ts';

const hasScript = spawnSync('script', ['--version']).status === 0;
if (!hasScript) console.warn('test/cli: "script" is not there, so nothing is tried on a terminal');

describe.skipIf(!isBuilt)('hippocrypt abe (skipped without a build)', () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);
  const abe = (...args: string[]): Promise<Finished> => start(['abe', ...args]).finished;
  const sealed = (): Promise<Finished> =>
    abe(
      'encrypt',
      file('plain'),
      '--policy',
      'mercy/role:doctor and mercy/ward:icu',
      '--public',
      file('p.hpp'),
      '--out',
      file('sealed'),
    );

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hippocrypt-toolkit-'));
    writeFileSync(file('plain'), 'a letter\n');
    writeFileSync(file('binary'), Uint8Array.of(0, 27, 255));
    expect(await abe('setup', '--master', file('m.hpm'), '--public', file('p.hpp'))).toMatchObject({
      code: 0,
    });
    const master = ['--master', file('m.hpm')];
    expect(
      await abe('keygen', 'mercy/role:doctor', 'mercy/ward:icu', '--out', file('doctor'), ...master),
    ).toMatchObject({ code: 0 });
    expect(await abe('keygen', 'mercy/role:nurse', '--out', file('nurse'), ...master)).toMatchObject({
      code: 0,
    });
    expect(await sealed()).toMatchObject({ code: 0 });
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('opens for whom the policy says, and tells the others which clause fails', async () => {
    expect(await abe('decrypt', file('sealed'), '--key', file('doctor'))).toMatchObject({
      code: 0,
      stdout: 'a letter\n',
    });
    const refused = await abe('decrypt', file('sealed'), '--key', file('nurse'));
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('abe.policy_unsatisfied');
    expect(refused.stderr).toContain('mercy/role:doctor fails: you have mercy/role:nurse');
    expect(refused.stderr).toContain('mercy/ward:icu fails: you have no mercy/ward');
  });

  it('overwrites no key: neither the public one nor the master secret', async () => {
    const before = readFileSync(file('p.hpp'));
    for (const args of [
      ['--master', file('other.hpm'), '--public', file('p.hpp')],
      ['--master', file('m.hpm'), '--public', file('other.hpp')],
    ]) {
      const again = await abe('setup', ...args);
      expect(again).toMatchObject({ code: 1 });
      expect(again.stderr).toContain('cli.exists');
    }
    expect(readFileSync(file('p.hpp'))).toEqual(before);
    for (const left of ['other.hpm', 'other.hpp']) expect(() => readFileSync(file(left))).toThrow(/ENOENT/);
  });

  it('says of each file what it is, without a secret, and why a key opens', async () => {
    const view = async (...args: string[]): Promise<Record<string, unknown>> =>
      JSON.parse((await abe('inspect', ...args, '--json')).stdout) as Record<string, unknown>;
    const { fingerprint } = await view(file('p.hpp'));
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(await view(file('doctor'))).toEqual({
      kind: 'key',
      fingerprint,
      attributes: ['mercy/role:doctor', 'mercy/ward:icu'],
    });
    expect(await view(file('m.hpm'))).toEqual({ kind: 'master secret: opens everything', fingerprint });
    expect(await view(file('sealed'), '--key', file('nurse'))).toMatchObject({
      policy: 'mercy/role:doctor and mercy/ward:icu',
      opens: false,
      because:
        'mercy/role:doctor fails: you have mercy/role:nurse\nmercy/ward:icu fails: you have no mercy/ward',
    });
    expect(await view(file('sealed'), '--key', file('doctor'))).toMatchObject({ opens: true });
  });

  it.each([
    ['decrypt', ['plain', 'doctor'], 'sealed by "hippocrypt abe encrypt"'],
    ['decrypt', ['sealed', 'plain'], 'a key file made by'],
    ['decrypt', ['sealed', 'm.hpm'], 'a key file made by'],
    ['inspect', ['plain'], 'a file made by "hippocrypt abe"'],
  ])('names what it expected: %s %j', async (command, [name, key], expected) => {
    const refused = await abe(command, file(name), ...(key === undefined ? [] : ['--key', file(key)]));
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toContain('cli.toolkit_file');
    expect(refused.stderr).toContain(expected);
  });

  it.skipIf(!hasScript)('puts nothing binary on a terminal (skipped without "script")', async () => {
    const onTerminal = (...args: string[]) => {
      const line = [process.execPath, COMMAND, 'abe', ...args].map((one) => `'${one}'`).join(' ');
      const { status, stdout } = spawnSync('script', ['-qec', line, '/dev/null'], { encoding: 'utf8' });
      return { status, stdout };
    };
    const policy = ['--policy', 'mercy/role:doctor', '--public', file('p.hpp')];
    const encrypted = onTerminal('encrypt', file('plain'), ...policy);
    expect(encrypted.status).toBe(1);
    expect(encrypted.stdout).toContain('cli.binary');
    expect(encrypted.stdout).not.toContain('HIPPABE1');
    expect(await abe('encrypt', file('binary'), ...policy, '--out', file('sealed binary'))).toMatchObject({
      code: 0,
    });
    const binary = onTerminal('decrypt', file('sealed binary'), '--key', file('doctor'));
    expect(binary).toMatchObject({ status: 1 });
    expect(binary.stdout).toContain('cli.binary');
    const text = onTerminal('decrypt', file('sealed'), '--key', file('doctor'));
    expect(text).toMatchObject({ status: 0 });
    expect(text.stdout).toContain('a letter');
  });
});
