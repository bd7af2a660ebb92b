/**
 * What stands in a leaf's `result`. A denial is a result with a reason; a refusal is a code and leaves no leaf.
 * Type aliases, so that each passes for a map of unknown values where leaves are encoded.
 */
import type { CeremonyPhase } from './ceremony.ts';

/** Why one record may not be opened or searched now; `ok` when it may. In the order in which they are checked. */
export const DECISION_REASONS = [
  'subject_revoked',
  'right',
  'key_unknown',
  'key_not_yours',
  'key_stale',
  'share_epoch',
  'record_unknown',
  'record_erased',
  'version_stale',
  'field_unknown',
  'epoch_stale',
  'policy',
  'budget',
  'ok',
] as const;
export type DecisionReason = (typeof DECISION_REASONS)[number];

export type Verdict = {
  readonly granted: boolean;
  readonly reason: DecisionReason;
};

export type GenerationResult = {
  readonly generation: number;
};

export type KeyIssueResult = {
  readonly generation: number;
  readonly shareEpoch: number;
};

export type RecordPutResult = {
  readonly indexNos: readonly number[];
};

export type AccessResult = {
  readonly verdicts: readonly Verdict[];
};

export type ShareStepResult = {
  /** Phase of the ceremony after the step. */
  readonly phase: CeremonyPhase;
};

export type ShareEpochResult = {
  readonly confirmations: number;
  readonly active: boolean;
};

export type ProposalResult = {
  readonly approvals: number;
  readonly executed: boolean;
};

type Nothing = Readonly<Record<string, never>>;

/** Result of each kind, as it stands in the leaf. */
export interface EntryResults {
  readonly MemberPut: Nothing;
  readonly SubjectPut: Nothing;
  readonly SubjectKeyPut: Nothing;
  readonly AttributeSet: GenerationResult;
  readonly AttributeEnd: GenerationResult;
  readonly SubjectRevoke: GenerationResult;
  readonly KeyIssue: KeyIssueResult;
  readonly KeyExtend: GenerationResult;
  readonly RecordPut: RecordPutResult;
  readonly PolicyChange: Nothing;
  readonly Erase: Nothing;
  readonly Access: AccessResult;
  readonly ConsentRequest: Nothing;
  readonly ConsentAnswer: GenerationResult;
  readonly ConsentRevoke: GenerationResult;
  readonly BreakGlass: Verdict;
  readonly BreakGlassReview: Nothing;
  readonly FieldKeyPut: Nothing;
  readonly Search: Verdict;
  readonly IndexCommit: Nothing;
  readonly Stored: Nothing;
  readonly Destroyed: Nothing;
  readonly ShareStep: ShareStepResult;
  readonly ShareEpoch: ShareEpochResult;
  readonly Proposal: ProposalResult;
  readonly Approval: ProposalResult;
  readonly Evidence: Nothing;
}
