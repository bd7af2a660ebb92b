/**
 * The pairing group that the scheme is written in: BLS12-381, e: G1 x G2 -> GT, prime order r.
 * Two backends implement it with byte-identical results. G1 and G2 are written additively in names (`add`,
 * `mul`), GT multiplicatively (`mulGT`, `powGT`), as their libraries do.
 *
 * Elements are opaque and belong to the backend that made them; mixing backends throws a TypeError.
 * `mul*` and `pow*` are variable time: their scalars are public, or secret for one header only on the machine
 * that knows the plaintext. `mulSecret*` take scalars as bytes, not 0, for public points of the subgroup, and are constant
 * time over mcl-wasm (mcl-secret.ts) and regular in noble (bigint arithmetic is not constant time); an authority
 * uses only these.
 */

export type BackendName = 'mcl' | 'noble';

/** An element of the first source group. */
export interface G1 {
  readonly kind: 'G1';
}
/** An element of the second source group. */
export interface G2 {
  readonly kind: 'G2';
}
/** An element of the target group. */
export interface GT {
  readonly kind: 'GT';
}

/** Order of the three groups. */
export const GROUP_ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;
export const G1_BYTES = 48;
export const G2_BYTES = 96;
/** Twelve coordinates of 48 bytes, big-endian. */
export const GT_BYTES = 576;
export const SCALAR_BYTES = 32;

/** A secret scalar: 32 bytes big-endian, below the order. Its owner fills it with zeros when done. */
export type SecretScalar = Uint8Array;

/**
 * What a decoder of G1 checks besides canonical form, the curve equation and not being the identity.
 * `curve` is for rows and leaves, which enter pairings only: torsion of G1 is invisible there in both backends.
 */
export type PointCheck = 'subgroup' | 'curve';

export interface Group {
  readonly backend: BackendName;
  /** The standard generators and e(g1, g2). */
  readonly g1: G1;
  readonly g2: G2;
  readonly gt: GT;

  /** H(message): RFC 9380 BLS12381G1_XMD:SHA-256_SSWU_RO_ under our DST. A bounded cache remembers results. */
  hashToG1(message: Uint8Array): G1;
  sumG1(points: readonly G1[]): G1;
  negG1(p: G1): G1;
  mulG1(p: G1, k: bigint): G1;
  /** Sum of k_i p_i: several times faster than one by one for many points or short scalars. Public scalars. */
  multiMulG1(points: readonly G1[], scalars: readonly bigint[]): G1;
  mulSecretG1(p: G1, k: SecretScalar): G1;
  inSubgroupG1(p: G1): boolean;
  equalG1(a: G1, b: G1): boolean;

  sumG2(points: readonly G2[]): G2;
  mulG2(p: G2, k: bigint): G2;
  mulSecretG2(p: G2, k: SecretScalar): G2;
  isIdentityG2(p: G2): boolean;

  mulGT(a: GT, b: GT): GT;
  powGT(a: GT, k: bigint): GT;
  /** Equality of public elements. Secrets are compared as bytes in constant time. */
  equalGT(a: GT, b: GT): boolean;

  /**
   * Product of e(p, q) over `pairs` with one final exponentiation; a pair with an identity contributes 1. A point
   * of G2 that was decoded with `curve` and lies outside the subgroup gives a worthless value (mcl) or throws
   * `abe.element_malformed` (noble): the caller rejects either way.
   */
  pairingProduct(pairs: readonly (readonly [G1, G2])[]): GT;

  /** Builds a fixed-base table for an element that many scalars will be raised on. Changes speed only. */
  prepare(base: G1 | G2 | GT): void;

  /** ZCash compressed form; throws for the identity, which no format of ours carries. */
  encodeG1(p: G1): Uint8Array;
  encodeG2(p: G2): Uint8Array;
  /** All twelve coordinates in tower order c0.c0.c0, c0.c0.c1, c0.c1.c0, ... c1.c2.c1. */
  encodeGT(a: GT): Uint8Array;
  /** These throw `abe.element_malformed`. */
  decodeG1(bytes: Uint8Array, check: PointCheck): G1;
  /** `curve` only where an equality of bytes checks the point (c1, c2). */
  decodeG2(bytes: Uint8Array, check: PointCheck): G2;
  /** With the membership test (an exponentiation by the order). The identity is accepted: see the callers. */
  decodeGT(bytes: Uint8Array): GT;
}
