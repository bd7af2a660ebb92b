/**
 * The raw equations, without policy checks, CCA layer or encodings: for attack tests, which must not lean on our
 * own checks, and for benchmarks of the scheme itself. Not exported from the package.
 */
export {
  bytesToBigint,
  evaluate,
  invert,
  mod,
  reduceWide,
  scalarFromBytes,
  scalarToBytes,
} from './group/scalar.ts';
export {
  type DecryptionSums,
  decryptionSums,
  decryptRaw,
  encryptRaw,
  keyGenRaw,
  type Randomness,
  rowElement,
  shares,
} from './scheme/equations.ts';
export { encodeCore, encodeHeader } from './scheme/header.ts';
export {
  contextHash,
  deriveKek,
  deriveRandomness,
  type HeaderContext,
  maskWithH1,
  unwrapDataKey,
  wrapDataKey,
} from './scheme/kem.ts';
export { masterPublicKey, mpkFromAlpha } from './scheme/mpk.ts';
export { decapsulate } from './scheme/open.ts';
export { compileHeader, encapsulate } from './scheme/seal.ts';
export { lagrangeAtZero, lagrangeScalars } from './threshold/lagrange.ts';
export { encodePart } from './threshold/part.ts';
