/**
 * The custodian's indexer: takes records with their keywords, turns them into segments, merges neighbours, proposes
 * manifests. Pure but for two stores it is given.
 *
 * Order of durability: `flush` and `maybeMerge` write files first and return a proposal; the caller commits
 * its hash to the ledger (entry IndexCommit) and then calls `commit`; only afterwards are replaced files deleted, one
 * commit later, because clients may still read by the manifest before. A crash before the ledger's commit leaves files
 * that no manifest names; a crash after it is met by opening with the ledger's manifest. Records that no committed
 * manifest covers are added again from the ledger, beginning with `next`.
 */
import { Batch } from './batch.ts';
import { searchError } from './errors.ts';
import { secretFromT } from './keys.ts';
import { keywordKey } from './keyword.ts';
import { encodeManifest, type Manifest, manifestEnd, manifestHash, segmentName } from './manifest.ts';
import type { MergedSegment, OwnSegment } from './merge.ts';
import { KEYWORD_BYTES_MAX, RECORD_KEYWORDS_MAX, SEGMENT_RECORDS_MAX, SEGMENTS_MAX } from './parameters.ts';
import { NOBLE, type Ristretto } from './ristretto.ts';
import { fullRun, type Run, staleSegments } from './schedule.ts';
import { type FieldKeys, fieldOfKeyword, KeywordSecrets } from './secrets.ts';
import type { SegmentMeta } from './segment.ts';
import { setOf, within } from './sets.ts';
import { runPaced, runThrough, type Steps } from './steps.ts';
import { openSteps, sealSteps, type Vocabulary } from './vault.ts';
import type { Evaluation, Random } from './voprf.ts';
import { mergeOwn, sealBatch } from './work.ts';

/**
 * Where files live. `putSegment` resolves when the bytes survive a crash; `getSegment` rejects when there are none;
 * `deleteSegment` of a missing file is no error.
 */
export interface SegmentStore {
  putSegment(name: string, bytes: Uint8Array): Promise<void>;
  getSegment(name: string): Promise<Uint8Array>;
  deleteSegment(name: string): Promise<void>;
}

/** One record as the ledger numbered it. `weights[i]` belongs to `keywords[i]`; 0 or no weights: unranked. */
export interface IndexRecord {
  readonly indexNo: number;
  /** Encoded, distinct; empty for a record that is not indexed. */
  readonly keywords: readonly Uint8Array[];
  readonly weights?: Uint8Array;
}

export interface IndexerOptions {
  readonly custodian: string;
  /** Seed and field key of every field and live epoch. */
  readonly keys: readonly FieldKeys[];
  /** Sealed segments: may be copied anywhere. */
  readonly store: SegmentStore;
  /** Companions of segments: stays with the indexer. */
  readonly vault: SegmentStore;
  /** 32 bytes from the keystore; seals the companions. */
  readonly vaultKey: Uint8Array;
  readonly random: Random;
  /**
   * Awaited between steps of less than a millisecond while segments are built and merged: `() => setImmediate()` of
   * node:timers/promises keeps an event loop responsive. Without it each runs through at once.
   */
  readonly pause?: () => Promise<void>;
  /**
   * Evaluates keywords under this custodian's keys, T_w each, in other threads for example: asked before a rebuild for a
   * new epoch, which needs the secret of every keyword. Without it the indexer evaluates one by one.
   */
  readonly evaluateAhead?: (wanted: readonly EpochKeyword[]) => Promise<readonly Uint8Array[]>;
  /** The manifest that the ledger names, after a restart. To rebuild from records: its seq and no segments. */
  readonly manifest?: Manifest;
}

/** A keyword whose secret in `epoch` of its field is wanted. */
export interface EpochKeyword {
  readonly keyword: Uint8Array;
  readonly field: string;
  readonly epoch: number;
}

/** A manifest whose files are written and which waits for the ledger. */
export interface IndexProposal {
  readonly manifest: Manifest;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
  /** Names of new segment files, to be replicated. */
  readonly added: readonly string[];
  /** Names of files that the manifest no longer lists. */
  readonly retired: readonly string[];
}

/** See the head of this file. One instance a custodian; of `flush`, `maybeMerge`, `commit`, `abandon` one at a time. */
export class Indexer {
  readonly #options: IndexerOptions;
  readonly #secrets: KeywordSecrets;
  #manifest: Manifest;
  #batch: Batch;
  #flushing: Batch | undefined;
  #proposal: IndexProposal | undefined;
  #grace: readonly string[] = [];
  #busy = false;

  constructor(options: IndexerOptions) {
    this.#options = options;
    this.#secrets = new KeywordSecrets(options.custodian, options.keys);
    this.#manifest = options.manifest ?? { custodian: options.custodian, seq: 0, segments: [] };
    if (this.#manifest.custodian !== options.custodian) {
      throw searchError('search.index_state', 'the manifest is of another custodian');
    }
    this.#batch = new Batch(manifestEnd(this.#manifest));
  }

  /** The number that the next added record must have. */
  get next(): number {
    return this.#batch.hi;
  }

  /** Records that were added and are not in a committed or proposed segment. */
  get buffered(): number {
    return this.#batch.hi - this.#batch.lo;
  }

  /** The last committed manifest; seq 0 before the first. */
  get manifest(): Manifest {
    return this.#manifest;
  }

  /**
   * Takes up keys of a new field or epoch. Later segments use the highest epoch. Call `maybeMerge` before the next `flush`:
   * it rebuilds all others for one manifest, so that no manifest names two epochs of a field.
   */
  addKeys(keys: FieldKeys): void {
    this.#secrets.addKeys(keys);
  }

  /** Forgets an epoch; throws `search.index_pending` while a segment still needs it. */
  dropKeys(field: string, epoch: number): void {
    const used = (manifest: Manifest) =>
      manifest.segments.some((meta) => meta.epochs.some((one) => one.field === field && one.epoch === epoch));
    if (used(this.#manifest) || (this.#proposal !== undefined && used(this.#proposal.manifest))) {
      throw searchError(
        'search.index_pending',
        `segments of field "${field}", epoch ${epoch}, wait to be rebuilt`,
      );
    }
    this.#secrets.dropKeys(field, epoch);
  }

  /** Whether a committed segment is sealed under another epoch than the current one. */
  get isStale(): boolean {
    return staleSegments(this.#manifest.segments, this.#secrets.current()).length > 0;
  }

  /** VOPRF public key for the ledger's registry entry of the field. */
  publicKey(field: string, epoch: number): Uint8Array {
    return this.#secrets.publicKey(field, epoch);
  }

  /** Of `keywords`, those whose secret in the current epoch is not at hand, with their field and epoch; each once. */
  unknown(keywords: Iterable<Uint8Array>): EpochKeyword[] {
    const found: EpochKeyword[] = [];
    const seen = new Set<string>();
    for (const keyword of keywords) {
      const key = keywordKey(keyword);
      if (seen.has(key)) continue;
      seen.add(key);
      const field = fieldOfKeyword(keyword);
      const epoch = this.#secrets.currentEpoch(field);
      if (!this.#secrets.knows(keyword, field, epoch)) found.push({ keyword, field, epoch });
    }
    return found;
  }

  /** Takes secrets that were evaluated elsewhere under this custodian's keys, in other threads for example. */
  learn(rows: readonly (EpochKeyword & { readonly t: Uint8Array })[]): void {
    for (const { keyword, field, epoch, t } of rows)
      this.#secrets.remember(keyword, field, epoch, secretFromT(t));
  }

  /** Evaluates for a committed Search entry that the caller has checked with `hashBlinded`. */
  evaluate(
    field: string,
    epoch: number,
    blinded: readonly Uint8Array[],
    group: Ristretto = NOBLE,
  ): Evaluation {
    return this.#secrets.evaluate(field, epoch, blinded, this.#options.random, group);
  }

  /**
   * Buffers records in the order of their numbers. Throws `search.index_order`, `search.too_large` or
   * `search.field_unknown`; then nothing of the record is taken.
   */
  add(records: readonly IndexRecord[]): void {
    for (const record of records) this.#addOne(record);
  }

  #addOne(record: IndexRecord): void {
    const batch = this.#batch;
    if (record.indexNo !== batch.hi) {
      throw searchError('search.index_order', `expected record number ${batch.hi}, got ${record.indexNo}`);
    }
    const fits = (keyword: Uint8Array) => keyword.length <= KEYWORD_BYTES_MAX;
    if (record.keywords.length > RECORD_KEYWORDS_MAX || !record.keywords.every(fits)) {
      const bounds = `${RECORD_KEYWORDS_MAX} keywords of ${KEYWORD_BYTES_MAX} bytes`;
      throw searchError('search.too_large', `a record has at most ${bounds}`);
    }
    if (batch.hi - batch.lo >= SEGMENT_RECORDS_MAX) {
      throw searchError('search.too_large', 'flush before adding more records');
    }
    for (const keyword of record.keywords) {
      if (!batch.has(keyword)) this.#secrets.currentEpoch(fieldOfKeyword(keyword));
    }
    batch.add(record.keywords, record.weights);
  }

  /** Seals the buffered records into a segment; undefined when there are none. `time`: block time in ms. */
  async flush(time: number): Promise<IndexProposal | undefined> {
    this.#mayStart();
    const batch = this.#batch;
    if (batch.hi === batch.lo) return undefined;
    this.#busy = true;
    // From here on new records go to the next batch, also while the segment is being built and written.
    this.#batch = new Batch(batch.hi);
    this.#flushing = batch;
    try {
      const { built, words } = await this.#run(sealBatch(batch, this.#secrets, time, this.#options.random));
      await this.#write(built.meta, built.file, { words, dropped: [] });
      return this.#propose([...this.#manifest.segments, built.meta], [built.meta], []);
    } catch (error) {
      this.#unflush();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  #run<T>(steps: Steps<T>): Promise<T> {
    const { pause } = this.#options;
    return pause === undefined ? Promise.resolve(runThrough(steps)) : runPaced(steps, pause);
  }

  /**
   * Does the most urgent rebuild, if any: all segments of old epochs, eight neighbours of a level, or with `purge` a
   * segment that still lists dead numbers. Call it until it answers undefined.
   */
  async maybeMerge(
    dead: Iterable<number>,
    time: number,
    options: { readonly purge?: boolean } = {},
  ): Promise<IndexProposal | undefined> {
    this.#mayStart();
    this.#busy = true;
    try {
      const deadSet = setOf(dead);
      const stale = staleSegments(this.#manifest.segments, this.#secrets.current());
      if (stale.length > 0) return await this.#renew(stale, deadSet, time);
      const run =
        fullRun(this.#manifest.segments) ?? (options.purge ? await this.#purgeRun(deadSet) : undefined);
      if (run === undefined) return undefined;
      const { segments } = this.#manifest;
      const inputs = segments.slice(run.from, run.to);
      const { built, vocabulary } = await this.#merge(inputs, deadSet, run.level, time);
      await this.#write(built.meta, built.file, vocabulary);
      const joined = [...segments.slice(0, run.from), built.meta, ...segments.slice(run.to)];
      return this.#propose(joined, [built.meta], inputs);
    } finally {
      this.#busy = false;
    }
  }

  /** Rebuilds each of `stale` under the current epochs; the manifest before stays good until the ledger has the new one. */
  async #renew(stale: readonly SegmentMeta[], dead: Uint32Array, time: number): Promise<IndexProposal> {
    const renewed = new Map<SegmentMeta, SegmentMeta>();
    try {
      for (const meta of stale) {
        await this.#evaluateWordsOf(meta);
        const { built, vocabulary } = await this.#merge([meta], dead, meta.level, time);
        await this.#write(built.meta, built.file, vocabulary);
        renewed.set(meta, built.meta);
      }
    } catch (error) {
      await this.#delete([...renewed.values()].map(segmentName));
      throw error;
    }
    const segments = this.#manifest.segments.map((meta) => renewed.get(meta) ?? meta);
    return this.#propose(segments, [...renewed.values()], stale);
  }

  async #evaluateWordsOf(meta: SegmentMeta): Promise<void> {
    const { evaluateAhead } = this.#options;
    if (evaluateAhead === undefined) return;
    const { words } = await this.#vocabulary(meta);
    const wanted = this.unknown(words.map(({ keyword }) => keyword));
    const secrets = await evaluateAhead(wanted);
    this.learn(wanted.map((one, i) => ({ ...one, t: secrets[i] })));
  }

  async #merge(
    inputs: readonly SegmentMeta[],
    dead: Uint32Array,
    level: number,
    time: number,
  ): Promise<MergedSegment> {
    const own: OwnSegment[] = [];
    for (const meta of inputs) {
      const file = await this.#options.store.getSegment(segmentName(meta));
      own.push({ meta, file, vocabulary: await this.#vocabulary(meta) });
    }
    return this.#run(mergeOwn({ segments: own, dead, level, time }, this.#secrets, this.#options.random));
  }

  async #vocabulary(meta: SegmentMeta): Promise<Vocabulary> {
    let sealed: Uint8Array;
    try {
      sealed = await this.#options.vault.getSegment(segmentName(meta));
    } catch (cause) {
      throw searchError(
        'search.index_state',
        'a segment companion is missing: rebuild the index from records',
        {
          cause,
        },
      );
    }
    return this.#run(openSteps(this.#options.vaultKey, meta.id, sealed));
  }

  async #purgeRun(dead: Uint32Array): Promise<Run | undefined> {
    const { segments } = this.#manifest;
    for (let i = 0; i < segments.length; i++) {
      const { lo, hi, level } = segments[i];
      const inside = within(dead, lo, hi);
      if (inside.length === 0) continue;
      const dropped = new Set((await this.#vocabulary(segments[i])).dropped);
      if (inside.some((number) => !dropped.has(number - lo))) return { from: i, to: i + 1, level };
    }
    return undefined;
  }

  async #write(meta: SegmentMeta, file: Uint8Array, vocabulary: Vocabulary): Promise<void> {
    const name = segmentName(meta);
    const companion = await this.#run(sealSteps(this.#options.vaultKey, meta.id, vocabulary));
    await this.#options.vault.putSegment(name, companion);
    await this.#options.store.putSegment(name, file);
  }

  #propose(
    segments: readonly SegmentMeta[],
    added: readonly SegmentMeta[],
    retired: readonly SegmentMeta[],
  ): IndexProposal {
    if (segments.length > SEGMENTS_MAX)
      throw searchError('search.too_large', 'too many segments: merge first');
    const manifest = { custodian: this.#options.custodian, seq: this.#manifest.seq + 1, segments };
    const bytes = encodeManifest(manifest);
    this.#proposal = {
      manifest,
      bytes,
      hash: manifestHash(bytes),
      added: added.map(segmentName),
      retired: retired.map(segmentName),
    };
    return this.#proposal;
  }

  /** The ledger has taken the proposal. Deletes the files that the proposal before this one replaced. */
  async commit(proposal: IndexProposal): Promise<void> {
    if (proposal !== this.#proposal)
      throw searchError('search.index_pending', 'expected the pending proposal');
    this.#manifest = proposal.manifest;
    this.#proposal = undefined;
    this.#flushing = undefined;
    const old = this.#grace;
    this.#grace = proposal.retired;
    await this.#delete(old);
  }

  /** Deletes what the last commit replaced at once: readers had their time, or its epoch is over. */
  async forgetReplaced(): Promise<void> {
    const old = this.#grace;
    this.#grace = [];
    await this.#delete(old);
  }

  /** The ledger has refused the proposal: its files go, its records are buffered again. */
  async abandon(proposal: IndexProposal): Promise<void> {
    if (proposal !== this.#proposal)
      throw searchError('search.index_pending', 'expected the pending proposal');
    this.#proposal = undefined;
    this.#unflush();
    await this.#delete(proposal.added);
  }

  /** Gives the records of a flush that did not come to be back to the batch. */
  #unflush(): void {
    if (this.#flushing === undefined) return;
    this.#flushing.append(this.#batch);
    this.#batch = this.#flushing;
    this.#flushing = undefined;
  }

  async #delete(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#options.store.deleteSegment(name);
      await this.#options.vault.deleteSegment(name);
    }
  }

  #mayStart(): void {
    if (this.#busy || this.#proposal !== undefined) {
      throw searchError(
        'search.index_pending',
        'wait for the work at hand; commit or abandon its proposal first',
      );
    }
  }
}
