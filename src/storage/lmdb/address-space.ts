/**
 * Room for LMDB's map in the process's address space. Nobody needs to limit that, but `ulimit -v` and some service managers do,
 * and a map that does not fit ends the process with a segmentation fault, when a store is opened or while it grows: lmdb 3.5.6
 * goes on with a map that it was refused. So where there is a limit, it is looked at before.
 */
import { readFileSync } from 'node:fs';
import { storageError } from '../errors.ts';

/** Address space that is left to everything else: heaps and stacks of threads. */
export const ADDRESSES_SPARED_BYTES = 64 * 2 ** 20;
/** Sizes in /proc/self/statm are in pages. */
const PAGE_BYTES = 4096;

/** The limit on this process's address space in bytes; undefined where there is none, or no /proc to tell. */
export function addressLimit(): number | undefined {
  const limit = /^Max address space\s+(\d+)/m.exec(readText('/proc/self/limits'))?.[1];
  return limit === undefined ? undefined : Number(limit);
}

/** Bytes that may still be mapped under `limit`. */
export function freeAddresses(limit: number): number {
  const pages = Number(readText('/proc/self/statm').split(' ', 1)[0]);
  return limit - pages * PAGE_BYTES - ADDRESSES_SPARED_BYTES;
}

/** Throws `storage.full` unless `bytes` more may be mapped under `limit`. */
export function requireAddresses(limit: number, bytes: number): void {
  const free = freeAddresses(limit);
  if (bytes <= free) return;
  throw storageError(
    'storage.full',
    `the address space of this process is limited to ${limit} bytes (ulimit -v), too few to map the store: remove the limit`,
    { details: { limit, free, bytes } },
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
