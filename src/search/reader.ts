/**
 * Fetching what a query needs of one segment, verified (step 5): every page and slot is hashed to the root of the
 * manifest before anything reads it. Small segments are fetched whole and kept; of large ones only the asked
 * leaves are fetched, always as one batch. A copy that answers wrongly or not at all is given up for the next one
 * with the same whole batch, never with a part of it.
 */
import { CodedError } from '../codec/errors.ts';
import { searchError } from './errors.ts';
import { type KeywordSecret, type ListKeys, listKeys } from './keys.ts';
import type { ReadList } from './list.ts';
import { segmentName } from './manifest.ts';
import { leafHash } from './merkle.ts';
import { WHOLE_FETCH_BYTES } from './parameters.ts';
import { type LeafProof, pathProof, treeProof } from './proof.ts';
import type { CellContent } from './read.ts';
import { leafRange, type SegmentMeta, segmentShape, verifySegmentFile } from './segment.ts';

/** Bytes [offset, offset + length) of a file. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * One copy of the segment files: a member's node, a folder, an IPFS gateway. Trusted for nothing. Both methods
 * reject when the file is missing; `fetchRanges` answers one array a range, in order.
 */
export interface SegmentSource {
  fetchWhole(name: string): Promise<Uint8Array>;
  fetchRanges(name: string, ranges: readonly ByteRange[]): Promise<readonly Uint8Array[]>;
}

/**
 * `whole` hides which pages are wanted: for gateways that hold the files. `pages` fetches what is needed, with proofs of
 * about 1 kB in many small ranges. `pages-and-tree` fetches each large segment's leaf hashes once (0.4 % of it)
 * and then pages alone: for sources behind HTTP, where every range is a request.
 */
export type FetchPolicy = 'whole' | 'pages' | 'pages-and-tree';

/** What fetching cost, for `explain` and benches. */
export interface FetchCount {
  requests: number;
  bytes: number;
  proofBytes: number;
}

/** A sentinel's place and list: the same for ever under the segment's root, and part of every query on its field. */
export interface Guard {
  readonly content: CellContent;
  readonly list: ReadList | null;
}

/** Verified access to one segment. Keep it as long as the manifest lists the segment. */
export class SegmentReader {
  readonly meta: SegmentMeta;
  readonly #name: string;
  readonly #sources: readonly SegmentSource[];
  readonly #whole: boolean;
  readonly #proof: LeafProof;
  readonly #keys = new WeakMap<KeywordSecret, ListKeys>();
  readonly #guards = new WeakMap<KeywordSecret, Guard>();
  readonly #epochs: ReadonlyMap<string, number>;
  #file: Promise<Uint8Array> | undefined;

  constructor(meta: SegmentMeta, sources: readonly SegmentSource[], policy: FetchPolicy = 'pages') {
    this.meta = meta;
    this.#name = segmentName(meta);
    this.#sources = sources;
    this.#epochs = new Map(meta.epochs.map(({ field, epoch }) => [field, epoch]));
    this.#proof = policy === 'pages-and-tree' ? treeProof(meta) : pathProof(meta);
    this.#whole = policy === 'whole' || segmentShape(meta).fileBytes <= WHOLE_FETCH_BYTES;
  }

  /** Whether this segment is fetched whole, so that its pages and slots show no request. */
  get isWhole(): boolean {
    return this.#whole;
  }

  /** The key epoch of a field here; undefined for one that was not indexed when the segment was built. */
  epochOf(field: string): number | undefined {
    return this.#epochs.get(field);
  }

  /** The sentinel of `secret`, once it was read from a verified page and kept. */
  guardOf(secret: KeywordSecret): Guard | undefined {
    return this.#guards.get(secret);
  }

  keepGuard(secret: KeywordSecret, guard: Guard): void {
    this.#guards.set(secret, guard);
  }

  /** What opens the list of `secret` here; kept as long as the caller keeps the secret. */
  keysOf(secret: KeywordSecret): ListKeys {
    const known = this.#keys.get(secret);
    if (known !== undefined) return known;
    const keys = listKeys(secret.t, this.meta.id);
    this.#keys.set(secret, keys);
    return keys;
  }

  /**
   * The verified leaves by number. Throws the last copy's failure: `search.segment_unavailable`,
   * `search.segment_length` or `search.segment_root`, each naming the segment; never a part of the leaves.
   */
  async leaves(wanted: readonly number[], cost?: FetchCount): Promise<ReadonlyMap<number, Uint8Array>> {
    const sorted = wanted.toSorted((a, b) => a - b).filter((leaf, i, all) => leaf !== all[i - 1]);
    const found = new Map<number, Uint8Array>();
    if (sorted.length === 0) return found;
    if (this.#whole) {
      const file = await this.#wholeFile(cost);
      for (const leaf of sorted) {
        const { offset, length } = leafRange(this.meta, leaf);
        found.set(leaf, file.subarray(offset, offset + length));
      }
      return found;
    }
    const bytes = await this.#fromAnyCopy((source) => this.#fetchLeaves(source, sorted, cost));
    sorted.forEach((leaf, i) => {
      found.set(leaf, bytes[i]);
    });
    return found;
  }

  #wholeFile(cost: FetchCount | undefined): Promise<Uint8Array> {
    this.#file ??= this.#fromAnyCopy(async (source) => {
      const file = await source.fetchWhole(this.#name);
      addCost(cost, file.length, 0);
      verifySegmentFile(this.meta, file);
      return file;
    }).catch((error: unknown) => {
      this.#file = undefined;
      throw error;
    });
    return this.#file;
  }

  async #fetchLeaves(
    source: SegmentSource,
    sorted: readonly number[],
    cost: FetchCount | undefined,
  ): Promise<readonly Uint8Array[]> {
    const { meta } = this;
    const leafRanges = sorted.map((leaf) => leafRange(meta, leaf));
    const proofRanges = this.#proof.ranges(sorted);
    const ranges = [...leafRanges, ...proofRanges];
    const parts = await source.fetchRanges(this.#name, ranges);
    addCost(
      cost,
      parts.reduce((sum, part) => sum + part.length, 0),
      proofRanges.reduce((sum, range) => sum + range.length, 0),
    );
    if (parts.length !== ranges.length || ranges.some((range, i) => parts[i].length !== range.length)) {
      throw searchError('search.segment_length', `segment ${this.#name}: ranges of another length came back`);
    }
    const leaves = parts.slice(0, sorted.length);
    if (!this.#proof.check(sorted, leaves.map(leafHash), parts.slice(sorted.length))) {
      throw searchError('search.segment_root', `segment ${this.#name}: pages do not hash to their root`);
    }
    return leaves;
  }

  async #fromAnyCopy<T>(attempt: (source: SegmentSource) => Promise<T>): Promise<T> {
    let last: unknown;
    for (const source of this.#sources) {
      try {
        return await attempt(source);
      } catch (error) {
        last = error;
      }
    }
    if (last instanceof CodedError && last.code.startsWith('search.')) throw last;
    const name = this.#name;
    throw searchError('search.segment_unavailable', `segment ${name} could not be fetched from any copy`, {
      cause: last,
      details: { segment: name, copies: this.#sources.length },
    });
  }
}

function addCost(cost: FetchCount | undefined, bytes: number, proofBytes: number): void {
  if (cost === undefined) return;
  cost.requests += 1;
  cost.bytes += bytes;
  cost.proofBytes += proofBytes;
}
