/** Records that wait for a flush: keyword by keyword the local numbers of the records that have it. */
import { keywordKey } from './keyword.ts';
import type { PostingList } from './list.ts';

/** One keyword's postings so far. */
interface Buffered {
  readonly keyword: Uint8Array;
  readonly ids: number[];
  readonly weights: number[];
}

/** Record numbers [lo, hi) and their keywords. */
export class Batch {
  readonly lo: number;
  hi: number;
  readonly #words = new Map<string, Buffered>();

  constructor(lo: number) {
    this.lo = lo;
    this.hi = lo;
  }

  /** Whether `keyword` has been seen in this batch, and so has been checked. */
  has(keyword: Uint8Array): boolean {
    return this.#words.has(keywordKey(keyword));
  }

  /** Makes sure that `keyword` has a list, if only an empty one. */
  touch(keyword: Uint8Array): void {
    this.#entry(keyword);
  }

  /** Takes the next record. */
  add(keywords: readonly Uint8Array[], weights: Uint8Array | undefined): void {
    const local = this.hi - this.lo;
    keywords.forEach((keyword, i) => {
      const entry = this.#entry(keyword);
      if (entry.ids[entry.ids.length - 1] === local) return;
      entry.ids.push(local);
      entry.weights.push(weights?.[i] ?? 0);
    });
    this.hi++;
  }

  /** Each keyword with its list; weights only where some posting has one. */
  *lists(): Generator<{ readonly keyword: Uint8Array; readonly list: PostingList }> {
    for (const { keyword, ids, weights } of this.#words.values()) {
      const weighted = weights.some((weight) => weight > 0);
      yield {
        keyword,
        list: { ids: Uint32Array.from(ids), weights: weighted ? Uint8Array.from(weights) : null },
      };
    }
  }

  /** Puts the records of `later` behind these. */
  append(later: Batch): void {
    const shift = later.lo - this.lo;
    for (const { keyword, ids, weights } of later.#words.values()) {
      const entry = this.#entry(keyword);
      ids.forEach((id, i) => {
        entry.ids.push(id + shift);
        entry.weights.push(weights[i]);
      });
    }
    this.hi = later.hi;
  }

  #entry(keyword: Uint8Array): Buffered {
    const key = keywordKey(keyword);
    const known = this.#words.get(key);
    if (known !== undefined) return known;
    const entry: Buffered = { keyword, ids: [], weights: [] };
    this.#words.set(key, entry);
    return entry;
  }
}
