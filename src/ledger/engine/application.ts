/**
 * The shapes that an ordering engine and the ledger exchange. pbft-lite's `Application` has the same; neither imports
 * the other, so that another engine of the ABCI 2.0 kind can drive this ledger.
 */
import type { ParsedRequest } from '../entries/transaction.ts';

/** What the ordering engine must know about a request. */
export interface RequestInfo {
  /** 32 bytes: transaction id. */
  readonly id: Uint8Array;
  /** Whose nonce it is; hexadecimal. */
  readonly client: string;
  readonly nonce: string;
  /** Block time in milliseconds after which the request must not be in a block. */
  readonly expiresAt: number;
}

/** What `check` answers: with it, `stillValid` needs no second look at the bytes. */
export interface AdmittedRequest extends RequestInfo {
  readonly request: ParsedRequest;
  /** Height of the state in which the rules last accepted it. */
  checkedAt: number;
}

export interface ExecutionContext {
  readonly height: number;
  /** Block time in milliseconds. */
  readonly time: number;
  readonly proposer: number;
  /** 64 hexadecimal digits. */
  readonly batchHash: string;
}

export type ExecutionResult =
  | {
      readonly ok: true;
      readonly stateRoot: Uint8Array;
      readonly logRoot: Uint8Array;
      readonly treeSize: number;
      /** Raw Ed25519 keys that vote from height + 2 on; absent when the set stays. */
      readonly nextValidators?: readonly Uint8Array[];
      /** Keys that may not lead from height + 1 on, oldest first; absent when the list stays. */
      readonly barred?: readonly Uint8Array[];
    }
  | {
      readonly ok: false;
      /** A stable code. */
      readonly reason: string;
      /** Indexes of requests that the rules refuse after the ones before them. */
      readonly offending?: readonly number[];
      /** Only so many requests from the front fit in one block. */
      readonly fits?: number;
    };

/** The fields of a header that the ledger compares or keeps. Hashes are hexadecimal. */
export interface BlockHead {
  readonly time: number;
  readonly proposer: number;
  readonly batchHash: string;
  readonly stateRoot: string;
  readonly logRoot: string;
  readonly treeSize: number;
}

export interface DecidedBlock {
  readonly height: number;
  readonly header: BlockHead;
  /** 64 hexadecimal digits. */
  readonly headerHash: string;
  readonly headerBytes: Uint8Array;
  readonly batch: readonly Uint8Array[];
  readonly qc: Uint8Array;
  /** Certificate of the parent that the header names; empty at height 1. */
  readonly parentQc: Uint8Array;
  readonly encoded: Uint8Array;
  readonly resume: Uint8Array;
}

export interface Tip {
  readonly height: number;
  readonly resume: Uint8Array;
}
