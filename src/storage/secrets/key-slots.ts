/**
 * Erasable keys: fixed slots in one file that is written in place and never copied, so that overwriting a slot
 * and flushing it destroys the key, whatever a database or a file replaced by renaming still keeps of what the
 * key had sealed (free pages, unlinked blocks).
 *
 * Not protected: copies below us. A copy-on-write file system (btrfs, ZFS), snapshots, and the wear levelling of
 * flash may keep old blocks; backups keep slots until they expire. Use a file system that overwrites in place
 * (ext4, XFS) on an encrypted device.
 *
 * A slot is 32 key bytes; all zero means empty.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { flush } from '../durable-files.ts';
import { storageError, wrapStorageFailure } from '../errors.ts';

/** An AES-256 key. */
export const SLOT_BYTES = 32;
/** The file grows by this many slots, so that most writes change no metadata. */
const GROW_SLOTS = 1024;

export interface KeySlots {
  /** Slots that the file has room for. */
  readonly capacity: number;
  /** The key in `slot`, undefined when empty. Synchronous: 32 bytes out of the page cache. */
  read(slot: number): Uint8Array | undefined;
  /** The slots that are not empty, in order. */
  used(): Iterable<number>;
  /** Overwrites in place; resolved means flushed. `undefined` empties the slot: the key is gone. */
  write(changes: ReadonlyMap<number, Uint8Array | undefined>): Promise<void>;
  close(): Promise<void>;
}

/** Opens or creates the slot file at `path`. The caller holds the directory. */
export async function openKeySlots(path: string): Promise<KeySlots> {
  try {
    closeSync(openSync(path, 'a', 0o600));
    const file = await open(path, 'r+');
    await flush(dirname(path));
    const { size } = await file.stat();
    return new SlotFile(file, Math.floor(size / SLOT_BYTES));
  } catch (cause) {
    throw wrapStorageFailure(cause, 'opening the key slots');
  }
}

class SlotFile implements KeySlots {
  readonly #file: FileHandle;
  #capacity: number;

  constructor(file: FileHandle, capacity: number) {
    this.#file = file;
    this.#capacity = capacity;
  }

  get capacity(): number {
    return this.#capacity;
  }

  read(slot: number): Uint8Array | undefined {
    return this.#readRun(slot, 1)[0];
  }

  *used(): Iterable<number> {
    for (let first = 0; first < this.#capacity; first += GROW_SLOTS) {
      const keys = this.#readRun(first, Math.min(GROW_SLOTS, this.#capacity - first));
      for (const [i, key] of keys.entries()) if (key !== undefined) yield first + i;
    }
  }

  async write(changes: ReadonlyMap<number, Uint8Array | undefined>): Promise<void> {
    try {
      for (const slot of changes.keys()) await this.#reach(slot);
      for (const { first, bytes } of runsOf(changes)) {
        await this.#file.write(bytes, 0, bytes.length, first * SLOT_BYTES);
      }
      await this.#file.datasync();
    } catch (cause) {
      throw wrapStorageFailure(cause, 'writing a key slot');
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #reach(slot: number): Promise<void> {
    if (slot < this.#capacity) return;
    const capacity = (Math.floor(slot / GROW_SLOTS) + 1) * GROW_SLOTS;
    const empty = new Uint8Array((capacity - this.#capacity) * SLOT_BYTES);
    await this.#file.write(empty, 0, empty.length, this.#capacity * SLOT_BYTES);
    await this.#file.sync();
    this.#capacity = capacity;
  }

  #readRun(first: number, count: number): (Uint8Array | undefined)[] {
    if (first + count > this.#capacity) {
      throw storageError('storage.corrupt', 'the key slot file ends early; restore the node from a backup');
    }
    const bytes = new Uint8Array(count * SLOT_BYTES);
    readSync(this.#file.fd, bytes, 0, bytes.length, first * SLOT_BYTES);
    const keys = Array.from({ length: count }, (_, i) => bytes.slice(i * SLOT_BYTES, (i + 1) * SLOT_BYTES));
    return keys.map((key) => (key.some((byte) => byte !== 0) ? key : undefined));
  }
}

/** Neighbouring slots as one write each, since thousands may change at a time. */
function* runsOf(
  changes: ReadonlyMap<number, Uint8Array | undefined>,
): Generator<{ first: number; bytes: Uint8Array }> {
  const slots = [...changes.keys()].sort((a, b) => a - b);
  for (let at = 0, end = 0; at < slots.length; at = end) {
    end = at + 1;
    while (end < slots.length && slots[end] === slots[end - 1] + 1) end += 1;
    const bytes = new Uint8Array((end - at) * SLOT_BYTES);
    for (let i = at; i < end; i++) {
      const key = changes.get(slots[i]);
      if (key === undefined) continue;
      if (key.length !== SLOT_BYTES) throw new RangeError('a slot holds 32 bytes');
      bytes.set(key, (i - at) * SLOT_BYTES);
    }
    yield { first: slots[at], bytes };
  }
}
