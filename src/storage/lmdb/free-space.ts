/**
 * The reserve that keeps a store from meeting a full disk in the middle of a write. LMDB survives ENOSPC, but
 * what a half-full disk does to everything around it (logs, WAL, swap) is not worth finding out, so writes stop
 * while there is still room to close cleanly and to run a backup.
 */
import { statfsSync } from 'node:fs';
import { storageError } from '../errors.ts';

/** Room that is never used: enough for the WAL, LMDB's copy-on-write of a large batch, and a clean stop. */
export const SPACE_RESERVE_BYTES = 256 * 1024 * 1024;

/** Bytes that an unprivileged process may still write under a directory. */
export type FreeSpaceProbe = () => number;

/** Asks the file system of `dir` (a few microseconds). */
export function fileSystemProbe(dir: string): FreeSpaceProbe {
  return () => {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  };
}

/** Throws `storage.full` unless `bytes` more leave the reserve untouched. */
export function requireSpace(
  freeBytes: FreeSpaceProbe,
  bytes: number,
  reserve: number = SPACE_RESERVE_BYTES,
): void {
  const free = freeBytes();
  if (free - bytes >= reserve) return;
  throw storageError(
    'storage.full',
    `writing ${bytes} bytes would leave less than the reserve of ${reserve}; free disk space`,
    { details: { free, bytes, reserve } },
  );
}
