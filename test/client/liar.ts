/** A gateway that lies: the platform's fetch, with chosen answers changed on their way to the client. */
import { type ConnectOptions, Device, Hippocrypt } from '../../src/client/index.ts';
import type { CodedError } from '../../src/codec/errors.ts';
import { PASSWORD } from '../node/consortium.ts';

export interface Lie {
  /** Of which requests: path and query after the origin. */
  readonly path: RegExp;
  /** The answer's bytes as the client is to see them. */
  readonly change: (body: Uint8Array, path: string) => Uint8Array | Promise<Uint8Array>;
}

export class Liar {
  /** How many answers were changed. */
  told = 0;
  lie: Lie | undefined;

  readonly fetch: typeof fetch = async (input, init) => {
    const answer = await fetch(input, init);
    const { pathname, search } = new URL(String(input instanceof Request ? input.url : input));
    const path = pathname + search;
    if (this.lie === undefined || !answer.ok || !this.lie.path.test(path)) return answer;
    const body = new Uint8Array(await answer.arrayBuffer());
    this.told += 1;
    const changed = await this.lie.change(body, path);
    const headers = new Headers(answer.headers);
    headers.delete('content-length');
    return new Response(Uint8Array.from(changed), { status: answer.status, headers });
  };

  /** Runs `act` while the lie stands. */
  async during<T>(lie: Lie, act: () => Promise<T>): Promise<T> {
    this.lie = lie;
    try {
      return await act();
    } finally {
      this.lie = undefined;
    }
  }
}

/** The same person on the same device at a new start, with nothing cached, behind `liar`. */
export async function deceive(
  liar: Liar,
  honest: Hippocrypt,
  as: Omit<ConnectOptions, 'password' | 'device' | 'fetch'>,
): Promise<Hippocrypt> {
  const device = await Device.fromFile(honest.context.device.toFile());
  return Hippocrypt.connect({ ...as, password: PASSWORD, device, fetch: liar.fetch });
}

/** The code with which `run` is refused. */
export async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => 'nothing was refused',
    (error: CodedError) => error.code ?? String(error),
  );
}

/** A lie about one field of a JSON answer. */
export function inJson(change: (json: Record<string, unknown>, path: string) => void): Lie['change'] {
  return (body, path) => {
    const json = JSON.parse(new TextDecoder().decode(body)) as Record<string, unknown>;
    change(json, path);
    return new TextEncoder().encode(JSON.stringify(json));
  };
}

/** One bit of the middle byte of base64url text. */
export function flipped(text: unknown): string {
  const bytes = Buffer.from(String(text), 'base64url');
  bytes[Math.floor(bytes.length / 2)] ^= 1;
  return bytes.toString('base64url');
}
