/**
 * Index segments on disk: immutable files, one folder a custodian, written whole (temporary file, flush, rename) so
 * that a name means complete bytes. Used for the indexer's own segments, its vault, and copies of other custodians'.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../codec/errors.ts';
import type { SegmentStore } from '../search/index.ts';

const NAME_FORM = /^[0-9a-f]{32}$/;

export class SegmentFiles implements SegmentStore {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens the folder; what a crash left half-written is removed. */
  static async open(dir: string): Promise<SegmentFiles> {
    await mkdir(dir, { recursive: true });
    for (const name of await readdir(dir)) if (name.endsWith('.tmp')) await rm(join(dir, name));
    return new SegmentFiles(dir);
  }

  async putSegment(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(name);
    const file = await open(`${path}.tmp`, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.tmp`, path);
    const folder = await open(this.#dir, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  async getSegment(name: string): Promise<Uint8Array> {
    try {
      return new Uint8Array(await readFile(this.#path(name)));
    } catch (cause) {
      throw new CodedError('index.unknown', 'this node holds no segment of that name', { cause });
    }
  }

  /** Bytes [start, end) of a file, cut at its end. */
  async getRange(name: string, start: number, end: number): Promise<Uint8Array> {
    let file: Awaited<ReturnType<typeof open>>;
    try {
      file = await open(this.#path(name), 'r');
    } catch (cause) {
      throw new CodedError('index.unknown', 'this node holds no segment of that name', { cause });
    }
    try {
      const { size } = await file.stat();
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
      const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
      return bytes.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }

  async deleteSegment(name: string): Promise<void> {
    await rm(this.#path(name), { force: true });
  }

  async names(): Promise<string[]> {
    return (await readdir(this.#dir)).filter((name) => NAME_FORM.test(name));
  }

  #path(name: string): string {
    if (!NAME_FORM.test(name))
      throw new CodedError('index.unknown', 'expected a segment name of 32 hexadecimal digits');
    return join(this.#dir, name);
  }
}
