/**
 * The indexer role of a custodian: feeds committed records to the index in ledger order, flushes and merges segments,
 * commits manifests, and evaluates blinded keywords for committed searches.
 *
 * Order: segment files durable -> manifest kept -> IndexCommit on the ledger -> staged keywords removed. A crash
 * between any two leaves a readable index; numbers that no committed manifest covers are added again at start.
 */
import type { MemberLink } from '../authority/link.ts';
import { equalBytes, toHex } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import type { HpkeKeyPair } from '../codec/hpke.ts';
import { keywordsInfo } from '../codec/hpke-info.ts';
import { type EntryId, entryId, type MemberId } from '../codec/ids.ts';
import { STATE } from '../ledger/index.ts';
import {
  decodeManifest,
  type EpochKeyword,
  type Evaluation,
  type FieldKeys,
  hashBlinded,
  Indexer,
  type IndexProposal,
  type IndexRecord,
  openRistretto,
} from '../search/index.ts';
import type { Companions } from './companions.ts';
import { decodeEvaluateRequest, decodeKeywords } from './index-messages.ts';
import type { NodeLedger } from './ledger.ts';
import type { Replicas } from './replicas.ts';
import type { SegmentFolder } from './segment-files.ts';
import type { StagedRecord, Staging } from './staging.ts';
import { giveWay } from './turns.ts';
import type { WorkPool } from './work/pool.ts';

/** A flush is due when this many records wait, */
const FLUSH_RECORDS = 4_000;
/** when no record has come for this long, */
const IDLE_MS = 400;
/** or when the oldest has waited this long. */
const WAIT_MS_MAX = 30_000;
/** Records taken from staging at a time. */
const FEED_RECORDS = 1_000;
/** How long after a switch of epochs the old one is still evaluated, for queries that began before it. */
const EPOCH_GRACE_MS = 60_000;
/** Keywords that one task of a worker thread evaluates: about 50 ms. */
const EVALUATE_BATCH = 64;
/** How long an evaluation waits for this node to apply the Search entry. */
const APPLY_WAIT_MS = 4_000;

export interface IndexServiceOptions {
  readonly member: MemberId;
  readonly ledger: NodeLedger;
  readonly link: MemberLink;
  readonly staging: Staging;
  readonly replicas: Replicas;
  readonly segments: SegmentFolder;
  readonly companions: Companions;
  readonly indexerKeys: HpkeKeyPair;
  /** Keys of every epoch that the ledger knows; more come by `renew`. */
  readonly fieldKeys: readonly FieldKeys[];
  /** Erases an epoch's secrets from the keystore. */
  readonly eraseKeys: (keys: readonly Pick<FieldKeys, 'field' | 'epoch'>[]) => Promise<void>;
  readonly pool: WorkPool;
  readonly random: (length: number) => Uint8Array;
  /** Commits an IndexCommit signed by this member's indexer. */
  readonly commit: (body: { seq: number; manifestHash: Uint8Array; covered: number }) => Promise<void>;
  readonly onError: (event: string, error: unknown) => void;
}

export class IndexService {
  readonly member: MemberId;
  readonly #options: IndexServiceOptions;
  readonly #indexer: Indexer;
  #keys: readonly FieldKeys[];
  #working: Promise<void> = Promise.resolve();
  #idle: ReturnType<typeof setTimeout> | undefined;
  #oldest: ReturnType<typeof setTimeout> | undefined;
  #retiring: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: IndexServiceOptions) {
    this.#options = options;
    this.#keys = options.fieldKeys;
    const { member, ledger, replicas } = options;
    this.member = member;
    const index = ledger.state(STATE.index(member));
    const manifest = index === undefined ? undefined : decodeManifest(replicas.manifestBytes(member));
    this.#indexer = new Indexer({
      custodian: member,
      keys: options.fieldKeys,
      store: options.segments,
      vault: options.companions.vault,
      vaultKey: options.companions.vaultKey,
      random: options.random,
      pause: giveWay,
      evaluateAhead: (wanted) => this.#evaluateInWorkers(wanted),
      ...(manifest === undefined ? {} : { manifest }),
    });
    options.link.serve('oprf', 'evaluate', async (_from, body) => {
      const { entry, blinded } = decodeEvaluateRequest(body);
      const { elements, proof } = await this.evaluate(entryId(toHex(entry)), blinded);
      return encodeCbor({ elements, proof });
    });
  }

  /** Follows the custodian's own records. Answers how to stop. */
  start(): () => Promise<void> {
    const { ledger, member } = this.#options;
    const stop = ledger.subscribe((entry) => {
      if (entry.type !== 'RecordPut' || entry.subject === null) return;
      if (ledger.state(STATE.subject(entry.subject))?.member === member) this.#due();
    });
    if (this.#waiting() > 0) this.#due();
    // A rebuild that a stop interrupted begins again; until it is committed the index of before is served.
    this.renew([]).catch((error: unknown) => this.#options.onError('index.failed', error));
    return async () => {
      this.#closed = true;
      stop();
      clearTimeout(this.#idle);
      clearTimeout(this.#oldest);
      clearTimeout(this.#retiring);
      await this.#working;
    };
  }

  /** Indexes everything that is committed now; resolves when the ledger names the new manifest. */
  async flush(): Promise<void> {
    clearTimeout(this.#idle);
    clearTimeout(this.#oldest);
    this.#oldest = undefined;
    await this.#serially(() => this.#flushAll());
  }

  /**
   * Takes up keys of new epochs and rebuilds every segment of the old ones for one manifest; what is there is served until
   * the ledger names it. The old keys go a minute later, when nobody reads by the manifest before any more. Resolves when the
   * ledger has the new manifest, at once when nothing is stale.
   */
  async renew(keys: readonly FieldKeys[]): Promise<void> {
    await this.#serially(async () => {
      for (const one of keys) this.#indexer.addKeys(one);
      this.#keys = [...this.#keys, ...keys];
      await this.#rebuild();
      clearTimeout(this.#retiring);
      this.#retiring = setTimeout(() => {
        this.retire().catch((error: unknown) => this.#options.onError('index.failed', error));
      }, EPOCH_GRACE_MS);
      this.#retiring.unref();
    });
  }

  /** Erases the keys of epochs that are over, with every secret made from them and the segments sealed under them. */
  async retire(): Promise<void> {
    await this.#serially(async () => {
      if (this.#indexer.isStale || this.#closed) return;
      const over = this.#keys.filter((one) => !this.#isCurrent(one));
      if (over.length === 0) return;
      await this.#indexer.forgetReplaced();
      for (const { field, epoch, seed, fieldKey } of over) {
        this.#indexer.dropKeys(field, epoch);
        seed.fill(0);
        fieldKey.fill(0);
      }
      this.#keys = this.#keys.filter((one) => !over.includes(one));
      await this.#options.eraseKeys(over);
    });
  }

  #isCurrent({ field, epoch }: FieldKeys): boolean {
    return this.#keys.every((other) => other.field !== field || other.epoch <= epoch);
  }

  /** Whether the keys of that epoch are here. */
  holds(field: string, epoch: number): boolean {
    return this.#keys.some((one) => one.field === field && one.epoch === epoch);
  }

  /** Whether segments of an earlier epoch wait to be rebuilt. */
  get isStale(): boolean {
    return this.#indexer.isStale;
  }

  /** One work after the other, each told of and none stopping the next. */
  async #serially(work: () => Promise<void>): Promise<void> {
    const done = this.#working.then(work);
    this.#working = done.catch((error: unknown) => this.#options.onError('index.failed', error));
    await done;
  }

  /** Rebuilds segments that still list erased or superseded records, until none does. */
  async purge(): Promise<void> {
    await this.#serially(() => this.#merge({ purge: true }));
  }

  /** Nothing but segments of the current epochs afterwards. */
  async #rebuild(): Promise<void> {
    const { ledger, member } = this.#options;
    while (this.#indexer.isStale && !this.#closed) {
      const time = ledger.tip().timeMs;
      await this.#publish(await this.#indexer.maybeMerge(ledger.deadNumbers(member), time));
    }
  }

  /** Removes what the manifest in force has not listed for `graceMs`, while nothing is being built. Answers how many files. */
  async collect(graceMs: number, nowMs: number): Promise<number> {
    const { member, replicas } = this.#options;
    const run = this.#working.then(() => replicas.collect(member, graceMs, nowMs));
    this.#working = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  /** VOPRF public key of a field in an epoch, for FieldKeyPut. */
  publicKey(field: string, epoch: number): Uint8Array {
    return this.#indexer.publicKey(field, epoch);
  }

  /** Evaluates blinded keywords for a committed and granted Search entry that names exactly these elements. */
  async evaluate(id: EntryId, blinded: readonly Uint8Array[]): Promise<Evaluation> {
    const { ledger, member } = this.#options;
    const search = await ledger.searchGrant(id, APPLY_WAIT_MS);
    if (search === undefined)
      throw new CodedError('entry.unknown', 'this node has applied no Search with that id');
    if (search.custodian !== member)
      throw new CodedError('search.other_custodian', 'the Search names another custodian');
    if (!search.inForce)
      throw new CodedError('authority.not_in_force', 'the Search was denied, or came too late');
    if (blinded.length !== search.count || !equalBytes(hashBlinded(blinded), search.blindedHash)) {
      throw new CodedError(
        'search.blinded_mismatch',
        'the blinded elements are not those of the Search entry',
      );
    }
    return this.#indexer.evaluate(search.field, search.epoch, blinded, await openRistretto());
  }

  /** Committed records that no committed manifest covers. */
  #waiting(): number {
    const { ledger, member } = this.#options;
    return (ledger.state(STATE.counter(member)) ?? 0) - (ledger.state(STATE.index(member))?.covered ?? 0);
  }

  #due(): void {
    if (this.#closed) return;
    const run = (): void => {
      this.flush().catch((error: unknown) => {
        this.#options.onError('index.failed', error);
        // A full disk or a lost quorum passes: again, also when no record comes.
        if (this.#closed) return;
        this.#oldest ??= setTimeout(run, WAIT_MS_MAX);
        this.#oldest.unref();
      });
    };
    if (this.#waiting() >= FLUSH_RECORDS && this.#oldest !== undefined) {
      run();
      return;
    }
    clearTimeout(this.#idle);
    this.#idle = setTimeout(run, IDLE_MS);
    this.#oldest ??= setTimeout(run, WAIT_MS_MAX);
    this.#idle.unref();
    this.#oldest.unref();
  }

  async #flushAll(): Promise<void> {
    const { ledger, member } = this.#options;
    // Before anything is added: no manifest names two epochs of a field.
    await this.#rebuild();
    for (;;) {
      const end = ledger.state(STATE.counter(member)) ?? 0;
      if (this.#indexer.next < end) await this.#feed(Math.min(end, this.#indexer.next + FEED_RECORDS));
      if (this.#indexer.next < end && this.#indexer.buffered < FLUSH_RECORDS) continue;
      const time = ledger.tip().timeMs;
      if (!(await this.#publish(await this.#indexer.flush(time)))) break;
      await this.#merge();
    }
  }

  /** Merges while something is due. A companion that is lost stops merging, not indexing. */
  async #merge(options: { readonly purge?: boolean } = {}): Promise<void> {
    const { ledger, member, onError } = this.#options;
    const next = () => this.#indexer.maybeMerge(ledger.deadNumbers(member), ledger.tip().timeMs, options);
    try {
      while (await this.#publish(await next())) if (this.#closed) return;
    } catch (error) {
      if (!hasCode(error, 'search.index_state')) throw error;
      onError('index.merge_failed', error);
    }
  }

  /** Adds the committed records [next, end) with their staged keywords. */
  async #feed(end: number): Promise<void> {
    const { ledger, member, staging } = this.#options;
    const records: IndexRecord[] = [];
    for (let indexNo = this.#indexer.next; indexNo < end; indexNo++) {
      const number = ledger.state(STATE.indexNo(member, indexNo));
      const staged = number === undefined ? undefined : this.#stagedOf(number.record, indexNo, staging);
      records.push({ indexNo, ...(await this.#keywordsOf(staged)) });
    }
    await this.#evaluateAhead(records);
    this.#indexer.add(records);
  }

  /** Has the new keywords of `records` evaluated in the worker threads, so that building does not stop the event loop. */
  async #evaluateAhead(records: readonly IndexRecord[]): Promise<void> {
    const wanted = this.#indexer.unknown(records.flatMap((record) => record.keywords));
    const found = await this.#evaluateInWorkers(wanted);
    this.#indexer.learn(wanted.map((one, i) => ({ ...one, t: found[i] })));
  }

  async #evaluateInWorkers(wanted: readonly EpochKeyword[]): Promise<readonly Uint8Array[]> {
    const { member, pool } = this.#options;
    const keys = this.#keys.filter((one) => this.#isCurrent(one));
    const batches: (typeof wanted)[] = [];
    for (let i = 0; i < wanted.length; i += EVALUATE_BATCH) batches.push(wanted.slice(i, i + EVALUATE_BATCH));
    const found = await Promise.all(
      batches.map((keywords) =>
        pool.run({ task: 'secrets', item: { custodian: member, keys, keywords: [...keywords] } }),
      ),
    );
    return found.flat();
  }

  #stagedOf(record: Uint8Array, indexNo: number, staging: Staging): StagedRecord | undefined {
    const state = this.#options.ledger.state(STATE.record(toHex(record)));
    if (state === undefined || state.indexNo !== indexNo) return undefined;
    // A policy change keeps the number and grows the version; the row was staged under the version of its RecordPut.
    for (let version = state.version; version >= 0; version--) {
      const staged = staging.get(record, version, state.headerHash);
      if (staged !== undefined) return staged;
    }
    return undefined;
  }

  async #keywordsOf(
    staged: StagedRecord | undefined,
  ): Promise<{ keywords: readonly Uint8Array[]; weights?: Uint8Array }> {
    const { indexerKeys, ledger, member, onError } = this.#options;
    const source = staged?.keywords ?? null;
    if (staged === undefined || source === null) return { keywords: [] };
    if ('plain' in source) {
      return { keywords: source.plain, ...(source.weights === null ? {} : { weights: source.weights }) };
    }
    try {
      const info = keywordsInfo(ledger.chainId, member, staged.record, staged.version);
      return decodeKeywords(await indexerKeys.open(info, source.sealed));
    } catch (error) {
      // Sealed by a client that made a mistake: the record stays openable but cannot be found.
      onError('index.keywords_refused', error);
      return { keywords: [] };
    }
  }

  /** Commits a proposal; false when there is none. */
  async #publish(proposal: IndexProposal | undefined): Promise<boolean> {
    if (proposal === undefined) return false;
    const { commit, ledger, member, replicas, staging } = this.#options;
    const covered = proposal.manifest.segments.at(-1)?.hi ?? 0;
    const before = ledger.state(STATE.index(member))?.covered ?? 0;
    await replicas.keepManifest(proposal.hash, proposal.bytes);
    try {
      await commit({ seq: proposal.manifest.seq, manifestHash: proposal.hash, covered });
    } catch (error) {
      const taken = ledger.state(STATE.index(member))?.manifestHash;
      if (taken === undefined || !equalBytes(taken, proposal.hash)) {
        await this.#indexer.abandon(proposal);
        throw error;
      }
    }
    await replicas.useManifest(member, proposal.hash);
    await this.#indexer.commit(proposal);
    const done: StagedRecord[] = [];
    for (let indexNo = before; indexNo < covered; indexNo++) {
      const record = ledger.state(STATE.indexNo(member, indexNo))?.record;
      const staged = record === undefined ? undefined : this.#stagedOf(record, indexNo, staging);
      if (staged !== undefined) done.push(staged);
    }
    await staging.remove(done);
    return true;
  }
}
