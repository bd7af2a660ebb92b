/** What the storage suites share: temporary directories, seeded bytes, and a disk that is never full. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';

export { chachaStream, seededBytes, seededRandom } from './seeded.ts';

/** A fresh directory that goes away with the test. Register stores that live in it after it. */
export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'hippocrypt-storage-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Closes `store` at the end of the test, before its directory goes. */
export function closing<T extends { close(): Promise<void> }>(store: T): T {
  onTestFinished(() => store.close());
  return store;
}

export async function* streamOf(...chunks: Iterable<Uint8Array>[]): AsyncGenerator<Uint8Array> {
  for (const part of chunks) yield* part;
}

export async function collectBytes(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

/** Equality of long byte strings; a matcher that walks them element by element takes seconds for each MiB. */
export function expectSame(got: Uint8Array | undefined, wanted: Uint8Array): void {
  expect(got?.length).toBe(wanted.length);
  expect(Buffer.compare(got ?? new Uint8Array(), wanted)).toBe(0);
}

/** The error's code, or a failure when nothing was thrown. */
export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<unknown> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return 'nothing was thrown';
}

/** Every regular file below `dir`. */
export function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile());
}

/** Whether any file below `dir` holds `needle` anywhere. */
export function diskHolds(dir: string, needle: Uint8Array): boolean {
  return filesBelow(dir).some((path) => readFileSync(path).includes(Buffer.from(needle)));
}

const beside = resolve(dirname(fileURLToPath(import.meta.url)), '../../../shared');

/** A file of the shared vectors, or undefined with a warning when they are not on this machine. */
export function sharedFile(path: string): string | undefined {
  const file = join(process.env.HIPPOCRYPT_SHARED ?? beside, path);
  if (existsSync(file)) return file;
  console.warn(`SKIPPED: ${path} is missing; set HIPPOCRYPT_SHARED to the folder of shared vectors`);
  return undefined;
}
