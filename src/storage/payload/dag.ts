/**
 * Walking dag-pb graphs that a peer may have made: each distinct block once, with limits, so that a small graph
 * which repeats its links cannot unfold into an endless one.
 */
import { decode } from '@ipld/dag-pb';
import { storageError } from '../errors.ts';
import { blockName, type CID, DAG_PB_CODEC, requireStored } from './cid.ts';

/** Levels of nodes; 1,024 links a node over 1 MiB leaves reach a petabyte with three. */
export const DAG_DEPTH_MAX = 16;
/** Distinct blocks of one object: 4 TiB of leaves. */
export const DAG_BLOCKS_MAX = 4 * 1024 * 1024;

/** The bytes of one block, undefined if absent. */
export type ReadBlock = (cid: CID) => Promise<Uint8Array | undefined>;

/** The children of a block in link order; none for a raw one. Throws `storage.bad_dag`. */
export function linksOf(cid: CID, bytes: Uint8Array): CID[] {
  if (cid.code !== DAG_PB_CODEC) return [];
  try {
    return decode(bytes).Links.map((link) => requireStored(link.Hash));
  } catch (cause) {
    throw storageError('storage.bad_dag', `the block ${cid} is no dag-pb node over stored kinds of blocks`, {
      cause,
      details: { cid: cid.toString() },
    });
  }
}

/**
 * The distinct CIDs below and including `root`, parents first. Inner nodes are read, raw leaves only named. What
 * `read` lacks is yielded too, with nothing below it, so the caller decides whether a gap is an error.
 */
export async function* walkDag(root: CID, read: ReadBlock): AsyncGenerator<CID> {
  const seen = new Set<string>();
  const stack: { cid: CID; depth: number }[] = [{ cid: root, depth: 1 }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { cid, depth } = next;
    const key = blockName(cid);
    if (seen.has(key)) continue;
    if (seen.size >= DAG_BLOCKS_MAX || depth > DAG_DEPTH_MAX) {
      throw storageError(
        'storage.bad_dag',
        `the DAG exceeds ${DAG_DEPTH_MAX} levels or ${DAG_BLOCKS_MAX} blocks`,
        { details: { cid: cid.toString() } },
      );
    }
    seen.add(key);
    yield cid;
    if (cid.code !== DAG_PB_CODEC) continue;
    const bytes = await read(cid);
    if (bytes === undefined) continue;
    const children = linksOf(cid, bytes);
    for (const child of children.reverse()) stack.push({ cid: child, depth: depth + 1 });
  }
}
