/**
 * One switch for each guard of the protocol, for tests of the tests: with a guard left out, the exhaustive search and
 * the simulator must find what it prevents. No option of a node sets one.
 */
export interface Weakening {
  /** A VIEW-CHANGE does not carry the prepared certificate, and a new leader does not look for one. */
  readonly dropLock?: boolean;
  /** A new leader may propose any certificate of its VIEW-CHANGEs, not the one of the highest view. */
  readonly anyCertificate?: boolean;
  /** What follows from the VIEW-CHANGEs of a NEW-VIEW is not derived again. */
  readonly newViewUnderived?: boolean;
  /** A re-proposal may have another header as long as the batch is the same. */
  readonly rebuildHeader?: boolean;
  /** More than the first proposal of a view is accepted. */
  readonly secondPrePrepare?: boolean;
  /** PREPARE and COMMIT are sent in views below an own VIEW-CHANGE. */
  readonly voteAfterViewChange?: boolean;
  /** The leader's PRE-PREPARE and its PREPARE count as two votes. */
  readonly leaderCountedTwice?: boolean;
  /** q - 1 where q is meant: 2f + 1 at n = 6, 8, 9, 12. */
  readonly prepareQuorumLess?: boolean;
  readonly commitQuorumLess?: boolean;
  readonly viewChangeQuorumLess?: boolean;
  /** PREPAREs, COMMITs of different views are counted together. */
  readonly prepareAnyView?: boolean;
  readonly commitAnyView?: boolean;
  /** Certificates inside VIEW-CHANGEs are not looked at. */
  readonly certificatesUnchecked?: boolean;
  /** A VIEW-CHANGE of an earlier height counts at this one. */
  readonly viewChangeAnyHeight?: boolean;
  /** A higher view is joined when one member asks for it, not f + 1. */
  readonly joinAnyone?: boolean;
  /** A height opens at the view of the block below it, and VIEW-CHANGEs count at any height. */
  readonly viewsOutliveHeights?: boolean;
  /** A restart does not take back the accepted proposal, the lock, the VIEW-CHANGE. */
  readonly forgetAccepted?: boolean;
  readonly forgetLock?: boolean;
  readonly forgetPromise?: boolean;
  /** An amnesiac votes at once; from M + 1; after answers of f + 1. */
  readonly rejoinAtOnce?: boolean;
  readonly rejoinEarly?: boolean;
  readonly answersOfFew?: boolean;
  /** What depends on a record is sent before the record is durable. */
  readonly sendBeforeDurable?: boolean;
  /** PREPARE without own execution. */
  readonly skipExecution?: boolean;
  /** A certificate decides without own execution. */
  readonly decideUnexecuted?: boolean;
  /** The clock rule binds re-proposals too; binds nothing. */
  readonly clockOnReproposal?: boolean;
  readonly anyTime?: boolean;
  /** An empty block is accepted before one is due. */
  readonly emptyAnytime?: boolean;
  /** Timers run for requests that have become invalid. */
  readonly invalidRequestsTimed?: boolean;
}
