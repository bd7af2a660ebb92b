/**
 * A subject's decryption key as an opener uses it: the parts of t authorities combined. It is the subject's
 * secret; it lives on the subject's device, inside a key ring (threshold/ring.ts) that can be stored.
 */
import type { G1, G2 } from '../group/types.ts';

export interface DecryptionKey {
  readonly mpkHash: Uint8Array;
  /** 32 bytes: hash of the committed entry that issued the key. */
  readonly keyId: Uint8Array;
  readonly generation: number;
  readonly shareEpoch: number;
  readonly k1: G1;
  readonly k3: G2;
  /** k2_u by the hexadecimal of the leaf u, gates and emergency leaves included. Keys of this map are public. */
  readonly leaves: ReadonlyMap<string, G1>;
}

/** What the key can satisfy: hexadecimal of its leaves. */
export function heldLeaves(key: DecryptionKey): ReadonlySet<string> {
  return new Set(key.leaves.keys());
}
