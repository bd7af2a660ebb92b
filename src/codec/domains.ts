/**
 * Domain tags that more than one folder needs. All others stand beside the code that they separate; a test holds that
 * no two places share one, and docs/format.md lists them all. A changed meaning takes a new tag.
 */
export const DOMAIN = {
  transactionId: 'hippocrypt/tx-id/1',
  transactionSignature: 'hippocrypt/tx-sig/1',
  subjectProof: 'hippocrypt/subject-proof/1',
  fieldRecord: 'hippocrypt/field-record/1',
  headerHash: 'hippocrypt/record-header/1',
  payloadCommitment: 'hippocrypt/data-key-commitment/1',
  stateKey: 'hippocrypt/state-key/1',
  stateLeaf: 'hippocrypt/state-leaf/1',
  stateNode: 'hippocrypt/state-node/1',
  manifest: 'hippocrypt/index-manifest/1',
  blindedElements: 'hippocrypt/blinded-elements/1',
} as const;
