/** Files too large for memory, on their way in and out, with their progress. */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodedError } from '../codec/errors.ts';
import type { Progress } from './output.ts';

const MIB = 1024 * 1024;

export function mebibytes(bytes: number): number {
  return Math.ceil(bytes / MIB);
}

/** `source` unchanged, its progress shown in MiB. */
export async function* shown(
  source: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  let passed = 0;
  try {
    for await (const chunk of source) {
      const before = Math.floor(passed / MIB);
      passed += chunk.length;
      progress.add(Math.floor(passed / MIB) - before);
      yield chunk;
    }
  } finally {
    progress.end();
  }
}

/**
 * Writes a plaintext to `file`, which appears only when all of it was authentic, or to stdout. Throws `cli.binary` for a
 * terminal, and what the source throws.
 */
export async function saveStream(
  plaintext: AsyncIterable<Uint8Array>,
  file: string | undefined,
): Promise<void> {
  if (file === undefined) {
    if (process.stdout.isTTY)
      throw new CodedError(
        'cli.binary',
        'a record of this size does not go to the terminal: give --out FILE',
      );
    return pipeline(Readable.from(plaintext), process.stdout, { end: false });
  }
  const part = `${file}.part`;
  try {
    await pipeline(Readable.from(plaintext), createWriteStream(part, { mode: 0o600 }));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
