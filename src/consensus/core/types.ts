/** What goes into the replica and what comes out: the whole interface of the sans-IO core. */
import type { RequestInfo } from '../application.ts';
import type { Chain } from '../chain.ts';
import type { BatchLimits, Timing } from '../limits.ts';
import type { PeerId } from '../validators.ts';
import type { Hash } from '../wire/bytes.ts';
import type {
  Block,
  Hello,
  Message,
  NewView,
  PrePrepare,
  PreparedCertificate,
  Proposal,
  QuorumCertificate,
  Signed,
  Verified,
  ViewChange,
  VoteKind,
  VotePosition,
  Welcome,
} from '../wire/messages.ts';
import type { Weakening } from './weakening.ts';

/** A request that the application admitted. */
export interface PooledRequest {
  /** `info.id` in hexadecimal. */
  readonly id: string;
  readonly info: RequestInfo;
  readonly bytes: Uint8Array;
}

/** How strictly a proposal is examined. Clock and pool rules bind fresh ones only. */
export type ProposalMode = 'fresh' | 'reproposal' | 'decided';

/**
 * `ok`: executes to the roots in its header. `invalid`: a request or certificate in it is refused.
 * `mismatch`: execution gives other roots.
 */
export type Verdict = 'ok' | 'invalid' | 'mismatch';

/** Messages that the core takes; the others are the driver's. */
export type CoreMessage =
  | PrePrepare
  | Extract<Message, { type: 'prepare' | 'commit' }>
  | ViewChange
  | NewView
  | Extract<Message, { type: 'status' | 'blocks' | 'proposal' }>
  | Hello
  | Welcome;

export type Input =
  /** Time: `now` is monotone and drives timers, `clock` is wall time and stands in headers. Milliseconds. */
  | { readonly t: 'tick'; readonly now: number; readonly clock: number }
  | { readonly t: 'message'; readonly from: PeerId; readonly message: Verified<CoreMessage> }
  | { readonly t: 'request'; readonly request: PooledRequest }
  /** Answer to `build`. */
  | { readonly t: 'built'; readonly height: number; readonly view: number; readonly proposal: Proposal }
  /** Answer to `build` when nothing could be built; `drop` are requests to forget. */
  | {
      readonly t: 'unbuilt';
      readonly height: number;
      readonly view: number;
      readonly drop: readonly string[];
    }
  /** Answer to `validate`; `certified` says that the effect carried a certificate. */
  | {
      readonly t: 'validated';
      readonly height: number;
      readonly hash: Hash;
      readonly verdict: Verdict;
      readonly certified: boolean;
    }
  /** Everything up to this token is durable. */
  | { readonly t: 'persisted'; readonly upTo: number }
  /** Answer to `decide`: the block is durably applied, this is the state after it. */
  | { readonly t: 'applied'; readonly chain: Chain; readonly requests: readonly string[] }
  /** A link to this peer came up. */
  | { readonly t: 'connected'; readonly peer: PeerId };

/** Why a request leaves the pool undecided. */
export type DropReason = 'expired' | 'nonce-used' | 'offending' | 'full';

/** What the write-ahead log holds. */
export type WalRecord =
  | { readonly kind: 'proposal'; readonly height: number; readonly message: PrePrepare | NewView }
  | { readonly kind: 'prepared'; readonly height: number; readonly certificate: PreparedCertificate }
  | { readonly kind: 'view-change'; readonly height: number; readonly message: ViewChange }
  | { readonly kind: 'decided'; readonly height: number; readonly qc: QuorumCertificate };

/** Two signed statements of one validator that an honest one never makes. */
export interface Evidence {
  readonly kind: VoteKind;
  readonly key: Uint8Array;
  readonly first: Signed;
  readonly second: Signed;
}

export type Effect =
  /** Append to the WAL; later answer `persisted`. Whatever depends on it is emitted only then. */
  | { readonly t: 'persist'; readonly token: number; readonly record: WalRecord }
  /** What must survive of a start that is or was an amnesiac's: durable before anything else of this step is done. */
  | { readonly t: 'persistBoot'; readonly record: BootRecord }
  | { readonly t: 'send'; readonly to: PeerId | 'all'; readonly message: Message }
  /** Execute `requests` in order on the tip and make a header; answer `built` or `unbuilt`. */
  | {
      readonly t: 'build';
      readonly height: number;
      readonly view: number;
      readonly proposer: number;
      readonly time: number;
      readonly requests: readonly PooledRequest[];
    }
  /** Examine and execute; `qc` is present for decided blocks and is to be verified too. Answer `validated`. */
  | {
      readonly t: 'validate';
      readonly proposal: Proposal;
      readonly mode: ProposalMode;
      readonly qc: QuorumCertificate | undefined;
    }
  /** Apply, answer clients, cosign; answer `applied`. */
  | { readonly t: 'decide'; readonly block: Block }
  /** A pooled request left the pool without being decided. */
  | { readonly t: 'dropped'; readonly id: string; readonly reason: DropReason }
  | { readonly t: 'evidence'; readonly evidence: Evidence }
  | { readonly t: 'view'; readonly height: number; readonly view: number }
  /** The own clock is `offsetMs` behind the middle of the others'. */
  | { readonly t: 'clock'; readonly offsetMs: number }
  /** Own execution disagrees with a quorum: stop voting, releasing and serving; alarm. */
  | { readonly t: 'halt'; readonly reason: string };

/**
 * Makes the own signatures: a pure function of its arguments (Ed25519 is deterministic), so that a vote that is
 * sent again after a restart has the same bytes.
 */
export interface CoreSigner {
  vote(kind: VoteKind, position: Omit<Signed, 'digest' | 'signature'>, digest: Hash): Uint8Array;
  viewChange(
    position: Omit<Signed, 'digest' | 'signature'>,
    parentQc: QuorumCertificate | undefined,
    prepared: PreparedCertificate | undefined,
  ): ViewChange;
  hello(hello: Omit<Hello, 'signature' | 'type'>): Hello;
  welcome(welcome: Omit<Welcome, 'signature' | 'type'>): Welcome;
}

/** What survives truncation of the WAL. */
export interface BootRecord {
  /** The number of the last start. */
  readonly boot: number;
  /** Lowest height at which this node may vote; above 0 after an amnesia. */
  readonly voteFrom: number;
}

/** What a start finds in the WAL. */
export interface Recovered {
  /** False when the WAL is missing, damaged in the middle, or comes from `restore`. */
  readonly whole: boolean;
  /** Number of this start. */
  readonly boot: number;
  /** Lowest height at which this node may vote; from an earlier amnesia, else 0. */
  readonly voteFrom: number;
  readonly records: readonly WalRecord[];
}

export interface ReplicaOptions {
  /** Own validator key in hexadecimal; a node outside the set follows as an observer. */
  readonly self: PeerId;
  readonly chain: Chain;
  readonly recovered: Recovered;
  /** Fresh random bytes of this start. */
  readonly helloNonce: Uint8Array;
  readonly signer: CoreSigner;
  readonly timing: Timing;
  readonly batch: BatchLimits;
  /** The application's predicate over its committed state; pure. */
  readonly stillValid: (info: RequestInfo, blockTime: number) => boolean;
  /** Guards to leave out. For tests of the tests only. */
  readonly weaken?: Weakening;
}

/** Order of votes: height, then view, then kind. */
export function laterVote(a: VotePosition, b: VotePosition): boolean {
  if (a.height !== b.height) return a.height > b.height;
  if (a.view !== b.view) return a.view > b.view;
  return a.kind > b.kind;
}
