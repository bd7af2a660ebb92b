/**
 * What the tour attacks itself with: keys that every check of ours would refuse, put straight into the pairing
 * equations. The demonstration holds all authorities in one process, so it can make even the gate parts that no
 * authority would release.
 */
import {
  type AuthorityKeys,
  addKeyParts,
  combineKey,
  compilePolicy,
  decodeAuthorityShare,
  decodePolicy,
  extendKeyPart,
  type Group,
  gateLeaf,
  inspectHeader,
  type KeyRing,
  openAuthority,
  openHeader,
  type Registry,
} from '../../abe/index.ts';
import { toHex } from '../../codec/bytes.ts';
import { CodedError } from '../../codec/errors.ts';

export interface Target {
  readonly group: Group;
  readonly keys: AuthorityKeys;
  readonly registry: Registry;
  readonly header: Uint8Array;
}

/** `ring` with real gate parts for the header's record, made with the authorities' own shares. */
export function withAllGates(target: Target, ring: KeyRing, shares: readonly Uint8Array[]): KeyRing {
  const { recordId, version } = inspectHeader(target.header);
  const gates = shares.map((share) =>
    extendKeyPart(openAuthority(target.group, decodeAuthorityShare(share)), {
      keyId: ring.keyId,
      generation: ring.generation,
      leaves: [gateLeaf(recordId, version)],
    }),
  );
  return addKeyParts(ring, gates);
}

/** `ring` in which another subject's points stand under every leaf that it lacks: what two colluding keys amount to. */
export function joined(ring: KeyRing, other: KeyRing): KeyRing {
  const parts = new Map(
    [...ring.parts].map(([authority, part]) => {
      const borrowed = other.parts.get(authority)?.leaves ?? new Map<string, Uint8Array>();
      return [authority, { ...part, leaves: new Map([...borrowed, ...part.leaves]) }] as const;
    }),
  );
  return { ...ring, parts };
}

/** `ring` in which the gate's place is taken by some other point of the same key: no gate, but the check is fooled. */
export function withoutGate(target: Target, ring: KeyRing): KeyRing {
  const { recordId, version } = inspectHeader(target.header);
  const gate = toHex(gateLeaf(recordId, version));
  const parts = new Map(
    [...ring.parts].map(([authority, part]) => {
      const leaves = new Map(part.leaves);
      const [wrong] = [...leaves].filter(([leaf]) => leaf !== gate).map(([, point]) => point);
      leaves.set(gate, wrong);
      return [authority, { ...part, leaves }] as const;
    }),
  );
  return { ...ring, parts };
}

/**
 * Runs the decryption equations of the header on `ring` as if it satisfied the policy. True when they give the data key.
 */
export function opensByEquations(target: Target, ring: KeyRing, random: (n: number) => Uint8Array): boolean {
  const { group, keys, registry, header } = target;
  const seen = inspectHeader(header);
  const record = { recordId: seen.recordId, version: seen.version };
  const policy = decodePolicy(seen.policyBytes);
  const compiled = compilePolicy(policy, registry, { gate: record, emergency: record });
  const wanted = compiled.rows.map((row) => toHex(row.leaf));
  const held = wanted.filter((leaf) => [...ring.parts.values()].every((part) => part.leaves.has(leaf)));
  const { key } = combineKey({ group, keys, ring, leaves: new Set(held), random, check: 'none' });
  const { recordId, version, policyBytes, gate } = seen;
  try {
    openHeader({
      group,
      mpk: keys.mpk,
      key,
      header,
      registry,
      expected: { recordId, version, policyBytes, gate },
    });
    return true;
  } catch (error) {
    if (error instanceof CodedError && error.code === 'abe.header_rejected') return false;
    throw error;
  }
}
