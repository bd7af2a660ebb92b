/** Damage to the files of a stopped member, as a failing disk does it: bits of live bytes change, nothing else. */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/consensus/sim/random.ts';

/** Flips one bit at `offset` of every place in `path` where `pattern` stands; answers how many there were. */
export function flipWhere(path: string, pattern: Uint8Array, offset: number, bit: number): number {
  const bytes = readFileSync(path);
  const fd = openSync(path, 'r+');
  let count = 0;
  try {
    for (let at = bytes.indexOf(pattern); at >= 0; at = bytes.indexOf(pattern, at + 1)) {
      writeSync(fd, new Uint8Array([bytes[at + offset] ^ (1 << bit)]), 0, 1, at + offset);
      count++;
    }
  } finally {
    closeSync(fd);
  }
  return count;
}

export type WalDamage = 'a record' | 'the last record' | 'the boot file';

/** Frames of the WAL are length and checksum, 8 bytes, then the body, filled up to a multiple of 8. */
const FRAME_BYTES = 8;

/** Damages the newest segment of the log in `dir`, or its boot file. */
export function damageWal(dir: string, what: WalDamage, random: Random): string {
  if (what === 'the boot file') {
    flipAt(join(dir, 'boot'), random.below(12), random.below(8));
    return what;
  }
  const segments = readdirSync(dir)
    .filter((name) => name.endsWith('.wal'))
    .sort();
  for (const name of segments.reverse()) {
    const path = join(dir, name);
    const starts = recordStarts(readFileSync(path));
    if (starts.length < 2) continue;
    const last = starts.length - 1;
    const chosen = what === 'a record' ? random.below(last) : last;
    flipAt(path, starts[chosen] + FRAME_BYTES + random.below(16), random.below(8));
    return `record ${chosen + 1} of ${starts.length} in ${name}`;
  }
  throw new Error(`the log in ${dir} has no segment with two records`);
}

function recordStarts(bytes: Buffer): number[] {
  const starts: number[] = [];
  for (let at = 0; at + FRAME_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    if (length === 0) break;
    starts.push(at);
    at += Math.ceil((FRAME_BYTES + length) / 8) * 8;
  }
  return starts;
}

export function flipAt(path: string, offset: number, bit: number): void {
  const bytes = readFileSync(path);
  const fd = openSync(path, 'r+');
  writeSync(fd, new Uint8Array([bytes[offset] ^ (1 << bit)]), 0, 1, offset);
  closeSync(fd);
}
