/** Uniform choices from a key stream: the orders of cells and slots must say nothing about keywords. */
import { ctrXor } from '../codec/aead.ts';

const ZERO_IV = new Uint8Array(16);
const STREAM_BYTES = 1 << 16;

/** `length` bytes of AES-256-CTR key stream under a key that is used for this alone. */
export function keyStream(key: Uint8Array, length: number): Uint8Array {
  return ctrXor(key, ZERO_IV, new Uint8Array(length));
}

/** Uniform numbers and permutations from one 32-byte key. */
export class Shuffler {
  #key: Uint8Array;
  #words = new Uint32Array(0);
  #next = 0;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** Uniform in [0, bound), bound from 1 to 2^32, by rejection. */
  below(bound: number): number {
    const limit = Math.floor(2 ** 32 / bound) * bound;
    for (;;) {
      const word = this.#word();
      if (word < limit) return word % bound;
    }
  }

  /** A uniform permutation of 0..length-1 (Fisher, Yates). */
  permutation(length: number): Uint32Array {
    const order = new Uint32Array(length);
    for (let i = 0; i < length; i++) {
      const j = this.below(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }

  #word(): number {
    if (this.#next === this.#words.length) {
      // The first 32 bytes of every block become the next key, so no block's key is used twice.
      const block = keyStream(this.#key, 32 + STREAM_BYTES).slice();
      this.#key = block.subarray(0, 32);
      this.#words = new Uint32Array(block.buffer, 32, STREAM_BYTES / 4);
      this.#next = 0;
    }
    return this.#words[this.#next++];
  }
}
