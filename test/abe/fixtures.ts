/** Seeded randomness and a small consortium for the tests of the scheme. Nothing here is secret. */
import {
  type Authority,
  type AuthorityKeys,
  addKeyParts,
  combineKey,
  type DecryptionKey,
  dealAuthorities,
  emptyKeyRing,
  type Group,
  issueKeyPart,
  type KeyRing,
  makeRegistry,
  openAuthority,
  type Registry,
} from '../../src/abe/index.ts';
import { concat, u32be, utf8 } from '../../src/codec/bytes.ts';
import { sha256 } from '../../src/codec/hash.ts';

/** Uniform bytes that depend on `seed` and the draws so far only. */
export function seeded(seed: string): (n: number) => Uint8Array {
  let counter = 0;
  return (n) => {
    const blocks: Uint8Array[] = [];
    for (let have = 0; have < n; have += 32) blocks.push(sha256(utf8(seed), u32be(counter++)));
    return concat(...blocks).slice(0, n);
  };
}

/** 32 bytes named by a text. */
export const id = (name: string): Uint8Array => sha256(utf8(name));

export const REGISTRY: Registry = makeRegistry([
  { label: 'role', type: 'text', values: ['doctor', 'nurse', 'lab', 'researcher'] },
  { label: 'ward', type: 'text' },
  { label: 'clearance', type: 'level' },
  { label: 'age', type: 'int', width: 16 },
  { label: 'expires', type: 'date', width: 16 },
]);

export interface Consortium {
  readonly group: Group;
  readonly keys: AuthorityKeys;
  readonly authorities: readonly Authority[];
}

/** A dealt consortium of `n` with threshold `t`. */
export function consortium(group: Group, n: number, t: number, seed = 'consortium'): Consortium {
  const { keys, shares } = dealAuthorities({ group, n, t, random: seeded(seed) });
  return { group, keys, authorities: shares.map((share) => openAuthority(group, share)) };
}

/** A ring with first parts of the authorities at `points` (default all). */
export function issueRing(
  { keys, authorities }: Consortium,
  leaves: readonly Uint8Array[],
  options: { subject?: string; generation?: number; points?: readonly number[] } = {},
): KeyRing {
  const keyId = id(options.subject ?? 'alice');
  const generation = options.generation ?? 1;
  const points = options.points ?? authorities.map((_, i) => i + 1);
  const parts = points.map((point) => issueKeyPart(authorities[point - 1], { keyId, generation, leaves }));
  return addKeyParts(emptyKeyRing(keys, keyId, generation), parts);
}

/** The combined key of a ring, checked. */
export function keyOf({ group, keys }: Consortium, ring: KeyRing): DecryptionKey {
  return combineKey({ group, keys, ring, random: seeded('check') }).key;
}
