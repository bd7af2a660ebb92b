/** Who waits for which request, and where recent requests were decided, so that a repeat gets the same answer. */
import type { ConsensusError } from '../errors.ts';

/** Where a request stands: block height and index in its batch. */
export interface Submitted {
  readonly height: number;
  readonly index: number;
}

/** Decided requests remembered for repeats; older repeats are the application's to refuse. */
const DONE_MAX = 20_000;

interface Waiting {
  readonly promise: Promise<Submitted>;
  readonly resolve: (place: Submitted) => void;
  readonly reject: (error: ConsensusError) => void;
}

export class Submissions {
  readonly #waiting = new Map<string, Waiting>();
  readonly #done = new Map<string, Submitted>();
  readonly #doneNamed = new Map<string, Submitted>();

  get waiting(): boolean {
    return this.#waiting.size > 0;
  }

  done(id: string): Submitted | undefined {
    return this.#done.get(id);
  }

  /** The place of the request whose bytes have this `requestName`. */
  doneNamed(name: string): Submitted | undefined {
    return this.#doneNamed.get(name);
  }

  /** The place of the request once it is decided; all who wait for one id share it. */
  wait(id: string): Promise<Submitted> {
    const before = this.#waiting.get(id);
    if (before !== undefined) return before.promise;
    const { promise, resolve, reject } = withResolvers();
    this.#waiting.set(id, { promise, resolve, reject });
    return promise;
  }

  /** The request of `id`, whose bytes have `name`, was applied at `place`. */
  resolve(id: string | undefined, name: string, place: Submitted): void {
    remember(this.#doneNamed, name, place);
    if (id === undefined) return;
    remember(this.#done, id, place);
    this.#waiting.get(id)?.resolve(place);
    this.#waiting.delete(id);
  }

  reject(id: string, error: ConsensusError): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.reject(error);
  }

  rejectAll(error: ConsensusError): void {
    for (const id of [...this.#waiting.keys()]) this.reject(id, error);
  }
}

function withResolvers(): Waiting {
  let resolve: Waiting['resolve'] = () => undefined;
  let reject: Waiting['reject'] = () => undefined;
  const promise = new Promise<Submitted>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

function remember(map: Map<string, Submitted>, key: string, place: Submitted): void {
  map.set(key, place);
  if (map.size <= DONE_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
