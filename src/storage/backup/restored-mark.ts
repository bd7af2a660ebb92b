/**
 * The mark of a restored data directory. A node that starts from a backup may have voted after the backup was
 * made, so consensus has to treat it as one that has lost its memory (docs: amnesia): it watches until the others
 * are past every height at which it could have voted. The mark is set before the first restored byte and goes
 * only when consensus says so.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { flush, readIfThere, replaceFile } from '../durable-files.ts';

const FILE = 'restored';

export interface RestoredMark {
  readonly snapshot: string;
  /** When it was restored, in ms. */
  readonly at: number;
}

export function setRestoredMark(dataDir: string, mark: RestoredMark): Promise<void> {
  return replaceFile(dataDir, FILE, encodeCbor({ v: 1, ...mark }));
}

/** The mark, undefined if this directory was not restored. A torn mark counts as one. */
export async function restoredMark(dataDir: string): Promise<RestoredMark | undefined> {
  const bytes = await readIfThere(join(dataDir, FILE));
  if (bytes === undefined) return undefined;
  const value = decodeOrNull(bytes);
  if (typeof value === 'object' && value !== null && 'snapshot' in value && 'at' in value) {
    const { snapshot, at } = value;
    if (typeof snapshot === 'string' && typeof at === 'number') return { snapshot, at };
  }
  return { snapshot: 'unknown', at: 0 };
}

function decodeOrNull(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch {
    return null;
  }
}

/** For consensus, once the node has caught up and may vote again. */
export async function clearRestoredMark(dataDir: string): Promise<void> {
  rmSync(join(dataDir, FILE), { force: true });
  await flush(dataDir);
}
