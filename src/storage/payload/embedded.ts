/** The embedded payload store: blocks on this disk, no daemon. */

import type { FreeSpaceProbe } from '../lmdb/free-space.ts';
import { openBlocks } from './blocks.ts';
import { collectBlocks, removeObjects } from './collect.ts';
import type { PayloadStore } from './payload-store.ts';
import { unixfsStore } from './unixfs-store.ts';

export interface EmbeddedStoreOptions {
  /** Check each block read from this disk against its CID. Default true; 2 GiB/s a core. */
  readonly verify?: boolean;
  /** Replaces the file system's answer about free space. */
  readonly freeBytes?: FreeSpaceProbe;
}

export interface EmbeddedStore extends PayloadStore {
  /**
   * A consistent copy into the empty directory `dir`, for a backup. Block files are linked where the file system
   * allows it, since they never change; what is under `files/` may be taken as known by its name.
   */
  copyTo(dir: string): Promise<void>;
}

/** Opens or creates the store in `dir`. One opener a directory (`storage.already_open`, `storage.locked`). */
export function openEmbeddedStore(dir: string, options: EmbeddedStoreOptions = {}): EmbeddedStore {
  const { verify = true, freeBytes } = options;
  const blocks = openBlocks(dir, { verify, ...(freeBytes && { freeBytes }) });
  const store = unixfsStore({
    read: (cid) => blocks.read(cid),
    has: (cid) => blocks.has(cid),
    writer: async () => blocks.writer(),
    putBlock: async (cid, bytes) => {
      const writer = blocks.writer();
      await writer.add(cid, bytes);
      await writer.commit([]);
    },
    // A put overwrites rows, and files that do not match.
    discard: async () => undefined,
    remove: (objects, live) => removeObjects(blocks, objects, live),
    collect: (live, graceMs, now) => collectBlocks(blocks, live, graceMs, now),
    close: () => blocks.close(),
  });
  return Object.assign(store, { copyTo: (target: string) => blocks.copyTo(target) });
}
