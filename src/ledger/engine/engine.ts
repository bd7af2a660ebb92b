/**
 * The ledger of one member: it executes what the ordering engine proposes, applies what it decides, and answers
 * questions from what it applied itself. Structurally it is pbft-lite's `Application`.
 *
 * Order on a decided block: compare the roots, write everything in one atomic step, move the tip, cosign, tell the
 * listeners. A crash before the write is durable leaves the block to be applied again; after it, `commit` finds its
 * height applied. Roots that differ from a certified header stop the ledger for good (ledger-security 8): it then commits,
 * cosigns and decides nothing more.
 */
import { equalBytes, fromHex, fromUtf8, toHex, utf8 } from '../../codec/bytes.ts';
import { decodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { type Checkpoint, checkpointOrigin, type ValidatorSet } from '../checkpoint/index.ts';
import type { ParsedRequest, Transaction } from '../entries/transaction.ts';
import { LogTree } from '../log/index.ts';
import {
  type AppliedLeaf,
  type ChainState,
  type MachineHost,
  STATE,
  type StateKey,
  type StateView,
} from '../machine/index.ts';
import type { KvStore } from '../ports.ts';
import { STATE_TABLE } from '../state-tree/index.ts';
import type { Receipt } from '../verify/receipt.ts';
import { Admission } from './admission.ts';
import type {
  AdmittedRequest,
  DecidedBlock,
  ExecutionContext,
  ExecutionResult,
  RequestInfo,
  Tip,
} from './application.ts';
import { blockOps, type CommittedBlock, encodedBlock, readBlock } from './blocks.ts';
import { CommittedState } from './committed-state.ts';
import { Cosignatures, type CosignedCheckpoint } from './cosignatures.ts';
import { type CommittedEntry, type EntryFilter, type EntryPage, EntryQueries } from './entry-queries.ts';
import {
  batchProblem,
  type Execution,
  type ExecutionBase,
  executionName,
  runBlock,
  settleBlock,
} from './execution.ts';
import { readTip, type StoredTip, tipOp, writeGenesis } from './founding.ts';
import type {
  AppliedBlock,
  Head,
  LedgerOptions,
  ProvenValue,
  ProvenValues,
  TransactionResult,
} from './options.ts';
import { Receipts } from './receipts.ts';
import { VerifiedSignatures } from './signatures.ts';
import { consensusChanges } from './validator-changes.ts';
import { Waiters } from './waiters.ts';

/** An execution with the requests that it ran. */
interface Executed {
  readonly ok: true;
  readonly execution: Execution;
  readonly requests: readonly ParsedRequest[];
}

/** Executions kept: the proposal of the open height, and one that a prepared lock may bring back. */
const EXECUTIONS_KEPT = 2;

export class LedgerEngine {
  readonly chainId: string;
  /** State after the last applied block, for decisions. It moves on with every block. */
  readonly state: StateView;

  readonly #store: KvStore;
  readonly #state: CommittedState;
  readonly #host: MachineHost;
  readonly #admission: Admission;
  readonly #entries: EntryQueries;
  readonly #receipts: Receipts;
  readonly #cosignatures: Cosignatures;
  readonly #onListenerError: (error: unknown) => void;
  readonly #listeners = new Set<(block: AppliedBlock) => void>();
  readonly #waiters = new Waiters();
  readonly #executions = new Map<string, Executed>();
  #tree: LogTree;
  #tip: StoredTip;
  #writing = false;
  #stopped: CodedError | undefined;

  private constructor(options: LedgerOptions, chainId: string, state: CommittedState, tip: StoredTip) {
    this.chainId = chainId;
    this.#store = options.store;
    this.#state = state;
    this.state = state;
    this.#tip = tip;
    this.#tree = LogTree.open(options.store);
    this.#entries = new EntryQueries(options.store);
    this.#receipts = new Receipts(options.store);
    this.#host = hostOf(options);
    const wake = (): void => this.#waiters.wake();
    this.#admission = new Admission(state, this.#host, () => this.#tip, wake);
    this.#onListenerError = options.onListenerError;
    this.#cosignatures = new Cosignatures(options.cosign, (cosigned) => {
      this.#receipts.add(cosigned);
      wake();
    });
    // Cosignatures of the last block may still be on their way when a node restarts.
    if (tip.height > 0) this.#cosignatures.applied(this.#checkpointOf(tip), this.#validatorSet());
  }

  /**
   * Opens the ledger in `store`, or begins one with the genesis. Throws `ledger.no_genesis`, `ledger.other_genesis`,
   * and what `applyGenesis` throws.
   */
  static async open(options: LedgerOptions): Promise<LedgerEngine> {
    const { store, genesis } = options;
    if (readTip(store) === undefined) {
      if (genesis === undefined) {
        throw new CodedError('ledger.no_genesis', 'the store is empty: give the signed genesis');
      }
      await writeGenesis(store, genesis, hostOf(options));
    }
    const state = new CommittedState(store);
    const chain = state.get(STATE.chain);
    const tip = readTip(store);
    if (chain === undefined || tip === undefined) {
      throw new CodedError('ledger.damaged', 'the store has no chain state; restore the node');
    }
    const engine = new LedgerEngine(options, chain.chainId, state, tip);
    const first = engine.entryAt(0);
    if (genesis !== undefined && (first === undefined || !equalBytes(first.leaf.tx, genesis))) {
      throw new CodedError('ledger.other_genesis', 'the store holds the ledger of another genesis');
    }
    return engine;
  }

  // ---- ordering ----------------------------------------------------------------------------------------------

  /**
   * Admits a request: form, signature and rules, against the state of now. Throws what it would be refused with. A
   * request that depends on another one is sent after that one is committed.
   */
  async check(bytes: Uint8Array): Promise<AdmittedRequest> {
    // A block that is just being written may be the one that the request builds on.
    if (this.#writing) await this.#settled();
    return this.#admission.admit(bytes);
  }

  /** Whether the request may stand in a block of `blockTime` on top of the applied state. */
  stillValid(info: RequestInfo & Partial<AdmittedRequest>, blockTime: number): boolean {
    return this.#admission.stillValid(info, blockTime);
  }

  /** Executes a batch on an overlay. The result names what is refused, or how many fit. */
  async execute(context: ExecutionContext, batch: readonly Uint8Array[]): Promise<ExecutionResult> {
    const { height, time, proposer, batchHash } = context;
    if (this.#stopped !== undefined) throw this.#stopped;
    if (height !== this.#tip.height + 1) return { ok: false, reason: 'block.height' };
    if (time <= this.#tip.time) return { ok: false, reason: 'block.time' };
    const name = executionName(height, time, proposer, batchHash);
    const known = this.#executions.get(name);
    if (known !== undefined) return this.#resultOf(known.execution);
    const made = this.#execute(height, time, batch);
    if (!made.ok) return made;
    this.#executions.set(name, made);
    for (const oldest of this.#executions.keys()) {
      if (this.#executions.size <= EXECUTIONS_KEPT) break;
      this.#executions.delete(oldest);
    }
    return this.#resultOf(made.execution);
  }

  /**
   * Applies a decided block; idempotent by height, and durable when it resolves unless it says when. Throws
   * `ledger.diverged` when this node computes other roots than the certified ones, and from then on always.
   */
  async commit(
    block: DecidedBlock,
  ): Promise<{ readonly cosignature?: Uint8Array; readonly durable?: Promise<void> }> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const { height, header } = block;
    if (height <= this.#tip.height) return {};
    if (height !== this.#tip.height + 1) {
      throw new CodedError('ledger.gap', `expected block ${this.#tip.height + 1}, got ${height}`);
    }
    const name = executionName(height, header.time, header.proposer, header.batchHash);
    const made = this.#executions.get(name) ?? this.#execute(height, header.time, block.batch);
    if (!made.ok) throw this.#stop(`block ${height} cannot be executed here: ${made.reason}`);
    const { execution, requests } = made;
    this.#compare(block, execution);
    await this.#write(block, execution, requests);
    this.#executions.clear();
    const cosignature = this.#cosignatures.applied(this.#checkpointOf(this.#tip), this.#validatorSet());
    this.#waiters.wake();
    this.#notify(block, execution, requests);
    const durable = this.#store.durable?.();
    return { ...(cosignature && { cosignature }), ...(durable && { durable }) };
  }

  /** This node's cosignature of its tip; undefined before the first block. */
  tipCosignature(): { readonly height: number; readonly bytes: Uint8Array } | undefined {
    return this.#cosignatures.own;
  }

  /** A peer's cosignature, not yet checked. */
  onCosignature(from: string, height: number, cosignature: Uint8Array): void {
    let line: string;
    try {
      line = fromUtf8(cosignature);
    } catch {
      return;
    }
    this.#cosignatures.receive(from, height, line);
  }

  /** The last applied block, for the ordering engine; undefined before block 1. */
  async tip(): Promise<Tip | undefined> {
    const { height, resume } = this.#tip;
    return height === 0 ? undefined : { height, resume };
  }

  /** Blocks as peers fetch them. `commit` has stored them already, so that `put` has nothing left to do. */
  readonly blocks = {
    get: async (height: number): Promise<Uint8Array | undefined> =>
      height > this.#tip.height ? undefined : encodedBlock(this.#store, height),
    put: async (height: number): Promise<void> => {
      if (height > this.#tip.height) throw new CodedError('ledger.gap', `block ${height} is not applied yet`);
    },
  };

  // ---- reading -----------------------------------------------------------------------------------------------

  /** The last applied block. */
  get head(): Head {
    const { height, time, size, stateRoot: state, logRoot } = this.#tip;
    return { height, time, size, stateRoot: state, logRoot };
  }

  /** The decoded value of a state key, undefined when it has none. */
  get<T>(key: StateKey<T>): T | undefined {
    return this.state.get(key);
  }

  /** Keys with `prefix` in order, after `after`, with their values; at most `limit`. Waits for a write in flight. */
  async list(
    prefix: string,
    options: { readonly after?: string; readonly limit: number },
  ): Promise<readonly (readonly [key: string, value: unknown])[]> {
    await this.#settled();
    const start = options.after === undefined ? utf8(prefix) : utf8(`${options.after}\u0000`);
    const range = { gte: start, lt: afterPrefix(utf8(prefix)), limit: options.limit };
    const rows: (readonly [string, unknown])[] = [];
    for (const [key, value] of this.#store.range(STATE_TABLE, range)) {
      rows.push([fromUtf8(key), decodeCbor(value)]);
    }
    return rows;
  }

  /** A value or its absence, proved against a checkpoint with a quorum. Waits for that quorum. */
  async getWithProof(key: string, signal?: AbortSignal): Promise<ProvenValue> {
    const { values, checkpoint } = await this.getWithProofs([key], signal);
    return { ...values[0], checkpoint };
  }

  /** The same for several keys, in order, all against one checkpoint. */
  async getWithProofs(keys: readonly string[], signal?: AbortSignal): Promise<ProvenValues> {
    const prove = this.#receipts.prover(keys.map(utf8));
    return this.#waiters.until(() => prove(this.#writing ? undefined : this.#tip.height), signal);
  }

  /** The entry with this id (hexadecimal), if it is applied. */
  entry(id: string): CommittedEntry | undefined {
    const index = this.#entries.indexOf(fromHex(id, 32), this.#tip.size);
    return index === undefined ? undefined : this.#entries.at(index);
  }

  entryAt(index: number): CommittedEntry | undefined {
    return index < this.#tip.size ? this.#entries.at(index) : undefined;
  }

  /** Waits until the entry is applied here. */
  async awaitEntry(id: string, signal?: AbortSignal): Promise<CommittedEntry> {
    return this.#waiters.until(() => this.entry(id), signal);
  }

  /** A page of entries, newest first unless `ascending`. Throws `query.cursor`. */
  entries(
    filter: EntryFilter,
    options: { readonly limit: number; readonly cursor?: string; readonly ascending?: boolean },
  ): EntryPage {
    return this.#entries.page(filter, this.#tip.size, options);
  }

  block(height: number): CommittedBlock | undefined {
    return height > this.#tip.height ? undefined : readBlock(this.#store, height);
  }

  /** The latest checkpoint that a quorum cosigned; undefined until there is one. */
  checkpoint(): CosignedCheckpoint | undefined {
    return this.#receipts.latest;
  }

  /** Hashes from entry `index` to the root of the first `size`. Throws `log.out_of_range`. */
  inclusionProof(index: number, size: number): readonly Uint8Array[] {
    return this.#tree.inclusionProof(index, size);
  }

  /** Hashes that show the first `size1` entries to be a prefix of the first `size2`. Throws `log.out_of_range`. */
  consistencyProof(size1: number, size2: number): readonly Uint8Array[] {
    return this.#tree.consistencyProof(size1, size2);
  }

  /** A tile of the log (C2SP tlog-tiles). Throws `log.out_of_range`. */
  tile(level: number, index: number, width?: number): Uint8Array {
    return this.#tree.tile(level, index, width);
  }

  /** The entry's receipt under the latest cosigned checkpoint; undefined until one covers it. */
  receipt(id: string): Receipt | undefined {
    // Many wait for receipts at once: an entry is read when it is covered, not before.
    const index = this.#entries.indexOf(fromHex(id, 32), this.#receipts.latest?.checkpoint.size ?? 0);
    const entry = index === undefined ? undefined : this.entryAt(index);
    return entry === undefined ? undefined : this.#receipts.of(entry, this.#tree);
  }

  /** Waits until a quorum has cosigned a checkpoint that covers the entry. */
  async awaitReceipt(id: string, signal?: AbortSignal): Promise<Receipt> {
    return this.#waiters.until(() => this.receipt(id), signal);
  }

  /** What became of a transaction (id in hexadecimal), undefined while nothing did. */
  resultOf(transactionId: string): TransactionResult | undefined {
    const place = this.#entries.ofTransaction(fromHex(transactionId, 32), this.#tip.size);
    if (place !== undefined) {
      const entries: CommittedEntry[] = [];
      for (let i = place.first; i < place.first + place.count; i++) {
        const entry = this.#entries.at(i);
        if (entry !== undefined) entries.push(entry);
      }
      return { ok: true, entries };
    }
    const refused = this.#admission.refusalOf(transactionId);
    return refused === undefined ? undefined : { ok: false, ...refused };
  }

  /** Waits until the transaction is applied or refused. */
  async awaitResult(transactionId: string, signal?: AbortSignal): Promise<TransactionResult> {
    return this.#waiters.until(() => this.resultOf(transactionId), signal);
  }

  /** Calls `listener` after each applied block; returns how to stop it. It must not throw and must not block. */
  subscribe(listener: (block: AppliedBlock) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends every wait; writes the latest cosigned checkpoint. */
  async close(): Promise<void> {
    this.#waiters.close(new CodedError('ledger.closed', 'the ledger is closed'));
    await this.#store.write(this.#receipts.ops);
    await this.#store.durable?.();
  }

  // ---- inside ------------------------------------------------------------------------------------------------

  #chain(): ChainState {
    const chain = this.state.get(STATE.chain);
    if (chain === undefined)
      throw new CodedError('ledger.damaged', 'the state has no chain; restore the node');
    return chain;
  }

  #base(): ExecutionBase {
    return { store: this.#store, view: this.#state, tree: this.#tree, host: this.#host };
  }

  #execute(
    height: number,
    time: number,
    batch: readonly Uint8Array[],
  ): Executed | Exclude<ExecutionResult, { ok: true }> {
    const problem = batchProblem(batch);
    if (problem !== undefined) return { ok: false, reason: problem };
    const requests: ParsedRequest[] = [];
    for (const [offending, bytes] of batch.entries()) {
      try {
        requests.push(this.#admission.parse(bytes));
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        return { ok: false, reason: error.code, offending: [offending] };
      }
    }
    const base = this.#base();
    const outcome = runBlock(base, height, time, requests);
    const offending: number[] = [];
    for (const [i, refused] of outcome.outcomes.entries()) {
      if (refused.ok) continue;
      // What does not fit is refused nothing: it goes into a later block.
      if (refused.code === 'block.too_costly') {
        return { ok: false, reason: refused.code, fits: i, ...(offending.length > 0 && { offending }) };
      }
      this.#admission.refuse(requests[i], refused);
      offending.push(i);
    }
    const first = outcome.outcomes.find(({ ok }) => !ok);
    if (first?.ok === false) return { ok: false, reason: first.code, offending };
    return { ok: true, execution: settleBlock(base, time, outcome, requests), requests };
  }

  #resultOf(execution: Execution): ExecutionResult {
    const { stateRoot: state, logRoot, tree, outcome } = execution;
    return {
      ok: true,
      stateRoot: state,
      logRoot,
      treeSize: tree.size,
      ...consensusChanges(this.#state, outcome.changes),
    };
  }

  #compare(block: DecidedBlock, execution: Execution): void {
    const { stateRoot: state, logRoot, treeSize } = block.header;
    const isEqual =
      state === toHex(execution.stateRoot) &&
      logRoot === toHex(execution.logRoot) &&
      treeSize === execution.tree.size;
    if (!isEqual) throw this.#stop(`block ${block.height} gives other roots here than its certified header`);
  }

  #stop(message: string): CodedError {
    this.#stopped = new CodedError('ledger.diverged', `${message}; the node stops: restore it from a peer`);
    return this.#stopped;
  }

  async #write(block: DecidedBlock, execution: Execution, requests: readonly ParsedRequest[]): Promise<void> {
    const { outcome, tree, stateRoot: state, logRoot } = execution;
    const tip: StoredTip = {
      height: block.height,
      time: block.header.time,
      size: tree.size,
      stateRoot: state,
      logRoot,
      resume: block.resume,
    };
    const hash = fromHex(block.headerHash, 32);
    const ops = [
      ...execution.ops,
      ...blockOps(block, hash, requests, this.#tree.size, outcome.leaves.length),
      ...this.#receipts.ops,
      tipOp(tip),
    ];
    this.#state.freeze(outcome.changes);
    this.#writing = true;
    try {
      await this.#store.write(ops);
    } catch (error) {
      this.#state.release();
      this.#writing = false;
      this.#waiters.wake();
      throw error;
    }
    // No await from here: nobody sees the new state with the old tip.
    this.#state.adopt(outcome.changes);
    this.#tree = tree.settled(this.#store);
    this.#tip = tip;
    this.#writing = false;
  }

  #notify(block: DecidedBlock, { outcome }: Execution, requests: readonly ParsedRequest[]): void {
    if (this.#listeners.size === 0) return;
    const entries = outcome.outcomes.flatMap((one, i) =>
      one.ok ? one.leaves.map((applied) => entryOf(applied, requests[i].transaction)) : [],
    );
    const applied: AppliedBlock = { height: block.height, time: block.header.time, entries };
    for (const listener of this.#listeners) {
      try {
        listener(applied);
      } catch (error) {
        this.#onListenerError(error);
      }
    }
  }

  #checkpointOf(tip: StoredTip): Checkpoint {
    return {
      origin: checkpointOrigin(this.chainId),
      size: tip.size,
      root: tip.logRoot,
      height: tip.height,
      time: tip.time,
      stateRoot: tip.stateRoot,
      epoch: this.#chain().validatorEpoch,
    };
  }

  #validatorSet(): ValidatorSet {
    const { validatorEpoch: epoch } = this.#chain();
    return { epoch, validators: this.state.get(STATE.validators(epoch))?.validators ?? [] };
  }

  async #settled(): Promise<void> {
    await this.#waiters.until(() => (this.#writing ? undefined : true));
  }
}

function entryOf({ bytes, id, leaf }: AppliedLeaf, transaction: Transaction): CommittedEntry {
  return { id: toHex(id), index: leaf.index, bytes, leaf, type: transaction.type, transaction };
}

function hostOf(options: LedgerOptions): MachineHost {
  const signatures = options.signatures ?? new VerifiedSignatures();
  return {
    verifies: (key, message, signature) => signatures.verify(key, message, signature),
    culpritOf: options.culpritOf ?? (() => undefined),
  };
}

/** The first key after all keys with `prefix`. */
function afterPrefix(prefix: Uint8Array): Uint8Array {
  const end = prefix.slice();
  end[end.length - 1]++;
  return end;
}
