/**
 * Decided blocks in the store. The requests of a block are not stored a second time: their transactions stand in the
 * leaves, and a block keeps the signatures; canonical encoding gives the same request bytes back.
 */
import { toHex, u64be } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { decodeLeaf, type Leaf } from '../entries/leaf.ts';
import { encodeRequest, type ParsedRequest } from '../entries/transaction.ts';
import type { KvOp, KvReader } from '../ports.ts';
import type { DecidedBlock } from './application.ts';
import { BLOCK_TABLE, ENTRY_TABLE, QC_TABLE } from './tables.ts';

/** Largest stored block. */
const BLOCK_STORED_BYTES_MAX = 16 * 1024 * 1024;

export interface StoredBlock {
  readonly header: Uint8Array;
  readonly hash: Uint8Array;
  readonly time: number;
  readonly firstIndex: number;
  readonly count: number;
  /** 64 bytes each. */
  readonly sigs: Uint8Array;
  readonly encoded: Uint8Array;
}

/** A block as the ledger gives it back. */
export interface CommittedBlock {
  readonly height: number;
  readonly header: Uint8Array;
  /** 64 hexadecimal digits. */
  readonly headerHash: string;
  /** Block time in milliseconds. */
  readonly time: number;
  readonly qc: Uint8Array;
  /** Requests in order. */
  readonly batch: readonly Uint8Array[];
  /** Place of its first entry in the log. */
  readonly firstIndex: number;
  /** Its entries, in order. */
  readonly leaves: readonly Uint8Array[];
}

/** What a commit writes for the block itself. */
export function blockOps(
  block: Omit<DecidedBlock, 'resume'>,
  hash: Uint8Array,
  requests: readonly ParsedRequest[],
  firstIndex: number,
  count: number,
): readonly KvOp[] {
  const sigs = new Uint8Array(64 * requests.length);
  for (const [i, { sig }] of requests.entries()) sigs.set(sig, 64 * i);
  const { headerBytes: header, encoded, height, qc, parentQc } = block;
  const value: StoredBlock = { header, hash, time: block.header.time, firstIndex, count, sigs, encoded };
  const ops: KvOp[] = [
    { table: BLOCK_TABLE, key: u64be(height), value: encodeCbor(value) },
    { table: QC_TABLE, key: u64be(height), value: qc },
  ];
  // The certificate that the chain commits to replaces the one that this node happened to collect.
  if (parentQc.length > 0) ops.push({ table: QC_TABLE, key: u64be(height - 1), value: parentQc });
  return ops;
}

/** The stored row of a block. */
export function storedBlock(store: KvReader, height: number): StoredBlock | undefined {
  const bytes = store.get(BLOCK_TABLE, u64be(height));
  return bytes === undefined ? undefined : (decodeCbor(bytes, BLOCK_STORED_BYTES_MAX) as StoredBlock);
}

/** The block as peers fetch it from each other. */
export function encodedBlock(store: KvReader, height: number): Uint8Array | undefined {
  return storedBlock(store, height)?.encoded;
}

/** The block with its requests and entries. Throws `ledger.damaged` when a part is missing or cannot be read. */
export function readBlock(store: KvReader, height: number): CommittedBlock | undefined {
  const stored = storedBlock(store, height);
  const qc = store.get(QC_TABLE, u64be(height));
  if (stored === undefined || qc === undefined) return undefined;
  const leaves: Uint8Array[] = [];
  const batch: Uint8Array[] = [];
  for (let index = stored.firstIndex; index < stored.firstIndex + stored.count; index++) {
    const bytes = store.get(ENTRY_TABLE, u64be(index));
    if (bytes === undefined) {
      throw new CodedError('ledger.damaged', `entry ${index} is missing; restore the node`);
    }
    leaves.push(bytes);
    const { tx, item } = readLeaf(bytes, index);
    if (item > 0) continue;
    const at = 64 * batch.length;
    batch.push(encodeRequest({ tx, sig: stored.sigs.slice(at, at + 64) }));
  }
  const { header, hash, time, firstIndex } = stored;
  return { height, header, headerHash: toHex(hash), time, qc, batch, firstIndex, leaves };
}

function readLeaf(bytes: Uint8Array, index: number): Leaf {
  try {
    return decodeLeaf(bytes);
  } catch (cause) {
    throw new CodedError('ledger.damaged', `the stored entry ${index} is damaged; restore the node`, {
      cause,
    });
  }
}
