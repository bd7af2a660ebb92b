/**
 * The leaf: what the RFC 6962 log commits to for one entry. It holds the signed bytes as they came, so that
 * anybody can check the signature years later, and the verdict that the state machine reached.
 */
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { sha256 } from '../../codec/hash.ts';
import { TRANSACTION_ITEMS_MAX } from './bounds.ts';
import { count, time } from './common.ts';
import { type Decode, integer, malformed, map, oneOf } from './fields.ts';

export interface Leaf {
  /** Height of the block. */
  readonly height: number;
  /** Place in the log, from 0. */
  readonly index: number;
  /** Block time in milliseconds. */
  readonly time: number;
  /** The signed bytes for item 0; the 32-byte transaction id for later items; the signed genesis at height 0. */
  readonly tx: Uint8Array;
  /** Place in the transaction's list, from 0. */
  readonly item: number;
  /** By kind (`EntryResults`); `{}` where nothing is said. */
  readonly result: Readonly<Record<string, unknown>>;
}

const LEAF_PREFIX = Uint8Array.of(0);

export function encodeLeaf(leaf: Leaf): Uint8Array {
  const { height, index, time: at, tx, item, result } = leaf;
  return encodeCbor({ v: 1, height, index, time: at, tx, item, result });
}

const fields = map<Leaf & { readonly v: 1 }>({
  v: oneOf(1),
  height: count,
  index: count,
  time,
  tx: (value, path) => (value instanceof Uint8Array ? value : malformed(path, 'bytes')),
  item: integer(0, TRANSACTION_ITEMS_MAX - 1),
  result: ((value, path) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
      ? value
      : malformed(path, 'a map')) as Decode<Readonly<Record<string, unknown>>>,
});

/** Throws `cbor.malformed` or `entry.malformed`. */
export function decodeLeaf(bytes: Uint8Array): Leaf {
  const { height, index, time: at, tx, item, result } = fields(decodeCbor(bytes), 'leaf');
  return { height, index, time: at, tx, item, result };
}

/** The entry id: the RFC 6962 leaf hash SHA-256(0x00 || leaf). For a KeyIssue it is the keyId. */
export function entryId(leaf: Uint8Array): Uint8Array {
  return sha256(LEAF_PREFIX, leaf);
}
