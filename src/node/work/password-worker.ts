/** The thread that hashes passwords: Argon2id fills 19 MiB of memory twice for each, which takes 50 ms. */
import { argon2id, argon2Verify } from 'hash-wasm';

/** OWASP's first recommendation for Argon2id: 19 MiB, 2 passes, 1 lane. */
const ARGON2 = { iterations: 2, memorySize: 19_456, parallelism: 1, hashLength: 32 } as const;

export type PasswordTask =
  | { readonly task: 'hash'; readonly password: string; readonly salt: Uint8Array }
  | { readonly task: 'verify'; readonly password: string; readonly hash: string };

/** Entry of the thread: an encoded hash, or whether the password is the one of the hash. */
export default function run(task: PasswordTask): Promise<string | boolean> {
  const { password } = task;
  return task.task === 'hash'
    ? argon2id({ ...ARGON2, password, salt: task.salt, outputType: 'encoded' })
    : argon2Verify({ password, hash: task.hash });
}
