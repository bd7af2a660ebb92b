/**
 * A part: what one authority contributes to a key. The first part of a key carries k1 and k3; an extension
 * carries leaves earned later (attributes, consents, gates) under the same randomness and neither of them.
 * Points stay bytes here; they are decoded when they are combined or checked.
 */
import { compareBytes, concat, toHex } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { decodeFields, isBytes, isWhole } from '../decode.ts';
import { SUITE } from '../domains.ts';
import { ABE_ERROR } from '../errors.ts';
import { G1_BYTES, G2_BYTES } from '../group/types.ts';

const PART_FORMAT = 1;
/** Bytes of a key id: the leaf hash of the entry that issued the key. */
export const KEY_ID_BYTES = 32;
/** Leaves of one part: 256 attributes, some of which are 64-bit numbers with 65 leaves each. */
export const PART_LEAVES_MAX = 8192;
/** Longest leaf: two issuer and label fields and a value of 256 bytes. */
export const LEAF_BYTES_MAX = 512;
const PART_BYTES_MAX = 4 * 1024 * 1024;

/** What a part belongs to. Two parts combine only when all of these but `authority` are equal. */
export interface PartHeader {
  readonly mpkHash: Uint8Array;
  readonly shareEpoch: number;
  readonly keyId: Uint8Array;
  readonly generation: number;
  /** Point 1..n of the authority. */
  readonly authority: number;
}

export interface KeyPart extends PartHeader {
  /** k1 and k3 of a first part; undefined in an extension. */
  readonly base: { readonly k1: Uint8Array; readonly k3: Uint8Array } | undefined;
  /** Leaves in ascending byte order with their 48-byte k2. */
  readonly leaves: readonly { readonly leaf: Uint8Array; readonly point: Uint8Array }[];
}

/**
 * Canonical bytes: dag-cbor [format, suite, mpk hash, share epoch, key id, generation, authority, base, leaves,
 * points]; base is null or k1 || k3, points the concatenation in the order of the leaves.
 */
export function encodePart(part: KeyPart): Uint8Array {
  return encodeCbor([
    PART_FORMAT,
    SUITE,
    part.mpkHash,
    part.shareEpoch,
    part.keyId,
    part.generation,
    part.authority,
    part.base === undefined ? null : concat(part.base.k1, part.base.k3),
    part.leaves.map(({ leaf }) => leaf),
    concat(...part.leaves.map(({ point }) => point)),
  ]);
}

function malformed(expected: string): never {
  throw new CodedError(ABE_ERROR.partMalformed, `expected a key part with ${expected}`);
}

const wholeNumber = (value: unknown, name: string): number => (isWhole(value) ? value : malformed(name));

const bytesOf = (value: unknown, length: number, name: string): Uint8Array =>
  isBytes(value, length) ? value : malformed(`${length} bytes of ${name}`);

function decodeLeaves(leaves: unknown, points: unknown): KeyPart['leaves'] {
  if (!Array.isArray(leaves) || leaves.length > PART_LEAVES_MAX) {
    return malformed(`at most ${PART_LEAVES_MAX} leaves`);
  }
  const encoded = bytesOf(points, leaves.length * G1_BYTES, 'points');
  let previous: Uint8Array | undefined;
  return leaves.map((leaf: unknown, i) => {
    if (!(leaf instanceof Uint8Array) || leaf.length === 0 || leaf.length > LEAF_BYTES_MAX) {
      return malformed(`leaves of 1 to ${LEAF_BYTES_MAX} bytes`);
    }
    if (previous !== undefined && compareBytes(previous, leaf) >= 0) malformed('leaves in ascending order');
    previous = leaf;
    return { leaf, point: encoded.subarray(i * G1_BYTES, (i + 1) * G1_BYTES) };
  });
}

/** The part that `bytes` encode; throws `abe.part_malformed`. Checks no point: see `verifyPart`. */
export function decodePart(bytes: Uint8Array): KeyPart {
  const [format, suite, mpkHash, shareEpoch, keyId, generation, authority, base, leaves, points] =
    decodeFields(bytes, 10, PART_BYTES_MAX) ?? malformed('ten fields of canonical dag-cbor');
  if (format !== PART_FORMAT || suite !== SUITE) malformed(`format ${PART_FORMAT} and suite ${SUITE}`);
  const both = base === null ? undefined : bytesOf(base, G1_BYTES + G2_BYTES, 'k1 and k3');
  return {
    mpkHash: bytesOf(mpkHash, 32, 'mpk hash'),
    shareEpoch: wholeNumber(shareEpoch, 'a share epoch'),
    keyId: bytesOf(keyId, KEY_ID_BYTES, 'key id'),
    generation: wholeNumber(generation, 'a generation'),
    authority: wholeNumber(authority, 'an authority'),
    base: both && { k1: both.subarray(0, G1_BYTES), k3: both.subarray(G1_BYTES) },
    leaves: decodeLeaves(leaves, points),
  };
}

/** Distinct `leaves` in ascending order. */
export function sortLeaves(leaves: readonly Uint8Array[]): Uint8Array[] {
  const distinct = new Map(leaves.map((leaf) => [toHex(leaf), leaf]));
  return [...distinct.values()].sort(compareBytes);
}
