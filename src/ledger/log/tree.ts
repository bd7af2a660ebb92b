/**
 * The append-only RFC 6962 log as an immutable value: a size, a frontier and a reader of tiles.
 *
 * `append` is a pure function: it answers the next tree and the write operations that store it. Until they are
 * written the next tree finds its new tiles in memory, so that a block can be executed on top of an undecided
 * one, answered with proofs before the disk has it, or dropped. Two trees that share a past share their tiles.
 */
import { concat } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { type KvOp, type KvReader, kvName } from '../ports.ts';
import { EMPTY_LOG_ROOT, HASH_BYTES, nodeHash } from '../verify/rfc6962.ts';
import { Frontier } from './frontier.ts';
import { Pyramids } from './pyramids.ts';
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

/** What an append leads to. `tree` is usable at once; `ops` make a later `LogTree.open` find it. */
export interface LogAppend {
  readonly tree: LogTree;
  readonly size: number;
  readonly root: Uint8Array;
  readonly ops: readonly KvOp[];
}

export class LogTree {
  readonly #reader: KvReader;
  readonly #frontier: Frontier;
  /** Tiles that are not known to be stored, by key. */
  readonly #pending: ReadonlyMap<string, Uint8Array>;

  /** Shared with every tree over the same store: it remembers stored tiles only. */
  readonly #pyramids: Pyramids;

  private constructor(
    reader: KvReader,
    frontier: Frontier,
    pending: ReadonlyMap<string, Uint8Array>,
    pyramids: Pyramids,
  ) {
    this.#reader = reader;
    this.#frontier = frontier;
    this.#pending = pending;
    this.#pyramids = pyramids;
  }

  /** The tree that `reader` holds, empty when it holds none. Throws `log.damaged`. */
  static open(reader: KvReader): LogTree {
    const stored = reader.get(LOG_TABLE, FRONTIER_KEY);
    const frontier = stored === undefined ? Frontier.EMPTY : Frontier.decode(stored);
    return new LogTree(reader, frontier, new Map(), new Pyramids());
  }

  /** Number of leaves. */
  get size(): number {
    return this.#frontier.size;
  }

  /** The same tree over a reader in which its operations have been written; lets go of the tiles in memory. */
  settled(reader: KvReader): LogTree {
    return new LogTree(reader, this.#frontier, new Map(), this.#pyramids);
  }

  /** Root over all leaves; SHA-256 of nothing when there are none. */
  root(): Uint8Array {
    return this.#frontier.root();
  }

  /** The tree with `leafHashes` (32 bytes each) appended in order. */
  append(leafHashes: readonly Uint8Array[]): LogAppend {
    // New complete nodes of each tile level, in order.
    const added: Uint8Array[][] = [];
    const frontier = this.#frontier.append(leafHashes, (height, hash) => {
      if (height % TILE_HEIGHT !== 0) return;
      const level = height / TILE_HEIGHT;
      added[level] ??= [];
      added[level].push(hash);
    });
    const pending = new Map(this.#pending);
    const ops: KvOp[] = [];
    for (const [level, hashes] of added.entries()) {
      for (const op of this.#extend(level, hashes)) {
        pending.set(kvName(op.key), op.value);
        ops.push(op);
      }
    }
    if (leafHashes.length > 0) ops.push({ table: LOG_TABLE, key: FRONTIER_KEY, value: frontier.encode() });
    const tree = new LogTree(this.#reader, frontier, pending, this.#pyramids);
    return { tree, size: tree.size, root: tree.root(), ops };
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
    return new Uint8Array(this.#node(0, index));
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
    return new Uint8Array(this.#tile(level, index, wanted));
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
      return new Uint8Array(this.#node(height, start / count));
    }
    return nodeHash(this.#range(start, start + left), this.#range(start + left, end));
  }

  /** Hash of complete subtree number `index` of 2^height leaves; a view. */
  #node(height: number, index: number): Uint8Array {
    const level = Math.floor(height / TILE_HEIGHT);
    const k = height % TILE_HEIGHT;
    const first = index * 2 ** k;
    const tile = Math.floor(first / TILE_WIDTH);
    const width = (first % TILE_WIDTH) + 2 ** k;
    const pending = this.#pending.get(kvName(tileKey(level, tile)));
    if (pending === undefined || pending.length < width * HASH_BYTES) {
      // All hashes that this tree vouches for: the stored tile may hold more by now.
      const known = tileWidth(level, tile, this.size);
      const at = { level, tile, k, index: (first % TILE_WIDTH) / 2 ** k };
      return this.#pyramids.node(at, width, () => readTile(this.#reader, level, tile, known));
    }
    return foldTile(pending.subarray((width - 2 ** k) * HASH_BYTES, width * HASH_BYTES));
  }
}

/** Hash of the complete subtree over `hashes`, a power of two of them. */
function foldTile(hashes: Uint8Array): Uint8Array {
  let row: Uint8Array[] = [];
  for (let at = 0; at < hashes.length; at += HASH_BYTES) row.push(hashes.subarray(at, at + HASH_BYTES));
  while (row.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i < row.length; i += 2) above.push(nodeHash(row[i], row[i + 1]));
    row = above;
  }
  return row[0];
}

/** Largest power of two below `count` (RFC 6962's k); 1 for counts up to 2. */
function leftWidth(count: number): number {
  let width = 1;
  while (width * 2 < count) width *= 2;
  return width;
}
