/**
 * Remembers which signatures have been verified, so that a request costs one verification on its way from pool to
 * proposal to block. A hit needs equal key, message and signature, all compared whole: nothing is taken for verified
 * that was not. Members that run in one process may share one; it holds public data only.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { type PublicKey, verifySignature } from '../../codec/signature.ts';

/** Most signatures remembered in each of two generations. */
const KEPT_MAX = 16_384;

interface Verified {
  readonly key: PublicKey;
  readonly message: Uint8Array;
}

export class VerifiedSignatures {
  /** When full, the younger becomes the older: what was used since is kept, the rest goes. */
  #younger = new Map<string, Verified>();
  #older = new Map<string, Verified>();

  /** As `verifySignature`; only success is remembered. */
  verify(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
    const name = String.fromCharCode(...signature.subarray(0, 64));
    const known = this.#younger.get(name) ?? this.#older.get(name);
    if (known !== undefined && signature.length === 64 && isSame(known, key, message)) return true;
    if (!verifySignature(key, message, signature)) return false;
    if (this.#younger.size >= KEPT_MAX) {
      this.#older = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(name, { key, message });
    return true;
  }
}

function isSame(known: Verified, key: PublicKey, message: Uint8Array): boolean {
  const isSameKey = known.key === key || (known.key.alg === key.alg && equalBytes(known.key.key, key.key));
  return isSameKey && (known.message === message || equalBytes(known.message, message));
}
