/** The ledger's state machine: pure functions from a state and a block to leaves and changes. */
export {
  type AppliedLeaf,
  applyBlock,
  type BlockContext,
  type BlockOutcome,
  checkEnvelope,
  checkSigner,
  checkTransaction,
  expiredBy,
  NONCE_SWEEP_MAX,
  type TransactionOutcome,
} from './apply.ts';
export { accusedDealers, nextAttempt, openCeremony } from './ceremony.ts';
export {
  couldSearch,
  type DecidedEntry,
  decideAccess,
  decideAccesses,
  decideBreakGlass,
  decideHits,
  decideKey,
  decideSearch,
  type KeyUse,
  type KeyVerdict,
  outlivesGrant,
  type RecordUse,
  type ReleaseReason,
  type ReleaseVerdict,
  type SearchUse,
  stillInForce,
} from './decision.ts';
export { applyGenesis } from './genesis.ts';
export { approvalsNeeded } from './governance.ts';
export { consentAttribute, heldAttributes, holds } from './holding.ts';
export { RECONFIG_DELAY } from './membership.ts';
export { registryOf } from './policies.ts';
export { faultBound, majorityOf, quorumOf } from './quorum.ts';
export { REFUSALS, type RefusalCode } from './refusal.ts';
export { hasRight, RIGHTS, type Right, rightAttribute } from './rights.ts';
export type { Culprit, MachineHost } from './rule.ts';
export {
  type AttributeState,
  type BreakGlassState,
  type BudgetState,
  type CeremonyState,
  type ChainedState,
  type ChainState,
  type ConsentState,
  EMPTY_STATE,
  type FieldState,
  type IndexNoState,
  type IndexState,
  type KeyState,
  type MemberState,
  type NonceGroup,
  type NonceState,
  Overlay,
  type ProposalState,
  type RecordState,
  type ShareState,
  STATE,
  type StateChange,
  type StateKey,
  type StateView,
  type SubjectState,
  type ValidatorsState,
} from './state.ts';
