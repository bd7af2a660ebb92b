/**
 * HPKE (RFC 9180), mode base: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Carries key parts, gates,
 * keywords and sub-shares to one receiver; `info` binds what the bytes are for. Sealed form: enc (32) || ciphertext.
 */
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { concat } from './bytes.ts';
import { CodedError } from './errors.ts';

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes256Gcm(),
});
const ENC_BYTES = 32;

/** WebCrypto wants buffers of their own. */
const buffer = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;

/** A receiver's key pair; the secret key never leaves this object. */
export interface HpkeKeyPair {
  readonly publicKey: Uint8Array;
  open(info: Uint8Array, sealed: Uint8Array, aad?: Uint8Array): Promise<Uint8Array>;
}

/** Key pair derived from 32 secret bytes (RFC 9180 DeriveKeyPair). */
export async function hpkeKeyPair(seed: Uint8Array): Promise<HpkeKeyPair> {
  if (seed.length !== 32) throw new CodedError('hpke.bad_seed', 'expected a seed of 32 bytes');
  const pair = await suite.kem.deriveKeyPair(buffer(seed));
  const publicKey = new Uint8Array(await suite.kem.serializePublicKey(pair.publicKey));
  return {
    publicKey,
    async open(info, sealed, aad = new Uint8Array()) {
      try {
        const plain = await suite.open(
          {
            recipientKey: pair.privateKey,
            enc: buffer(sealed.subarray(0, ENC_BYTES)),
            info: buffer(info),
          },
          buffer(sealed.subarray(ENC_BYTES)),
          buffer(aad),
        );
        return new Uint8Array(plain);
      } catch (cause) {
        throw new CodedError('hpke.rejected', 'the sealed bytes do not open under this key', { cause });
      }
    },
  };
}

/** `plaintext` sealed to `publicKey` (32 bytes). Ephemeral randomness comes from WebCrypto. */
export async function hpkeSeal(
  publicKey: Uint8Array,
  info: Uint8Array,
  plaintext: Uint8Array,
  aad: Uint8Array = new Uint8Array(),
): Promise<Uint8Array> {
  const recipientPublicKey = await suite.kem
    .deserializePublicKey(buffer(publicKey))
    .catch((cause: unknown) => {
      throw new CodedError('hpke.bad_key', 'expected an X25519 public key of 32 bytes', { cause });
    });
  const { enc, ct } = await suite.seal(
    { recipientPublicKey, info: buffer(info) },
    buffer(plaintext),
    buffer(aad),
  );
  return concat(new Uint8Array(enc), new Uint8Array(ct));
}
