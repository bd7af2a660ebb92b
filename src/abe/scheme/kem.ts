/**
 * FO-K: the CCA layer (abe-security section 4). m is random for every header;
 *
 *   (s, s', v) = XOF(m, context)     w = m xor H1(K)     kek = H2(K, m, core bytes)
 *
 * The opener recomputes s and s' from m and accepts iff c1 = g2^s, c2_j = g2^(s'_j) and K' = E^s. With k3 not the
 * identity this holds iff the used rows are well formed, whatever their number. FO-K as written tests that c2_j is
 * in the subgroup; equality with a power of g2 implies that, costs less with a table, and accepts less.
 * K is hashed as 576 bytes in our stated order.
 * AES-GCM does not commit to its key, so the wrap carries a commitment to the kek that is compared first.
 */

import { gcmOpen, gcmSeal } from '../../codec/aead.ts';
import { constantTimeEqual, u32be, u64be, utf8 } from '../../codec/bytes.ts';
import { hmacSha256, hmacSha512, taggedHash } from '../../codec/hash.ts';
import { ABE_DOMAIN } from '../domains.ts';
import { reduceWide } from '../group/scalar.ts';
import type { Randomness } from './equations.ts';
import { type MasterPublicKey, mpkContext } from './mpk.ts';

/** Bytes of m, w, a data key, a commitment and a kek. */
export const KEM_BYTES = 32;
/** Bytes of a wrapped data key: 32 and the GCM tag. */
export const WRAPPED_BYTES = 48;
/** The wrap key is used for exactly one message, so the nonce is constant. */
const WRAP_NONCE = new Uint8Array(12);

/** What a header is bound to besides its own bytes. */
export interface HeaderContext {
  readonly mpk: MasterPublicKey;
  /** 32 bytes. */
  readonly recordId: Uint8Array;
  readonly version: number;
  readonly gate: 'record' | 'none';
  readonly emergency: boolean;
  readonly epoch: number | undefined;
  /** Canonical bytes of the policy. */
  readonly policyBytes: Uint8Array;
}

/** 32 bytes over suite, mpk hash, record id, version, flags, epoch and policy; all but the last of fixed length. */
export function contextHash(context: HeaderContext): Uint8Array {
  return taggedHash(
    ABE_DOMAIN.context,
    mpkContext(context.mpk),
    context.recordId,
    u64be(context.version),
    Uint8Array.of(
      context.gate === 'record' ? 1 : 0,
      context.emergency ? 1 : 0,
      context.epoch === undefined ? 0 : 1,
    ),
    u64be(context.epoch ?? 0),
    context.policyBytes,
  );
}

const XOF_LABEL = utf8(ABE_DOMAIN.xof);

/** Scalar `index` of XOF(m, context): 64 bytes of HMAC-SHA-512 keyed by m, reduced. */
function xofScalar(m: Uint8Array, context: Uint8Array, index: number): bigint {
  return reduceWide(hmacSha512(m, XOF_LABEL, context, u32be(index)));
}

/** The exponents that an opener recomputes: s, then s'_1 .. s'_tau. */
export function deriveExponents(m: Uint8Array, context: Uint8Array, tau: number): [bigint, ...bigint[]] {
  const sPrime = Array.from({ length: tau }, (_, j) => xofScalar(m, context, 1 + j));
  return [xofScalar(m, context, 0), ...sPrime];
}

/** All of (s, s'_1 .. s'_tau, v_1 .. v_(columns-1)), in this order of indices. */
export function deriveRandomness(
  m: Uint8Array,
  context: Uint8Array,
  tau: number,
  columns: number,
): Randomness {
  const [s, ...sPrime] = deriveExponents(m, context, tau);
  const v = Array.from({ length: columns - 1 }, (_, i) => xofScalar(m, context, 1 + tau + i));
  return { s, sPrime, v };
}

/** m xor H1(K); its own inverse. */
export function maskWithH1(value: Uint8Array, K: Uint8Array): Uint8Array {
  const mask = taggedHash(ABE_DOMAIN.h1, K);
  return value.map((byte, i) => byte ^ mask[i]);
}

/** The key-encryption key: H2 over K (576 bytes), m (32 bytes) and every byte of the header's core. */
export function deriveKek(K: Uint8Array, m: Uint8Array, core: Uint8Array): Uint8Array {
  return taggedHash(ABE_DOMAIN.h2, K, m, core);
}

/** Seals a data key: a commitment to the kek, and AES-256-GCM under a key expanded from it, bound to `core`. */
export function wrapDataKey(
  kek: Uint8Array,
  core: Uint8Array,
  dataKey: Uint8Array,
): { commitment: Uint8Array; wrapped: Uint8Array } {
  const wrapKey = hmacSha256(kek, utf8(ABE_DOMAIN.wrapKey));
  return {
    commitment: hmacSha256(kek, utf8(ABE_DOMAIN.wrapCommitment)),
    wrapped: gcmSeal(wrapKey, WRAP_NONCE, taggedHash(ABE_DOMAIN.wrapAad, core), dataKey),
  };
}

/** The data key, or undefined when commitment or tag do not fit. */
export function unwrapDataKey(
  kek: Uint8Array,
  core: Uint8Array,
  commitment: Uint8Array,
  wrapped: Uint8Array,
): Uint8Array | undefined {
  if (!constantTimeEqual(hmacSha256(kek, utf8(ABE_DOMAIN.wrapCommitment)), commitment)) return undefined;
  const wrapKey = hmacSha256(kek, utf8(ABE_DOMAIN.wrapKey));
  try {
    return gcmOpen(wrapKey, WRAP_NONCE, taggedHash(ABE_DOMAIN.wrapAad, core), wrapped);
  } catch {
    return undefined;
  }
}
