/**
 * One dealer's contribution to a ceremony: a polynomial f of degree t - 1, its commitments A_k = e(g1,g2)^a_k in GT
 * only, a Schnorr proof of knowledge of a_0 bound to (session, dealer), and the sub-shares f(1) .. f(n).
 *
 * Commitments live in GT because g1^a_0 would add up to the master key. Without the proof of knowledge the last
 * dealer could choose A_0 = (product of the others)^-1 e(g1,g2)^x and own the master secret x; committing to the
 * hash first keeps it from choosing after it has seen the others (abe-security section 2, condition 5).
 */
import { concat, equalBytes, u32be, utf8 } from '../../codec/bytes.ts';
import { sha512, taggedHash } from '../../codec/hash.ts';
import { ABE_DOMAIN } from '../domains.ts';
import { evaluate, mod, reduceWide, scalarFromBytes, scalarToBytes } from '../group/scalar.ts';
import { type Group, type GT, GT_BYTES, SCALAR_BYTES } from '../group/types.ts';

/** Bytes drawn for one uniform scalar. */
const WIDE_BYTES = 64;
/** Bytes of a ceremony's id: the hash of the entry that started it. */
export const SESSION_BYTES = 32;

/** A dealer's secret polynomial, constant term first. */
export type Polynomial = readonly bigint[];

/** A decoded and checked opening. */
export interface Dealing {
  /** A_0 .. A_(t-1). */
  readonly commitments: readonly GT[];
}

/** A random polynomial of degree t - 1; `constant` fixes a_0 (resharing and refresh). */
export function drawPolynomial(t: number, random: (n: number) => Uint8Array, constant?: bigint): Polynomial {
  return Array.from({ length: t }, (_, k) =>
    k === 0 && constant !== undefined ? constant : reduceWide(random(WIDE_BYTES)),
  );
}

function challenge(session: Uint8Array, dealer: number, commitments: Uint8Array, R: Uint8Array): bigint {
  const tag = utf8(ABE_DOMAIN.dkgProof);
  return reduceWide(sha512(Uint8Array.of(tag.length), tag, session, u32be(dealer), R, commitments));
}

/**
 * Bytes of the opening: the t commitments (576 bytes each), then challenge c and response z of the proof, 32 bytes
 * each. z = k + c a_0 with R = e(g1,g2)^k.
 */
export function encodeDealing(
  group: Group,
  session: Uint8Array,
  dealer: number,
  polynomial: Polynomial,
  random: (n: number) => Uint8Array,
): Uint8Array {
  const commitments = concat(...polynomial.map((a) => group.encodeGT(group.powGT(group.gt, a))));
  const k = reduceWide(random(WIDE_BYTES));
  const c = challenge(session, dealer, commitments, group.encodeGT(group.powGT(group.gt, k)));
  return concat(commitments, scalarToBytes(c), scalarToBytes(k + c * polynomial[0]));
}

/** What a dealer announces before anything is opened. */
export function dealingHash(session: Uint8Array, dealer: number, opening: Uint8Array): Uint8Array {
  return taggedHash(ABE_DOMAIN.dkgCommit, session, u32be(dealer), opening);
}

/** The dealing that `opening` encodes, membership and proof checked; undefined when anything is wrong with it. */
export function openDealing(
  group: Group,
  session: Uint8Array,
  dealer: number,
  t: number,
  announced: Uint8Array,
  opening: Uint8Array,
): Dealing | undefined {
  const end = t * GT_BYTES;
  if (opening.length !== end + 2 * SCALAR_BYTES) return undefined;
  if (!equalBytes(dealingHash(session, dealer, opening), announced)) return undefined;
  const c = scalarFromBytes(opening.slice(end, end + SCALAR_BYTES));
  const z = scalarFromBytes(opening.slice(end + SCALAR_BYTES));
  if (c === undefined || z === undefined) return undefined;
  let commitments: GT[];
  try {
    commitments = Array.from({ length: t }, (_, k) =>
      group.decodeGT(opening.slice(k * GT_BYTES, (k + 1) * GT_BYTES)),
    );
  } catch {
    return undefined;
  }
  const R = group.mulGT(group.powGT(group.gt, z), group.powGT(commitments[0], mod(-c)));
  if (challenge(session, dealer, opening.subarray(0, end), group.encodeGT(R)) !== c) return undefined;
  return { commitments };
}

/** e(g1,g2)^f(x) from the commitments, by Horner's rule in the exponent. */
export function commitmentAt(group: Group, { commitments }: Dealing, x: number): GT {
  if (x === 0) return commitments[0];
  let value = commitments[commitments.length - 1];
  for (let k = commitments.length - 2; k >= 0; k--) {
    value = group.mulGT(group.powGT(value, BigInt(x)), commitments[k]);
  }
  return value;
}

/** The sub-share f(receiver) as 32 bytes. */
export function subShare(polynomial: Polynomial, receiver: number): Uint8Array {
  return scalarToBytes(evaluate(polynomial, BigInt(receiver)));
}

/** The scalar of a sub-share if it fits the dealing at `receiver`; undefined otherwise. */
export function checkSubShare(
  group: Group,
  dealing: Dealing,
  receiver: number,
  bytes: Uint8Array,
): bigint | undefined {
  const share = scalarFromBytes(bytes);
  if (share === undefined) return undefined;
  return group.equalGT(group.powGT(group.gt, share), commitmentAt(group, dealing, receiver))
    ? share
    : undefined;
}
