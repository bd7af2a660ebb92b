/** Long transfers are not bounded by a clock, only by how long they may stand still. */

/** Longest wait for the next bytes, or for the other side to take some. */
const STALL_MS = 60_000;

export class Stall {
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What the source of an upload failed with. */
  sourceError: unknown;

  /** Aborts with a TimeoutError when the transfer stands still. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  start(): void {
    this.stop();
    const late = new DOMException('the transfer stood still', 'TimeoutError');
    this.#timer = setTimeout(() => this.#controller.abort(late), STALL_MS);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** The clock runs while `step` is waited for. */
  async wait<T>(step: Promise<T>): Promise<T> {
    this.start();
    try {
      return await step;
    } finally {
      this.stop();
    }
  }
}

/** A body for fetch that takes from `source` at the network's pace. The time that the source itself needs does not count. */
export function readable(source: AsyncIterable<Uint8Array>, stall: Stall): ReadableStream<Uint8Array> {
  const items = source[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      stall.stop();
      try {
        const next = await items.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      } catch (error) {
        stall.sourceError = error;
        controller.error(error);
      }
      stall.start();
    },
    async cancel() {
      await items.return?.();
    },
  });
}
