/**
 * Limits of what a transaction may carry. All are checked before a signature is verified or a rule is run,
 * so that the worst legal transaction has a known cost (docs/entries.md, "Bounds").
 */

/** Most bytes of one transaction, without its signature. */
export const TRANSACTION_BYTES_MAX = 512 * 1024;
/** Most maps in the `body` of one transaction. */
export const TRANSACTION_ITEMS_MAX = 64;
/** Most records one RecordPut or Access names. */
export const RECORDS_MAX = 256;
/** Most canonical bytes of one policy; its leaves and depth are bounded by the policy language. */
export const POLICY_BYTES_MAX = 64 * 1024;
/** Most UTF-8 bytes of an attribute's printed text: with its subject it fits a state key of 512 bytes. */
export const ATTRIBUTE_BYTES_MAX = 440;
/** Most attributes of a key, and those that a subject holds at once besides consents: the sum of the two below. */
export const ATTRIBUTES_MAX = 256;
/** Of these, shared ones and those of the subject's own member. */
export const OWN_ATTRIBUTES_MAX = 192;
/** Those of all other members together, and of each of them. */
export const FOREIGN_ATTRIBUTES_MAX = 64;
export const ISSUER_ATTRIBUTES_MAX = 16;
/** Most signing keys a subject ever has; retired ones count. */
export const SUBJECT_KEYS_MAX = 8;
/** Most members of a consortium. */
export const MEMBERS_MAX = 64;
/** Fewest members: below four no member may fail. */
export const MEMBERS_MIN = 4;
/** Most labels that one Genesis or RegistryPut registers. */
export const LABELS_MAX = 256;
/** Most characters of free identifiers: step-up method, field name, URL. */
export const STEP_UP_CHARS_MAX = 64;
export const FIELD_CHARS_MAX = 64;
export const URL_CHARS_MAX = 256;
export const CHAIN_ID_CHARS_MAX = 64;
/** Characters of a base32 CID, version 1. */
export const CID_CHARS_MAX = 128;
/** Most CIDs in one Stored. */
export const STORED_CIDS_MAX = 256;
/** Most bytes of a field's keyword specification. */
export const FIELD_SPEC_BYTES_MAX = 16 * 1024;
/** Largest search budget per day or epoch, in evaluations. */
export const BUDGET_MAX = 1_000_000;
/** Paddings of one Search: how many blinded elements it covers. */
export const SEARCH_COUNTS: readonly number[] = [1, 2, 4, 8, 16, 32];
/** Most bytes of a target-group element (the master public key, a share commitment). */
export const GROUP_ELEMENT_BYTES_MAX = 1024;
/** Most bytes of the consensus messages inside Evidence. */
export const EVIDENCE_BYTES_MAX = 64 * 1024;

/** Most characters of a cosigned checkpoint. */
export const CHECKPOINT_CHARS_MAX = 16 * 1024;
/** A newcomer's checkpoint is at most so many blocks old when its admission is proposed: it is up, and follows. */
export const ADMISSION_BLOCKS_MAX = 256;
/** Most bytes of a dealer's opening: a commitment for each of 64 authorities, and its proof. */
export const SHARE_OPENING_BYTES_MAX = 64 * 576 + 64;
/** Most bytes of one sealed sub-share. */
export const SEALED_SHARE_BYTES_MAX = 128;
/** How long each phase of a key ceremony waits for silent members: a second to a day of block time. */
export const CEREMONY_WINDOW_MS_MIN = 1000;
export const CEREMONY_WINDOW_MS_MAX = 24 * 60 * 60 * 1000;

/** A transaction expires at most this long after the time of the block that holds it. */
export const EXPIRY_AHEAD_MS_MAX = 10 * 60 * 1000;
/** A granted access, search or break-glass is served for this long in block time. */
export const RELEASE_MS_MAX = 10 * 60 * 1000;
/** A consent ends at most this long after it was asked for. */
export const CONSENT_MS_MAX = 366 * 24 * 60 * 60 * 1000;
/** A proposal stays open at most this long. */
export const PROPOSAL_MS_MAX = 90 * 24 * 60 * 60 * 1000;
/** The epoch of a field before the current one is still served for this long, while its segments are rebuilt. */
export const FIELD_EPOCH_OVERLAP_MS = 24 * 60 * 60 * 1000;
