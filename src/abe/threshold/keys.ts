/**
 * The public keys of the authorities: E_i = e(g1, g2)^alpha_i for the points 1..n of a polynomial of degree
 * t - 1 with value alpha at 0. They exist in GT only: g1^alpha_i would hand out the master key.
 * The consistency check makes sure that every quorum gives the same key; without it quorums could disagree.
 */
import { u32be, utf8 } from '../../codec/bytes.ts';
import { encodeCbor } from '../../codec/cbor.ts';
import { CodedError } from '../../codec/errors.ts';
import { hmacSha512, sha256 } from '../../codec/hash.ts';
import { decodeFields, isBytes, isWhole } from '../decode.ts';
import { ABE_DOMAIN, SUITE } from '../domains.ts';
import { ABE_ERROR } from '../errors.ts';
import { evaluate, invert, mod, reduceWide } from '../group/scalar.ts';
import { type Group, type GT, GT_BYTES } from '../group/types.ts';
import { type MasterPublicKey, masterPublicKey } from '../scheme/mpk.ts';

/** Authorities of one consortium. Interpolation, ceremony and combining are quadratic in it. */
export const AUTHORITIES_MAX = 64;
const KEYS_FORMAT = 1;
const KEYS_BYTES_MAX = (AUTHORITIES_MAX + 2) * (GT_BYTES + 8);

export interface AuthorityKeys {
  readonly mpk: MasterPublicKey;
  /** How many authorities there are, at the points 1..n. */
  readonly n: number;
  /** How many parts make a key: the PBFT quorum. */
  readonly t: number;
  /** Counts refreshes and resharings; unrelated to the validator epoch. */
  readonly shareEpoch: number;
  /** E_1 .. E_n. */
  readonly E: readonly GT[];
}

function malformed(expected: string, cause?: unknown): never {
  throw new CodedError(ABE_ERROR.parametersMalformed, `expected ${expected}`, { cause });
}

/**
 * Whether E, E_1 .. E_n lie on one polynomial of degree t - 1 in the exponent: the product of all values raised
 * to a random word of the dual code is 1 (SCRAPE, eprint 2017/216, section 2.1). The word is drawn by hashing
 * the values, so the check needs no randomness; a wrong set passes with probability 1 / order.
 */
export function onOnePolynomial(group: Group, E: GT, shares: readonly GT[], t: number): boolean {
  const values = [E, ...shares];
  const seed = sha256(...values.map((value) => group.encodeGT(value)));
  const label = utf8(ABE_DOMAIN.dualCode);
  const word = Array.from({ length: values.length - t }, (_, i) =>
    reduceWide(hmacSha512(seed, label, u32be(t), u32be(i))),
  );
  let product = group.powGT(group.gt, 0n);
  for (let x = 0; x < values.length; x++) {
    let denominator = 1n;
    for (let y = 0; y < values.length; y++) {
      if (y !== x) denominator = mod(denominator * BigInt(x - y));
    }
    const weight = mod(invert(denominator) * evaluate(word, BigInt(x)));
    product = group.mulGT(product, group.powGT(values[x], weight));
  }
  return group.equalGT(product, group.powGT(group.gt, 0n));
}

/** Checked public keys; throws `abe.parameters_malformed`. Cost: n + 1 exponentiations in GT, and E's tables. */
export function authorityKeys(
  group: Group,
  values: { E: GT; shares: readonly GT[]; t: number; shareEpoch: number },
): AuthorityKeys {
  const { E, shares, t, shareEpoch } = values;
  const n = shares.length;
  if (n < 1 || n > AUTHORITIES_MAX) malformed(`1 to ${AUTHORITIES_MAX} authorities, got ${n}`);
  if (!Number.isInteger(t) || t < 1 || t > n) malformed(`a threshold from 1 to ${n}`);
  if (!Number.isSafeInteger(shareEpoch) || shareEpoch < 0) malformed('a share epoch that is a whole number');
  if (!onOnePolynomial(group, E, shares, t)) malformed('keys that lie on one polynomial with the master key');
  return Object.freeze({ mpk: masterPublicKey(group, E), n, t, shareEpoch, E: Object.freeze([...shares]) });
}

/** Canonical bytes: dag-cbor [format, suite, t, share epoch, E, [E_1, .. E_n]]. */
export function encodeAuthorityKeys(group: Group, keys: AuthorityKeys): Uint8Array {
  const shares = keys.E.map((value) => group.encodeGT(value));
  return encodeCbor([KEYS_FORMAT, SUITE, keys.t, keys.shareEpoch, keys.mpk.bytes, shares]);
}

/** Decodes with membership and consistency checks; throws `abe.parameters_malformed`. About 3 ms a key. */
export function decodeAuthorityKeys(group: Group, bytes: Uint8Array): AuthorityKeys {
  const [format, suite, t, shareEpoch, E, shares] = decodeFields(bytes, 6, KEYS_BYTES_MAX) ?? [];
  if (
    format !== KEYS_FORMAT ||
    suite !== SUITE ||
    !isWhole(t) ||
    !isWhole(shareEpoch) ||
    !Array.isArray(shares)
  ) {
    return malformed(`authority keys of format ${KEYS_FORMAT} and suite ${SUITE}`);
  }
  if (shares.length > AUTHORITIES_MAX) malformed(`at most ${AUTHORITIES_MAX} authorities`);
  const read = (encoded: unknown): GT => {
    if (!isBytes(encoded, GT_BYTES)) return malformed('576 bytes of each key');
    try {
      return group.decodeGT(encoded);
    } catch (cause) {
      return malformed('keys in GT', cause);
    }
  };
  return authorityKeys(group, { E: read(E), shares: shares.map(read), t, shareEpoch });
}
