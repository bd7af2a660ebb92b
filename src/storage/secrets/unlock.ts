/**
 * From what an operator holds to a 32-byte key: Argon2id (RFC 9106) over a passphrase, HKDF over a key file. The
 * parameters are stored beside what the key opens.
 */
import { argon2id } from 'hash-wasm';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { hkdfSha256 } from '../../codec/hash.ts';
import { storageError } from '../errors.ts';
import type { Random } from './erasable.ts';

/** RFC 9106 section 4, second recommended option: 64 MiB, 3 passes (one lane: wasm has one thread). */
const ARGON2_MEMORY_KIB = 64 * 1024;
const ARGON2_PASSES = 3;
/** Parameters that claim a larger cost are refused rather than computed. */
const ARGON2_MEMORY_KIB_MAX = 1024 * 1024;
const ARGON2_PASSES_MAX = 16;
/** A key file carries at least this much. */
export const KEY_FILE_BYTES_MIN = 32;
/** HKDF info for key files. */
const KEY_FILE_INFO = 'hippocrypt/keystore/1';

/** What opens a keystore or a backup. A key file is at least 32 random bytes kept apart from the disk. */
export type Unlock = { readonly passphrase: string } | { readonly keyFile: Uint8Array };

/** Stored parameters. */
export type Kdf =
  | {
      readonly name: 'argon2id';
      readonly memoryKiB: number;
      readonly passes: number;
      readonly salt: Uint8Array;
    }
  | { readonly name: 'key-file'; readonly salt: Uint8Array };

/** Fresh parameters for `unlock` at today's cost. */
export function newKdf(unlock: Unlock, random: Random): Kdf {
  const salt = random(16);
  return 'passphrase' in unlock
    ? { name: 'argon2id', memoryKiB: ARGON2_MEMORY_KIB, passes: ARGON2_PASSES, salt }
    : { name: 'key-file', salt };
}

/** The key; throws `storage.keystore_locked` for the other kind of `unlock`, an empty or a short one. Zero it. */
export async function unlockingKey(kdf: Kdf, unlock: Unlock): Promise<Uint8Array> {
  if (kdf.name === 'argon2id' && 'passphrase' in unlock) {
    if (unlock.passphrase === '') throw storageError('storage.keystore_locked', 'the passphrase is empty');
    return argon2id({
      password: unlock.passphrase.normalize('NFC'),
      salt: kdf.salt,
      memorySize: kdf.memoryKiB,
      iterations: kdf.passes,
      parallelism: 1,
      hashLength: 32,
      outputType: 'binary',
    });
  }
  if (kdf.name === 'key-file' && 'keyFile' in unlock) {
    if (unlock.keyFile.length < KEY_FILE_BYTES_MIN) {
      throw storageError('storage.keystore_locked', `a key file has at least ${KEY_FILE_BYTES_MIN} bytes`);
    }
    return hkdfSha256(unlock.keyFile, kdf.salt, KEY_FILE_INFO, 32);
  }
  const wanted = kdf.name === 'argon2id' ? 'a passphrase' : 'a key file';
  throw storageError('storage.keystore_locked', `this opens with ${wanted}`);
}

/** Canonical dag-cbor of the parameters. */
export function encodeKdf(kdf: Kdf): Uint8Array {
  return encodeCbor({ v: 1, ...kdf });
}

/** Throws `storage.keystore_malformed` for torn or unknown parameters, or ones above the limits. */
export function parseKdf(bytes: Uint8Array): Kdf {
  const value = decode(bytes);
  if (typeof value === 'object' && value !== null && 'v' in value && value.v === 1 && 'name' in value) {
    const salt = 'salt' in value && value.salt instanceof Uint8Array ? value.salt : undefined;
    if (value.name === 'key-file' && salt) return { name: 'key-file', salt };
    if (value.name === 'argon2id' && salt && 'memoryKiB' in value && 'passes' in value) {
      const { memoryKiB, passes } = value;
      if (isWithin(memoryKiB, 8, ARGON2_MEMORY_KIB_MAX) && isWithin(passes, 1, ARGON2_PASSES_MAX)) {
        return { name: 'argon2id', memoryKiB, passes, salt };
      }
    }
  }
  throw storageError('storage.keystore_malformed', 'expected version 1 with known key derivation parameters');
}

function decode(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes);
  } catch (cause) {
    throw storageError('storage.keystore_malformed', 'the key derivation parameters are torn', { cause });
  }
}

function isWithin(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}
