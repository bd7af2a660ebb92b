/**
 * The corpus of bench/search.ts and its queries, the same in every run: documents of 20 distinct keywords, Zipf with
 * planted keywords of exact frequency.
 */

/** Keywords of each document. */
export const KEYWORDS_A_DOCUMENT = 20;
/** Keywords of the Zipf part; the planted ones come before them. */
const ZIPF_KEYWORDS = 49_898;
/** Documents, of 100,000, that hold each rare and each common planted keyword. */
const RARE = [10, 100, 1000, 10_000];
const COMMON = [20_000, 50_000, 30_000];
/** All keywords are numbers below this. */
export const VOCABULARY = RARE.length + COMMON.length + ZIPF_KEYWORDS;

/** Uniform numbers for the corpus, the same in every run (mulberry32). */
function dice(seed: number): (bound: number) => number {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * bound);
  };
}

/** Keyword numbers, 20 a document; planted ones come first in number: rare 0..3, common 4..6. */
export function makeCorpus(documents: number): Uint32Array {
  const roll = dice(1);
  // Bit k: the document has planted keyword k.
  const planted = new Uint8Array(documents);
  [...RARE, ...COMMON].forEach((count, keyword) => {
    const wanted = scaled(count, documents);
    for (let have = 0; have < wanted; ) {
      const document = roll(documents);
      if ((planted[document] >>> keyword) & 1) continue;
      planted[document] |= 1 << keyword;
      have++;
    }
  });
  const cumulative = new Float64Array(ZIPF_KEYWORDS);
  let total = 0;
  for (let i = 0; i < ZIPF_KEYWORDS; i++) {
    total += 1 / (i + 10);
    cumulative[i] = total;
  }
  const corpus = new Uint32Array(documents * KEYWORDS_A_DOCUMENT);
  const plantedKeywords = RARE.length + COMMON.length;
  for (let document = 0; document < documents; document++) {
    const row = corpus.subarray(document * KEYWORDS_A_DOCUMENT, (document + 1) * KEYWORDS_A_DOCUMENT);
    let n = 0;
    for (let keyword = 0; keyword < plantedKeywords; keyword++) {
      if ((planted[document] >>> keyword) & 1) row[n++] = keyword;
    }
    while (n < KEYWORDS_A_DOCUMENT) {
      const x = (roll(2 ** 30) / 2 ** 30) * total;
      let low = 0;
      let high = ZIPF_KEYWORDS - 1;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (cumulative[middle] < x) low = middle + 1;
        else high = middle;
      }
      const keyword = plantedKeywords + low;
      if (row.indexOf(keyword) < 0 || row.indexOf(keyword) >= n) row[n++] = keyword;
    }
  }
  return corpus;
}

/** How many of `documents` hold a keyword that `count` of 100,000 hold. */
const scaled = (count: number, documents: number): number =>
  Math.max(1, Math.round((count * documents) / 100_000));

/** A conjunction of keyword numbers. */
export interface BenchQuery {
  readonly name: string;
  /** Documents that hold the rarest of them. */
  readonly candidates: number;
  readonly keywords: readonly number[];
}

/** Each rare keyword with one to three common ones. */
export function makeQueries(documents: number): BenchQuery[] {
  return RARE.flatMap((count, rare) => {
    const candidates = scaled(count, documents);
    return [2, 3, 4].map((terms) => ({
      name: `and ${terms} terms, ${candidates} candidates`,
      candidates,
      keywords: [rare, ...COMMON.slice(0, terms - 1).map((_, i) => RARE.length + i)],
    }));
  });
}
