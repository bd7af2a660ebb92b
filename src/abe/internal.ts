/**
 * The raw equations, without policy checks, CCA layer or encodings: for attack tests, which must not lean on our
 * own checks, and for benchmarks of the scheme itself. Not exported from the package.
 */
export { bytesToBigint, mod, reduceWide, scalarToBytes } from './group/scalar.ts';
export {
  decryptionSums,
  decryptRaw,
  encryptRaw,
  keyGenRaw,
  type Randomness,
} from './scheme/equations.ts';
export { encodeCore, encodeHeader } from './scheme/header.ts';
export {
  contextHash,
  deriveExponents,
  deriveKek,
  deriveRandomness,
  maskWithH1,
  unwrapDataKey,
  wrapDataKey,
} from './scheme/kem.ts';
export { decapsulate } from './scheme/open.ts';
export { compileHeader } from './scheme/seal.ts';
export { lagrangeAtZero, lagrangeScalars } from './threshold/lagrange.ts';
export { encodePart } from './threshold/part.ts';
