/**
 * Which blocks a CAR answer carries: those on the path, then those of the entity at its end, as `dag-scope` and
 * `entity-bytes` of the trustless gateway specification say.
 */
import { decode } from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { storageError } from '../errors.ts';
import type { CarBlock } from '../payload/car.ts';
import { type CID, DAG_PB_CODEC, requireStored } from '../payload/cid.ts';
import { type ReadBlock, walkDag } from '../payload/dag.ts';
import { fileSize, mustRead, walkFileRange } from '../payload/unixfs-read.ts';

type ByteScope = { readonly kind: 'bytes'; readonly from: number; readonly to: number | '*' };
/** What of the entity is wanted. */
export type Scope = { readonly kind: 'block' | 'entity' | 'all' } | ByteScope;

/** Where a path leads. */
export interface WalkedPath {
  /** The blocks above the end. */
  readonly above: readonly CarBlock[];
  readonly end: CID;
}

/** Walks basic UnixFS directories. Throws `storage.not_found`, and `storage.bad_dag` at a sharded one. */
export async function resolvePath(
  root: CID,
  segments: readonly string[],
  read: ReadBlock,
): Promise<WalkedPath> {
  const above: CarBlock[] = [];
  let end = root;
  await mustRead(root, read);
  for (const segment of segments) {
    const bytes = await mustRead(end, read);
    above.push({ cid: end, bytes });
    end = entryOf(end, bytes, segment);
  }
  return { above, end };
}

function entryOf(cid: CID, bytes: Uint8Array, name: string): CID {
  const type = unixfsType(cid, bytes);
  if (type === 'hamt-sharded-directory') {
    throw storageError('storage.bad_dag', 'paths through sharded directories are not walked; ask by CID');
  }
  const link = type === 'directory' ? decode(bytes).Links.find(({ Name }) => Name === name) : undefined;
  if (link !== undefined) return requireStored(link.Hash);
  throw storageError('storage.not_found', `no entry of that name under ${cid}`, {
    details: { cid: cid.toString() },
  });
}

/** The UnixFS type of a block; 'file' for a raw one, undefined where it is no UnixFS node. */
function unixfsType(cid: CID, bytes: Uint8Array): string | undefined {
  if (cid.code !== DAG_PB_CODEC) return 'file';
  try {
    return UnixFS.unmarshal(decode(bytes).Data ?? new Uint8Array()).type;
  } catch {
    return undefined;
  }
}

/** `dag-scope` and `entity-bytes`; the latter implies the former. */
export function parseScope(query: URLSearchParams): Scope {
  const range = query.get('entity-bytes');
  if (range !== null) {
    const match = /^(-?\d{1,15}):(-?\d{1,15}|\*)$/.exec(range);
    if (match === null) throw badRequest('expected entity-bytes=<from>:<to>, <to> a number or *');
    return { kind: 'bytes', from: Number(match[1]), to: match[2] === '*' ? '*' : Number(match[2]) };
  }
  const scope = query.get('dag-scope') ?? 'all';
  if (scope === 'block' || scope === 'entity' || scope === 'all') return { kind: scope };
  throw badRequest('expected dag-scope of block, entity or all');
}

/** The blocks of the entity at the end of a path that `scope` asks for, depth first. */
export async function blocksInScope(
  end: CID,
  scope: Scope,
  read: ReadBlock,
): Promise<AsyncIterable<CarBlock>> {
  if (scope.kind === 'all') return withBytes(walkDag(end, read), read);
  const bytes = await mustRead(end, read);
  const type = unixfsType(end, bytes);
  if (scope.kind === 'block' || (type !== 'file' && type !== 'raw')) return only({ cid: end, bytes });
  const size = await fileSize(end, read);
  const { start, stop } = scope.kind === 'bytes' ? extent(scope, size) : { start: 0, stop: size };
  return walkFileRange(end, read, start, stop);
}

/** `entity-bytes` as offsets, `stop` exclusive. Throws `storage.bad_range` when it begins beyond the end. */
function extent({ from, to }: ByteScope, size: number): { start: number; stop: number } {
  const start = from < 0 ? Math.max(0, size + from) : from;
  if (start > 0 && start >= size) throw storageError('storage.bad_range', `the entity has ${size} bytes`);
  const last = to === '*' ? size - 1 : to < 0 ? size + to : to;
  return { start, stop: Math.max(start, Math.min(size, last + 1)) };
}

async function* only(block: CarBlock): AsyncGenerator<CarBlock> {
  yield block;
}

async function* withBytes(cids: AsyncIterable<CID>, read: ReadBlock): AsyncGenerator<CarBlock> {
  for await (const cid of cids) yield { cid, bytes: await mustRead(cid, read) };
}

/** A request outside the specification. */
export function badRequest(message: string, cause?: unknown) {
  return storageError('storage.bad_request', message, { cause });
}
