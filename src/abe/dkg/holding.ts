/**
 * Proof that an authority holds its share: a Schnorr proof of knowledge of alpha_i for the public E_i = e(g1,g2)^alpha_i,
 * bound to (session, authority). Before old shares are erased, each authority counts who proved the new ones
 * (ledger-security rule 27). A member that throws its share away afterwards can still have proved it: hence t + f.
 */
import { concat, u32be, utf8 } from '../../codec/bytes.ts';
import { sha512 } from '../../codec/hash.ts';
import { ABE_DOMAIN } from '../domains.ts';
import { bytesToBigint, mod, reduceWide, scalarFromBytes, scalarToBytes } from '../group/scalar.ts';
import { type Group, type GT, SCALAR_BYTES } from '../group/types.ts';
import type { AuthorityShare } from '../threshold/authority.ts';

/** Bytes drawn for the proof's nonce. */
const WIDE_BYTES = 64;

function challenge(group: Group, session: Uint8Array, authority: number, E: GT, R: GT): bigint {
  const tag = utf8(ABE_DOMAIN.shareProof);
  const points = concat(group.encodeGT(R), group.encodeGT(E));
  return reduceWide(sha512(Uint8Array.of(tag.length), tag, session, u32be(authority), points));
}

/** Whether `share` is the one that belongs to E_i. */
export function isShareOf(group: Group, share: AuthorityShare, E: GT): boolean {
  return group.equalGT(group.powGT(group.gt, bytesToBigint(share.alpha)), E);
}

/** 64 bytes: challenge c and response z = k + c alpha_i. */
export function proveShare(
  group: Group,
  session: Uint8Array,
  share: AuthorityShare,
  E: GT,
  random: (n: number) => Uint8Array,
): Uint8Array {
  const k = reduceWide(random(WIDE_BYTES));
  const c = challenge(group, session, share.authority, E, group.powGT(group.gt, k));
  return concat(scalarToBytes(c), scalarToBytes(k + c * bytesToBigint(share.alpha)));
}

/** Whether `proof` shows that somebody knew the share of `authority` in this session. */
export function verifyShareProof(
  group: Group,
  session: Uint8Array,
  authority: number,
  E: GT,
  proof: Uint8Array,
): boolean {
  if (proof.length !== 2 * SCALAR_BYTES) return false;
  const c = scalarFromBytes(proof.slice(0, SCALAR_BYTES));
  const z = scalarFromBytes(proof.slice(SCALAR_BYTES));
  if (c === undefined || z === undefined) return false;
  const R = group.mulGT(group.powGT(group.gt, z), group.powGT(E, mod(-c)));
  return challenge(group, session, authority, E, R) === c;
}
