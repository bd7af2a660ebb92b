/**
 * The leaf: what the RFC 6962 log commits to for one entry. It holds the signed bytes as they came, so that
 * anybody can check the signature years later, and the verdict that the state machine reached.
 */
import { concat, u32be, u64be, utf8 } from '../../codec/bytes.ts';
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

/**
 * Canonical dag-cbor of the leaf, written field by field in the order of the encoding (by length of the name, then
 * by its bytes): a validator encodes thousands a second. test/ledger/entries holds it to the generic encoder.
 */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  const { result } = leaf;
  return joinLeaf(leaf, result === EMPTY_RESULT ? EMPTY_MAP : encodeCbor(result));
}

/** The leaf whose result has these bytes; `leafResult` gives them back. */
export function joinLeaf(leaf: Omit<Leaf, 'result'>, result: Uint8Array): Uint8Array {
  const { height, index, time: at, tx, item } = leaf;
  return concat(
    LEAF_HEAD,
    cborHead(MAJOR_BYTES, tx.length),
    tx,
    ITEM_NAME,
    cborHead(MAJOR_UNSIGNED, item),
    TIME_NAME,
    cborHead(MAJOR_UNSIGNED, at),
    INDEX_NAME,
    cborHead(MAJOR_UNSIGNED, index),
    HEIGHT_NAME,
    cborHead(MAJOR_UNSIGNED, height),
    RESULT_NAME,
    result,
  );
}

/** The result of an entry of which nothing is said. */
export const EMPTY_RESULT: Readonly<Record<string, never>> = Object.freeze({});

const MAJOR_UNSIGNED = 0x00;
const MAJOR_BYTES = 0x40;
const MAJOR_TEXT = 0x60;
const EMPTY_MAP = Uint8Array.of(0xa0);

/** Initial byte and argument of a CBOR item, in the shortest form (RFC 8949, section 3). */
function cborHead(major: number, value: number): Uint8Array {
  if (value < 24) return Uint8Array.of(major | value);
  if (value < 0x100) return Uint8Array.of(major | 24, value);
  if (value < 0x10000) return Uint8Array.of(major | 25, value >>> 8, value & 255);
  if (value < 2 ** 32) return concat(Uint8Array.of(major | 26), u32be(value));
  return concat(Uint8Array.of(major | 27), u64be(value));
}

const name = (text: string): Uint8Array => concat(cborHead(MAJOR_TEXT, text.length), utf8(text));
/** A map of seven fields, `v: 1`, and the name of `tx`. */
const LEAF_HEAD = concat(Uint8Array.of(0xa7), name('v'), Uint8Array.of(1), name('tx'));
const ITEM_NAME = name('item');
const TIME_NAME = name('time');
const INDEX_NAME = name('index');
const HEIGHT_NAME = name('height');
const RESULT_NAME = name('result');

/** Bytes of the result of an encoded leaf: it stands last. Looks at nothing but lengths. */
export function leafResult(leaf: Uint8Array): Uint8Array {
  let at = LEAF_HEAD.length;
  const head = (): number => {
    const size = HEAD_BYTES[(leaf[at] & 31) - 24] ?? 0;
    let value = size === 0 ? leaf[at] & 31 : 0;
    for (let i = 1; i <= size; i++) value = 256 * value + leaf[at + i];
    at += 1 + size;
    return value;
  };
  const txLength = head();
  at += txLength;
  for (const before of [ITEM_NAME, TIME_NAME, INDEX_NAME, HEIGHT_NAME]) {
    at += before.length;
    head();
  }
  return leaf.subarray(at + RESULT_NAME.length);
}

/** Bytes of an argument whose initial byte ends in 24 to 27. */
const HEAD_BYTES: readonly number[] = [1, 2, 4, 8];

const fields = map<Leaf & { readonly v: 1 }>({
  v: oneOf(1),
  height: count,
  index: count,
  time,
  tx: (value, field) => (value instanceof Uint8Array ? value : malformed(field, 'bytes')),
  item: integer(0, TRANSACTION_ITEMS_MAX - 1),
  result: ((value, field) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
      ? value
      : malformed(field, 'a map')) as Decode<Readonly<Record<string, unknown>>>,
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
