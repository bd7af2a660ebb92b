/**
 * Keys of subjects in this gateway's custody. They are derived from one secret of the member's keystore, so that a
 * subject costs no storage and an erased keystore erases them all: seed = HKDF-SHA256(secret, subject id, purpose).
 */

import { fromHex } from '../codec/bytes.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { type HpkeKeyPair, hpkeKeyPair } from '../codec/hpke.ts';
import type { SubjectId } from '../codec/ids.ts';
import { ed25519Signer, type Signer } from '../codec/signature.ts';

export interface CustodialKeys {
  readonly signer: Signer;
  readonly hpke: HpkeKeyPair;
}

/** Keys kept ready; deriving them again costs about a millisecond. */
const KEPT_MAX = 1024;

export class Custody {
  readonly #secret: Uint8Array;
  readonly #kept = new Map<SubjectId, Promise<CustodialKeys>>();

  /** `secret`: 32 bytes of the member's keystore. */
  constructor(secret: Uint8Array) {
    this.#secret = secret.slice();
  }

  /** The keys of `subject`; the same for ever under one secret. */
  keys(subject: SubjectId): Promise<CustodialKeys> {
    const known = this.#kept.get(subject);
    if (known !== undefined) return known;
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    const made = this.#derive(subject);
    this.#kept.set(subject, made);
    return made;
  }

  async #derive(subject: SubjectId): Promise<CustodialKeys> {
    const salt = fromHex(subject);
    return {
      signer: ed25519Signer(hkdfSha256(this.#secret, salt, 'hippocrypt/custody/sign/1', 32)),
      hpke: await hpkeKeyPair(hkdfSha256(this.#secret, salt, 'hippocrypt/custody/hpke/1', 32)),
    };
  }
}
