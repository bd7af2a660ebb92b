/**
 * Issuing: one authority's part of a key.
 *
 *   part_i = ( g1^alpha_i H(b)^r_i,  { H(u)^r_i },  g2^r_i ),   r_i = PRF_i(mpk hash, share epoch, keyId, generation)
 *
 * alpha_i, the PRF seed and every r_i are equally secret: k1_i / H(b)^r_i = g1^alpha_i. Nothing here returns,
 * logs or stores an r_i. Deriving r_i and all multiplications by it are constant time over mcl-wasm. An authority passes
 * leaves that it built itself from committed entries, never bytes or points from a client; whether an entry may be served
 * is decided by the caller, not here.
 */
import { compareBytes, constantTimeEqual, u64be, utf8 } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { hmacSha512 } from '../../codec/hash.ts';
import { decodeFields, isBytes, isWhole } from '../decode.ts';
import { ABE_DOMAIN, SUITE } from '../domains.ts';
import { ABE_ERROR, requireArgument } from '../errors.ts';
import { reduceSecret, scalarFromBytes } from '../group/scalar.ts';
import { type G1, type Group, SCALAR_BYTES, type SecretScalar } from '../group/types.ts';
import { bLeaf, LEAF_TYPE } from '../policy/index.ts';
import { encodePart, KEY_ID_BYTES, LEAF_BYTES_MAX, PART_LEAVES_MAX, sortLeaves } from './part.ts';

const SHARE_FORMAT = 1;
const SHARE_BYTES_MAX = 1024;
/** Bytes of an authority's PRF seed. */
export const SEED_BYTES = 32;

/** One authority's secret. Erased together, share and seed, when the share epoch ends. */
export interface AuthorityShare {
  /** Point 1..n. */
  readonly authority: number;
  readonly shareEpoch: number;
  readonly mpkHash: Uint8Array;
  readonly alpha: SecretScalar;
  /** 32 bytes, drawn by the authority itself, fresh for each share epoch. */
  readonly seed: Uint8Array;
}

/** An opened share: holds g1^alpha_i, which is as secret as the share. */
export interface Authority {
  readonly group: Group;
  readonly share: AuthorityShare;
  readonly g1Alpha: G1;
}

/** Canonical bytes of a share, for the authority's encrypted keystore only. */
export function encodeAuthorityShare(share: AuthorityShare): Uint8Array {
  const { authority, shareEpoch, mpkHash, alpha, seed } = share;
  return encodeCbor([SHARE_FORMAT, SUITE, authority, shareEpoch, mpkHash, alpha, seed]);
}

/** The share that `bytes` encode; throws `abe.part_malformed`. */
export function decodeAuthorityShare(bytes: Uint8Array): AuthorityShare {
  const [format, suite, authority, shareEpoch, mpkHash, alpha, seed] =
    decodeFields(bytes, 7, SHARE_BYTES_MAX) ?? [];
  if (
    format !== SHARE_FORMAT ||
    suite !== SUITE ||
    !isWhole(authority) ||
    authority < 1 ||
    !isWhole(shareEpoch) ||
    !isBytes(mpkHash, 32) ||
    !isBytes(alpha, SCALAR_BYTES) ||
    !isBytes(seed, SEED_BYTES) ||
    scalarFromBytes(alpha) === undefined
  ) {
    throw new CodedError(ABE_ERROR.partMalformed, 'expected an encoded authority share');
  }
  return { authority, shareEpoch, mpkHash, alpha, seed };
}

/** Prepares a share for issuing: one constant-time multiplication. */
export function openAuthority(group: Group, share: AuthorityShare): Authority {
  requireArgument(share.alpha.length === SCALAR_BYTES && share.seed.length === SEED_BYTES, 'a whole share');
  return { group, share, g1Alpha: group.mulSecretG1(group.g1, share.alpha) };
}

const PRF_LABEL = utf8(ABE_DOMAIN.keyRandomness);

function keyRandomness(share: AuthorityShare, keyId: Uint8Array, generation: number): SecretScalar {
  const wide = hmacSha512(
    share.seed,
    PRF_LABEL,
    Uint8Array.of(SUITE),
    share.mpkHash,
    u64be(share.shareEpoch),
    keyId,
    u64be(generation),
  );
  const r = reduceSecret(wide);
  wide.fill(0);
  // A zero would publish g1^alpha_i; it happens once in 2^255 keys.
  requireArgument(!constantTimeEqual(r, new Uint8Array(SCALAR_BYTES)), 'key randomness that is not zero');
  return r;
}

const B = bLeaf();
const KNOWN_TYPES: ReadonlySet<number> = new Set(
  Object.values(LEAF_TYPE).filter((type) => type !== LEAF_TYPE.b),
);

/** H(b)^r_i would give g1^alpha_i away, so no leaf of b's type or of an unknown one is ever raised. */
function checkLeaf(leaf: Uint8Array): void {
  if (leaf.length > LEAF_BYTES_MAX || !KNOWN_TYPES.has(leaf[0]) || compareBytes(leaf, B) === 0) {
    throw new CodedError(ABE_ERROR.leafForbidden, 'expected a leaf built from a committed entry');
  }
}

export interface IssueOptions {
  /** 32 bytes; bound by the state machine to one subject for ever. */
  readonly keyId: Uint8Array;
  /** The subject's current generation. */
  readonly generation: number;
  /** Leaves from committed entries; order and repeats do not matter. */
  readonly leaves: readonly Uint8Array[];
}

function issue(authority: Authority, options: IssueOptions, first: boolean): Uint8Array {
  const { group, share, g1Alpha } = authority;
  const { keyId, generation } = options;
  requireArgument(keyId.length === KEY_ID_BYTES, `a key id has ${KEY_ID_BYTES} bytes`);
  requireArgument(Number.isSafeInteger(generation) && generation >= 0, 'a generation is a whole number');
  requireArgument(options.leaves.length <= PART_LEAVES_MAX, `a part has at most ${PART_LEAVES_MAX} leaves`);
  const leaves = sortLeaves(options.leaves);
  for (const leaf of leaves) checkLeaf(leaf);
  const r = keyRandomness(share, keyId, generation);
  const raise = (leaf: Uint8Array): G1 => group.mulSecretG1(group.hashToG1(leaf), r);
  const base = first
    ? {
        k1: group.encodeG1(group.sumG1([g1Alpha, raise(B)])),
        k3: group.encodeG2(group.mulSecretG2(group.g2, r)),
      }
    : undefined;
  const points = leaves.map((leaf) => ({ leaf, point: group.encodeG1(raise(leaf)) }));
  r.fill(0);
  const { authority: index, mpkHash, shareEpoch } = share;
  return encodePart({ mpkHash, shareEpoch, keyId, generation, authority: index, base, leaves: points });
}

/** Bytes of a first part: k1, k3 and `leaves`. The same request gives the same bytes for ever. */
export function issueKeyPart(authority: Authority, options: IssueOptions): Uint8Array {
  return issue(authority, options, true);
}

/** Bytes of an extension: leaves earned later (attributes, consents, gates, emergency) under the same r_i. */
export function extendKeyPart(authority: Authority, options: IssueOptions): Uint8Array {
  return issue(authority, options, false);
}
