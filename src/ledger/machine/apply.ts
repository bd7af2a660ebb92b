/**
 * The state machine: one block at a time, transaction by transaction, each wholly or not at all. Pure: the same
 * state and the same block give the same leaves and the same changes on every machine for ever. It reads no clock,
 * draws no randomness and waits for nothing (test/ledger/machine/pure.test.ts scans these files).
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { EXPIRY_AHEAD_MS_MAX } from '../entries/bounds.ts';
import type { EntryBodies, EntryType } from '../entries/kinds.ts';
import { encodeLeaf, entryId, type Leaf } from '../entries/leaf.ts';
import type { ParsedRequest, Transaction } from '../entries/transaction.ts';
import { access, breakGlass, breakGlassReview } from './access.ts';
import { shareStep } from './ceremony.ts';
import { consentAnswer, consentRequest, consentRevoke } from './consent.ts';
import { approval, evidence, proposal } from './governance.ts';
import { keyExtend, keyIssue } from './keys.ts';
import { memberPut } from './members.ts';
import { ITEM_COST, Meter } from './meter.ts';
import { destroyed, erase, policyChange, recordPut, stored } from './records.ts';
import { refuse } from './refusal.ts';
import type { MachineHost, Rule, RuleContext } from './rule.ts';
import { fieldKeyPut, indexCommit, search } from './search.ts';
import { shareEpoch } from './shares.ts';
import {
  type ChainState,
  type NonceGroup,
  Overlay,
  STATE,
  type StateChange,
  type StateView,
} from './state.ts';
import { attributeEnd, attributeSet, subjectKeyPut, subjectPut, subjectRevoke } from './subjects.ts';

const RULES: { readonly [K in EntryType]: Rule<K> } = {
  MemberPut: memberPut,
  SubjectPut: subjectPut,
  SubjectKeyPut: subjectKeyPut,
  AttributeSet: attributeSet,
  AttributeEnd: attributeEnd,
  SubjectRevoke: subjectRevoke,
  KeyIssue: keyIssue,
  KeyExtend: keyExtend,
  RecordPut: recordPut,
  PolicyChange: policyChange,
  Erase: erase,
  Access: access,
  ConsentRequest: consentRequest,
  ConsentAnswer: consentAnswer,
  ConsentRevoke: consentRevoke,
  BreakGlass: breakGlass,
  BreakGlassReview: breakGlassReview,
  FieldKeyPut: fieldKeyPut,
  Search: search,
  IndexCommit: indexCommit,
  Stored: stored,
  Destroyed: destroyed,
  ShareStep: shareStep,
  ShareEpoch: shareEpoch,
  Proposal: proposal,
  Approval: approval,
  Evidence: evidence,
};

/** Most expired nonces that one block removes, oldest first: a long halt must not make one block slow. */
export const NONCE_SWEEP_MAX = 8192;

/**
 * What the sweep of a block of `time` removes: nonces of blocks more than 10 minutes older. No transaction of theirs
 * can be valid any more, whatever end it named.
 */
export function expiredBy(view: StateView, time: number): readonly NonceGroup[] {
  return view.expiredNonces(time - EXPIRY_AHEAD_MS_MAX, NONCE_SWEEP_MAX);
}

/** Where a block stands. */
export interface BlockContext {
  readonly height: number;
  /** Block time in milliseconds. */
  readonly time: number;
  /** Entries in the log before this block. */
  readonly firstIndex: number;
}

/** An entry, its bytes and its id (the RFC 6962 leaf hash). */
export interface AppliedLeaf {
  readonly leaf: Leaf;
  readonly bytes: Uint8Array;
  readonly id: Uint8Array;
}

/** What became of one transaction: its entries, or the code it was refused with. */
export type TransactionOutcome =
  | { readonly ok: true; readonly leaves: readonly AppliedLeaf[] }
  | { readonly ok: false; readonly code: string; readonly message: string };

export interface BlockOutcome {
  readonly changes: readonly StateChange[];
  /** Entries of the transactions before the first refused one, in order. */
  readonly leaves: readonly AppliedLeaf[];
  /** One for each transaction in order, up to the first that is refused. */
  readonly outcomes: readonly TransactionOutcome[];
}

function chainOf(view: StateView): ChainState {
  const chain = view.get(STATE.chain);
  if (chain === undefined) throw new Error('the state has no chain: apply the genesis first');
  return chain;
}

/**
 * Executes a block on top of `base`, which is not changed. A block with a refused transaction is no block: execution
 * ends there.
 */
export function applyBlock(
  base: StateView,
  block: BlockContext,
  requests: readonly ParsedRequest[],
  host: MachineHost,
): BlockOutcome {
  const state = new Overlay(base);
  const { height, time } = block;
  const before = chainOf(base);
  if (height !== before.height + 1 || time <= before.time) {
    throw new Error(
      `expected block ${before.height + 1} later than ${before.time}, got ${height} at ${time}`,
    );
  }
  for (const { keys } of expiredBy(base, time)) for (const key of keys) state.remove(key);
  const pending = state.get(STATE.validators(before.validatorEpoch + 1));
  const validatorEpoch = before.validatorEpoch + (pending !== undefined && pending.from <= height ? 1 : 0);
  state.set(STATE.chain, { ...before, height, time, validatorEpoch });

  const meter = new Meter();
  const leaves: AppliedLeaf[] = [];
  const outcomes: TransactionOutcome[] = [];
  for (const request of requests) {
    const at = { height, time, firstIndex: block.firstIndex + leaves.length };
    const outcome = applyTransaction(state, request, at, host, meter);
    outcomes.push(outcome);
    if (!outcome.ok) break;
    leaves.push(...outcome.leaves);
  }
  return { changes: state.changes(), leaves, outcomes };
}

/** Executes one transaction in `state`, whose chain entry is of this block; a refused one is rolled back. */
function applyTransaction(
  state: Overlay,
  request: ParsedRequest,
  block: BlockContext,
  host: MachineHost,
  meter: Meter,
): TransactionOutcome {
  state.begin();
  meter.begin();
  try {
    return { ok: true, leaves: execute(state, request, block, host, meter) };
  } catch (error) {
    state.rollback();
    // Rules refuse with codes; anything else is a fault of this program and must not look like a refusal.
    if (!(error instanceof CodedError)) throw error;
    return { ok: false, code: error.code, message: error.message };
  }
}

function execute(
  state: Overlay,
  request: ParsedRequest,
  block: BlockContext,
  host: MachineHost,
  meter: Meter,
): readonly AppliedLeaf[] {
  const { transaction } = request;
  const { height, time, firstIndex } = block;
  const context = contextOf(state, request, block, host, meter);
  const leaves: AppliedLeaf[] = [];
  for (const item of transaction.bodies.keys()) {
    const { result, withId } = applyItem(context, transaction, item);
    const tx = item === 0 ? request.tx : request.id;
    const leaf: Leaf = { height, index: firstIndex + item, time, tx, item, result };
    const bytes = encodeLeaf(leaf);
    const id = entryId(bytes);
    withId?.(id, toHex(id));
    leaves.push({ leaf, bytes, id });
  }
  const { expiresAt } = transaction;
  state.set(STATE.nonce(request.subject, request.nonce), { id: request.id, expiresAt, index: firstIndex });
  return leaves;
}

/** Checks envelope and signature; gives what the rules need. */
function contextOf(
  state: Overlay,
  request: ParsedRequest,
  { height, time }: BlockContext,
  host: MachineHost,
  meter: Meter,
): RuleContext {
  const chain = chainOf(state);
  checkEnvelope(state, chain, request, time);
  checkSigner(state, request, host);
  const signer = { id: request.subject, bytes: request.transaction.subject };
  return { state, signer, chain, host, height, time, meter };
}

/**
 * Throws the code that the transaction would be refused with in the next block on top of `view`. Costs what the
 * rules cost; makes no leaf.
 */
export function checkTransaction(
  view: StateView,
  request: ParsedRequest,
  block: BlockContext,
  host: MachineHost,
): void {
  const context = contextOf(new Overlay(view), request, block, host, new Meter());
  for (const item of request.transaction.bodies.keys()) applyItem(context, request.transaction, item);
}

function applyItem(context: RuleContext, transaction: Transaction, item: number) {
  context.meter.spend(ITEM_COST);
  const rule = RULES[transaction.type] as Rule<EntryType>;
  return rule(context, transaction.bodies[item] as EntryBodies[EntryType]);
}

/**
 * Throws unless the transaction may stand in a block of `time`: its chain, its end, its nonce. The same predicate
 * serves the pool, the proposal and the vote.
 */
export function checkEnvelope(
  view: StateView,
  chain: ChainState,
  { transaction, id, subject, nonce }: ParsedRequest,
  time: number,
): void {
  const { chainId, expiresAt } = transaction;
  if (chainId !== chain.chainId) refuse('tx.chain');
  if (expiresAt <= time || expiresAt > time + EXPIRY_AHEAD_MS_MAX) refuse('tx.expiry', { time });
  const known = view.get(STATE.nonce(subject, nonce));
  if (known !== undefined) refuse(equalBytes(known.id, id) ? 'tx.duplicate' : 'tx.nonce_reused');
}

/** Throws unless an active key of an active subject signed the transaction. */
export function checkSigner(view: StateView, request: ParsedRequest, host: MachineHost): void {
  const subject = view.get(STATE.subject(request.subject));
  if (subject === undefined || subject.revoked)
    refuse(subject === undefined ? 'tx.signer' : 'subject.revoked');
  const key = subject.keys[request.transaction.keyIx];
  if (key === undefined || key.retired) refuse('tx.signer');
  if (!host.verifies(key, request.message, request.sig)) refuse('tx.signature');
}
