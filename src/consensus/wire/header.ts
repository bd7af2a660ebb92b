/**
 * Block header: fixed layout, 292 bytes, described in docs/format/consensus.md. It keeps the view, proposer and
 * time of its first proposal for ever; a new header for the same batch is a new value.
 */

import { ConsensusError } from '../errors.ts';
import { PROTOCOL_VERSION, VALIDATORS_MAX, VIEW_MAX } from '../limits.ts';
import { type Hash, Reader, Writer } from './bytes.ts';
import { TAG, tagged } from './hash.ts';

/** What validators vote on. Hashes are hexadecimal, `time` is milliseconds since 1970. */
export interface Header {
  readonly version: number;
  readonly chainId: Hash;
  readonly epoch: number;
  readonly height: number;
  /** View of the first proposal. */
  readonly view: number;
  /** Index of the first proposer in the validator set of this height. */
  readonly proposer: number;
  readonly time: number;
  readonly parentHash: Hash;
  readonly batchHash: Hash;
  /** State root after this block. */
  readonly stateRoot: Hash;
  /** Root of the log over all entries, after this block. */
  readonly logRoot: Hash;
  /** Leaves under `logRoot`. */
  readonly treeSize: number;
  /** Set that votes on this height. */
  readonly validatorsHash: Hash;
  /** Set that votes on the next height. */
  readonly nextValidatorsHash: Hash;
  /** One quorum certificate of the parent; zeros at height 1. */
  readonly parentQcHash: Hash;
}

export const HEADER_BYTES = 2 + 32 + 4 + 8 + 4 + 2 + 8 + 32 + 32 + 32 + 32 + 8 + 32 + 32 + 32;

export function encodeHeader(header: Header): Uint8Array {
  return new Writer(HEADER_BYTES)
    .u16(header.version)
    .hash(header.chainId)
    .u32(header.epoch)
    .u64(header.height)
    .u32(header.view)
    .u16(header.proposer)
    .u64(header.time)
    .hash(header.parentHash)
    .hash(header.batchHash)
    .hash(header.stateRoot)
    .hash(header.logRoot)
    .u64(header.treeSize)
    .hash(header.validatorsHash)
    .hash(header.nextValidatorsHash)
    .hash(header.parentQcHash)
    .finish();
}

/** The header in exactly `HEADER_BYTES` bytes; throws `consensus.malformed`. */
export function decodeHeader(bytes: Uint8Array): Header {
  const reader = new Reader(bytes);
  const header: Header = {
    version: reader.u16(),
    chainId: reader.hash(),
    epoch: reader.u32(),
    height: reader.u64(),
    view: reader.u32(),
    proposer: reader.u16(),
    time: reader.u64(),
    parentHash: reader.hash(),
    batchHash: reader.hash(),
    stateRoot: reader.hash(),
    logRoot: reader.hash(),
    treeSize: reader.u64(),
    validatorsHash: reader.hash(),
    nextValidatorsHash: reader.hash(),
    parentQcHash: reader.hash(),
  };
  reader.end();
  if (header.version !== PROTOCOL_VERSION) {
    throw new ConsensusError(
      'consensus.malformed',
      `expected header version ${PROTOCOL_VERSION}, got ${header.version}`,
    );
  }
  if (header.height < 1 || header.view > VIEW_MAX || header.proposer >= VALIDATORS_MAX) {
    throw new ConsensusError('consensus.malformed', 'header field out of range');
  }
  return header;
}

/** SHA-256 over the tagged header bytes: the value that is voted on. */
export function headerHash(headerBytes: Uint8Array): Hash {
  return tagged(TAG.header, headerBytes);
}
