/**
 * Combining: t parts raised to their Lagrange weights are a normal key with r = sum L_i r_i. The combined key is
 * checked once; only if it fails are the parts checked singly, the bad authority named, and another taken.
 * Errors of two rogue parts that cancel leave a correct key, so this is sound for the quorum it was done for;
 * another quorum is checked anew.
 */
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { CodedError, hasCode } from '../../codec/errors.ts';
import { ABE_ERROR } from '../errors.ts';
import { invert } from '../group/scalar.ts';
import type { G1, G2, Group } from '../group/types.ts';
import type { DecryptionKey } from '../scheme/key.ts';
import type { AuthorityKeys } from './keys.ts';
import { lagrangeAtZero } from './lagrange.ts';
import type { KeyRing, RingPart } from './ring.ts';
import { type KeyElements, verifyElements, verifyLeaf } from './verify.ts';

export interface CombineOptions {
  readonly group: Group;
  readonly keys: AuthorityKeys;
  readonly ring: KeyRing;
  /** Hexadecimal of the leaves that the key must hold (an opening's leaves, gate included). Default: see below. */
  readonly leaves?: Iterable<string>;
  /** Uniform bytes for the check's weights. */
  readonly random: (n: number) => Uint8Array;
  /**
   * `none` skips the check: for a key that was checked before and only gained a gate, when the opening itself
   * will tell (FO-K rejects a wrong key). Combine again with the check to learn which authority was wrong.
   */
  readonly check?: 'combined' | 'none';
}

export interface CombinedKey {
  readonly key: DecryptionKey;
  /** Authorities whose parts are in the key. */
  readonly quorum: readonly number[];
  /** Authorities whose parts were found wrong on the way: evidence for their operator. */
  readonly rejected: readonly number[];
}

type Candidate = readonly [authority: number, part: RingPart];

/** Without a demand: the t authorities with most leaves, and the leaves that all of them gave. */
function demand(
  candidates: readonly Candidate[],
  t: number,
  leaves: ReadonlySet<string> | undefined,
): { quorum: readonly Candidate[]; leaves: readonly string[] } | undefined {
  const able =
    leaves === undefined
      ? [...candidates].sort(([, a], [, b]) => b.leaves.size - a.leaves.size)
      : candidates.filter(([, part]) => [...leaves].every((hex) => part.leaves.has(hex)));
  if (able.length < t) return undefined;
  const quorum = able.slice(0, t).sort(([a], [b]) => a - b);
  const common =
    leaves ??
    [...quorum[0][1].leaves.keys()].filter((hex) => quorum.every(([, part]) => part.leaves.has(hex)));
  return { quorum, leaves: [...common] };
}

/** Decoded points of one part; undefined when one of them is no point. */
function decodeElements(
  group: Group,
  part: RingPart,
  leaves: readonly string[],
  check: 'curve' | 'subgroup',
): KeyElements | undefined {
  try {
    const k3 = group.decodeG2(part.k3, 'subgroup');
    const decoded = new Map<string, G1>();
    for (const hex of leaves) {
      const point = part.leaves.get(hex);
      if (point === undefined) return undefined;
      decoded.set(hex, group.decodeG1(point, check));
    }
    return { k1: group.decodeG1(part.k1, check), k3, leaves: decoded };
  } catch (error) {
    if (hasCode(error, ABE_ERROR.elementMalformed)) return undefined;
    throw error;
  }
}

/** sum L_i P_i: small whole weights first, then one multiplication by the inverse of the denominator, if not 1. */
function interpolate(
  group: Group,
  quorum: readonly number[],
  leaves: readonly string[],
  elements: readonly KeyElements[],
): KeyElements {
  const { numerators, denominator } = lagrangeAtZero(quorum);
  const inverse = invert(denominator);
  const g1 = (points: readonly G1[]): G1 => {
    const sum = group.sumG1(points.map((point, i) => group.mulG1(point, numerators[i])));
    return denominator === 1n ? sum : group.mulG1(sum, inverse);
  };
  const sum2 = group.sumG2(elements.map((part, i) => group.mulG2(part.k3, numerators[i])));
  const k3: G2 = denominator === 1n ? sum2 : group.mulG2(sum2, inverse);
  const combined = new Map<string, G1>();
  for (const hex of leaves) combined.set(hex, g1(elements.flatMap((part) => part.leaves.get(hex) ?? [])));
  return { k1: g1(elements.map((part) => part.k1)), k3, leaves: combined };
}

/** Whether one authority's part in `ring` is right for `leaves`; see `verifyPart`. */
function partHolds(options: CombineOptions, authority: number, leaves: readonly string[]): boolean {
  const { group, keys, ring, random } = options;
  const part = ring.parts.get(authority);
  const E = keys.E[authority - 1];
  if (part === undefined || E === undefined) return false;
  const elements = decodeElements(group, part, leaves, 'subgroup');
  return elements !== undefined && verifyElements(group, elements, E, random);
}

/**
 * Whether `authority`'s part in the ring satisfies the key equation under E_i for the leaves given (default all
 * it holds): two Miller loops and two multiplications a leaf.
 */
export function verifyPart(options: Omit<CombineOptions, 'check'>, authority: number): boolean {
  const part = options.ring.parts.get(authority);
  return partHolds(options, authority, [...(options.leaves ?? part?.leaves.keys() ?? [])]);
}

/**
 * A decryption key from any t authorities of the ring that hold all of `leaves`. Throws `abe.parts_insufficient`
 * when there are not t good ones (its details name the rejected), `abe.part_mismatch` when ring and keys belong
 * to different master keys or share epochs.
 */
export function combineKey(options: CombineOptions): CombinedKey {
  const { group, keys, ring, random } = options;
  if (!equalBytes(ring.mpkHash, keys.mpk.hash)) {
    throw new CodedError(ABE_ERROR.partMismatch, 'expected a ring under these authority keys');
  }
  if (ring.shareEpoch !== keys.shareEpoch) {
    throw new CodedError(
      ABE_ERROR.partMismatch,
      'expected a ring of the current share epoch: re-issue the key',
    );
  }
  const wanted = options.leaves === undefined ? undefined : new Set(options.leaves);
  const rejected: number[] = [];
  for (;;) {
    const candidates = [...ring.parts]
      .filter(([authority]) => authority <= keys.n && !rejected.includes(authority))
      .sort(([a], [b]) => a - b);
    const chosen = demand(candidates, keys.t, wanted);
    if (chosen === undefined) {
      throw new CodedError(
        ABE_ERROR.partsInsufficient,
        `expected good parts of ${keys.t} authorities for the leaves needed: fetch the missing ones`,
        { details: { needed: keys.t, rejected: rejected.join(',') } },
      );
    }
    const quorum = chosen.quorum.map(([authority]) => authority);
    const elements = chosen.quorum.map(([, part]) => decodeElements(group, part, chosen.leaves, 'curve'));
    if (elements.every((part): part is KeyElements => part !== undefined)) {
      const combined = interpolate(group, quorum, chosen.leaves, elements);
      const sound =
        !group.isIdentityG2(combined.k3) &&
        (options.check === 'none' || verifyElements(group, combined, keys.mpk.E, random));
      if (sound) {
        const { mpkHash, keyId, generation, shareEpoch } = ring;
        return { key: { mpkHash, keyId, generation, shareEpoch, ...combined }, quorum, rejected };
      }
    }
    const wrong = quorum.filter((authority) => !partHolds(options, authority, chosen.leaves));
    if (wrong.length === 0) {
      throw new CodedError(
        ABE_ERROR.parametersMalformed,
        'good parts make no key: the authority keys disagree',
      );
    }
    rejected.push(...wrong);
  }
}

/**
 * Whether one leaf of `authority`'s part (a gate) fits its k3: e(gate_i, g2) = e(H(gate), k3_i). False for a leaf
 * or authority that the ring lacks.
 */
export function verifyGate(group: Group, ring: KeyRing, authority: number, leaf: Uint8Array): boolean {
  const hex = toHex(leaf);
  const part = ring.parts.get(authority);
  const elements = part && decodeElements(group, part, [hex], 'subgroup');
  const k2 = elements?.leaves.get(hex);
  return elements !== undefined && k2 !== undefined && verifyLeaf(group, leaf, k2, elements.k3);
}
