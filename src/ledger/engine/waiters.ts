/** Promises that settle when a condition on the ledger comes true. Every change of the ledger calls `wake`. */
import { CodedError } from '../../codec/errors.ts';

/** Most waits at once. */
const WAITERS_MAX = 50_000;

interface Waiter {
  /** True when it is done with. */
  attempt(): boolean;
  fail(error: unknown): void;
}

export class Waiters {
  readonly #waiting = new Set<Waiter>();
  #closed: CodedError | undefined;

  /**
   * The first value of `probe` that is not undefined. Rejects with the signal's reason when it is aborted, with
   * `ledger.busy` when too much waits, and when the ledger closes.
   */
  until<T>(probe: () => T | undefined, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed !== undefined) throw this.#closed;
      signal?.throwIfAborted();
      const now = probe();
      if (now !== undefined) {
        resolve(now);
        return;
      }
      if (this.#waiting.size >= WAITERS_MAX)
        throw new CodedError('ledger.busy', 'too many answers are waited for');
      const end = (): void => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        end();
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        attempt: () => {
          const value = probe();
          if (value === undefined) return false;
          end();
          resolve(value);
          return true;
        },
        fail: (error) => {
          end();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** Asks every waiter again. A probe that throws ends its own wait only. */
  wake(): void {
    for (const waiter of [...this.#waiting]) {
      try {
        waiter.attempt();
      } catch (error) {
        waiter.fail(error);
      }
    }
  }

  /** Ends every wait with `error`, now and later. */
  close(error: CodedError): void {
    this.#closed = error;
    for (const waiter of [...this.#waiting]) waiter.fail(error);
  }
}
