/**
 * The states that were looked at: tuples of small numbers, compared exactly, in flat arrays. Open addressing over
 * indexes into one growing store; each entry knows from which state it was reached.
 */
const LOAD_MAX = 0.6;

export class Visited {
  readonly #width: number;
  #tuples: Uint32Array;
  #parents: Uint32Array;
  #slots: Uint32Array;
  #count = 0;

  constructor(width: number) {
    this.#width = width;
    this.#tuples = new Uint32Array(width << 16);
    this.#parents = new Uint32Array(1 << 16);
    this.#slots = new Uint32Array(1 << 18);
  }

  get size(): number {
    return this.#count;
  }

  parent(index: number): number {
    return this.#parents[index];
  }

  /** Writes the tuple of `index` into `into`. */
  read(index: number, into: Uint32Array): void {
    const at = index * this.#width;
    for (let i = 0; i < this.#width; i++) into[i] = this.#tuples[at + i];
  }

  /** Adds `tuple`; its index, or -1 if it was there. */
  add(tuple: Uint32Array, parent: number): number {
    let slot = this.#find(tuple);
    if (this.#slots[slot] !== 0) return -1;
    if ((this.#count + 1) * this.#width > this.#tuples.length) this.#grow();
    if (this.#count > this.#slots.length * LOAD_MAX) {
      this.#rehash();
      slot = this.#find(tuple);
    }
    const index = this.#count++;
    this.#tuples.set(tuple, index * this.#width);
    this.#parents[index] = parent;
    this.#slots[slot] = index + 1;
    return index;
  }

  /** The slot that holds `tuple`, or the free one where it belongs. */
  #find(tuple: Uint32Array): number {
    const mask = this.#slots.length - 1;
    const width = this.#width;
    let slot = this.#hash(tuple, 0) & mask;
    for (;;) {
      const entry = this.#slots[slot];
      if (entry === 0) return slot;
      const at = (entry - 1) * width;
      let i = 0;
      while (i < width && this.#tuples[at + i] === tuple[i]) i++;
      if (i === width) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #hash(tuple: Uint32Array, from: number): number {
    let h = 0x811c9dc5;
    for (let i = from; i < from + this.#width; i++) {
      h = Math.imul(h ^ tuple[i], 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ (h >>> 13), 0x85ebca6b);
    return (h ^ (h >>> 16)) >>> 0;
  }

  #grow(): void {
    const tuples = new Uint32Array(this.#tuples.length * 2);
    tuples.set(this.#tuples);
    this.#tuples = tuples;
    const parents = new Uint32Array(this.#parents.length * 2);
    parents.set(this.#parents);
    this.#parents = parents;
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < this.#count; index++) {
      let slot = this.#hash(this.#tuples, index * this.#width) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
    this.#slots = slots;
  }
}
