/**
 * The master public key E = e(g1, g2)^alpha. Its hash covers suite and E only, never n, t or the E_i, so that
 * a refresh or resharing leaves every header and key valid in form (abe-security: header binding).
 */
import { concat, toHex } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { taggedHash } from '../../codec/hash.ts';
import { decodeFields, isBytes } from '../decode.ts';
import { ABE_DOMAIN, SUITE } from '../domains.ts';
import { ABE_ERROR } from '../errors.ts';
import { type Group, type GT, GT_BYTES } from '../group/types.ts';
import { bLeaf } from '../policy/index.ts';

/** Format version of an encoded master public key. */
const MPK_FORMAT = 1;
const MPK_BYTES_MAX = 1024;

export interface MasterPublicKey {
  readonly suite: typeof SUITE;
  readonly E: GT;
  /** 576 bytes of E. */
  readonly bytes: Uint8Array;
  /** 32 bytes: SHA-256 under a tag of suite and E. */
  readonly hash: Uint8Array;
}

function malformed(expected: string, cause?: unknown): never {
  throw new CodedError(ABE_ERROR.parametersMalformed, `expected ${expected}`, { cause });
}

/** Master public keys remembered for each group, so that all who decode one share its tables. */
const KNOWN_MAX = 8;
const known = new WeakMap<Group, Map<string, MasterPublicKey>>();

/**
 * The master public key over `E`, with fixed-base tables for E and H(b) (about 0.15 s and 8 MiB the first time).
 * Throws `abe.parameters_malformed` for the identity, under which every header would be open to all.
 */
export function masterPublicKey(group: Group, E: GT): MasterPublicKey {
  const bytes = group.encodeGT(E);
  const hash = taggedHash(ABE_DOMAIN.mpkHash, Uint8Array.of(SUITE), bytes);
  const ofGroup = known.get(group) ?? new Map<string, MasterPublicKey>();
  known.set(group, ofGroup);
  const present = ofGroup.get(toHex(hash));
  if (present !== undefined) return present;
  if (group.equalGT(E, group.powGT(group.gt, 0n))) malformed('a master public key that is not the identity');
  group.prepare(E);
  group.prepare(group.hashToG1(bLeaf()));
  const mpk: MasterPublicKey = Object.freeze({ suite: SUITE, E, bytes, hash });
  if (ofGroup.size >= KNOWN_MAX) ofGroup.clear();
  ofGroup.set(toHex(hash), mpk);
  return mpk;
}

/** Canonical bytes: dag-cbor [format, suite, E]. */
export function encodeMpk(mpk: MasterPublicKey): Uint8Array {
  return encodeCbor([MPK_FORMAT, SUITE, mpk.bytes]);
}

/** The key that `bytes` encode, with the membership test on E; throws `abe.parameters_malformed`. */
export function decodeMpk(group: Group, bytes: Uint8Array): MasterPublicKey {
  const [format, suite, encoded] = decodeFields(bytes, 3, MPK_BYTES_MAX) ?? [];
  if (format !== MPK_FORMAT || suite !== SUITE || !isBytes(encoded, GT_BYTES)) {
    return malformed(`a master public key of format ${MPK_FORMAT} and suite ${SUITE}`);
  }
  let E: GT;
  try {
    E = group.decodeGT(encoded);
  } catch (cause) {
    return malformed('a master public key in GT', cause);
  }
  return masterPublicKey(group, E);
}

/** Suite and mpk hash as one prefix for derivations that must not cross keys. */
export function mpkContext(mpk: MasterPublicKey): Uint8Array {
  return concat(Uint8Array.of(SUITE), mpk.hash);
}
