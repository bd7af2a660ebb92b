/** Every kind of entry that a transaction may carry: its body's type and its strict decoder. */
import {
  type Access,
  access,
  type BreakGlass,
  type BreakGlassReview,
  breakGlass,
  breakGlassReview,
} from './access.ts';
import { type ShareStep, shareStep } from './ceremony.ts';
import {
  type ConsentAnswer,
  type ConsentRequest,
  type ConsentRevoke,
  consentAnswer,
  consentRequest,
  consentRevoke,
} from './consent.ts';
import type { Decode } from './fields.ts';
import {
  type Approval,
  approval,
  type Evidence,
  evidence,
  type Proposal,
  proposal,
  type ShareEpoch,
  shareEpoch,
} from './governance.ts';
import { type KeyExtend, type KeyIssue, keyExtend, keyIssue } from './keys.ts';
import { type MemberPut, memberPut } from './members.ts';
import {
  type Destroyed,
  destroyed,
  type Erase,
  erase,
  type PolicyChange,
  policyChange,
  type RecordPut,
  recordPut,
  type Stored,
  stored,
} from './records.ts';
import {
  type FieldKeyPut,
  fieldKeyPut,
  type IndexCommit,
  indexCommit,
  type Search,
  search,
} from './search.ts';
import {
  type AttributeEnd,
  type AttributeSet,
  attributeEnd,
  attributeSet,
  type SubjectKeyPut,
  type SubjectPut,
  type SubjectRevoke,
  subjectKeyPut,
  subjectPut,
  subjectRevoke,
} from './subjects.ts';

/** Body of each kind, by the `type` of its transaction. */
export interface EntryBodies {
  readonly MemberPut: MemberPut;
  readonly SubjectPut: SubjectPut;
  readonly SubjectKeyPut: SubjectKeyPut;
  readonly AttributeSet: AttributeSet;
  readonly AttributeEnd: AttributeEnd;
  readonly SubjectRevoke: SubjectRevoke;
  readonly KeyIssue: KeyIssue;
  readonly KeyExtend: KeyExtend;
  readonly RecordPut: RecordPut;
  readonly PolicyChange: PolicyChange;
  readonly Erase: Erase;
  readonly Access: Access;
  readonly ConsentRequest: ConsentRequest;
  readonly ConsentAnswer: ConsentAnswer;
  readonly ConsentRevoke: ConsentRevoke;
  readonly BreakGlass: BreakGlass;
  readonly BreakGlassReview: BreakGlassReview;
  readonly FieldKeyPut: FieldKeyPut;
  readonly Search: Search;
  readonly IndexCommit: IndexCommit;
  readonly Stored: Stored;
  readonly Destroyed: Destroyed;
  readonly ShareStep: ShareStep;
  readonly ShareEpoch: ShareEpoch;
  readonly Proposal: Proposal;
  readonly Approval: Approval;
  readonly Evidence: Evidence;
}

export type EntryType = keyof EntryBodies;

/** Strict decoder of each kind's body. */
export const BODY_DECODERS: { readonly [K in EntryType]: Decode<EntryBodies[K]> } = {
  MemberPut: memberPut,
  SubjectPut: subjectPut,
  SubjectKeyPut: subjectKeyPut,
  AttributeSet: attributeSet,
  AttributeEnd: attributeEnd,
  SubjectRevoke: subjectRevoke,
  KeyIssue: keyIssue,
  KeyExtend: keyExtend,
  RecordPut: recordPut,
  PolicyChange: policyChange,
  Erase: erase,
  Access: access,
  ConsentRequest: consentRequest,
  ConsentAnswer: consentAnswer,
  ConsentRevoke: consentRevoke,
  BreakGlass: breakGlass,
  BreakGlassReview: breakGlassReview,
  FieldKeyPut: fieldKeyPut,
  Search: search,
  IndexCommit: indexCommit,
  Stored: stored,
  Destroyed: destroyed,
  ShareStep: shareStep,
  ShareEpoch: shareEpoch,
  Proposal: proposal,
  Approval: approval,
  Evidence: evidence,
};

export const ENTRY_TYPES = Object.keys(BODY_DECODERS) as readonly EntryType[];

/** True for the kinds above; `Genesis` is not a transaction and RegistryPut, Reconfig only travel in a Proposal. */
export function isEntryType(type: string): type is EntryType {
  return Object.hasOwn(BODY_DECODERS, type);
}
