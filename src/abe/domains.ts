/**
 * Domain tags of suite 1. One tag, one purpose; a changed meaning takes a new tag and a new suite.
 * The curve's DST is used by suite 1 alone: no other protocol may hash to this curve under it.
 */

/** Suite number of FABEO with FO-K on BLS12-381, as it stands in every header. */
export const SUITE = 1;

/** RFC 9380 domain separation tag of H: bytes -> G1. */
export const HASH_TO_G1_DST = 'HIPPOCRYPT-ABE-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_';

export const ABE_DOMAIN = {
  mpkHash: 'hippocrypt/abe/mpk/1',
  context: 'hippocrypt/abe/context/1',
  xof: 'hippocrypt/abe/xof/1',
  h1: 'hippocrypt/abe/h1/1',
  h2: 'hippocrypt/abe/h2/1',
  wrapKey: 'hippocrypt/abe/wrap-key/1',
  wrapCommitment: 'hippocrypt/abe/wrap-commitment/1',
  wrapAad: 'hippocrypt/abe/wrap-aad/1',
  keyRandomness: 'hippocrypt/abe/key-randomness/1',
  blinding: 'hippocrypt/abe/blinding/1',
  dualCode: 'hippocrypt/abe/dual-code/1',
  dkgCommit: 'hippocrypt/abe/dkg-commit/1',
  dkgProof: 'hippocrypt/abe/dkg-proof/1',
  shareProof: 'hippocrypt/abe/share-proof/1',
  payloadKey: 'hippocrypt/abe/payload-key/1',
} as const;
