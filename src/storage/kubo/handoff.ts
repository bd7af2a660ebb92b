/**
 * A hand-to-hand queue: a giver waits until its item has been taken, so that a fast importer never runs ahead of
 * a slow upload.
 */
import { storageError } from '../errors.ts';

interface Offer<T> {
  readonly item: T;
  readonly taken: () => void;
  readonly refused: (cause: unknown) => void;
}

export class Handoff<T> implements AsyncIterable<T> {
  readonly #timeoutMs: number;
  /** Until taken, an item that the taker is busy with stays first. */
  readonly #offers: Offer<T>[] = [];
  #ended = false;
  #failure: { readonly cause: unknown } | undefined;
  #wake: () => void = () => undefined;

  /** A giver whose item is not taken within `timeoutMs` gets `storage.kubo_timeout`. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Resolves once the item was taken; rejects with the cause given to `fail`. */
  give(item: T): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure.cause);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.fail(storageError('storage.kubo_timeout', 'the daemon stopped taking the upload')),
        this.#timeoutMs,
      );
      this.#offers.push({
        item,
        taken: () => {
          clearTimeout(timer);
          resolve();
        },
        refused: (cause) => {
          clearTimeout(timer);
          reject(cause);
        },
      });
      this.#wake();
    });
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Refuses what was offered and what will be. The first cause stays. */
  fail(cause: unknown): void {
    this.#failure ??= { cause };
    for (const offer of this.#offers.splice(0)) offer.refused(this.#failure.cause);
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      if (this.#failure) throw this.#failure.cause;
      const offer = this.#offers[0];
      if (offer !== undefined) {
        yield offer.item;
        if (this.#offers[0] === offer) this.#offers.shift();
        offer.taken();
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
