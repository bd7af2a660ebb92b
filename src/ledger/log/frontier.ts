/**
 * The frontier: the row of complete subtrees that make up an RFC 6962 tree, one for each 1 in its binary size. It is
 * all that appending needs, and gives the root in at most 53 hashes. Immutable.
 */
import { concat, equalBytes, readU32be, u64be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { EMPTY_LOG_ROOT, HASH_BYTES, nodeHash } from '../verify/rfc6962.ts';

export class Frontier {
  static readonly EMPTY: Frontier = new Frontier(0, []);
  readonly size: number;
  /** By height; a hole where the size has a 0. */
  readonly #nodes: readonly (Uint8Array | undefined)[];

  private constructor(size: number, nodes: readonly (Uint8Array | undefined)[]) {
    this.size = size;
    this.#nodes = nodes;
  }

  /**
   * With `leafHashes` appended in order. `onNode` hears of every subtree that becomes complete, leaves (height 0)
   * among them, in the order in which their last leaves came. Throws `log.bad_hash`.
   */
  append(leafHashes: readonly Uint8Array[], onNode?: (height: number, hash: Uint8Array) => void): Frontier {
    const nodes = [...this.#nodes];
    let size = this.size;
    for (const leaf of leafHashes) {
      if (leaf.length !== HASH_BYTES)
        throw new CodedError('log.bad_hash', 'expected leaf hashes of 32 bytes');
      let node = leaf;
      let height = 0;
      for (let digits = size; ; digits = Math.floor(digits / 2), height++) {
        onNode?.(height, node);
        const left = nodes[height];
        if (digits % 2 === 0 || left === undefined) break;
        node = nodeHash(left, node);
        nodes[height] = undefined;
      }
      nodes[height] = node;
      size++;
    }
    return new Frontier(size, nodes);
  }

  /** Root over all leaves; SHA-256 of nothing when there are none. */
  root(): Uint8Array {
    let root: Uint8Array | undefined;
    for (const node of this.#nodes) {
      if (node !== undefined) root = root === undefined ? node : nodeHash(node, root);
    }
    return root ?? EMPTY_LOG_ROOT;
  }

  /** u64 size || hash of each complete subtree, largest first. */
  encode(): Uint8Array {
    return concat(u64be(this.size), ...this.#nodes.filter((node) => node !== undefined).reverse());
  }

  /** Throws `log.damaged` unless the bytes hold exactly the subtrees that the size has. */
  static decode(bytes: Uint8Array): Frontier {
    const refuse = (): never => {
      throw new CodedError('log.damaged', 'expected u64 size and one hash for each 1 of its binary form');
    };
    if (bytes.length < 8) refuse();
    const size = readU32be(bytes, 0) * 2 ** 32 + readU32be(bytes, 4);
    if (!Number.isSafeInteger(size)) refuse();
    const nodes: (Uint8Array | undefined)[] = [];
    let end = bytes.length;
    for (let digits = size, height = 0; digits > 0; digits = Math.floor(digits / 2), height++) {
      if (digits % 2 === 0) continue;
      if (end - HASH_BYTES < 8) refuse();
      nodes[height] = new Uint8Array(bytes.subarray(end - HASH_BYTES, end));
      end -= HASH_BYTES;
    }
    if (end !== 8) refuse();
    return new Frontier(size, nodes);
  }
}

/** Whether a frontier, as a peer sends it with a snapshot, belongs to the log root of a certified header. */
export function frontierMatches(bytes: Uint8Array, size: number, root: Uint8Array): boolean {
  try {
    const frontier = Frontier.decode(bytes);
    return frontier.size === size && equalBytes(frontier.root(), root);
  } catch {
    return false;
  }
}
