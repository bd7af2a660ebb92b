/**
 * What a block costs to execute, counted while it is executed, in units of about a microsecond of one core. The
 * worst block must take less than a quarter of the ordering engine's first time-out on slow machines
 * (ledger-security 10); signatures and bytes are bounded before execution.
 */
import { refuse } from './refusal.ts';

/** Most that one transaction may cost. */
export const TRANSACTION_COST_MAX = 100_000;
/** Most that all transactions of a block may cost. */
export const BLOCK_COST_MAX = 250_000;

/** One item of a transaction: decoding, its leaf, its place in the indices. */
export const ITEM_COST = 10;
/** A record that is put: its state and its number. */
export const RECORD_PUT_COST = 16;
/** A record that is asked for; a replica that has just restarted reads it from disk, with its policy. */
export const RECORD_READ_COST = 8;
const POLICY_BYTES_PER_READ_UNIT = 64;
/** A new key: its order is checked, and its signature. */
export const KEY_PROOF_COST = 1000;
/** One cosignature of a checkpoint. */
export const COSIGNATURE_COST = 250;
/** Evidence: two signatures. */
export const EVIDENCE_COST = 500;
/** Canonical bytes of a policy that cost one unit; a condition takes about twice as many. */
const POLICY_BYTES_PER_UNIT = 8;

export class Meter {
  #block = 0;
  #transaction = 0;

  /** A new transaction begins. What a refused one cost stays on the block: the time was spent. */
  begin(): void {
    this.#transaction = 0;
  }

  /** Counts `units`; refuses the transaction that passes a bound. */
  spend(units: number): void {
    this.#transaction += units;
    this.#block += units;
    if (this.#transaction > TRANSACTION_COST_MAX) refuse('tx.too_costly', { max: TRANSACTION_COST_MAX });
    if (this.#block > BLOCK_COST_MAX) refuse('block.too_costly', { max: BLOCK_COST_MAX });
  }

  /** Counts reading one record, whether it is there or not. */
  spendRead(policy: Uint8Array | undefined): void {
    this.spend(RECORD_READ_COST + Math.ceil((policy?.length ?? 0) / POLICY_BYTES_PER_READ_UNIT));
  }

  /** Counts checking or evaluating a policy once. */
  spendPolicy(bytes: Uint8Array): void {
    this.spend(1 + Math.ceil(bytes.length / POLICY_BYTES_PER_UNIT));
  }
}
