/**
 * Offline verification, for Node and browsers: receipts, checkpoints, log and state proofs, changes of validators, and
 * whole ledgers from an export file. No clock, no network, no storage: what is trusted comes in as an anchor.
 */
export {
  type Checkpoint,
  checkpointOrigin,
  parseCheckpoint,
  type VerifiedCheckpoint,
  verifyCheckpoint,
  type Witness,
} from '../checkpoint/checkpoint.ts';
export { checkpointQuorum, type Validator, type ValidatorSet } from '../checkpoint/validators.ts';
export {
  decodeStateProof,
  encodeStateProof,
  type StateProof,
  verifyStateProof,
} from '../state-tree/proof.ts';
export {
  anchorOrigin,
  type EpochLink,
  extendAnchor,
  type TrustAnchor,
  type ValidatorPeriod,
  validatorsAt,
} from './anchor.ts';
export type { BlockHeader, ConsensusVerifier } from './consensus.ts';
export { type ConsistencyFailure, checkConsistency } from './consistency.ts';
export type { FollowedItem, SignatureCheck } from './entries.ts';
export {
  type BlockRecord,
  decodeLine,
  encodeBlockLine,
  encodeGenesisLine,
  epochLinkFromJson,
  epochLinkToJson,
  type LedgerRecord,
  readExport,
} from './export.ts';
export { anchorOfGenesis } from './genesis.ts';
export {
  type LedgerAnchor,
  type LedgerReplay,
  type LedgerTools,
  verifyLedger,
} from './ledger.ts';
export { PBFT_LITE, pbftGenesisHash } from './pbft-lite.ts';
export {
  decodeReceipt,
  encodeReceipt,
  type Receipt,
  type ReceiptJson,
  type ReceiptVerdict,
  receiptFromJson,
  receiptToJson,
  verifyReceipt,
} from './receipt.ts';
export type { Failure, FailureKind, LedgerReport } from './report.ts';
export { leafHash, verifyConsistency, verifyInclusion } from './rfc6962.ts';
export { RegisteredKeys } from './signers.ts';
export { type ExportSource, epochLinks, exportLines } from './write-export.ts';
