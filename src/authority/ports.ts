/**
 * What an authority sees of its own node. Every answer comes from blocks that this node applied itself; a quorum
 * certificate in hand is not enough (ledger-security rule 23).
 */

import type { Registry } from '../abe/policy/index.ts';
import type { EntryId, SubjectId } from '../codec/ids.ts';
import type { CeremonyState, ShareState } from '../ledger/index.ts';
import type { CommittedStep } from './ceremony.ts';

/** A committed Access or BreakGlass with what it granted and what of it is in force in the tip. */
export interface GrantView {
  readonly type: 'Access' | 'BreakGlass';
  readonly subject: SubjectId;
  readonly keyId: Uint8Array;
  readonly generation: number;
  /** Granted records of which the grant still holds now, by the ledger's one decision. */
  readonly inForce: readonly { readonly record: Uint8Array; readonly version: number }[];
}

export interface KeyView {
  readonly subject: SubjectId;
  readonly generation: number;
  readonly shareEpoch: number;
  /** Printed attributes of the key that its subject holds in the tip. */
  readonly inForce: readonly string[];
  /**
   * Everything the subject holds or held in this generation, in the key or not: it satisfies nothing, but counts against
   * `!=` and `not`, so that nobody earns a not-equal leaf by leaving an attribute out of its key.
   */
  readonly others: readonly string[];
}

/** Ledger reads of an authority, all at the tip of its own node. */
export interface AuthorityLedger {
  readonly chainId: string;
  tipTimeMs(): number;
  shareEpoch(): number | null;
  registry(): Registry;
  /** Undefined while this node has not applied the entry; waits up to `waitMs` for it. */
  grant(entry: EntryId, waitMs: number): Promise<GrantView | undefined>;
  key(keyId: Uint8Array, waitMs: number): Promise<KeyView | undefined>;
  subject(
    id: SubjectId,
  ): { readonly generation: number; readonly revoked: boolean; readonly hpkeKey: Uint8Array } | undefined;
}

/** The multiplications by secrets, run off the event loop. */
export interface IssueWork {
  issue(task: {
    /** Encoded share (docs/format/abe.md). */
    readonly share: Uint8Array;
    readonly first: boolean;
    readonly keyId: Uint8Array;
    readonly generation: number;
    readonly leaves: readonly Uint8Array[];
  }): Promise<Uint8Array>;
}

/** Where a member keeps its shares and the secrets of ceremonies. Resolved means durable, or gone. */
export interface SecretStore {
  get(name: string): Promise<Uint8Array | undefined>;
  put(name: string, secret: Uint8Array): Promise<void>;
  delete(...names: readonly string[]): Promise<void>;
  names(): Promise<readonly string[]>;
}

/** Ledger reads of a holder of shares, all at the tip of its own node. */
export interface ShareLedger {
  readonly chainId: string;
  /** The latest ceremony. */
  ceremony(): CeremonyState | undefined;
  shareEpoch(): number | null;
  share(epoch: number): ShareState | undefined;
  /** Whether `member` has confirmed the outcome for `epoch`. */
  confirmed(epoch: number, member: string): boolean;
  /** HPKE key that a member has on the ledger. */
  hpkeKeyOf(member: string): Uint8Array | undefined;
  /** Steps of the ceremony with this id, in order. */
  steps(ceremony: Uint8Array): readonly CommittedStep[];
  /** Time of the last block. */
  tipTimeMs(): number;
  /** Time of the newest block that a quorum has cosigned. */
  cosignedTimeMs(): number;
}
