/** What a node is started with, what it tells, and how a request that is dropped is answered. */
import type { Application, BlockStore } from '../application.ts';
import type { Genesis } from '../chain.ts';
import type { DropReason } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import type { BatchLimits, Timing } from '../limits.ts';
import type { Transport } from '../transport/port.ts';
import type { PeerId } from '../validators.ts';
import type { Wal } from '../wal/wal.ts';
import type { ValidatorKey } from './keys.ts';
import type { VerificationCache } from './verifier.ts';

/** Things worth a log line or a metric. */
export type NodeEvent =
  | { readonly type: 'decided'; readonly height: number; readonly view: number; readonly requests: number }
  | { readonly type: 'view'; readonly height: number; readonly view: number }
  | { readonly type: 'evidence'; readonly evidence: Uint8Array }
  | { readonly type: 'malformed'; readonly from: PeerId; readonly code: string }
  /** The own clock is off by this much; beyond five seconds this node does not lead. Set the clock. */
  | { readonly type: 'clock'; readonly offsetMs: number }
  /** `code` says what failed: `consensus.wal_failed`, the application's own code, or `consensus.halted` for other roots. */
  | { readonly type: 'halted'; readonly reason: string; readonly code: string };

export interface NodeOptions {
  readonly key: ValidatorKey;
  readonly genesis: Genesis;
  readonly application: Application;
  readonly blocks: BlockStore;
  readonly wal: Wal;
  readonly transport: Transport;
  /** `n` random bytes. */
  readonly random: (n: number) => Uint8Array;
  /** Monotone milliseconds for timers. */
  readonly now: () => number;
  /** Wall-clock milliseconds for block times. */
  readonly clock: () => number;
  readonly timing?: Partial<Timing>;
  readonly batch?: BatchLimits;
  /** True after a restore from backup: the node observes until its old votes cannot matter. */
  readonly restored?: boolean;
  /** A cache shared by members of one process; see `VerificationCache`. */
  readonly verificationCache?: VerificationCache;
  readonly onEvent?: (event: NodeEvent) => void;
}

export interface NodeStatus {
  /** Last applied height. */
  readonly height: number;
  /** Block time of `height`, milliseconds. */
  readonly time: number;
  readonly headHash: string;
  readonly epoch: number;
  readonly view: number;
  readonly changingView: boolean;
  /** Own index in the validator set, -1 for an observer. */
  readonly index: number;
  readonly leader: number;
  readonly voting: boolean;
  readonly halted: boolean;
  readonly pooled: number;
}

/** What a submission is rejected with when its request is dropped. */
export function dropError(reason: DropReason): ConsensusError {
  switch (reason) {
    case 'expired':
      return new ConsensusError(
        'consensus.request_expired',
        'the request expired before it was ordered; sign it anew',
      );
    case 'nonce-used':
      return new ConsensusError(
        'consensus.nonce_used',
        'another request of this client under this nonce waits or was executed; take a new nonce',
      );
    case 'full':
      return new ConsensusError(
        'consensus.pool_full',
        'too many requests wait here; try again later or elsewhere',
      );
    case 'offending':
      return new ConsensusError('consensus.request_refused', 'the request cannot be executed');
    default:
      return reason satisfies never;
  }
}
