/**
 * Where the time of an operation goes: a `fetch` that notes how long each gateway call took, by route. What is left is
 * the client's own arithmetic.
 */
import { quantile, round } from '../harness/row.ts';

/** Ids in a path, so that calls of one route are one series. */
const ID = /\/[0-9a-f]{32,64}(?=\/|$)/g;

export class CallTimes {
  readonly #times = new Map<string, number[]>();
  #count = 0;

  readonly fetch: typeof fetch = async (input, init) => {
    this.#count += 1;
    const begin = performance.now();
    const response = await fetch(input, init);
    // The body belongs to the call: a header that came is not yet an answer.
    const body = await response.arrayBuffer();
    const path = new URL(String(input)).pathname.replace(ID, '/:id').replace('/v1/', '');
    const name = `${(init?.method ?? 'GET').toLowerCase()} ${path}`;
    const series = this.#times.get(name);
    if (series === undefined) this.#times.set(name, [performance.now() - begin]);
    else series.push(performance.now() - begin);
    const { status, statusText, headers } = response;
    return new Response(status === 204 ? null : body, { status, statusText, headers });
  };

  /** Calls so far; `clear` does not change it. */
  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.#times.clear();
  }

  /** p50 of a route's calls in milliseconds, or undefined when it was not called. */
  p50(name: string): number | undefined {
    const times = this.#times.get(name);
    return times === undefined ? undefined : round(quantile(times, 0.5));
  }

  /** All times of a route. */
  times(name: string): readonly number[] {
    return this.#times.get(name) ?? [];
  }

  /** `post keys 12.3, get me 1.2`: p50 in milliseconds of the four slowest routes. */
  summary(): string {
    return [...this.#times]
      .map(([name, times]) => [name, round(quantile(times, 0.5))] as const)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 4)
      .map(([name, ms]) => `${name} ${ms}`)
      .join(', ');
  }
}
