/**
 * Leaves: the byte strings that are hashed to the curve (notes of the suite: one DST, typed input). A leaf is a
 * type byte followed by its fields, each a 2-byte big-endian length and that many bytes. Two leaves of
 * different kinds never have equal bytes, whatever text a user chooses: an attribute called `gate` is no gate,
 * and nothing that can be granted hashes to H(b), which would give its holder the master key.
 *
 * The issuer is the first field of every leaf that speaks of a label (01 to 05). It stands in the numeric
 * nodes too: otherwise a number granted by one hospital would satisfy a range over another's.
 */
import { concat, u64be, utf8 } from '../../codec/bytes.ts';

export const LEAF_TYPE = {
  b: 0x00,
  attribute: 0x01,
  level: 0x02,
  /** A node on the path of a key's value. */
  valuePath: 0x03,
  /** A node of the cover of a key's validity window; one byte apart, or the shared root would satisfy all. */
  windowCover: 0x04,
  notEqual: 0x05,
  epoch: 0x06,
  gate: 0x07,
  emergency: 0x08,
} as const;

/** Bytes of a record id. */
export const RECORD_ID_BYTES = 32;

const NUMBER_TYPE = { int: 0, date: 1 } as const;

/** A node of the binary tree over all values of `width` bits: the `depth` highest bits are `prefix`. */
export interface TreeNode {
  readonly depth: number;
  readonly prefix: bigint;
}

function leaf(type: number, ...fields: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(type)];
  for (const field of fields) {
    if (field.length > 0xffff) throw new RangeError('leaf field too long');
    parts.push(Uint8Array.of(field.length >>> 8, field.length & 255), field);
  }
  return concat(...parts);
}

/** The leaf b of the scheme: H(b) blinds the master secret. Never granted, never part of a policy. */
export function bLeaf(): Uint8Array {
  return leaf(LEAF_TYPE.b);
}

/** `issuer/label:value` on text. */
export function attributeLeaf(issuer: string, label: string, value: string): Uint8Array {
  return leaf(LEAF_TYPE.attribute, utf8(issuer), utf8(label), utf8(value));
}

/** "At least `level`": a key holds one for each level up to its own. */
export function levelLeaf(issuer: string, label: string, width: number, level: number): Uint8Array {
  return leaf(LEAF_TYPE.level, utf8(issuer), utf8(label), Uint8Array.of(width), Uint8Array.of(level));
}

/** A node on the path of a number or date. */
export function valuePathLeaf(
  issuer: string,
  label: string,
  type: 'int' | 'date',
  width: number,
  node: TreeNode,
): Uint8Array {
  return treeLeaf(LEAF_TYPE.valuePath, issuer, label, type, width, node);
}

/** A node of a validity window's cover: what a key would hold so that a header can name one day. */
export function windowCoverLeaf(
  issuer: string,
  label: string,
  type: 'int' | 'date',
  width: number,
  node: TreeNode,
): Uint8Array {
  return treeLeaf(LEAF_TYPE.windowCover, issuer, label, type, width, node);
}

function treeLeaf(
  leafType: number,
  issuer: string,
  label: string,
  type: 'int' | 'date',
  width: number,
  { depth, prefix }: TreeNode,
): Uint8Array {
  const prefixBytes = new Uint8Array(8);
  new DataView(prefixBytes.buffer).setBigUint64(0, prefix);
  return leaf(
    leafType,
    utf8(issuer),
    utf8(label),
    Uint8Array.of(NUMBER_TYPE[type]),
    Uint8Array.of(width),
    Uint8Array.of(depth),
    prefixBytes,
  );
}

/** "The holder has this finite label, and `value` is none of its values." */
export function notEqualLeaf(issuer: string, label: string, value: string): Uint8Array {
  return leaf(LEAF_TYPE.notEqual, utf8(issuer), utf8(label), utf8(value));
}

/** The validity epoch of keys and of policies that are opened without a gate. */
export function epochLeaf(epoch: number): Uint8Array {
  return leaf(LEAF_TYPE.epoch, u64be(epoch));
}

/** What a committed access to this version of a record releases. */
export function gateLeaf(recordId: Uint8Array, version: number): Uint8Array {
  return leaf(LEAF_TYPE.gate, recordIdField(recordId), u64be(version));
}

/** What a committed break-glass on this version of a record releases. */
export function emergencyLeaf(recordId: Uint8Array, version: number): Uint8Array {
  return leaf(LEAF_TYPE.emergency, recordIdField(recordId), u64be(version));
}

function recordIdField(recordId: Uint8Array): Uint8Array {
  if (recordId.length !== RECORD_ID_BYTES) {
    throw new RangeError(`expected a record id of ${RECORD_ID_BYTES} bytes, got ${recordId.length}`);
  }
  return recordId;
}
