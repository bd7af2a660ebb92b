/**
 * One process per data directory. LMDB itself tolerates a second process, but two validators voting from one
 * directory would not be tolerable, so opening takes a lock file that names its owner.
 *
 * The owner is a process id together with the boot and the start time of that process, so a lock left by a
 * crash or by an earlier boot is seen to be dead and is taken over. Not protected: two machines, or two
 * containers with separate process tables, that mount the same directory; network file systems.
 */
import { linkSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf, storageError } from '../errors.ts';

/** Name of the lock file in a held directory. */
export const LOCK_FILE = 'owner.lock';

/** Directories that this thread holds. */
const heldHere = new Set<string>();

function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? 'unknown-boot';
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Field 22 of /proc/<pid>/stat: start time in clock ticks since boot; 'dead' for one that only waits to be
 * reaped, undefined where there is no /proc.
 */
function startTime(pid: number): string | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields?.[0] === 'Z' ? 'dead' : fields?.[19];
}

function ownIdentity(): string {
  return `${process.pid} ${startTime(process.pid) ?? '-'} ${bootId()}\n`;
}

function isAlive(identity: string): boolean {
  const [pidText, started, boot] = identity.trim().split(' ');
  const pid = Number(pidText);
  if (!Number.isSafeInteger(pid) || pid <= 0 || boot !== bootId()) return false;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if (errnoOf(cause) !== 'EPERM') return false;
  }
  const now = startTime(pid);
  return now === undefined || now === started;
}

/** Puts `identity` at `path` unless something is there. The link makes name and content appear together. */
function claim(path: string, identity: string): boolean {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, identity);
  try {
    linkSync(draft, path);
    return true;
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') throw cause;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

function takeOver(path: string, identity: string): boolean {
  const guard = `${path}.takeover`;
  const guardOwner = readText(guard);
  if (guardOwner !== undefined && !isAlive(guardOwner)) rmSync(guard, { force: true });
  if (!claim(guard, identity)) return false;
  try {
    const owner = readText(path);
    if (owner !== undefined && isAlive(owner)) return false;
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, identity);
    renameSync(draft, path);
    return true;
  } finally {
    rmSync(guard, { force: true });
  }
}

function alreadyOpen() {
  return storageError('storage.already_open', 'this process has the directory open; share that handle');
}

/** A held directory. `release` is idempotent. */
export interface DirectoryLock {
  /** The real path, symbolic links resolved. */
  readonly dir: string;
  release(): void;
}

/**
 * Creates `dir` (mode 0700) if needed and holds it. Throws `storage.already_open` when this process holds it,
 * `storage.locked` when another living process does.
 */
export function lockDirectory(dir: string): DirectoryLock {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const real = realpathSync(dir);
  if (heldHere.has(real)) throw alreadyOpen();
  const path = join(real, LOCK_FILE);
  const identity = ownIdentity();
  if (!claim(path, identity) && !takeOver(path, identity)) {
    const pid = readText(path)?.split(' ')[0] ?? 'unknown';
    // Another thread of this process: one thread owns a directory.
    if (pid === String(process.pid)) throw alreadyOpen();
    throw storageError('storage.locked', `process ${pid} has the directory open; stop it first`, {
      details: { pid },
    });
  }
  heldHere.add(real);
  let held = true;
  return {
    dir: real,
    release() {
      if (!held) return;
      held = false;
      heldHere.delete(real);
      if (readText(path) === identity) rmSync(path, { force: true });
    },
  };
}
