/**
 * Values that can be made unreadable for good. Each value is sealed under a key derived from a random key of its
 * own, which lives in a slot that erasure overwrites in place (key-slots.ts), and from a `pepper` that the
 * caller holds. LMDB's free pages and old copies of the file then hold only ciphertext whose key is gone.
 *
 * Order of a change: new slots on disk, then one transaction, then old slots overwritten. Order of an erasure:
 * slot overwritten, then the row removed, so that it holds from the first flush on. A crash between steps is
 * mended at the next opening: slots without a row are emptied, rows with an empty slot are removed.
 */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gcmOpen, gcmSeal } from '../../codec/aead.ts';
import { concat, readU32be, toHex, u32be } from '../../codec/bytes.ts';
import { hasCode } from '../../codec/errors.ts';
import { hkdfSha256 } from '../../codec/hash.ts';
import { storageError } from '../errors.ts';
import { type Environment, openEnvironment } from '../lmdb/environment.ts';
import type { FreeSpaceProbe } from '../lmdb/free-space.ts';
import type { KvOp, KvRange } from '../lmdb/kv.ts';
import { type KeySlots, openKeySlots, SLOT_BYTES } from './key-slots.ts';

/** HKDF info of the sealing key. */
export const ERASABLE_INFO = 'hippocrypt/erasable/1';
/** A sealing key is used once, so its nonce may be constant. */
const NONCE = new Uint8Array(12);

const SLOT_FILE = 'keys.slots';
const SEALED = 'sealed';
const SLOTS = 'slots';

/** `n` random bytes from a cryptographic generator. */
export type Random = (n: number) => Uint8Array;

export interface ErasableOptions {
  readonly random: Random;
  readonly freeBytes?: FreeSpaceProbe;
}

/** A value to store; `pepper` joins the key derivation and is needed again to read it. */
export interface ErasablePut {
  readonly key: Uint8Array;
  readonly bytes: Uint8Array;
  readonly pepper: Uint8Array;
}

/** Opens or creates the store in `dir`; throws what `openEnvironment` throws. */
export async function openErasable(dir: string, options: ErasableOptions): Promise<ErasableStore> {
  const env = openEnvironment(dir, {
    tables: [SEALED, SLOTS, 'meta'],
    ...(options.freeBytes && { freeBytes: options.freeBytes }),
  });
  try {
    const slots = await openKeySlots(join(env.dir, SLOT_FILE));
    const free = await mend(env, slots);
    return new ErasableStore(env, slots, free, options.random);
  } catch (cause) {
    await env.close();
    throw cause;
  }
}

/** Finishes what a crash interrupted; answers the free slots below the capacity. */
async function mend(env: Environment, slots: KeySlots): Promise<number[]> {
  const filled = new Set(slots.used());
  const rowless = new Set(filled);
  const dead: KvOp[] = [];
  for (const [key, slotBytes] of env.range(SLOTS, {})) {
    const slot = readU32be(slotBytes, 0);
    rowless.delete(slot);
    if (!filled.has(slot)) for (const table of [SEALED, SLOTS]) dead.push({ table, key, remove: true });
  }
  await env.write(dead);
  if (rowless.size > 0) await slots.write(new Map([...rowless].map((slot) => [slot, undefined])));
  const free: number[] = [];
  for (let slot = slots.capacity - 1; slot >= 0; slot--) {
    if (!filled.has(slot) || rowless.has(slot)) free.push(slot);
  }
  return free;
}

export class ErasableStore {
  readonly env: Environment;
  readonly #slots: KeySlots;
  readonly #random: Random;
  /** Empty slots; when none is left the file grows. */
  readonly #free: number[];
  #nextNew: number;
  /** Changes run one after another: a slot must not be handed out twice. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(env: Environment, slots: KeySlots, free: number[], random: Random) {
    this.env = env;
    this.#slots = slots;
    this.#free = free;
    this.#nextNew = slots.capacity;
    this.#random = random;
  }

  /** Whether `key` has a value that can still be read. */
  has(key: Uint8Array): boolean {
    const slot = this.#slotOf(key);
    return slot !== undefined && this.#slots.read(slot) !== undefined;
  }

  /** The keys in byte order, all or a range of them. */
  *keys(range: KvRange = {}): Iterable<Uint8Array> {
    for (const [key] of this.env.range(SLOTS, range)) yield key;
  }

  /**
   * The value, undefined if absent or erased. Throws `aead.rejected` under another pepper, `storage.corrupt`
   * when the row is torn.
   */
  get(key: Uint8Array, pepper: Uint8Array): Uint8Array | undefined {
    const slot = this.#slotOf(key);
    const sealed = this.env.get(SEALED, key);
    if (slot === undefined || sealed === undefined) return undefined;
    const slotKey = this.#slots.read(slot);
    return slotKey && gcmOpen(sealingKey(slotKey, pepper, key), NONCE, key, sealed);
  }

  /** Stores or replaces all of `puts` together with `ops` of table `meta`. Resolved means durable. */
  put(puts: readonly ErasablePut[], ops: readonly KvOp[] = []): Promise<void> {
    return this.#inTurn(async () => {
      const fresh = new Map<number, Uint8Array>();
      const rows: KvOp[] = [];
      const replaced: number[] = [];
      const byKey = new Map(puts.map((put) => [toHex(put.key), put]));
      for (const { key, bytes, pepper } of byKey.values()) {
        const slotKey = this.#random(SLOT_BYTES);
        const slot = this.#free.pop() ?? this.#nextNew++;
        fresh.set(slot, slotKey);
        const old = this.#slotOf(key);
        if (old !== undefined) replaced.push(old);
        const sealed = gcmSeal(sealingKey(slotKey, pepper, key), NONCE, key, bytes);
        rows.push({ table: SEALED, key, value: sealed }, { table: SLOTS, key, value: u32be(slot) });
      }
      try {
        await this.#slots.write(fresh);
        await this.env.write([...rows, ...ops]);
      } catch (cause) {
        // The rows did not commit, so nothing names these slots; opening empties them if this fails too.
        await this.#empty([...fresh.keys()]).catch(() => undefined);
        throw cause;
      }
      await this.#empty(replaced);
    });
  }

  /** Erases: resolved means that the keys are overwritten on disk. Unknown keys are passed over. */
  erase(keys: readonly Uint8Array[]): Promise<void> {
    return this.#inTurn(async () => {
      const known = keys.filter((key) => this.#slotOf(key) !== undefined);
      const slots = known.map((key) => this.#slotOf(key)).filter((slot) => slot !== undefined);
      if (slots.length === 0) return;
      await this.#slots.write(new Map(slots.map((slot) => [slot, undefined])));
      await this.env.write(
        known.flatMap((key) => [SEALED, SLOTS].map((table): KvOp => ({ table, key, remove: true }))),
      );
      this.#free.push(...new Set(slots));
    });
  }

  /**
   * A consistent copy into the empty directory `dir`, keys included: an erasure does not reach it. No change
   * runs meanwhile, or a replaced row could lose its old slot between the two files.
   */
  copyTo(dir: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.env.copyTo(dir);
      await copyFile(join(this.env.dir, SLOT_FILE), join(dir, SLOT_FILE));
    });
  }

  async close(): Promise<void> {
    await this.#last;
    await this.env.close();
    await this.#slots.close();
  }

  async #empty(slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    await this.#slots.write(new Map(slots.map((slot) => [slot, undefined])));
    this.#free.push(...slots);
  }

  #slotOf(key: Uint8Array): number | undefined {
    const bytes = this.env.get(SLOTS, key);
    if (bytes === undefined) return undefined;
    if (bytes.length !== 4) throw storageError('storage.corrupt', 'a slot number is not 4 bytes long');
    return readU32be(bytes, 0);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#last.then(work);
    this.#last = run.catch(() => undefined);
    return run;
  }
}

function sealingKey(slotKey: Uint8Array, pepper: Uint8Array, key: Uint8Array): Uint8Array {
  return hkdfSha256(concat(slotKey, pepper), key, ERASABLE_INFO, 32);
}

/** Whether `error` says that a value did not open: damage, or another pepper. */
export function didNotOpen(error: unknown): boolean {
  return hasCode(error, 'aead.rejected');
}
