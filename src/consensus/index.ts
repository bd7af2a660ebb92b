/**
 * pbft-lite: a self-contained PBFT library. The manual is docs/consensus.md, every byte is in
 * docs/format/consensus.md. What is not exported here may change.
 */
export type {
  Application,
  BlockStore,
  DecidedBlock,
  ExecutionContext,
  ExecutionResult,
  RequestInfo,
  Tip,
} from './application.ts';
export {
  type CertifiedHeight,
  type Chain,
  certifiedChain,
  decodeChain,
  eligible,
  encodeChain,
  type Genesis,
  genesisChain,
  leaderOf,
  type Rotation,
  rotation,
} from './chain.ts';
export { Replica } from './core/replica.ts';
export type {
  BootRecord,
  Effect,
  Evidence,
  Input,
  Recovered,
  ReplicaOptions,
  WalRecord,
} from './core/types.ts';
export { ConsensusError, type ConsensusErrorCode } from './errors.ts';
export { type BatchLimits, DEFAULT_BATCH, DEFAULT_TIMING, type Timing } from './limits.ts';
export { type ValidatorKey, validatorKey, verifyEd25519 } from './node/keys.ts';
export type { NodeEvent, NodeOptions, NodeStatus } from './node/options.ts';
export { PbftNode } from './node/pbft-node.ts';
export type { Submitted } from './node/submissions.ts';
export { VerificationCache, Verifier } from './node/verifier.ts';
export { faultBound, quorumSize } from './quorum.ts';
export type { SearchOptions } from './sim/exhaustive/model.ts';
export { type SearchResult, searchExhaustively } from './sim/exhaustive/search.ts';
export { type RunOptions, type RunResult, runSimulation, type Violation } from './sim/run.ts';
export { type LinkIdentity, linkIdentity, linkIdentityFromSeed } from './transport/certificate.ts';
export { InProcessNetwork, type LinkFilter } from './transport/in-process.ts';
export {
  type ChannelHandlers,
  type LinkChannel,
  type LinkOptions,
  type LinkPeer,
  MemberLink,
  RemoteError,
} from './transport/link.ts';
export type { Transport, TransportEvents } from './transport/port.ts';
export { CONSENSUS_CHANNEL, linkTransport } from './transport/tls.ts';
export { type PeerId, type ValidatorSet, validatorSet } from './validators.ts';
export { FileWal } from './wal/file.ts';
export { MemoryWal } from './wal/memory.ts';
export type { Wal, WalContents } from './wal/wal.ts';
export { decodeBlock, decodeQc, encodeBlock, encodeQc, qcHash } from './wire/codec.ts';
export { type CheckedEvidence, checkEvidence, encodeEvidence } from './wire/evidence.ts';
export { decodeHeader, encodeHeader, HEADER_BYTES, type Header, headerHash } from './wire/header.ts';
export type { Block, Proposal, QuorumCertificate } from './wire/messages.ts';
