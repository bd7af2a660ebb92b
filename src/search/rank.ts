/** The best hits: by score, then the higher record number, then the custodian's name. */

/** One ranked hit. Of a patient, `indexNo` is the latest record that supports the match, or the latest at all. */
export interface RankedHit {
  readonly custodian: string;
  readonly indexNo: number;
  readonly patient?: string;
  readonly score: number;
}

/** Most hits that a ranking returns. */
export const TOP_MAX = 10_000;

const before = (a: RankedHit, b: RankedHit): boolean =>
  a.score !== b.score
    ? a.score > b.score
    : a.indexNo !== b.indexNo
      ? a.indexNo > b.indexNo
      : a.custodian < b.custodian;

/** Keeps the best of what it is offered. Offer high record numbers first: hits of equal score are then cheap. */
export class TopHits {
  readonly #limit: number;
  readonly #hits: RankedHit[] = [];

  constructor(limit: number) {
    this.#limit = Math.max(0, Math.min(limit, TOP_MAX));
  }

  offer(hit: RankedHit): void {
    const hits = this.#hits;
    const last = hits[hits.length - 1];
    if (hits.length === this.#limit && (last === undefined || !before(hit, last))) return;
    let low = 0;
    let high = hits.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (before(hits[middle], hit)) low = middle + 1;
      else high = middle;
    }
    hits.splice(low, 0, hit);
    if (hits.length > this.#limit) hits.pop();
  }

  /** Best first. */
  get list(): readonly RankedHit[] {
    return this.#hits;
  }
}
