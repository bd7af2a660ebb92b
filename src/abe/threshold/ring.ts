/**
 * The client's key ring: what each authority has given for one (keyId, generation, share epoch), kept apart per
 * authority. A gate comes from t authorities that need not be the t whose parts were combined last, so a
 * combined key alone could not be extended. Immutable: adding returns a new ring. The ring is the subject's
 * secret.
 */
import { equalBytes, fromHex, toHex } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { decodeFields, isBytes, isWhole } from '../decode.ts';
import { ABE_ERROR } from '../errors.ts';
import type { AuthorityKeys } from './keys.ts';
import { decodePart, encodePart, KEY_ID_BYTES, type KeyPart } from './part.ts';

const RING_FORMAT = 1;
const RING_BYTES_MAX = 64 * 1024 * 1024;
/** Leaves kept of one authority: attributes and the gates of records that may be reopened. */
export const RING_LEAVES_MAX = 100_000;

/** One authority's contribution: encoded points, decoded when used. */
export interface RingPart {
  readonly k1: Uint8Array;
  readonly k3: Uint8Array;
  /** 48-byte k2 by the leaf's hexadecimal. */
  readonly leaves: ReadonlyMap<string, Uint8Array>;
}

export interface KeyRing {
  readonly mpkHash: Uint8Array;
  readonly shareEpoch: number;
  readonly keyId: Uint8Array;
  readonly generation: number;
  readonly parts: ReadonlyMap<number, RingPart>;
}

/** An empty ring for a key of `keys`' consortium. */
export function emptyKeyRing(keys: AuthorityKeys, keyId: Uint8Array, generation: number): KeyRing {
  return { mpkHash: keys.mpk.hash, shareEpoch: keys.shareEpoch, keyId, generation, parts: new Map() };
}

function mismatch(what: string): never {
  throw new CodedError(ABE_ERROR.partMismatch, `expected a part of this key: ${what} differs`);
}

function checkBelongs(ring: KeyRing, part: KeyPart): void {
  if (!equalBytes(part.mpkHash, ring.mpkHash)) mismatch('the master public key');
  if (part.shareEpoch !== ring.shareEpoch) mismatch('the share epoch');
  if (!equalBytes(part.keyId, ring.keyId)) mismatch('the key id');
  if (part.generation !== ring.generation) mismatch('the generation');
  if (part.authority < 1) mismatch('the authority');
}

/**
 * `ring` with the parts that `encoded` hold, in order. A first part of an authority replaces what was there; an
 * extension needs one. Throws `abe.part_malformed`, `abe.part_mismatch`, `abe.ring_full`; points are checked when
 * they are combined.
 */
export function addKeyParts(ring: KeyRing, encoded: readonly Uint8Array[]): KeyRing {
  return withParts(ring, encoded.map(decodePart));
}

function withParts(ring: KeyRing, added: readonly KeyPart[]): KeyRing {
  const parts = new Map(ring.parts);
  for (const part of added) {
    checkBelongs(ring, part);
    const present = parts.get(part.authority);
    const base = part.base ?? present;
    if (base === undefined) mismatch('an extension came before the first part: its authority');
    const kept = present !== undefined && (part.base === undefined || sameBase(present, part.base));
    const leaves = new Map(kept ? present.leaves : []);
    for (const { leaf, point } of part.leaves) leaves.set(toHex(leaf), point);
    if (leaves.size > RING_LEAVES_MAX) {
      throw new CodedError(
        ABE_ERROR.ringFull,
        `a ring keeps at most ${RING_LEAVES_MAX} leaves of an authority: let it forget old gates (filterLeaves)`,
      );
    }
    parts.set(part.authority, { k1: base.k1, k3: base.k3, leaves });
  }
  return { ...ring, parts };
}

const sameBase = (a: { k1: Uint8Array; k3: Uint8Array }, b: { k1: Uint8Array; k3: Uint8Array }): boolean =>
  equalBytes(a.k1, b.k1) && equalBytes(a.k3, b.k3);

/** `ring` without what `authority` gave: to ask it again after it was found wrong. */
export function dropAuthority(ring: KeyRing, authority: number): KeyRing {
  const parts = new Map(ring.parts);
  parts.delete(authority);
  return { ...ring, parts };
}

/** `ring` with only the leaves for which `keep` holds: old gates need not be kept. */
export function filterLeaves(ring: KeyRing, keep: (leafHex: string) => boolean): KeyRing {
  const parts = new Map<number, RingPart>();
  for (const [authority, part] of ring.parts) {
    parts.set(authority, { ...part, leaves: new Map([...part.leaves].filter(([hex]) => keep(hex))) });
  }
  return { ...ring, parts };
}

/** Canonical bytes: dag-cbor [format, the parts in order of authority], each as `encodePart` gives it. */
export function encodeKeyRing(ring: KeyRing): Uint8Array {
  const { mpkHash, shareEpoch, keyId, generation } = ring;
  const authorities = [...ring.parts.entries()].sort(([a], [b]) => a - b);
  return encodeCbor([
    RING_FORMAT,
    mpkHash,
    shareEpoch,
    keyId,
    generation,
    authorities.map(([authority, { k1, k3, leaves }]) =>
      encodePart({
        mpkHash,
        shareEpoch,
        keyId,
        generation,
        authority,
        base: { k1, k3 },
        leaves: [...leaves.keys()].sort().map((hex) => ({
          leaf: fromHex(hex),
          point: leaves.get(hex) ?? new Uint8Array(),
        })),
      }),
    ),
  ]);
}

/** The ring that `bytes` encode; throws `abe.part_malformed` or `abe.part_mismatch`. */
export function decodeKeyRing(bytes: Uint8Array): KeyRing {
  const [format, mpkHash, shareEpoch, keyId, generation, parts] =
    decodeFields(bytes, 6, RING_BYTES_MAX) ?? [];
  if (
    format !== RING_FORMAT ||
    !isBytes(mpkHash, 32) ||
    !isBytes(keyId, KEY_ID_BYTES) ||
    !isWhole(shareEpoch) ||
    !isWhole(generation) ||
    !Array.isArray(parts) ||
    !parts.every((part): part is Uint8Array => part instanceof Uint8Array)
  ) {
    throw new CodedError(ABE_ERROR.partMalformed, 'expected an encoded key ring');
  }
  const decoded = parts.map(decodePart);
  // A part that came twice, or late, would be merged in silence, and two encodings would be one ring.
  if (
    decoded.some(
      ({ authority, base }, i) => base === undefined || authority <= (decoded[i - 1]?.authority ?? 0),
    )
  ) {
    throw new CodedError(
      ABE_ERROR.partMalformed,
      'expected a key ring with one first part of each authority, in ascending order',
    );
  }
  return withParts({ mpkHash, shareEpoch, keyId, generation, parts: new Map() }, decoded);
}
