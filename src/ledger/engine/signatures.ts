/**
 * Remembers which signatures have been verified, so that a request costs one verification on its way from pool to
 * proposal to block. A hit needs equal key, message and signature, all compared whole: nothing is taken for verified
 * that was not. Members that run in one process may share one; it holds public data only.
 */
import { equalBytes } from '../../codec/bytes.ts';
import { type PublicKey, verifySignature } from '../../codec/signature.ts';

/** Most signatures remembered in each of two generations. */
const KEPT_MAX = 16_384;
/** Bytes of a signature that name it in the memory; all of it is compared. */
const NAME_BYTES = 16;

interface Verified {
  readonly key: PublicKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export class VerifiedSignatures {
  /** By the message's array: the same request asked about again, which is most of the questions. */
  readonly #byMessage = new WeakMap<Uint8Array, Verified>();
  /** When full, the younger becomes the older: what was used since is kept, the rest goes. */
  #younger = new Map<string, Verified>();
  #older = new Map<string, Verified>();

  /** As `verifySignature`; only success is remembered. The arrays must not be written into afterwards. */
  verify(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
    const seen = this.#byMessage.get(message);
    if (seen !== undefined && isSame(seen, key, message, signature)) return true;
    const name = String.fromCharCode(...signature.subarray(0, NAME_BYTES));
    const known = this.#younger.get(name) ?? this.#older.get(name);
    const isKnown = known !== undefined && isSame(known, key, message, signature);
    if (!isKnown && !verifySignature(key, message, signature)) return false;
    const verified = { key, message, signature };
    this.#byMessage.set(message, verified);
    if (isKnown) return true;
    if (this.#younger.size >= KEPT_MAX) {
      this.#older = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(name, verified);
    return true;
  }
}

function isSame(known: Verified, key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return (
    (known.key === key || (known.key.alg === key.alg && isEqual(known.key.key, key.key))) &&
    isEqual(known.signature, signature) &&
    isEqual(known.message, message)
  );
}

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => a === b || equalBytes(a, b);
