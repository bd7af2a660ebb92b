/**
 * One gateway over REST. Answers of the error kind become a CodedError with the problem's code, so that a caller
 * sees the same codes as inside the house. Every body is checked by its reader; nothing here trusts a gateway.
 */
import { CodedError } from '../codec/errors.ts';
import { readable, Stall } from './stall.ts';

/** Longest a call may take unless it says otherwise. */
export const CALL_TIMEOUT_MS = 60_000;

export interface GatewayOptions {
  /** Such as http://127.0.0.1:8080. */
  readonly url: string;
  /** Default: the platform's. */
  readonly fetch?: typeof fetch;
}

export interface Call {
  readonly body?: unknown;
  /** Raw body with its media type, instead of JSON. */
  readonly raw?: { readonly type: string; readonly bytes: Uint8Array };
  /** Bytes of any length, sent as they come, instead of JSON. */
  readonly source?: AsyncIterable<Uint8Array>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

export class Gateway {
  readonly url: string;
  readonly #fetch: typeof fetch;
  #token: string | undefined;
  #height = 0;
  #login: { readonly account: string; readonly password: string } | undefined;

  constructor(options: GatewayOptions) {
    this.url = options.url.replace(/\/+$/, '');
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** Signs in; the token is renewed by the same account and password when it expires. */
  async login(account: string, password: string): Promise<void> {
    this.#login = { account, password };
    const { token } = (await this.#send('POST', '/v1/auth/login', { body: { account, password } }).then(
      json,
    )) as {
      token: string;
    };
    this.#token = token;
  }

  /** Uses a token got elsewhere. */
  useToken(token: string): void {
    this.#token = token;
  }

  /** Demands answers of this height or a later one: after an entry that was committed through another gateway. */
  see(height: number): void {
    this.#height = Math.max(this.#height, height);
  }

  get token(): string | undefined {
    return this.#token;
  }

  /** Answer of a JSON route. Throws the problem's code, `client.unreachable` or `client.timeout`. */
  async json<T>(method: string, path: string, call: Call = {}): Promise<T> {
    return (await json(await this.#authorised(method, path, call))) as T;
  }

  async text(method: string, path: string): Promise<string> {
    return (await this.#authorised(method, path, {})).text();
  }

  /** Bytes of a route that answers with an octet stream. */
  async bytes(method: string, path: string, call: Call = {}): Promise<Uint8Array> {
    return new Uint8Array(await (await this.#authorised(method, path, call)).arrayBuffer());
  }

  /** The answer as a stream of chunks, however long it takes as long as it does not stand still. */
  async *stream(method: string, path: string, call: Call = {}): AsyncIterable<Uint8Array> {
    const stall = new Stall();
    const { body } = await this.#authorised(method, path, call, stall);
    if (body === null) return;
    const reader = body.getReader();
    try {
      for (;;) {
        const { done, value } = await stall.wait(reader.read());
        if (done) return;
        yield value;
      }
    } catch (cause) {
      throw this.#failed(cause);
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  /** Sends a stream of any length; the answer is JSON. Throws what the source throws. */
  async upload<T>(path: string, source: AsyncIterable<Uint8Array>): Promise<T> {
    // A stream cannot be sent twice, so a session that has expired is renewed first.
    await this.json('GET', '/v1/me');
    return (await json(await this.#send('POST', path, { source }, new Stall()))) as T;
  }

  async #authorised(method: string, path: string, call: Call, stall?: Stall): Promise<Response> {
    try {
      return await this.#send(method, path, call, stall);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== 'auth.expired' || this.#login === undefined)
        throw error;
      await this.login(this.#login.account, this.#login.password);
      return this.#send(method, path, call, stall);
    }
  }

  /** With a `stall`, that watches the call in place of the clock. */
  async #send(method: string, path: string, call: Call, stall?: Stall): Promise<Response> {
    const headers: Record<string, string> = { ...call.headers };
    if (this.#token !== undefined) headers.authorization = `Bearer ${this.#token}`;
    if (this.#height > 0) headers['hippocrypt-min-height'] = String(this.#height);
    let body: string | ArrayBuffer | ReadableStream<Uint8Array> | undefined;
    if (call.source !== undefined && stall !== undefined) {
      headers['content-type'] = 'application/octet-stream';
      body = readable(call.source, stall);
    } else if (call.raw !== undefined) {
      headers['content-type'] = call.raw.type;
      body = Uint8Array.from(call.raw.bytes).buffer;
    } else if (call.body !== undefined) {
      headers['content-type'] = 'application/json';
      body = JSON.stringify(call.body);
    }
    const request = {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
      // A body that is a stream is refused without it.
      ...(call.source === undefined ? {} : { duplex: 'half' }),
      signal: stall?.signal ?? AbortSignal.timeout(call.timeoutMs ?? CALL_TIMEOUT_MS),
    };
    let response: Response;
    try {
      const sent = this.#fetch(this.url + path, request);
      response = await (stall?.wait(sent) ?? sent);
    } catch (cause) {
      throw stall?.sourceError ?? this.#failed(cause);
    }
    // What this client has seen once is not unseen again, whichever node answers next.
    this.see(Number(response.headers.get('hippocrypt-height') ?? 0) || 0);
    if (response.ok) return response;
    throw await problemOf(response);
  }

  /** Why a call had no answer, or not all of it. */
  #failed(cause: unknown): CodedError {
    const isLate = (cause as { name?: string }).name === 'TimeoutError';
    return isLate
      ? new CodedError('client.timeout', `${this.url} did not answer in time`, { cause })
      : new CodedError('client.unreachable', `${this.url} cannot be reached: is the gateway running?`, {
          cause,
        });
  }
}

/** Members of a problem that are the error's code and message already, or say the same as the code. */
const TOLD_ELSEWHERE = new Set(['type', 'code', 'detail']);
/** Longest text that a gateway adds to an error. */
const DETAIL_MAX = 500;

async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (cause) {
    throw new CodedError('client.bad_answer', 'the gateway answered with something else than JSON', {
      cause,
    });
  }
}

async function problemOf(response: Response): Promise<CodedError> {
  const problem = (await response.json().catch(() => ({}))) as {
    code?: unknown;
    detail?: unknown;
    [key: string]: unknown;
  };
  const code = typeof problem.code === 'string' ? problem.code : 'client.bad_answer';
  const detail =
    typeof problem.detail === 'string' ? problem.detail : `the gateway answered ${response.status}`;
  const details: Record<string, string | number | boolean> = { status: response.status };
  for (const [key, value] of Object.entries(problem)) {
    if (typeof value === 'number' || typeof value === 'boolean') details[key] = value;
    if (typeof value === 'string' && !TOLD_ELSEWHERE.has(key)) details[key] = value.slice(0, DETAIL_MAX);
  }
  return new CodedError(code, detail, { details });
}
