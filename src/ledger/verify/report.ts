/**
 * What the verification of a ledger finds: rows that say where and what. A file from an attacker may be wrong in every
 * line, so rows beyond a bound are counted only.
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';

/** What a row is about. */
export type FailureKind =
  | 'record'
  | 'genesis'
  | 'chain'
  | 'height'
  | 'time'
  | 'header'
  | 'parent'
  | 'validators'
  | 'certificate'
  | 'batch'
  | 'transaction'
  | 'leaf'
  | 'log'
  | 'result'
  | 'state'
  | 'checkpoint'
  | 'tip';

/** One place where the evidence fails. */
export interface Failure {
  readonly height: number;
  /** Place in the log, when one entry is to blame. */
  readonly index?: number;
  readonly what: FailureKind;
  readonly expected: string;
  readonly got: string;
}

export interface LedgerReport {
  /** Entries and blocks that were read, good and bad. */
  readonly entries: number;
  readonly blocks: number;
  readonly ok: boolean;
  /** In the order of the file; the first is the first. */
  readonly failures: readonly Failure[];
  /** Rows beyond `FAILURES_MAX`, counted only. */
  readonly moreFailures: number;
  /** Height from which log roots could not be recomputed any more, after damage that no hash in the file explains. */
  readonly logUnverifiedFrom?: number;
  /** Height from which results and state roots could not be recomputed any more. */
  readonly replayStoppedAt?: number;
  /** Height from which signatures could not be checked any more, because a block before may have registered keys. */
  readonly signaturesUnverifiedFrom?: number;
}

/** Most rows kept. */
export const FAILURES_MAX = 10_000;

/** Where a row stands. */
export type Place = Pick<Failure, 'height' | 'index' | 'what'>;

/** Collects the rows of one verification. */
export class Failures {
  readonly list: Failure[] = [];
  /** Rows that were not kept. */
  more = 0;

  add(failure: Failure): void {
    if (this.list.length < FAILURES_MAX) this.list.push(failure);
    else this.more++;
  }

  hashes(at: Place, expected: Uint8Array | undefined, got: Uint8Array | undefined): void {
    const show = (hash: Uint8Array | undefined): string => (hash === undefined ? 'nothing' : toHex(hash));
    this.add({ ...at, expected: show(expected), got: show(got) });
  }

  /** A row unless both hashes are there and equal. */
  unlessEqual(at: Place, expected: Uint8Array | undefined, got: Uint8Array | undefined): void {
    if (expected === undefined || got === undefined || !equalBytes(expected, got))
      this.hashes(at, expected, got);
  }

  /** Runs a step that others wrote; whether it ended well. What it throws is a row. */
  async guard(at: Place, step: () => Promise<unknown>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.add({ ...at, expected: 'a block that executes', got: reasonOf(error) });
      return false;
    }
  }
}

/** Code and message of our own errors; nothing of foreign ones. */
export function reasonOf(error: unknown): string {
  return error instanceof CodedError ? `${error.code}: ${error.message}` : 'it cannot be read';
}
