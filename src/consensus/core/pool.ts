/**
 * Requests waiting to be decided, in order of arrival, bounded in number, bytes and per client. Held by id and by
 * (client, nonce), so that one nonce never waits twice.
 */
import { type BatchLimits, POOL_BYTES_MAX, POOL_COUNT_MAX, POOL_PER_CLIENT_MAX } from '../limits.ts';
import type { PooledRequest } from './types.ts';

/** A request and since when its leader has been expected to act on it. */
export interface Waiting {
  readonly request: PooledRequest;
  /** Monotone time at which this node forwarded it to the leader. */
  readonly since: number;
}

export type Admission = 'added' | 'known' | 'nonce-used' | 'full';

export class RequestPool {
  readonly #waiting = new Map<string, Waiting>();
  /** Those that have not gone to all. */
  readonly #quiet = new Map<string, Waiting>();
  readonly #byNonce = new Map<string, string>();
  readonly #perClient = new Map<string, number>();
  #bytes = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** What `add` would answer. */
  admission(request: PooledRequest): Admission {
    if (this.#waiting.has(request.id)) return 'known';
    if (this.#byNonce.has(nonceKey(request))) return 'nonce-used';
    const ofClient = this.#perClient.get(request.info.client) ?? 0;
    const full =
      this.#waiting.size >= POOL_COUNT_MAX ||
      this.#bytes + request.bytes.length > POOL_BYTES_MAX ||
      ofClient >= POOL_PER_CLIENT_MAX;
    return full ? 'full' : 'added';
  }

  add(request: PooledRequest, since: number): Admission {
    const admission = this.admission(request);
    if (admission !== 'added') return admission;
    const waiting = { request, since };
    this.#waiting.set(request.id, waiting);
    this.#quiet.set(request.id, waiting);
    this.#byNonce.set(nonceKey(request), request.id);
    this.#perClient.set(request.info.client, (this.#perClient.get(request.info.client) ?? 0) + 1);
    this.#bytes += request.bytes.length;
    return 'added';
  }

  has(id: string): boolean {
    return this.#waiting.has(id);
  }

  remove(id: string): boolean {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return false;
    const { request } = waiting;
    this.#waiting.delete(id);
    this.#quiet.delete(id);
    this.#byNonce.delete(nonceKey(request));
    const left = (this.#perClient.get(request.info.client) ?? 1) - 1;
    if (left === 0) this.#perClient.delete(request.info.client);
    else this.#perClient.set(request.info.client, left);
    this.#bytes -= request.bytes.length;
    return true;
  }

  /** The longest waiting request. */
  oldest(): Waiting | undefined {
    for (const waiting of this.#waiting.values()) return waiting;
    return undefined;
  }

  /** The longest waiting request that has gone to the leader only. */
  oldestQuiet(): Waiting | undefined {
    for (const waiting of this.#quiet.values()) return waiting;
    return undefined;
  }

  /** Notes that the request goes to all. */
  broadcast(id: string): void {
    this.#quiet.delete(id);
  }

  /** In order of arrival. */
  entries(): IterableIterator<Waiting> {
    return this.#waiting.values();
  }

  /** The first requests that fit one batch and satisfy `valid`. */
  select(limits: BatchLimits, valid: (request: PooledRequest) => boolean): PooledRequest[] {
    const out: PooledRequest[] = [];
    let bytes = 4;
    for (const { request } of this.#waiting.values()) {
      if (out.length >= limits.countMax) break;
      if (!valid(request)) continue;
      if (bytes + 4 + request.bytes.length > limits.bytesMax) {
        if (out.length > 0) break;
      }
      bytes += 4 + request.bytes.length;
      out.push(request);
    }
    return out;
  }
}

function nonceKey(request: PooledRequest): string {
  return `${request.info.client.length}:${request.info.client}${request.info.nonce}`;
}
