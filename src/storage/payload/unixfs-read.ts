/**
 * Reading a UnixFS file of any length at the reader's pace, a few leaves in memory. ipfs-unixfs-exporter is not used
 * for this because (16.2) it reads ahead without bound of a slow consumer, and because a missing block below the
 * first level ends in an unhandled rejection. Tests hold the two to equal bytes.
 *
 * The graph may come from a peer: sizes that a node claims for its children are checked against the children,
 * so a walk visits only subtrees that hold wanted bytes.
 */
import { decode } from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { storageError } from '../errors.ts';
import { type CID, DAG_PB_CODEC, requireStored } from './cid.ts';
import { DAG_DEPTH_MAX, type ReadBlock } from './dag.ts';

/** Blocks read before they are needed. A slow reader holds this many MiB and no more. */
const READ_AHEAD = 3;

interface FileNode {
  /** Bytes that stand in the node itself, before those of its children. */
  readonly data: Uint8Array;
  readonly children: readonly { readonly cid: CID; readonly size: number }[];
  /** Content bytes of the whole subtree. */
  readonly size: number;
}

/** Content bytes of the file `cid`. Throws `storage.not_found` or `storage.bad_dag`. */
export async function fileSize(cid: CID, read: ReadBlock): Promise<number> {
  return parseNode(cid, await mustRead(cid, read)).size;
}

/** Bytes `start` to `end` (exclusive) of the file `root`; both must lie within its size. */
export async function* readFileRange(
  root: CID,
  read: ReadBlock,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  for await (const { wanted } of walkFileRange(root, read, start, end)) if (wanted.length > 0) yield wanted;
}

/**
 * The blocks that hold or lead to bytes `start` to `end` of the file `root`, depth first, each with those of the
 * wanted bytes that stand in it. The root comes even when nothing is wanted.
 */
export async function* walkFileRange(
  root: CID,
  read: ReadBlock,
  start: number,
  end: number,
): AsyncGenerator<{ cid: CID; bytes: Uint8Array; wanted: Uint8Array }> {
  const stack: Pending[] = [{ cid: root, at: 0, size: undefined, depth: 1, reading: undefined }];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { cid, size, depth } = next;
    const bytes = await (next.reading ?? mustRead(cid, read));
    const node = parseNode(cid, bytes);
    if (size !== undefined && node.size !== size) throw badNode(cid, 'a size its parent denies');
    if (depth > DAG_DEPTH_MAX) throw badNode(cid, `more than ${DAG_DEPTH_MAX} levels`);
    let at = next.at + node.data.length;
    const overlapping: Pending[] = [];
    for (const child of node.children) {
      const isWanted = start < end && at < end && at + child.size > start;
      if (isWanted) overlapping.push({ ...child, at, depth: depth + 1, reading: undefined });
      at += child.size;
    }
    stack.push(...overlapping.reverse());
    readAhead(stack, read);
    const from = Math.max(0, start - next.at);
    yield { cid, bytes, wanted: node.data.subarray(from, Math.max(from, end - next.at)) };
  }
}

/** A node still to be visited: where its content begins, its size as the parent says, and its block if on the way. */
interface Pending {
  readonly cid: CID;
  readonly at: number;
  readonly size: number | undefined;
  readonly depth: number;
  reading: Promise<Uint8Array> | undefined;
}

/** Begins to read the blocks that are visited next, so that disk, hashing and consumer overlap. */
function readAhead(stack: readonly Pending[], read: ReadBlock): void {
  for (const pending of stack.slice(-READ_AHEAD)) {
    if (pending.reading !== undefined) continue;
    pending.reading = mustRead(pending.cid, read);
    // Whoever stops early never awaits it; whoever gets there still sees the failure.
    pending.reading.catch(() => undefined);
  }
}

/** A block that must be here; throws `storage.not_found` naming it. */
export async function mustRead(cid: CID, read: ReadBlock): Promise<Uint8Array> {
  const bytes = await read(cid);
  if (bytes !== undefined) return bytes;
  throw storageError('storage.not_found', `the block ${cid} is not in this store`, {
    details: { cid: cid.toString() },
  });
}

function parseNode(cid: CID, bytes: Uint8Array): FileNode {
  if (cid.code !== DAG_PB_CODEC) return { data: bytes, children: [], size: bytes.length };
  try {
    const { Data, Links } = decode(bytes);
    const unixfs = UnixFS.unmarshal(Data ?? new Uint8Array());
    if (unixfs.type !== 'file' && unixfs.type !== 'raw') throw new TypeError(`a ${unixfs.type}`);
    if (unixfs.blockSizes.length !== Links.length) throw new TypeError('sizes and links differ in number');
    const data = unixfs.data ?? new Uint8Array();
    let size = data.length;
    const children = Links.map((link, i) => {
      const childSize = Number(unixfs.blockSizes[i]);
      size += childSize;
      return { cid: requireStored(link.Hash), size: childSize };
    });
    if (!Number.isSafeInteger(size)) throw new TypeError('a size beyond 2^53');
    return { data, children, size };
  } catch (cause) {
    throw badNode(cid, 'a block that is no UnixFS file node', cause);
  }
}

function badNode(cid: CID, got: string, cause?: unknown) {
  return storageError('storage.bad_dag', `expected a UnixFS file under ${cid}, got ${got}`, {
    cause,
    details: { cid: cid.toString() },
  });
}
