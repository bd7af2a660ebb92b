/** Ledger entries as bytes and types. Everything here also runs in a browser: clients build and sign with it. */

export type {
  Access,
  BreakGlass,
  BreakGlassReview,
  RecordVersion,
} from './access.ts';
export * as bounds from './bounds.ts';
export { CEREMONY_PHASES, type CeremonyPhase, type ShareMessage, type ShareStep } from './ceremony.ts';
export { type GateMode, PURPOSES, type Purpose } from './common.ts';
export type { ConsentAnswer, ConsentRequest, ConsentRevoke } from './consent.ts';
export type {
  Admission,
  Approval,
  EligibilityClear,
  Evidence,
  Proposal,
  Reconfig,
  ShareAbort,
  ShareEpoch,
  ShareRenew,
} from './governance.ts';
export type { KeyExtend, KeyIssue } from './keys.ts';
export { ENTRY_TYPES, type EntryBodies, type EntryType, isEntryType } from './kinds.ts';
export { type LabelEntry, toLabelEntry, toLabelSpec } from './labels.ts';
export { decodeLeaf, encodeLeaf, entryId, type Leaf } from './leaf.ts';
export {
  decodeGenesis,
  encodeGenesis,
  type GenesisDocument,
  type GenesisOperator,
  type Member,
  type MemberPut,
  type SignedGenesis,
} from './members.ts';
export {
  admissionMessage,
  ceremonyId,
  EMPTY_CHAIN,
  fieldRecordId,
  genesisMessage,
  nextDeadDigest,
  nextNumbersDigest,
  subjectProofMessage,
} from './proofs.ts';
export type { Destroyed, Erase, PolicyChange, RecordItem, RecordPut, Stored } from './records.ts';
export type {
  AccessResult,
  DecisionReason,
  EntryResults,
  GenerationResult,
  KeyIssueResult,
  ProposalResult,
  RecordPutResult,
  ShareEpochResult,
  ShareStepResult,
  Verdict,
} from './results.ts';
export type { FieldKeyPut, IndexCommit, Search } from './search.ts';
export type {
  AttributeEnd,
  AttributeSet,
  Custody,
  RegistryPut,
  SubjectKeyPut,
  SubjectKind,
  SubjectPut,
  SubjectRevoke,
} from './subjects.ts';
export {
  decodeRequest,
  decodeTransaction,
  encodeRequest,
  encodeTransaction,
  type ParsedRequest,
  REQUEST_BYTES_MAX,
  type SignedTransaction,
  signedMessage,
  signTransaction,
  type Transaction,
  type TransactionDraft,
  transactionId,
} from './transaction.ts';
