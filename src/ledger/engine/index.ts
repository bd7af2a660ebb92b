/** The engine: the state machine on a store, driven by an ordering engine. */
export type {
  AdmittedRequest,
  BlockHead,
  DecidedBlock,
  ExecutionContext,
  ExecutionResult,
  RequestInfo,
  Tip,
} from './application.ts';
export type { CommittedBlock } from './blocks.ts';
export { CommittedState } from './committed-state.ts';
export type { CosignedCheckpoint } from './cosignatures.ts';
export { LedgerEngine } from './engine.ts';
export {
  type CommittedEntry,
  type EntryFilter,
  type EntryPage,
  PAGE_MAX,
  type TransactionEntry,
} from './entry-queries.ts';
export { BLOCK_BYTES_MAX, BLOCK_TRANSACTIONS_MAX } from './execution.ts';
export { foundLedger, readTip } from './founding.ts';
export type {
  AppliedBlock,
  Head,
  LedgerOptions,
  ProvenValue,
  ProvenValues,
  TransactionResult,
} from './options.ts';
export { MachineReplay } from './replay.ts';
export { VerifiedSignatures } from './signatures.ts';
export { barredIn } from './validator-changes.ts';
export { WriteBehind } from './write-behind.ts';
