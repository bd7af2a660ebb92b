/**
 * Index segments behind one port: immutable files that are whole under their name, or not there. Here in a folder of their own,
 * written beside and renamed; segment-objects.ts keeps them in a Kubo daemon. Used for the indexer's own segments, their
 * companions, and the copies of other custodians'.
 */
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../codec/errors.ts';
import type { ByteRange, SegmentStore } from '../search/index.ts';
import { replaceFile } from '../storage/index.ts';

const NAME_FORM = /^[0-9a-f]{32}$/;
const DRAFT = '.new';

export interface SegmentFolder extends SegmentStore {
  /** Ranges of a segment, each cut at its end. Throws `index.unknown` like `getSegment`. */
  getRanges(name: string, ranges: readonly ByteRange[]): Promise<Uint8Array[]>;
  names(): Promise<string[]>;
}

/** Throws `index.unknown` for what is no segment name. */
export function requireSegmentName(name: string): string {
  if (NAME_FORM.test(name)) return name;
  throw new CodedError('index.unknown', 'expected a segment name of 32 hexadecimal digits');
}

export function noSegment(cause: unknown): CodedError {
  return new CodedError('index.unknown', 'this node holds no segment of that name', { cause });
}

export class SegmentFiles implements SegmentFolder {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens the folder; what a crash left half-written is removed. */
  static async open(dir: string): Promise<SegmentFiles> {
    await mkdir(dir, { recursive: true });
    for (const name of await readdir(dir)) if (name.endsWith(DRAFT)) await rm(join(dir, name));
    return new SegmentFiles(dir);
  }

  putSegment(name: string, bytes: Uint8Array): Promise<void> {
    return replaceFile(this.#dir, requireSegmentName(name), bytes);
  }

  async getSegment(name: string): Promise<Uint8Array> {
    try {
      return new Uint8Array(await readFile(this.#path(name)));
    } catch (cause) {
      throw noSegment(cause);
    }
  }

  async getRanges(name: string, ranges: readonly ByteRange[]): Promise<Uint8Array[]> {
    const file = await open(this.#path(name), 'r').catch((cause: unknown) => {
      throw noSegment(cause);
    });
    try {
      const { size } = await file.stat();
      return await Promise.all(
        ranges.map(async ({ offset, length }) => {
          const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
          const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
          return bytes.subarray(0, bytesRead);
        }),
      );
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
    return join(this.#dir, requireSegmentName(name));
  }
}

/**
 * Removes segments that no manifest lists any more, once they have been seen unlisted for a grace: a reader may still hold the
 * manifest before. Remembers what it saw in memory only, so a restart begins the grace anew.
 */
export class SegmentSweep {
  readonly #unlistedSince = new Map<string, number>();

  /** `listed` names what is to stay. Answers how many went. `now` in ms. */
  async run(
    folders: readonly SegmentFolder[],
    listed: ReadonlySet<string>,
    graceMs: number,
    now: number,
  ): Promise<number> {
    const gone = new Set<string>();
    const seen = new Set<string>();
    for (const folder of folders) {
      for (const name of await folder.names()) {
        if (listed.has(name)) continue;
        seen.add(name);
        const since = this.#unlistedSince.get(name) ?? now;
        this.#unlistedSince.set(name, since);
        if (since > now - graceMs) continue;
        await folder.deleteSegment(name);
        gone.add(name);
      }
    }
    for (const name of this.#unlistedSince.keys())
      if (!seen.has(name) || gone.has(name)) this.#unlistedSince.delete(name);
    return gone.size;
  }
}
