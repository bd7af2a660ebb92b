/**
 * One block, executed but not written: its leaves, its roots, and the operations that a commit will write. Bounds
 * are checked first, so that the worst block that is executed at all takes a known time (ledger-security 10).
 */
import { u64be, utf8 } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import type { ParsedRequest } from '../entries/transaction.ts';
import type { LogTree } from '../log/index.ts';
import {
  type AppliedLeaf,
  applyBlock,
  type BlockOutcome,
  expiredBy,
  type MachineHost,
  type StateChange,
  type StateKey,
  type StateView,
} from '../machine/index.ts';
import type { KvOp, KvReader } from '../ports.ts';
import { stateRoot, updateState } from '../state-tree/index.ts';
import { referencesOf } from './references.ts';
import {
  ENTRY_ID_TABLE,
  ENTRY_TABLE,
  NONCE_TABLE,
  REFERENCE_TABLE,
  type Reference,
  referenceKey,
  referenceValue,
  TRANSACTION_TABLE,
  transactionValue,
} from './tables.ts';

/** Most transactions, hence signatures, of one block. */
export const BLOCK_TRANSACTIONS_MAX = 4096;
/** Most bytes of all requests of one block. */
export const BLOCK_BYTES_MAX = 4 * 1024 * 1024;

/** A block that was executed on top of the committed state. */
export interface Execution {
  readonly outcome: BlockOutcome;
  readonly stateRoot: Uint8Array;
  readonly logRoot: Uint8Array;
  readonly tree: LogTree;
  /** Everything but block and meta. */
  readonly ops: readonly KvOp[];
}

export interface ExecutionBase {
  readonly store: KvReader;
  readonly view: StateView;
  readonly tree: LogTree;
  readonly host: MachineHost;
}

/** What is wrong with a batch before anything is executed, or undefined. */
export function batchProblem(batch: readonly Uint8Array[]): string | undefined {
  if (batch.length > BLOCK_TRANSACTIONS_MAX) return 'block.too_many';
  let bytes = 0;
  for (const request of batch) bytes += request.length;
  return bytes > BLOCK_BYTES_MAX ? 'block.too_large' : undefined;
}

/** Runs the state machine; touches neither tree. */
export function runBlock(
  base: ExecutionBase,
  height: number,
  time: number,
  requests: readonly ParsedRequest[],
): BlockOutcome {
  return applyBlock(base.view, { height, time, firstIndex: base.tree.size }, requests, base.host);
}

/** Roots and write operations of `outcome`, the outcome of `requests` in a block of `time`. */
export function settleBlock(
  base: ExecutionBase,
  time: number,
  outcome: BlockOutcome,
  requests: readonly ParsedRequest[],
): Execution {
  const { leaves, changes } = outcome;
  const state = updateState(base.store, encodeChanges(changes));
  const log = base.tree.append(leaves.map(({ id }) => id));
  const ops: KvOp[] = [
    ...state.ops,
    ...log.ops,
    ...nonceOps(base.view, time, changes),
    ...leafOps(leaves, base.tree.size),
    ...requestOps(viewAfter(base.view, changes), outcome.outcomes, requests, base.tree.size),
  ];
  const root = changes.length === 0 ? stateRoot(base.store) : state.root;
  return { outcome, stateRoot: root, logRoot: log.root, tree: log.tree, ops };
}

/** `base` as it will be, for reading single keys. */
function viewAfter(base: StateView, changes: readonly StateChange[]): StateView {
  const values = new Map(changes);
  return {
    // Changes hold what the state machine wrote under the key, whose type says what that is.
    get: <T>(key: StateKey<T>) => (values.has(key) ? (values.get(key) as T | undefined) : base.get(key)),
    expiredNonces: (time, limit) => base.expiredNonces(time, limit),
  };
}

/** State keys and values as the tree takes them. */
export function* encodeChanges(
  changes: readonly StateChange[],
): Generator<readonly [Uint8Array, Uint8Array | undefined]> {
  for (const [key, value] of changes) yield [utf8(key), value === undefined ? undefined : encodeCbor(value)];
}

/** Keys of nonces begin with this. */
const NONCE_PREFIX = 'nonce/';

/** The nonces that a block took, and without those that it swept. */
function* nonceOps(before: StateView, time: number, changes: readonly StateChange[]): Generator<KvOp> {
  for (const group of expiredBy(before, time)) {
    yield { table: NONCE_TABLE, key: u64be(group.time), remove: true };
  }
  const taken: string[] = [];
  for (const [key, value] of changes)
    if (value !== undefined && key.startsWith(NONCE_PREFIX)) taken.push(key);
  if (taken.length > 0) yield { table: NONCE_TABLE, key: u64be(time), value: encodeCbor(taken) };
}

export function* leafOps(
  leaves: readonly Pick<AppliedLeaf, 'bytes' | 'id'>[],
  firstIndex: number,
): Generator<KvOp> {
  for (const [i, { bytes, id }] of leaves.entries()) {
    const index = u64be(firstIndex + i);
    yield { table: ENTRY_TABLE, key: index, value: bytes };
    yield { table: ENTRY_ID_TABLE, key: id, value: index };
  }
}

/** Rows by which transactions and what entries are about are found. */
export function* requestOps(
  after: StateView,
  outcomes: readonly ({ readonly ok: true; readonly leaves: readonly unknown[] } | { readonly ok: false })[],
  requests: readonly ParsedRequest[],
  firstIndex: number,
): Generator<KvOp> {
  const about = new Map<string, { readonly reference: Reference; readonly places: number[] }>();
  let place = 0;
  for (const [i, outcome] of outcomes.entries()) {
    if (!outcome.ok) continue;
    const { id, transaction, subject } = requests[i];
    const count = outcome.leaves.length;
    yield { table: TRANSACTION_TABLE, key: id, value: transactionValue(firstIndex + place, count) };
    for (let item = 0; item < count; item++, place++) {
      for (const { name, reference } of referencesOf(after, transaction, subject, item)) {
        const known = about.get(name);
        if (known === undefined) about.set(name, { reference, places: [place] });
        else known.places.push(place);
      }
    }
  }
  for (const { reference, places } of about.values()) {
    const key = referenceKey(reference, firstIndex);
    yield { table: REFERENCE_TABLE, key, value: referenceValue(places) };
  }
}

/** Names an execution: the same place and the same batch give the same result. */
export function executionName(height: number, time: number, proposer: number, batchHash: string): string {
  return `${height}/${time}/${proposer}/${batchHash}`;
}
