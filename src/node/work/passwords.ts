/**
 * Hashing of passwords in a thread of its own: the event loop has votes and requests to answer meanwhile, and who signs in
 * does not wait behind lists of records that are sealed. The thread starts with the first password and ends when none has come
 * for a while.
 */
import { Piscina } from 'piscina';
import { CodedError } from '../../codec/errors.ts';
import type { PasswordTask } from './password-worker.ts';
import { workerFile } from './worker-file.ts';

/** Sign-ins that may wait: some seconds of hashing. */
const QUEUE_MAX = 64;
const IDLE_MS = 60_000;

export class Passwords {
  #piscina: Piscina | undefined;

  /** The encoded Argon2id hash, with its salt and cost in it. Throws `node.busy`. */
  hash(password: string, salt: Uint8Array): Promise<string> {
    return this.#run({ task: 'hash', password, salt });
  }

  /** Throws `node.busy`. */
  verify(password: string, hash: string): Promise<boolean> {
    return this.#run({ task: 'verify', password, hash });
  }

  async close(): Promise<void> {
    await this.#piscina?.destroy();
  }

  async #run<T>(task: PasswordTask): Promise<T> {
    this.#piscina ??= new Piscina({
      filename: workerFile('password-worker.js'),
      minThreads: 0,
      maxThreads: 1,
      maxQueue: QUEUE_MAX,
      idleTimeout: IDLE_MS,
    });
    const piscina = this.#piscina;
    try {
      return await piscina.run(task);
    } catch (cause) {
      if (piscina.queueSize < QUEUE_MAX) throw cause;
      throw new CodedError('node.busy', 'too many sign in at once: try again', { cause });
    }
  }
}
