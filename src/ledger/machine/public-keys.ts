/**
 * The check of a new key's order, remembered: it costs as much as a dozen signatures, and every validator makes it at
 * admission, in the proposal and in the block. A pure function, so that a replica with a cold memory decides the same.
 */
import { checkPublicKey, type PublicKey } from '../../codec/signature.ts';

/** Good keys remembered; forgotten together when full. */
const KEPT_MAX = 16_384;
const good = new Set<string>();

/** As `checkPublicKey`: throws `signature.bad_key`. */
export function checkNewKey(publicKey: PublicKey): void {
  const name = `${publicKey.alg} ${String.fromCharCode(...publicKey.key)}`;
  if (good.has(name)) return;
  checkPublicKey(publicKey);
  if (good.size >= KEPT_MAX) good.clear();
  good.add(name);
}
