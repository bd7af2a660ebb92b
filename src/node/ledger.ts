/**
 * The ledger as the parts of a node see it: the engine's state and entries, submission through the consensus, and a
 * book of records that maps index numbers to records and patients. Everything is as of blocks applied here.
 */
import { checkPolicy, parsePolicy, type Registry } from '../abe/index.ts';
import type { CommittedEntry, EntryFilter, LedgerReads } from '../api/ports.ts';
import type { AuthorityLedger, GrantView, KeyView } from '../authority/ports.ts';
import { equalBytes, toHex } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import {
  type EntryId,
  entryId,
  type MemberId,
  memberId,
  type RecordId,
  type SubjectId,
  subjectId,
} from '../codec/ids.ts';
import { ConsensusError, type PbftNode } from '../consensus/index.ts';
import {
  decideKey,
  decodeRequest,
  type CommittedEntry as EngineEntry,
  encodeStateProof,
  heldAttributes,
  type LedgerEngine,
  parseTilePath,
  registryOf,
  STATE,
  type StateKey,
  stillInForce,
  TILE_WIDTH,
  tileWidth,
  transactionId,
} from '../ledger/index.ts';
import {
  type ExportSource,
  encodeReceipt,
  epochLinks,
  epochLinkToJson,
  exportLines,
  PBFT_LITE,
  parseCheckpoint,
} from '../ledger/verify/index.ts';
import { RecordBook } from './record-book.ts';

/** How long a request waits for a block that another gateway has seen already. */
const LAG_MS_MAX = 1_500;
/** How long a proof waits for the cosignatures of the newest block. */
const COSIGNED_MS_MAX = 10_000;
/** Refusals that a lagging node gives although the consortium would not. */
const LAG_CODES: ReadonlySet<string> = new Set([
  'attribute.not_held',
  'consent.unknown',
  'entry.unknown',
  'key.stale',
  'key.unknown',
  'record.unknown',
  'record.version',
  'right.missing',
  'subject.unknown',
  'tx.signer',
]);

/** A grant of a Search entry, judged in the tip. */
export interface SearchGrant {
  readonly custodian: string;
  readonly field: string;
  readonly epoch: number;
  readonly count: number;
  readonly blindedHash: Uint8Array;
  readonly inForce: boolean;
}

export class NodeLedger implements LedgerReads, AuthorityLedger {
  readonly #engine: LedgerEngine;
  readonly #requireRoom: () => void;
  readonly #consensus: () => PbftNode;
  readonly book = new RecordBook();

  private constructor(engine: LedgerEngine, consensus: () => PbftNode, requireRoom: () => void) {
    this.#engine = engine;
    this.#consensus = consensus;
    this.#requireRoom = requireRoom;
  }

  /** Reads the records that the engine holds already, then follows it. `requireRoom` refuses submissions while it throws. */
  static async open(
    engine: LedgerEngine,
    consensus: () => PbftNode,
    requireRoom: () => void = () => undefined,
  ): Promise<NodeLedger> {
    const ledger = new NodeLedger(engine, consensus, requireRoom);
    await ledger.book.load(engine);
    engine.subscribe((block) => {
      for (const entry of block.entries) ledger.book.follow(entry, engine.state);
    });
    return ledger;
  }

  get chainId(): string {
    return this.#engine.chainId;
  }

  // ---- state ------------------------------------------------------------------------------------------------

  state<T>(key: StateKey<T>): T | undefined {
    return this.#engine.get(key);
  }

  get(key: string): unknown {
    return this.#engine.get(key as StateKey<unknown>);
  }

  list(
    prefix: string,
    options: { after?: string; limit: number },
  ): Promise<readonly (readonly [string, unknown])[]> {
    return this.#engine.list(prefix, options);
  }

  async getWithProofs(keys: readonly string[]): ReturnType<LedgerReads['getWithProofs']> {
    const wait = AbortSignal.timeout(COSIGNED_MS_MAX);
    try {
      const { values, checkpoint } = await this.#engine.getWithProofs(keys, wait);
      return {
        values: values.map(({ value, proof }) => ({ value, proof: encodeStateProof(proof) })),
        checkpoint,
        size: parseCheckpoint(checkpoint).checkpoint.size,
      };
    } catch (error) {
      if (!wait.aborted) throw error;
      throw new CodedError('ledger.behind', 'no quorum has cosigned the newest state yet: try again shortly');
    }
  }

  tip(): { height: number; timeMs: number; size: number } {
    const { height, time, size } = this.#engine.head;
    return { height, timeMs: time, size };
  }

  tipTimeMs(): number {
    return this.#engine.head.time;
  }

  shareEpoch(): number | null {
    return this.state(STATE.chain)?.shareEpoch ?? null;
  }

  registry(): Registry {
    return registryOf(this.#engine.state);
  }

  members(): readonly MemberId[] {
    return (this.state(STATE.members) ?? []).map(memberId);
  }

  /** Throws the policy codes with line and column: for text that a caller wrote. */
  checkPolicy(text: string): void {
    checkPolicy(parsePolicy(text), this.registry());
  }

  deadNumbers(custodian: MemberId): Uint32Array {
    return this.book.dead(custodian);
  }

  /** Attributes with their ends, consents among them, in order. */
  async attributesOf(
    subject: SubjectId,
  ): Promise<readonly { attribute: string; until: number | null; inForce: boolean }[]> {
    const time = this.tipTimeMs();
    const prefix = `attribute/${subject}/`;
    const revoked = this.state(STATE.subject(subject))?.revoked !== false;
    const rows = await this.list(prefix, { limit: 10_000 });
    return rows.map(([key, value]) => {
      const { until, ended } = value as { until: number | null; ended: boolean };
      const inForce = !revoked && !ended && (until === null || time < until);
      return { attribute: key.slice(prefix.length), until, inForce };
    });
  }

  /** What a subject holds now, consents included. */
  async heldNow(subject: SubjectId): Promise<readonly string[]> {
    const all = await this.attributesOf(subject);
    return all.filter((one) => one.inForce).map((one) => one.attribute);
  }

  /** What a subject holds now without its consents. */
  heldWithoutConsents(subject: SubjectId): readonly string[] {
    return heldAttributes(this.#engine.state, subject, this.tipTimeMs());
  }

  // ---- what authorities and indexers may serve --------------------------------------------------------------

  async grant(id: EntryId, waitMs: number): Promise<GrantView | undefined> {
    const entry = await this.#applied(id, waitMs);
    const transaction = entry?.transaction;
    if (entry === undefined || transaction === undefined) return undefined;
    const verdicts = stillInForce(this.#engine.state, { leaf: entry.leaf, transaction });
    const subject = subjectId(toHex(transaction.subject));
    const isGranted = (_: unknown, i: number): boolean => verdicts[i]?.granted === true;
    if (transaction.type === 'Access') {
      const { keyId, generation, records } = transaction.bodies[entry.leaf.item];
      return { type: 'Access', subject, keyId, generation, inForce: records.filter(isGranted) };
    }
    if (transaction.type === 'BreakGlass') {
      const { keyId, generation, record, version } = transaction.bodies[entry.leaf.item];
      return {
        type: 'BreakGlass',
        subject,
        keyId,
        generation,
        inForce: [{ record, version }].filter(isGranted),
      };
    }
    return undefined;
  }

  async key(keyId: Uint8Array, waitMs: number): Promise<KeyView | undefined> {
    const id = toHex(keyId);
    if (this.state(STATE.key(id)) === undefined) await this.#applied(entryId(id), waitMs);
    const key = this.state(STATE.key(id));
    if (key === undefined) return undefined;
    const { generation, shareEpoch } = key;
    const subject = subjectId(toHex(key.subject));
    const verdict = decideKey(this.#engine.state, { subject, keyId: id, generation }, this.tipTimeMs());
    const others = this.state(STATE.held(subject)) ?? [];
    return { subject, generation, shareEpoch, inForce: verdict.granted ? verdict.attributes : [], others };
  }

  subject(id: SubjectId): { generation: number; revoked: boolean; hpkeKey: Uint8Array } | undefined {
    return this.state(STATE.subject(id));
  }

  async searchGrant(id: EntryId, waitMs: number): Promise<SearchGrant | undefined> {
    const entry = await this.#applied(id, waitMs);
    const transaction = entry?.transaction;
    if (entry === undefined || transaction?.type !== 'Search') return undefined;
    const { custodian, field, epoch, count, blindedHash } = transaction.bodies[entry.leaf.item];
    const [verdict] = stillInForce(this.#engine.state, { leaf: entry.leaf, transaction });
    return { custodian, field, epoch, count, blindedHash, inForce: verdict.granted };
  }

  // ---- entries ----------------------------------------------------------------------------------------------

  /**
   * Orders a signed request and applies it here. Throws the code with which the state machine refuses it, or a
   * consensus code.
   */
  async submit(request: Uint8Array): Promise<readonly CommittedEntry[]> {
    const { tx } = decodeRequest(request);
    const id = toHex(transactionId(tx));
    this.#requireRoom();
    try {
      await this.#admitted(request);
    } catch (error) {
      const refused = this.#engine.resultOf(id);
      if (refused?.ok === true) return refused.entries.map(view);
      if (refused?.ok === false) throw new CodedError(refused.code, refused.message, { cause: error });
      if (error instanceof ConsensusError) throw new CodedError(error.code, error.message, { cause: error });
      throw error;
    }
    const result = await this.#engine.awaitResult(id);
    if (!result.ok) throw new CodedError(result.code, result.message);
    return result.entries.map(view);
  }

  /**
   * Submits, and once more after the next block if the request builds on something that this node does not know: it may
   * have been committed through another gateway a moment ago.
   */
  async #admitted(request: Uint8Array): Promise<void> {
    const giveUp = AbortSignal.timeout(LAG_MS_MAX);
    for (;;) {
      const { height } = this.tip();
      try {
        await this.#consensus().submit(request);
        return;
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        const mayLag = typeof code === 'string' && LAG_CODES.has(code);
        if (!mayLag || giveUp.aborted || !(await this.#blockAfter(height, giveUp))) throw error;
      }
    }
  }

  /** Whether this node has applied `height`, waiting up to `waitMs` for it. */
  async reached(height: number, waitMs: number): Promise<boolean> {
    const giveUp = AbortSignal.timeout(waitMs);
    while (this.tip().height < height) if (!(await this.#blockAfter(this.tip().height, giveUp))) return false;
    return true;
  }

  /** Whether a block above `height` is applied before `giveUp`. */
  #blockAfter(height: number, giveUp: AbortSignal): Promise<boolean> {
    if (this.tip().height > height) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (applied: boolean): void => {
        stop();
        giveUp.removeEventListener('abort', late);
        resolve(applied);
      };
      const late = (): void => end(false);
      const stop = this.#engine.subscribe(() => end(true));
      giveUp.addEventListener('abort', late, { once: true });
      if (giveUp.aborted) end(false);
    });
  }

  /**
   * Asks whether a signed request would be taken now, before anything is stored for it: throws what it would be refused
   * with. Answers the entries of a request that was committed before.
   */
  async admit(request: Uint8Array): Promise<readonly CommittedEntry[] | undefined> {
    const before = this.#engine.resultOf(toHex(transactionId(decodeRequest(request).tx)));
    if (before?.ok === true) return before.entries.map(view);
    await this.#engine.check(request);
    return undefined;
  }

  entry(id: EntryId): CommittedEntry | undefined {
    const entry = this.#engine.entry(id);
    return entry === undefined ? undefined : view(entry);
  }

  entries(filter: EntryFilter): { entries: readonly CommittedEntry[]; next: string | null } {
    const { limit, cursor, kind, ...rest } = filter;
    const page = this.#engine.entries(
      { ...rest, ...(kind === undefined ? {} : { kind: kind as EngineEntry['type'] }) },
      { limit, ...(cursor === undefined ? {} : { cursor }) },
    );
    return { entries: page.entries.map(view), next: page.cursor ?? null };
  }

  genesisLeaf(): Uint8Array {
    const genesis = this.#engine.entryAt(0);
    if (genesis === undefined) throw new CodedError('ledger.damaged', 'the store has no genesis entry');
    return genesis.bytes;
  }

  async receipt(id: EntryId, waitMs: number): Promise<Uint8Array | null> {
    try {
      return encodeReceipt(await this.#engine.awaitReceipt(id, AbortSignal.timeout(waitMs)));
    } catch {
      // Committed and durable; only the cosignatures have not all come yet.
      return null;
    }
  }

  checkpoint(): string {
    const latest = this.#engine.checkpoint();
    if (latest === undefined)
      throw new CodedError('checkpoint.none', 'no quorum has cosigned a checkpoint yet');
    return latest.text;
  }

  block(height: number): { header: Uint8Array; qc: Uint8Array; batch: readonly Uint8Array[] } | undefined {
    const block = height < 1 ? undefined : this.#engine.block(height);
    if (block === undefined) return undefined;
    // The header names its batch; its own hash is known from the time when the block was applied.
    const isWhole =
      toHex(PBFT_LITE.headerHash(block.header)) === block.headerHash &&
      equalBytes(PBFT_LITE.batchHash(block.batch), PBFT_LITE.readHeader(block.header).batchHash);
    if (!isWhole)
      throw new CodedError('ledger.damaged', `the stored block ${height} is damaged; restore the node`);
    return block;
  }

  tile(path: string): { bytes: Uint8Array; full: boolean } | undefined {
    const named = parseTilePath(path);
    if (named === undefined) return undefined;
    const { level, index, width } = named;
    // A tile that this log does not have yet is as unknown as a path that names none.
    if (tileWidth(level, index, this.tip().size) < width) return undefined;
    return { bytes: this.#engine.tile(level, index, width), full: width === TILE_WIDTH };
  }

  epochLinks(): unknown[] {
    const source = {
      block: (height: number) => this.#engine.block(height),
      validators: (epoch: number) => {
        const set = this.state(STATE.validators(epoch));
        return set === undefined ? undefined : { epoch, ...set };
      },
    };
    return [...epochLinks(source, 0)].map(epochLinkToJson);
  }

  inclusionProof(index: number, size: number): readonly Uint8Array[] {
    return this.#engine.inclusionProof(index, size);
  }

  consistencyProof(first: number, second: number): readonly Uint8Array[] {
    return this.#engine.consistencyProof(first, second);
  }

  /** Everything up to the tip of now: genesis, then block by block; the last carries the newest checkpoint. */
  async *export(): AsyncIterable<string> {
    const cosigned = this.#engine.checkpoint();
    const source: ExportSource = {
      chainId: this.chainId,
      height: this.#engine.head.height,
      genesisLeaf: this.genesisLeaf(),
      block: (height) => this.#engine.block(height),
      validators: (epoch) => {
        const set = this.state(STATE.validators(epoch));
        return set === undefined ? undefined : { epoch, validators: set.validators };
      },
      checkpoint: (height) => (cosigned?.checkpoint.height === height ? cosigned.text : undefined),
    };
    yield* exportLines(source, PBFT_LITE);
  }

  subscribe(listener: (entry: CommittedEntry) => void): () => void {
    return this.#engine.subscribe((block) => {
      for (const entry of block.entries) listener(view(entry));
    });
  }

  /** Hashes of headers that a later version, policy change or erasure made void. */
  voidHeaders(record: RecordId): readonly Uint8Array[] {
    const current = this.state(STATE.record(record));
    const keep = current === undefined || current.erased ? '' : toHex(current.headerHash);
    return this.headersOf(record).filter((hash) => toHex(hash) !== keep);
  }

  /** Hashes of every header that was ever committed for a record. */
  headersOf(record: RecordId): readonly Uint8Array[] {
    const hashes: Uint8Array[] = [];
    for (const kind of ['RecordPut', 'PolicyChange'] as const) {
      let cursor: string | undefined;
      do {
        const page = this.#engine.entries(
          { record, kind },
          { limit: 100, ...(cursor === undefined ? {} : { cursor }) },
        );
        for (const { transaction, leaf } of page.entries) {
          if (transaction?.type === 'PolicyChange') hashes.push(transaction.bodies[leaf.item].headerHash);
          if (transaction?.type !== 'RecordPut') continue;
          const { records } = transaction.bodies[leaf.item];
          hashes.push(...records.filter((one) => toHex(one.record) === record).map((one) => one.headerHash));
        }
        cursor = page.cursor;
      } while (cursor !== undefined);
    }
    return hashes;
  }

  async #applied(id: EntryId, waitMs: number): Promise<EngineEntry | undefined> {
    const known = this.#engine.entry(id);
    if (known !== undefined || waitMs === 0) return known;
    return this.#engine.awaitEntry(id, AbortSignal.timeout(waitMs)).catch(() => undefined);
  }
}

function view(entry: EngineEntry): CommittedEntry {
  const { id, index, leaf, type, transaction } = entry;
  return {
    entryId: entryId(id),
    index,
    height: leaf.height,
    timeMs: leaf.time,
    type,
    subject: transaction === undefined ? null : subjectId(toHex(transaction.subject)),
    body: (transaction?.bodies[leaf.item] ?? {}) as unknown as Readonly<Record<string, unknown>>,
    result: leaf.result as Readonly<Record<string, unknown>>,
  };
}
