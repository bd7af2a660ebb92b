/** What a member's node is given by whoever runs it: a process of its own, a demonstration, a test. */
import type { Group } from '../abe/index.ts';
import type { MemberLink } from '../authority/link.ts';
import { CodedError } from '../codec/errors.ts';
import type { MemberId } from '../codec/ids.ts';
import type { Transport, VerificationCache } from '../consensus/index.ts';
import type { VerifiedSignatures, Witness } from '../ledger/index.ts';
import type { Keystore } from '../storage/index.ts';
import type { BackupPlan } from './backup.ts';
import type { PayloadsChoice } from './payloads.ts';
import type { SnapshotOptions } from './snapshot.ts';
import type { WorkPool } from './work/pool.ts';

export interface NodeLog {
  event(name: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface MemberOptions {
  /** Who this is, if the genesis does not name its validator key: a hospital that joins later. */
  readonly member?: MemberId;
  readonly dir: string;
  readonly keystore: Keystore;
  /** Signed genesis. */
  readonly genesis: Uint8Array;
  readonly link: MemberLink;
  readonly transport: (validator: string) => Transport;
  readonly pool: WorkPool;
  readonly group: Group;
  readonly random: (length: number) => Uint8Array;
  readonly clock: () => number;
  readonly signatures?: VerifiedSignatures;
  readonly verificationCache?: VerificationCache;
  readonly log: NodeLog;
  readonly ratePerMinute?: number;
  /** What keeps the payloads; the embedded store by default. */
  readonly payloads?: PayloadsChoice;
  /** Members that keep each record, its custodian among them; the same at every member. */
  readonly copies?: number;
  readonly backup?: BackupPlan;
  /** Whether strangers may fetch ciphertext from the trustless gateway; others need a session. */
  readonly publicIpfs?: boolean;
  /** Whether index pages go directly between clients and custodians (direct-fetch.ts); off by default. */
  readonly directFetch?: boolean;
  /** Outside witnesses whose cosignatures this node takes. */
  readonly witnesses?: readonly Witness[];
  /** When a start that is far behind takes a snapshot; absent: it executes every block. */
  readonly snapshot?: SnapshotOptions;
}

/** An error without its stack's paths and without anything a peer wrote beyond its code. */
export function describeError(error: unknown): string {
  if (error instanceof CodedError) return error.code;
  return error instanceof Error ? `${error.name}: ${error.message}` : 'unknown';
}
