/**
 * Everything that replicas say to each other, as values. Bytes are in `codec.ts`, signed bytes in `signing.ts`,
 * the meaning of each message in docs/consensus.md.
 */
import type { Hash } from './bytes.ts';
import type { Header } from './header.ts';

declare const verifiedBrand: unique symbol;
/**
 * A message whose every signature, also those inside certificates, was checked under the validator set of its
 * height. Only a verifier makes one; the core takes nothing else.
 */
export type Verified<T> = T & { readonly [verifiedBrand]: true };

/** Signed message kinds; the number is the type tag inside the signed bytes. */
export const VOTE_TAG = { 'pre-prepare': 1, prepare: 2, commit: 3, 'view-change': 4 } as const;
export type VoteKind = keyof typeof VOTE_TAG;

/** The kind whose tag this is. */
export function voteKind(tag: number): VoteKind | undefined {
  return (Object.keys(VOTE_TAG) as VoteKind[]).find((kind) => VOTE_TAG[kind] === tag);
}

/** What every signed protocol message binds: a signature counts for exactly one (kind, epoch, height, view). */
export interface Signed {
  readonly epoch: number;
  readonly height: number;
  readonly view: number;
  /** Index of the signer in the validator set of `height`. */
  readonly sender: number;
  /** Header hash; for a VIEW-CHANGE the hash of its body. */
  readonly digest: Hash;
  readonly signature: Uint8Array;
}

/** A signature of one validator inside a certificate. */
export interface SenderSignature {
  readonly sender: number;
  readonly signature: Uint8Array;
}

/** q COMMITs of one (epoch, height, view, headerHash): the block is decided. Senders ascend. */
export interface QuorumCertificate {
  readonly epoch: number;
  readonly height: number;
  readonly view: number;
  readonly headerHash: Hash;
  readonly votes: readonly SenderSignature[];
}

/** A header, the requests it commits to and the parent's certificate it names; the three fit by construction. */
export interface Proposal {
  readonly header: Header;
  readonly headerBytes: Uint8Array;
  readonly hash: Hash;
  /** Requests in order, views over `batchBytes`. */
  readonly batch: readonly Uint8Array[];
  readonly batchBytes: Uint8Array;
  /** Absent at height 1 only. */
  readonly parentQc: QuorumCertificate | undefined;
}

/** The leader's PRE-PREPARE signature and PREPAREs of others, q distinct senders in all. Senders ascend. */
export interface PreparedCertificate {
  readonly header: Header;
  readonly hash: Hash;
  readonly view: number;
  readonly leader: SenderSignature;
  readonly votes: readonly SenderSignature[];
}

export interface PrePrepare extends Signed {
  readonly type: 'pre-prepare';
  readonly proposal: Proposal;
}

export interface Prepare extends Signed {
  readonly type: 'prepare';
}

export interface Commit extends Signed {
  readonly type: 'commit';
}

export interface ViewChange extends Signed {
  readonly type: 'view-change';
  /** The sender's certificate of the height below; absent at height 1 only. */
  readonly parentQc: QuorumCertificate | undefined;
  /** The sender's prepared certificate of the highest view, if it has one for this height. */
  readonly prepared: PreparedCertificate | undefined;
}

/** `signature` is the leader's PRE-PREPARE of `proposal` in `view`. */
export interface NewView extends Signed {
  readonly type: 'new-view';
  readonly proposal: Proposal;
  /** q VIEW-CHANGEs of exactly this (epoch, height, view), senders ascend. */
  readonly viewChanges: readonly ViewChange[];
}

/** A client's request on its way to a leader; the bytes are the application's. */
export interface RequestMessage {
  readonly type: 'request';
  readonly request: Uint8Array;
}

/** A request that is on its way to the leader, so that the receiver can check it before it is proposed. */
export interface Preview {
  readonly type: 'preview';
  readonly request: Uint8Array;
}

/** Unsigned hint: what the sender has applied and which view it is in. Proves nothing. */
export interface Status {
  readonly type: 'status';
  readonly height: number;
  readonly view: number;
  /** Wall clock of the sender in milliseconds since 1970; 0 for none. */
  readonly clock: number;
}

/** Asks for decided blocks `from .. from+count-1`; for the open height also by header hash. */
export interface Fetch {
  readonly type: 'fetch';
  readonly from: number;
  readonly count: number;
  /** Also answer with an undecided proposal of this hash; zeros ask for decided blocks only. */
  readonly hash: Hash;
}

/** A proposal with its own quorum certificate. */
export interface Block {
  readonly proposal: Proposal;
  readonly qc: QuorumCertificate;
}

export interface Blocks {
  readonly type: 'blocks';
  readonly blocks: readonly Block[];
}

/** An undecided proposal, asked for by hash. */
export interface ProposalMessage {
  readonly type: 'proposal';
  readonly proposal: Proposal;
}

/** The application's cosignature of a decided block. */
export interface Cosign {
  readonly type: 'cosign';
  readonly height: number;
  readonly bytes: Uint8Array;
}

/** Announces a start; answers let the starter see what it signed before (ledger-security rule 21). */
export interface Hello {
  readonly type: 'hello';
  readonly epoch: number;
  readonly sender: number;
  readonly boot: number;
  readonly nonce: Uint8Array;
  readonly signature: Uint8Array;
}

/** A vote position: votes are ordered by height, then view, then kind. */
export interface VotePosition {
  readonly height: number;
  readonly view: number;
  /** `VOTE_TAG` of the vote; 0 with height 0 means none. */
  readonly kind: number;
}

/** A vote as its signer sent it, without what it is about. */
export interface VoteProof extends Signed {
  readonly kind: VoteKind;
}

/** The answer to a HELLO. What it says about the starter it proves with the starter's own signatures. */
export interface Welcome {
  readonly type: 'welcome';
  readonly epoch: number;
  readonly sender: number;
  /** Whom it answers, and that HELLO's nonce. */
  readonly to: number;
  readonly nonce: Uint8Array;
  /** HELLO with the highest boot number of `to` that the sender saw before this one. */
  readonly hello: Hello | undefined;
  /** Latest vote of `to` that the sender holds. */
  readonly vote: VoteProof | undefined;
  /** Highest height at which the sender itself sent COMMIT. */
  readonly committed: number;
  readonly signature: Uint8Array;
}

export type Message =
  | PrePrepare
  | Prepare
  | Commit
  | ViewChange
  | NewView
  | RequestMessage
  | Preview
  | Status
  | Fetch
  | Blocks
  | ProposalMessage
  | Cosign
  | Hello
  | Welcome;

/** Messages that carry validators' signatures. */
export type SignedMessage = PrePrepare | Prepare | Commit | ViewChange | NewView | Hello | Welcome;

/** Nonce of a HELLO, bytes. */
export const HELLO_NONCE_BYTES = 16;
