/**
 * Self-signed X.509 certificates (RFC 5280, DER) for the member link. They only carry a key into TLS: peers are pinned
 * by public key, so name, dates and serial mean nothing and there is no CA.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { ConsensusError } from '../errors.ts';

/** A key and its certificate as TLS takes them. */
export interface LinkIdentity {
  /** PKCS #8, PEM. Secret. */
  readonly privateKey: string;
  /** PEM. */
  readonly certificate: string;
  /** What peers pin: the DER of the public key (SubjectPublicKeyInfo) in hexadecimal. */
  readonly pin: string;
}

const SIGNATURE_ALGORITHM = {
  // id-Ed25519 (RFC 8410); ecdsa-with-SHA256 (RFC 5758).
  ed25519: { identifier: Buffer.from('06032b6570', 'hex'), hash: null },
  ec: { identifier: Buffer.from('06082a8648ce3d040302', 'hex'), hash: 'sha256' },
} as const;

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.of(tag, body.length), body]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  const bytes = length.subarray(length.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.of(tag, 0x80 | bytes.length), bytes, body]);
}

const SEQUENCE = 0x30;

/** A certificate for `privateKey` (Ed25519 or P-256), signed by itself, in its name `name`. */
export function linkIdentity(privateKey: KeyObject, name: string): LinkIdentity {
  const type = privateKey.asymmetricKeyType;
  if (type !== 'ed25519' && type !== 'ec') {
    throw new ConsensusError('consensus.bad_config', 'expected an Ed25519 or P-256 key for the member link');
  }
  const { identifier, hash } = SIGNATURE_ALGORITHM[type];
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const algorithm = der(SEQUENCE, identifier);
  const commonName = der(SEQUENCE, Buffer.from('0603550403', 'hex'), der(0x0c, Buffer.from(name, 'utf8')));
  const fullName = der(SEQUENCE, der(0x31, commonName));
  const validity = der(
    SEQUENCE,
    der(0x17, Buffer.from('240101000000Z', 'latin1')),
    der(0x18, Buffer.from('99991231235959Z', 'latin1')),
  );
  const body = der(
    SEQUENCE,
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.of(1)),
    algorithm,
    fullName,
    validity,
    fullName,
    spki,
  );
  const signature = sign(hash, body, privateKey);
  const certificate = der(SEQUENCE, body, algorithm, der(0x03, Buffer.of(0), signature));
  return {
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    certificate: new X509Certificate(certificate).toString(),
    pin: spki.toString('hex'),
  };
}

const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The identity of a 32-byte Ed25519 seed. Use another seed than the validator's. */
export function linkIdentityFromSeed(seed: Uint8Array, name: string): LinkIdentity {
  if (seed.length !== 32) throw new ConsensusError('consensus.bad_config', 'expected a seed of 32 bytes');
  const key = createPrivateKey({ key: Buffer.concat([ED25519_PKCS8, seed]), format: 'der', type: 'pkcs8' });
  return linkIdentity(key, name);
}
