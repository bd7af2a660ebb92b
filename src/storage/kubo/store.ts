/**
 * The payload port over a Kubo daemon, through its RPC interface. Blocks are made and hashed here and go to the
 * daemon as a CAR, so that CIDs never depend on its settings; what comes back is checked against its CID. Objects
 * are kept by recursive pins under a name of ours, so a shared daemon's other pins are left alone.
 *
 * The RPC interface has full power over the daemon: bind it to loopback, or give it `API.Authorizations` and put
 * TLS before it. Calls are `offline`: a missing block is an answer, not a search of the network.
 *
 * Nothing is half committed: an upload becomes an object only by the pin that follows it. Reads, pins and single
 * blocks are retried; an upload from a stream is not, since its source is spent.
 */
import { create, type KuboRPCClient } from 'kubo-rpc-client';
import { storageError } from '../errors.ts';
import type { BlockBackend, BlockWriter } from '../payload/backend.ts';
import { carHeader, carSection } from '../payload/car.ts';
import { type CID, matches } from '../payload/cid.ts';
import { walkDag } from '../payload/dag.ts';
import type { PayloadStore } from '../payload/payload-store.ts';
import { unixfsStore } from '../payload/unixfs-store.ts';
import { KuboCalls, offline } from './calls.ts';
import { Handoff } from './handoff.ts';
import { KuboPins } from './pins.ts';
import { WriteGate } from './write-gate.ts';

export type KuboCredentials =
  | { readonly username: string; readonly password: string }
  | { readonly bearer: string };

export interface KuboOptions {
  /** Base of the RPC interface, for example `http://127.0.0.1:5001`. */
  readonly url: string;
  readonly credentials?: KuboCredentials;
  /** Longest wait for one answer, and for the daemon to take the next piece of an upload. Default 30 s. */
  readonly timeoutMs?: number;
}

/** See `kuboStore`. */
export function storeOverKubo(options: KuboOptions): PayloadStore {
  const headers = options.credentials && { authorization: authorization(options.credentials) };
  const client = create({ url: options.url, ...(headers && { headers }) });
  return unixfsStore(new KuboBackend(client, new KuboCalls(options.timeoutMs ?? 30_000)));
}

function authorization(credentials: KuboCredentials): string {
  if ('bearer' in credentials) return `Bearer ${credentials.bearer}`;
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}

class KuboBackend implements BlockBackend {
  readonly #client: KuboRPCClient;
  readonly #calls: KuboCalls;
  readonly #pins: KuboPins;
  /** The daemon's collection removes what is not pinned yet, so it never runs beside an upload of ours. */
  readonly #uploads = new WriteGate();
  /**
   * What unpins never runs beside what pins. An upload comes in here when its sender has sent everything: an erasure does not wait
   * for senders. If it has removed a block meanwhile that both have, the pin refuses what is not whole, and the upload fails.
   */
  readonly #gate = new WriteGate();

  constructor(client: KuboRPCClient, calls: KuboCalls) {
    this.#client = client;
    this.#calls = calls;
    this.#pins = new KuboPins(client, calls);
  }

  async read(cid: CID): Promise<Uint8Array | undefined> {
    const bytes = await this.#calls.find((signal) => this.#client.block.get(cid, offline(signal)));
    if (bytes === undefined || matches(cid, bytes)) return bytes;
    throw storageError('storage.corrupt', `the daemon's block ${cid} does not match; fetch it from a peer`, {
      details: { cid: cid.toString() },
    });
  }

  async has(cid: CID): Promise<boolean> {
    const found = await this.#calls.find((signal) => this.#client.block.stat(cid, offline(signal)));
    return found !== undefined;
  }

  async putBlock(cid: CID, bytes: Uint8Array): Promise<void> {
    await this.#uploads.writing(() =>
      this.#gate.writing(async () => {
        await this.#pins.putBlock(cid, bytes);
        await this.#pins.pin(cid, false);
      }),
    );
  }

  async writer(): Promise<BlockWriter> {
    const leave = await this.#uploads.enter();
    let upload: Upload | undefined;
    const flush = async (): Promise<void> => {
      const finishing = upload;
      upload = undefined;
      await finishing?.finish();
    };
    return {
      add: async (cid, bytes) => {
        upload ??= new Upload(this.#client, this.#calls);
        await upload.add(carSection({ cid, bytes }));
      },
      flush,
      commit: async (roots) => {
        await flush();
        await this.#gate.writing(() => this.#pins.keep(roots));
        leave();
      },
      abandon: () => {
        upload?.abort();
        upload = undefined;
        leave();
      },
    };
  }

  async discard(root: CID, damaged: readonly CID[]): Promise<void> {
    await this.#gate.writing(async () => {
      await this.#pins.release(root);
      for (const cid of damaged) await this.#pins.removeBlock(cid);
    });
  }

  /** What other pins keep stays, so `live` need not be looked at. */
  async remove(objects: readonly CID[]): Promise<number> {
    let removed = 0;
    for (const object of objects) {
      const blocks: CID[] = [];
      const read = (cid: CID) => this.read(cid).catch(() => undefined);
      for await (const cid of walkDag(object, read)) blocks.push(cid);
      await this.#gate.alone(async () => {
        await this.#pins.release(object);
        for (const cid of blocks) if (await this.#pins.removeBlock(cid)) removed += 1;
      });
    }
    return removed;
  }

  collect(
    live: AsyncIterable<string> | Iterable<string>,
    graceMs: number,
    now: number,
  ): Promise<{ removed: number; kept: number }> {
    // One that sends for long is not waited for, nor do others wait behind it: what is dead goes in a later run.
    const alone = <T>(work: () => Promise<T>): Promise<T | undefined> =>
      this.#uploads.aloneWithin(this.#calls.timeoutMs, () => this.#gate.alone(work));
    return this.#pins.collect(alone, live, graceMs, now);
  }

  async close(): Promise<void> {
    await this.#uploads.alone(() => this.#gate.alone(async () => undefined));
  }
}

/** One `dag/import` request that blocks stream into. */
class Upload {
  readonly #sections: Handoff<Uint8Array>;
  readonly #timeoutMs: number;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;

  constructor(client: KuboRPCClient, calls: KuboCalls) {
    this.#timeoutMs = calls.timeoutMs;
    this.#sections = new Handoff(calls.timeoutMs);
    this.#done = calls.once(async () => {
      // The roots are not known before the last block, and pins are made by name afterwards.
      const car = withHeader(carHeader([]), this.#sections);
      const answers = client.dag.import(car, { signal: this.#abort.signal, pinRoots: false });
      for await (const _ of answers) void _;
    });
    this.#done.catch((cause: unknown) => this.#sections.fail(cause));
  }

  async add(section: Uint8Array): Promise<void> {
    await this.#sections.give(section);
  }

  async finish(): Promise<void> {
    this.#sections.end();
    const timer = setTimeout(() => this.#abort.abort(), this.#timeoutMs);
    try {
      await this.#done;
    } finally {
      clearTimeout(timer);
    }
  }

  abort(): void {
    this.#abort.abort();
    this.#sections.fail(new Error('the upload was abandoned'));
  }
}

async function* withHeader(header: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield header;
  yield* rest;
}
