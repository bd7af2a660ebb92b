/** Many writers, or one that must be alone. Who waits to be alone stops new writers, so it is never starved. */
export class WriteGate {
  #writers = 0;
  /** Ends when whoever is alone, or waits to be, has finished. */
  #closed: Promise<void> = Promise.resolve();
  #drained: () => void = () => undefined;

  /** Waits for the gate, then counts as a writer until the answer is called (once or more). */
  async enter(): Promise<() => void> {
    for (let gate: Promise<void> | undefined; gate !== this.#closed; ) {
      gate = this.#closed;
      await gate;
    }
    this.#writers += 1;
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#writers -= 1;
      if (this.#writers === 0) this.#drained();
    };
  }

  async writing<T>(work: () => Promise<T>): Promise<T> {
    const leave = await this.enter();
    try {
      return await work();
    } finally {
      leave();
    }
  }

  /** Runs `work` when no writer is inside and lets none in meanwhile. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      if (this.#writers > 0) await this.#emptied();
      return work();
    });
  }

  /** As `alone`; answers undefined, without `work`, when writers are still inside `ms` after its turn has come. */
  aloneWithin<T>(ms: number, work: () => Promise<T>): Promise<T | undefined> {
    return this.#inTurn(async () => {
      if (this.#writers > 0) {
        let timer: ReturnType<typeof setTimeout> | undefined;
        const late = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, ms);
        });
        await Promise.race([this.#emptied(), late]);
        clearTimeout(timer);
      }
      return this.#writers > 0 ? undefined : work();
    });
  }

  #emptied(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#closed.then(work);
    this.#closed = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }
}
