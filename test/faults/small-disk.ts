/**
 * A disk that can be filled: ext4 on a loop device, or tmpfs where that cannot be made. Needs the right to mount; whoever has
 * none is told so.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const FILLER = 'filler';
const CHUNK = new Uint8Array(1024 * 1024).fill(0xa5);

const runs = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0;

export class SmallDisk {
  readonly dir: string;
  /** What it is made of, for the summary. */
  readonly kind: string;

  private constructor(dir: string, kind: string) {
    this.dir = dir;
    this.kind = kind;
  }

  /** Mounts a disk of `bytes` at `dir`; undefined where this process may not mount. */
  static mount(dir: string, bytes: number): SmallDisk | undefined {
    mkdirSync(dir, { recursive: true });
    const image = `${dir}.img`;
    const fd = openSync(image, 'w');
    ftruncateSync(fd, bytes);
    closeSync(fd);
    // No share for root: what is full is full for everybody.
    if (runs('mkfs.ext4', '-q', '-m', '0', image) && runs('mount', '-o', 'loop', image, dir)) {
      return new SmallDisk(dir, 'ext4 on a loop device');
    }
    rmSync(image, { force: true });
    if (runs('mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', dir)) return new SmallDisk(dir, 'tmpfs');
    return undefined;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.dir);
    return bavail * bsize;
  }

  /** Takes room until `leave` bytes are free, or nothing is. The blocks are reserved, not written: the machine stays quiet. */
  fill(leave: number): void {
    const room = this.freeBytes - leave;
    if (room > CHUNK.length)
      runs('fallocate', '-l', String(room - CHUNK.length), join(this.dir, `${FILLER}-${leave}`));
    const fd = openSync(join(this.dir, FILLER), 'a');
    try {
      for (let left = this.freeBytes - leave; left > 0; left = this.freeBytes - leave) {
        writeSync(fd, CHUNK, 0, Math.min(left, CHUNK.length));
      }
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(fd);
    }
  }

  empty(): void {
    for (const name of readdirSync(this.dir))
      if (name.startsWith(FILLER)) rmSync(join(this.dir, name), { force: true });
  }

  unmount(): void {
    if (!runs('umount', this.dir)) runs('umount', '-l', this.dir);
    rmSync(`${this.dir}.img`, { force: true });
  }
}
