/**
 * A stretch of history on its way to a member that lacks it: whole blocks, what the state machine said of each entry, and a
 * proof that the log up to here is the beginning of a certified one. Fixed layout instead of dag-cbor: whoever gives it away also
 * votes, and most of it is bytes that are only passed on.
 */
import { readU32be, u32be, u64be } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';
import { storedBlock } from '../engine/blocks.ts';
import { ENTRY_TABLE } from '../engine/tables.ts';
import { leafResult } from '../entries/leaf.ts';
import { LogTree } from '../log/index.ts';
import type { KvReader } from '../ports.ts';
import { HASH_BYTES } from '../verify/rfc6962.ts';

/** Most blocks of one segment. */
export const SEGMENT_BLOCKS_MAX = 512;
/** A segment ends with the block that takes it to this many bytes: reading them takes a giver some milliseconds. */
export const SEGMENT_BYTES: number = 256 * 1024;
/** Most bytes of one segment: the largest block may come last. */
export const SEGMENT_BYTES_MAX: number = 12 * 1024 * 1024;
/** Hashes of a consistency proof of the largest log. */
const PROOF_HASHES_MAX = 128;

export interface SegmentBlock {
  /** The block as members fetch it from each other (docs/format/consensus.md). */
  readonly encoded: Uint8Array;
  /** Results of its entries as they stand in the leaves, in order. */
  readonly results: readonly Uint8Array[];
}

export interface Segment {
  readonly blocks: readonly SegmentBlock[];
  /** Consistency of the log after the last block with that of the height that was asked for. */
  readonly proof: readonly Uint8Array[];
}

/**
 * Blocks from `from` on, up to `to` at most, at least one; the proof leads to the log after `to`. Throws `snapshot.unknown_block` for
 * heights that are not stored.
 */
export function readSegment(store: KvReader, from: number, to: number): Segment {
  const last = storedBlock(store, to);
  const blocks: SegmentBlock[] = [];
  let bytes = 0;
  let size = 0;
  for (
    let height = from;
    height <= to && blocks.length < SEGMENT_BLOCKS_MAX && bytes < SEGMENT_BYTES;
    height++
  ) {
    const block = storedBlock(store, height);
    if (block === undefined) break;
    const results: Uint8Array[] = [];
    size = block.firstIndex + block.count;
    for (let index = block.firstIndex; index < size; index++) {
      const leaf = store.get(ENTRY_TABLE, u64be(index));
      // Who asked finds out by the log root when a leaf is missing or damaged here.
      if (leaf !== undefined) results.push(leafResult(leaf));
    }
    blocks.push({ encoded: block.encoded, results });
    bytes += block.encoded.length;
  }
  if (blocks.length === 0 || last === undefined) {
    throw new CodedError('snapshot.unknown_block', `this member has no blocks from ${from} to ${to}`);
  }
  return { blocks, proof: LogTree.open(store).consistencyProof(size, last.firstIndex + last.count) };
}

/** u32 blocks, then for each: b(encoded), u32 entries, b(result) each; then the proof. b(x) is u32 length || x. */
export function encodeSegment({ blocks, proof }: Segment): Uint8Array {
  const parts: Uint8Array[] = [u32be(blocks.length)];
  for (const { encoded, results } of blocks) {
    parts.push(u32be(encoded.length), encoded, u32be(results.length));
    for (const result of results) parts.push(u32be(result.length), result);
  }
  const segment = new Uint8Array([...parts, ...proof].reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of [...parts, ...proof]) {
    segment.set(part, at);
    at += part.length;
  }
  return segment;
}

/** Throws `snapshot.bad_history`. Nothing is verified yet; the parts are views. */
export function decodeSegment(bytes: Uint8Array): Segment {
  const refuse = (expected: string): never => {
    throw new CodedError('snapshot.bad_history', `expected a segment of ${expected}`);
  };
  if (bytes.length > SEGMENT_BYTES_MAX) refuse(`at most ${SEGMENT_BYTES_MAX} bytes`);
  let at = 0;
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) refuse('whole parts');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const count = (): number => readU32be(take(4), 0);
  const blocks: SegmentBlock[] = [];
  const blockCount = count();
  if (blockCount < 1 || blockCount > SEGMENT_BLOCKS_MAX) refuse(`1 to ${SEGMENT_BLOCKS_MAX} blocks`);
  for (let i = 0; i < blockCount; i++) {
    const encoded = take(count());
    const results: Uint8Array[] = [];
    for (let entries = count(); entries > 0; entries--) results.push(take(count()));
    blocks.push({ encoded, results });
  }
  const proof: Uint8Array[] = [];
  while (at < bytes.length) proof.push(take(HASH_BYTES));
  if (proof.length > PROOF_HASHES_MAX) refuse(`at most ${PROOF_HASHES_MAX} hashes`);
  return { blocks, proof };
}
