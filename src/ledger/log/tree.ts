/**
 * The append-only RFC 6962 log as an immutable value: a size, a frontier and a reader of tiles.
 *
 * `append` is a pure function: it answers the next tree and the write operations that store it. Until they are
 * written the next tree finds its new tiles in memory, so that a block can be executed on top of an undecided
 * one, answered with proofs before the disk has it, or dropped. Two trees that share a past share their tiles.
 *
 * The frontier is the row of complete subtrees that make up the tree (one for each 1 in the binary size); it gives
 * the root in at most 53 hashes without reading a tile.
 */
import { concat, equalBytes, readU32be, u64be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { type KvOp, type KvReader, kvName } from '../ports.ts';
import { EMPTY_LOG_ROOT, HASH_BYTES, nodeHash } from '../verify/rfc6962.ts';
import {
  FRONTIER_KEY,
  LOG_TABLE,
  readTile,
  TILE_HEIGHT,
  TILE_LEVEL_MAX,
  TILE_WIDTH,
  tileKey,
  tileWidth,
} from './tiles.ts';

/** Complete subtrees by height; a hole where the size has a 0. */
type Frontier = readonly (Uint8Array | undefined)[];

/** What an append leads to. `tree` is usable at once; `ops` make a later `LogTree.open` find it. */
export interface LogAppend {
  readonly tree: LogTree;
  readonly size: number;
  readonly root: Uint8Array;
  readonly ops: readonly KvOp[];
}

export class LogTree {
  readonly size: number;
  readonly #reader: KvReader;
  readonly #frontier: Frontier;
  /** Tiles that are not known to be stored, by key. */
  readonly #pending: ReadonlyMap<string, Uint8Array>;

  private constructor(
    reader: KvReader,
    size: number,
    frontier: Frontier,
    pending: ReadonlyMap<string, Uint8Array>,
  ) {
    this.#reader = reader;
    this.size = size;
    this.#frontier = frontier;
    this.#pending = pending;
  }

  /** The tree that `reader` holds, empty when it holds none. Throws `log.damaged`. */
  static open(reader: KvReader): LogTree {
    const stored = reader.get(LOG_TABLE, FRONTIER_KEY);
    if (stored === undefined) return new LogTree(reader, 0, [], new Map());
    const { size, frontier } = decodeFrontier(stored);
    return new LogTree(reader, size, frontier, new Map());
  }

  /** The same tree over a reader in which its operations have been written; lets go of the tiles in memory. */
  settled(reader: KvReader): LogTree {
    return new LogTree(reader, this.size, this.#frontier, new Map());
  }

  /** Root over all leaves; SHA-256 of nothing when there are none. */
  root(): Uint8Array {
    return frontierRoot(this.#frontier);
  }

  /** The tree with `leafHashes` (32 bytes each) appended in order. */
  append(leafHashes: readonly Uint8Array[]): LogAppend {
    const frontier = [...this.#frontier];
    // New complete nodes of each tile level, in order.
    const added: Uint8Array[][] = [];
    let size = this.size;
    for (const leaf of leafHashes) {
      if (leaf.length !== HASH_BYTES)
        throw new CodedError('log.bad_hash', 'expected leaf hashes of 32 bytes');
      let node = leaf;
      let height = 0;
      for (let digits = size; ; digits = Math.floor(digits / 2), height++) {
        if (height % TILE_HEIGHT === 0) {
          const level = height / TILE_HEIGHT;
          added[level] ??= [];
          added[level].push(node);
        }
        const left = frontier[height];
        if (digits % 2 === 0 || left === undefined) break;
        node = nodeHash(left, node);
        frontier[height] = undefined;
      }
      frontier[height] = node;
      size++;
    }
    const pending = new Map(this.#pending);
    const ops: KvOp[] = [];
    for (const [level, hashes] of added.entries()) {
      for (const op of this.#extend(level, hashes)) {
        pending.set(kvName(op.key), op.value);
        ops.push(op);
      }
    }
    if (size !== this.size) {
      ops.push({ table: LOG_TABLE, key: FRONTIER_KEY, value: encodeFrontier(size, frontier) });
    }
    const tree = new LogTree(this.#reader, size, frontier, pending);
    return { tree, size, root: tree.root(), ops };
  }

  /** Hashes from leaf `index` to the root of the first `size` leaves, at most 53. Throws `log.out_of_range`. */
  inclusionProof(index: number, size: number = this.size): Uint8Array[] {
    this.#within(size);
    if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
      throw new CodedError('log.out_of_range', `expected a leaf index below ${size}, got ${index}`);
    }
    const proof: Uint8Array[] = [];
    let start = 0;
    let end = size;
    while (end - start > 1) {
      const middle = start + leftWidth(end - start);
      if (index < middle) {
        proof.push(this.#range(middle, end));
        end = middle;
      } else {
        proof.push(this.#range(start, middle));
        start = middle;
      }
    }
    return proof.reverse();
  }

  /** Hashes that show the first `size1` leaves to be a prefix of the first `size2` (RFC 6962, 2.1.2). */
  consistencyProof(size1: number, size2: number = this.size): Uint8Array[] {
    this.#within(size2);
    if (!Number.isSafeInteger(size1) || size1 < 0 || size1 > size2) {
      throw new CodedError('log.out_of_range', `expected a size from 0 to ${size2}, got ${size1}`);
    }
    if (size1 === 0 || size1 === size2) return [];
    const proof: Uint8Array[] = [];
    let start = 0;
    let end = size2;
    while (end !== size1) {
      const middle = start + leftWidth(end - start);
      if (size1 <= middle) {
        proof.push(this.#range(middle, end));
        end = middle;
      } else {
        proof.push(this.#range(start, middle));
        start = middle;
      }
    }
    // A verifier that knows the old root knows this node already when it is the whole old tree.
    if (start !== 0) proof.push(this.#range(start, end));
    return proof.reverse();
  }

  /** Root over the first `size` leaves. Throws `log.out_of_range`. */
  rootAt(size: number): Uint8Array {
    this.#within(size);
    return size === 0 ? EMPTY_LOG_ROOT : this.#range(0, size);
  }

  /** The hash of leaf `index` (an entry id). Throws `log.out_of_range`. */
  leafHash(index: number): Uint8Array {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.size) {
      throw new CodedError('log.out_of_range', `expected a leaf index below ${this.size}, got ${index}`);
    }
    return this.#node(0, index).slice();
  }

  /** `width` hashes of a tile, all that this tree has when it is left out. Throws `log.out_of_range`. */
  tile(level: number, index: number, width?: number): Uint8Array {
    const known = level <= TILE_LEVEL_MAX ? tileWidth(level, index, this.size) : 0;
    const wanted = width ?? known;
    if (!(wanted > 0 && wanted <= known)) {
      throw new CodedError(
        'log.out_of_range',
        `expected a tile of at most ${known} hashes at ${level}/${index}`,
      );
    }
    return this.#tile(level, index, wanted).slice();
  }

  #within(size: number): void {
    if (!Number.isSafeInteger(size) || size < 0 || size > this.size) {
      throw new CodedError('log.out_of_range', `expected a size from 0 to ${this.size}, got ${size}`);
    }
  }

  #tile(level: number, index: number, width: number): Uint8Array {
    const pending = this.#pending.get(kvName(tileKey(level, index)));
    if (pending !== undefined && pending.length >= width * HASH_BYTES) {
      return pending.subarray(0, width * HASH_BYTES);
    }
    return readTile(this.#reader, level, index, width);
  }

  /** Write operations that put `hashes` behind what level `level` holds. */
  *#extend(level: number, hashes: readonly Uint8Array[]): Generator<KvOp & { value: Uint8Array }> {
    const before = Math.floor(this.size / TILE_WIDTH ** level);
    let done = 0;
    while (done < hashes.length) {
      const index = Math.floor((before + done) / TILE_WIDTH);
      const held = (before + done) % TILE_WIDTH;
      const taken = hashes.slice(done, done + TILE_WIDTH - held);
      const old = held === 0 ? [] : [this.#tile(level, index, held)];
      yield { table: LOG_TABLE, key: tileKey(level, index), value: concat(...old, ...taken) };
      done += taken.length;
    }
  }

  /** Hash of leaves [start, end); `start` is a multiple of the power of two that covers the range. */
  #range(start: number, end: number): Uint8Array {
    const count = end - start;
    const left = leftWidth(count);
    if (left * 2 === count || count === 1) {
      const height = Math.log2(count);
      return this.#node(height, start / count).slice();
    }
    return nodeHash(this.#range(start, start + left), this.#range(start + left, end));
  }

  /** Hash of complete subtree number `index` of 2^height leaves, folded from the tile row below it. */
  #node(height: number, index: number): Uint8Array {
    const level = Math.floor(height / TILE_HEIGHT);
    const count = 2 ** (height % TILE_HEIGHT);
    const first = index * count;
    const inTile = first % TILE_WIDTH;
    const tile = this.#tile(level, Math.floor(first / TILE_WIDTH), inTile + count);
    let row: Uint8Array[] = [];
    for (let i = inTile; i < inTile + count; i++) {
      row.push(tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
    }
    while (row.length > 1) {
      const above: Uint8Array[] = [];
      for (let i = 0; i < row.length; i += 2) above.push(nodeHash(row[i], row[i + 1]));
      row = above;
    }
    return row[0];
  }
}

/** Largest power of two below `count` (RFC 6962's k); 1 for counts up to 2. */
function leftWidth(count: number): number {
  let width = 1;
  while (width * 2 < count) width *= 2;
  return width;
}

function frontierRoot(frontier: Frontier): Uint8Array {
  let root: Uint8Array | undefined;
  for (const node of frontier) {
    if (node !== undefined) root = root === undefined ? node : nodeHash(node, root);
  }
  return root ?? EMPTY_LOG_ROOT;
}

/** u64 size || hash of each complete subtree, largest first. */
export function encodeFrontier(size: number, frontier: Frontier): Uint8Array {
  const nodes = frontier.filter((node) => node !== undefined).reverse();
  return concat(u64be(size), ...nodes);
}

/** Throws `log.damaged` unless the bytes hold exactly the subtrees that the size has. */
export function decodeFrontier(bytes: Uint8Array): { size: number; frontier: Frontier } {
  const refuse = (): never => {
    throw new CodedError('log.damaged', 'expected u64 size and one hash for each 1 of its binary form');
  };
  if (bytes.length < 8) refuse();
  const size = readU32be(bytes, 0) * 2 ** 32 + readU32be(bytes, 4);
  if (!Number.isSafeInteger(size)) refuse();
  const frontier: (Uint8Array | undefined)[] = [];
  let end = bytes.length;
  for (let digits = size, height = 0; digits > 0; digits = Math.floor(digits / 2), height++) {
    if (digits % 2 === 0) continue;
    if (end - HASH_BYTES < 8) refuse();
    frontier[height] = bytes.slice(end - HASH_BYTES, end);
    end -= HASH_BYTES;
  }
  if (end !== 8) refuse();
  return { size, frontier };
}

/** Whether a frontier, as a peer sends it with a snapshot, belongs to the log root of a certified header. */
export function frontierMatches(bytes: Uint8Array, size: number, root: Uint8Array): boolean {
  try {
    const decoded = decodeFrontier(bytes);
    return decoded.size === size && equalBytes(frontierRoot(decoded.frontier), root);
  } catch {
    return false;
  }
}
