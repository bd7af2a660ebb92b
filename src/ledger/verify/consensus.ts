/**
 * What the ledger's verifier needs to know of the consensus: headers, certificates and three hashes. `pbft-lite.ts`
 * beside this file has it for the engine that is built in; another ordering engine brings its own.
 */
import type { ValidatorSet } from '../checkpoint/validators.ts';

/** The fields of a block header that the ledger checks. Hashes are 32 bytes. */
export interface BlockHeader {
  /** Entry id of the chain's genesis leaf. */
  readonly chainId: Uint8Array;
  readonly epoch: number;
  readonly height: number;
  /** Block time, ms. */
  readonly time: number;
  /** Hash of the header below; at height 1 the genesis hash. */
  readonly parentHash: Uint8Array;
  readonly batchHash: Uint8Array;
  /** Roots and size after this block. */
  readonly stateRoot: Uint8Array;
  readonly logRoot: Uint8Array;
  readonly treeSize: number;
  /** Set that decides this height, and set that decides the next. */
  readonly validatorsHash: Uint8Array;
  readonly nextValidatorsHash: Uint8Array;
}

/** Pure functions over the consensus formats (docs/format/consensus.md). */
export interface ConsensusVerifier {
  /** Throws a coded error on malformed bytes. */
  readHeader(header: Uint8Array): BlockHeader;
  headerHash(header: Uint8Array): Uint8Array;
  batchHash(requests: readonly Uint8Array[]): Uint8Array;
  validatorsHash(set: ValidatorSet): Uint8Array;
  /** What is wrong with the certificate for this header under `set`, undefined when it holds. Never throws. */
  verifyQc(header: Uint8Array, qc: Uint8Array, set: ValidatorSet): string | undefined;
}
