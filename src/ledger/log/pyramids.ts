/**
 * Inner nodes of stored tiles, remembered: a proof then costs some look-ups and the hashes of the tree's right edge,
 * instead of a few hundred hashes. Stored tiles only ever grow on their right, so what is remembered of one stays
 * true; tiles of undecided blocks never come in here, because two of them may differ.
 */
import { HASH_BYTES, nodeHash } from '../verify/rfc6962.ts';
import { TILE_HEIGHT, TILE_WIDTH } from './tiles.ts';

/** Tiles remembered, about 16 KiB each; the least recently used goes first. */
const TILES_KEPT_MAX = 256;

/** The complete subtrees over the first `width` hashes of a tile: row k holds those of 2^k hashes. */
class Pyramid {
  readonly #rows: readonly Uint8Array[] = Array.from(
    { length: TILE_HEIGHT },
    (_, k) => new Uint8Array((TILE_WIDTH >> k) * HASH_BYTES),
  );
  width = 0;

  /** Takes in the hashes of `tile` beyond those that are known. */
  extend(tile: Uint8Array): void {
    const before = this.width;
    const after = tile.length / HASH_BYTES;
    this.#rows[0].set(tile.subarray(before * HASH_BYTES), before * HASH_BYTES);
    for (let k = 1; k < TILE_HEIGHT; k++) {
      for (let i = before >> k; i < after >> k; i++) {
        const node = nodeHash(this.node(k - 1, 2 * i), this.node(k - 1, 2 * i + 1));
        this.#rows[k].set(node, i * HASH_BYTES);
      }
    }
    this.width = after;
  }

  node(k: number, index: number): Uint8Array {
    return this.#rows[k].subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }
}

export class Pyramids {
  readonly #kept = new Map<string, Pyramid>();

  /**
   * Node `index` of those over 2^k hashes in tile (level, tile), which has at least `width` hashes; `read` gives them
   * when they are not known yet. The answer is a view: copy it before handing it out.
   */
  node(
    at: { readonly level: number; readonly tile: number; readonly k: number; readonly index: number },
    width: number,
    read: () => Uint8Array,
  ): Uint8Array {
    const name = `${at.level}/${at.tile}`;
    const pyramid = this.#kept.get(name) ?? new Pyramid();
    if (pyramid.width < width) pyramid.extend(read());
    this.#kept.delete(name);
    this.#kept.set(name, pyramid);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= TILES_KEPT_MAX) break;
      this.#kept.delete(oldest);
    }
    return pyramid.node(at.k, at.index);
  }
}
