/** Time limits, bounded retries and error codes for calls to a Kubo daemon. */
import { setTimeout as delay } from 'node:timers/promises';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { storageError } from '../errors.ts';

/** Attempts of a call that can be repeated, the first included. */
const ATTEMPTS = 4;
/** First pause; it doubles. The whole of it stays under a second, so no jitter is needed. */
const PAUSE_MS = 100;

/** Options of every call; the client passes names that it does not know on to the daemon. */
export function offline(signal: AbortSignal): { signal: AbortSignal } {
  return Object.assign({ signal }, { offline: true });
}

export class KuboCalls {
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    this.timeoutMs = timeoutMs;
  }

  /** One attempt without a time limit of its own. */
  async once<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (cause) {
      throw kuboFailure(cause);
    }
  }

  /** Attempts with a time limit each, again only after a failure that may pass. */
  async retry<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.once(() => call(AbortSignal.timeout(this.timeoutMs)));
      } catch (error) {
        if (attempt === ATTEMPTS || !mayPass(error)) throw error;
      }
      await delay(PAUSE_MS * 2 ** (attempt - 1));
    }
  }

  /** As `retry`, with undefined for "not found". */
  async find<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.retry(call);
    } catch (error) {
      if (hasCode(error, 'storage.not_found')) return undefined;
      throw error;
    }
  }
}

function mayPass(error: unknown): boolean {
  return hasCode(error, 'storage.kubo_unreachable') || hasCode(error, 'storage.kubo_timeout');
}

/** The daemon tells failures apart by text alone. */
function kuboFailure(cause: unknown): CodedError {
  if (cause instanceof CodedError) return cause;
  const name = cause instanceof Error ? cause.name : '';
  const message = cause instanceof Error ? cause.message : String(cause);
  if (name === 'TimeoutError' || name === 'AbortError') {
    return storageError('storage.kubo_timeout', 'the Kubo daemon did not answer in time', { cause });
  }
  const status = statusOf(cause);
  if (status === 401 || status === 403) {
    return storageError('storage.kubo_refused', 'the Kubo daemon refused the credentials', { cause });
  }
  if (/no space left on device|disk quota exceeded/i.test(message)) {
    return storageError('storage.full', 'the disk of the Kubo daemon is full; free space there', { cause });
  }
  if (/not found|could not find/i.test(message) && status !== 404) {
    return storageError('storage.not_found', 'the Kubo daemon lacks a block', { cause });
  }
  if (status === undefined) {
    return storageError('storage.kubo_unreachable', 'the Kubo daemon does not answer; is it running?', {
      cause,
    });
  }
  return storageError('storage.kubo_failed', `the Kubo daemon answered with an error: ${message}`, {
    cause,
    details: { status },
  });
}

function statusOf(cause: unknown): number | undefined {
  if (typeof cause !== 'object' || cause === null || !('response' in cause)) return undefined;
  const { response } = cause;
  return response instanceof Response ? response.status : undefined;
}
