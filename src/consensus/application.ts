/**
 * The seam between ordering and what is ordered, in the shape of ABCI 2.0. Consensus sees requests as opaque bytes
 * and roots as 32-byte strings; the application never sees votes.
 */
import type { Header } from './wire/header.ts';

/** What consensus must know about a request. */
export interface RequestInfo {
  /** 32 bytes: hash of the signed bytes without the signature. */
  readonly id: Uint8Array;
  /** Whose nonce it is. (client, nonce) is the exactly-once key. */
  readonly client: string;
  readonly nonce: string;
  /** Block time in milliseconds after which the request must not be in a block. */
  readonly expiresAt: number;
}

/** Where a batch is executed. `batchHash` names the overlay together with the rest. */
export interface ExecutionContext {
  readonly height: number;
  /** Block time, milliseconds. */
  readonly time: number;
  /** Index of the first proposer in the validator set of `height`. */
  readonly proposer: number;
  /** 64 hexadecimal digits. */
  readonly batchHash: string;
}

export type ExecutionResult =
  | {
      readonly ok: true;
      /** 32 bytes each: roots after the batch. */
      readonly stateRoot: Uint8Array;
      readonly logRoot: Uint8Array;
      readonly treeSize: number;
      /** New validator keys (raw Ed25519), voting from height + 2 on; absent when the set stays. */
      readonly nextValidators?: readonly Uint8Array[];
      /** Keys that may not lead from height + 1 on, oldest first; absent when the list stays. */
      readonly barred?: readonly Uint8Array[];
    }
  | {
      readonly ok: false;
      readonly reason: string;
      /** Indexes of requests that no block could hold on top of the ones before them; the leader drops them and tries again. */
      readonly offending?: readonly number[];
      /** Only so many from the front fit in one block; the leader leaves the others for the next. */
      readonly fits?: number;
    };

/** A block with its quorum certificate, ready to be applied. */
export interface DecidedBlock {
  readonly height: number;
  readonly header: Header;
  /** 64 hexadecimal digits, and the fixed-layout bytes it is taken over. */
  readonly headerHash: string;
  readonly headerBytes: Uint8Array;
  readonly batch: readonly Uint8Array[];
  /** Encoded certificate of this block (docs/format/consensus.md). */
  readonly qc: Uint8Array;
  /** Encoded certificate of the parent that the header names; empty at height 1. Replaces the one stored for it. */
  readonly parentQc: Uint8Array;
  /** The whole block as peers fetch it: proposal and certificate. */
  readonly encoded: Uint8Array;
  /** Opaque to the application: store it with the block in the same transaction and return it from `tip`. */
  readonly resume: Uint8Array;
}

/** The last durably applied block. */
export interface Tip {
  readonly height: number;
  /** `DecidedBlock.resume` of that height. */
  readonly resume: Uint8Array;
}

/**
 * The deterministic state machine. Calls to `execute` and `commit` never overlap. Every method must behave equally
 * at every replica for equal arguments and equal committed state.
 */
export interface Application {
  /**
   * Admission: authenticates and inspects request bytes (signature, schema, expiry) against committed state.
   * Rejects with a coded error when refused. Called once per request and again for unknown requests in a proposal.
   */
  check(request: Uint8Array): Promise<RequestInfo>;
  /**
   * Whether the request may still be executed in a block of time `blockTime` on top of committed state (unexpired,
   * nonce unused, signer still entitled). One predicate for pool, proposal and vote; synchronous and pure.
   */
  stillValid(info: RequestInfo, blockTime: number): boolean;
  /** Executes a batch on an overlay over the state of height - 1; never changes committed state. */
  execute(context: ExecutionContext, batch: readonly Uint8Array[]): Promise<ExecutionResult>;
  /**
   * Applies a decided block; idempotent by height; resolves when later calls see it. Returns the cosignature to send
   * to all, and `durable` when the block is not on the disk yet: consensus keeps it in its own log until that
   * resolves, and applies it again after a crash. A rejection of either ends the node. The overlay of the same context
   * may be reused: consensus has compared its roots with the header.
   */
  commit(
    block: DecidedBlock,
  ): Promise<{ readonly cosignature?: Uint8Array; readonly durable?: Promise<void> }>;
  /** A peer's cosignature of `height` arrived, not yet checked. `from` is the peer's validator key in hexadecimal. */
  onCosignature(from: string, height: number, cosignature: Uint8Array): void;
  /** This node's cosignature of its tip, for peers that link up: theirs of the same height may have been lost with a restart. */
  tipCosignature?(): { readonly height: number; readonly bytes: Uint8Array } | undefined;
  /** Two conflicting signed messages of one validator, ready to be carried by an evidence request. */
  onEvidence?(evidence: Uint8Array): void;
  /** The last applied block, or undefined before block 1. Asked at the start: what the disk has. */
  tip(): Promise<Tip | undefined>;
}

/** Where decided blocks are kept for peers; usually the application's own storage. */
export interface BlockStore {
  /** `DecidedBlock.encoded` of `height`, or undefined when it is not kept. */
  get(height: number): Promise<Uint8Array | undefined>;
  /** Keeps `encoded`; durability may lag behind `Application.commit`. Idempotent by height. */
  put(height: number, encoded: Uint8Array): Promise<void>;
}
