/**
 * Keeping and collecting on a Kubo daemon. An object is kept by a recursive pin named `hippocrypt`; the first run
 * that finds it dead renames the pin to `hippocrypt dead <ms>`, the first one after the grace that still does
 * removes it and then runs the daemon's own collection. The names live in the daemon, so a restarted node goes on
 * where it was, and pins of others are left alone.
 *
 * A pin costs the daemon milliseconds, so a bulk import pins bundles: a dag-pb node of ours that links to many
 * objects. A bundle is live while one of its objects is; when some are dead it is replaced, after the grace, by
 * pins of the rest.
 */
import { decode, encode } from '@ipld/dag-pb';
import type { KuboRPCClient } from 'kubo-rpc-client';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { equalBytes, utf8 } from '../../codec/bytes.ts';
import { hasCode } from '../../codec/errors.ts';
import { sha256 } from '../../codec/hash.ts';
import { DAG_PB_CODEC, parseCid } from '../payload/cid.ts';
import { type KuboCalls, offline } from './calls.ts';

const KEPT_NAME = 'hippocrypt';
const DEAD_NAME = /^hippocrypt dead ([0-9]{1,16})$/;
/** Data of a bundle; no UnixFS node begins so. */
export const BUNDLE_DATA = utf8('hippocrypt bundle/1');
/** Objects from which on a bundle is made, and most in one: a node of about 200 kB. */
const BUNDLE_MIN = 8;
const BUNDLE_MAX = 4096;

interface OurPin {
  readonly cid: CID;
  readonly recursive: boolean;
  /** When a run first found it dead. */
  readonly deadSince: number | undefined;
}

/** A pin that is to go, and what of it has to stay. */
interface Expired {
  readonly pin: OurPin;
  readonly rest: readonly CID[];
}

/** The block of a bundle over `objects`. */
export function bundleBlock(objects: readonly CID[]): { cid: CID; bytes: Uint8Array } {
  const Links = objects.map((Hash) => ({ Name: '', Hash, Tsize: 0 }));
  const bytes = encode({ Data: BUNDLE_DATA, Links });
  return { cid: CID.createV1(DAG_PB_CODEC, createDigest(0x12, sha256(bytes))), bytes };
}

export class KuboPins {
  readonly #client: KuboRPCClient;
  readonly #calls: KuboCalls;

  constructor(client: KuboRPCClient, calls: KuboCalls) {
    this.#client = client;
    this.#calls = calls;
  }

  /** Keeps complete objects. Resolved means that the pins are on the daemon's disk. */
  async keep(objects: readonly CID[]): Promise<void> {
    if (objects.length < BUNDLE_MIN) {
      for (const cid of objects) await this.pin(cid, true);
      return;
    }
    for (let at = 0; at < objects.length; at += BUNDLE_MAX) {
      const { cid, bytes } = bundleBlock(objects.slice(at, at + BUNDLE_MAX));
      await this.putBlock(cid, bytes);
      await this.pin(cid, true);
    }
  }

  async putBlock(cid: CID, bytes: Uint8Array): Promise<void> {
    const cidCodec = cid.code === DAG_PB_CODEC ? 'dag-pb' : 'raw';
    await this.#calls.retry((signal) =>
      this.#client.block.put(bytes, { ...offline(signal), ...{ cidCodec, allowBigBlock: true } }),
    );
  }

  /** Pins under our name; a pin that is there is renamed. */
  async pin(cid: CID, recursive: boolean, name: string = KEPT_NAME): Promise<void> {
    await this.#calls.retry((signal) => this.#client.pin.add(cid, { ...offline(signal), recursive, name }));
  }

  /** Lets go of an object; what shared a bundle with it stays kept. */
  async release(root: CID): Promise<void> {
    for (const pin of await this.#ours()) {
      const objects = await this.#objectsOf(pin, new Map());
      const rest = objects.filter((cid) => nameOf(cid) !== nameOf(root));
      if (rest.length === objects.length) continue;
      // What is damaged as well cannot be pinned; it is put, and pinned, by its own mending.
      await this.keep(rest).catch(async () => {
        for (const cid of rest) await this.#pinIfComplete(cid);
      });
      await this.#calls.retry((signal) =>
        this.#client.pin.rm(pin.cid, { ...offline(signal), recursive: pin.recursive }),
      );
    }
  }

  /** False for a block that is not here, or that another pin keeps. */
  async removeBlock(cid: CID): Promise<boolean> {
    return this.#calls.retry(async (signal) => {
      for await (const { error } of this.#client.block.rm(cid, offline(signal))) {
        if (error === null || error === undefined) continue;
        if (/pinned|not found|could not find/i.test(error.message)) return false;
        throw error;
      }
      return true;
    });
  }

  /**
   * See `PayloadStore.collect`. Holds the live CIDs in memory, about 100 bytes each. `alone` runs work beside which nothing is uploaded
   * or pinned, or answers undefined when it cannot: then nothing is removed this time.
   */
  async collect(
    alone: <T>(work: () => Promise<T>) => Promise<T | undefined>,
    live: AsyncIterable<string> | Iterable<string>,
    graceMs: number,
    now: number,
  ): Promise<{ removed: number; kept: number }> {
    const alive = new Map<string, CID>();
    for await (const text of live) {
      const cid = parseCid(text);
      alive.set(nameOf(cid), cid);
    }
    const unpinned = new Map(alive);
    const expired: Expired[] = [];
    let kept = 0;
    for (const pin of await this.#ours()) {
      const objects = await this.#objectsOf(pin, alive);
      const rest = objects.filter((cid) => alive.has(nameOf(cid)));
      // A direct pin keeps one block of an object that came block by block, not what is below it.
      if (pin.recursive) for (const cid of rest) unpinned.delete(nameOf(cid));
      const isLive = rest.length === objects.length;
      if (isLive && pin.deadSince !== undefined) await this.pin(pin.cid, pin.recursive);
      if (!isLive && pin.deadSince === undefined)
        await this.pin(pin.cid, pin.recursive, `${KEPT_NAME} dead ${now}`);
      if (!isLive && pin.deadSince !== undefined && pin.deadSince <= now - graceMs)
        expired.push({ pin, rest });
      else kept += 1;
    }
    for (const cid of unpinned.values()) await this.#pinIfComplete(cid);
    const removed = expired.length === 0 ? 0 : ((await alone(() => this.#remove(expired))) ?? 0);
    return { removed, kept: kept + expired.length - removed };
  }

  /** What a pin keeps: the object itself, or those of a bundle. */
  async #objectsOf({ cid, recursive }: OurPin, alive: ReadonlyMap<string, CID>): Promise<CID[]> {
    if (!recursive || cid.code !== DAG_PB_CODEC || alive.has(nameOf(cid))) return [cid];
    const bytes = await this.#calls.find((signal) => this.#client.block.get(cid, offline(signal)));
    if (bytes === undefined) return [cid];
    const { Data, Links } = decode(bytes);
    const isBundle = Data !== undefined && equalBytes(Data, BUNDLE_DATA);
    return isBundle ? Links.map(({ Hash }) => Hash) : [cid];
  }

  async #ours(): Promise<OurPin[]> {
    const pins: OurPin[] = [];
    for (const type of ['recursive', 'direct'] as const) {
      const found = await this.#calls.retry((signal) =>
        all(this.#client.pin.ls({ ...offline(signal), type, names: true })),
      );
      for (const { cid, name } of found) {
        const dead = DEAD_NAME.exec(name ?? '');
        if (name !== KEPT_NAME && dead === null) continue;
        pins.push({ cid, recursive: type === 'recursive', deadSince: dead ? Number(dead[1]) : undefined });
      }
    }
    return pins;
  }

  async #pinIfComplete(cid: CID): Promise<void> {
    try {
      await this.pin(cid, true);
    } catch (error) {
      const isDamaged = hasCode(error, 'storage.not_found') || hasCode(error, 'storage.kubo_failed');
      if (!isDamaged) throw error;
    }
  }

  /** Alone: no upload waits for its pin now. A pin that was renamed since it was listed has been stored again. */
  async #remove(expired: readonly Expired[]): Promise<number> {
    const now = new Map(
      (await this.#ours()).map((pin) => [`${pin.recursive} ${nameOf(pin.cid)}`, pin.deadSince]),
    );
    let removed = 0;
    for (const { pin, rest } of expired) {
      if (now.get(`${pin.recursive} ${nameOf(pin.cid)}`) !== pin.deadSince) continue;
      await this.keep(rest);
      await this.#calls.retry((signal) =>
        this.#client.pin.rm(pin.cid, { ...offline(signal), recursive: pin.recursive }),
      );
      removed += 1;
    }
    if (removed > 0) await this.#calls.once(() => all(this.#client.repo.gc({ quiet: true })));
    return removed;
  }
}

function nameOf(cid: CID): string {
  return cid.toV1().toString();
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
