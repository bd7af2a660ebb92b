/** Passwords are hashed in a thread of their own. */
import { argon2id } from 'hash-wasm';
import { afterAll, describe, expect, it } from 'vitest';
import { Passwords } from '../../src/node/work/passwords.ts';

const passwords = new Passwords();
afterAll(() => passwords.close());

const salt = new Uint8Array(16).fill(3);
const KNOWN = '$argon2id$v=19$m=19456,t=2,p=1$AwMDAwMDAwMDAwMDAwMDAw$';

describe('a password', () => {
  it('is verified under its hash, and no other is', async () => {
    const hash = await passwords.hash('correct horse', salt);
    expect(hash).toContain(KNOWN);
    expect(await passwords.verify('correct horse', hash)).toBe(true);
    expect(await passwords.verify('correct horsf', hash)).toBe(false);
  });

  it('of one too many at once is node.busy, and the others are answered', async () => {
    // Cheap, so that this takes no seconds.
    const cheap = { memorySize: 8, iterations: 1, parallelism: 1, hashLength: 32 };
    const hash = await argon2id({ ...cheap, password: 'p', salt, outputType: 'encoded' });
    // One is being hashed, 64 wait.
    const answers = await Promise.allSettled(Array.from({ length: 80 }, () => passwords.verify('p', hash)));
    const refused = answers.filter((one) => one.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'node.busy' });
    const good = answers.filter((one) => one.status === 'fulfilled');
    expect(good.length).toBeGreaterThanOrEqual(64);
    expect(good.every(({ value }) => value)).toBe(true);
  });
});
