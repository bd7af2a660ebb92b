/**
 * A member's secrets on disk: key shares, OPRF seeds, custodial keys, as named bytes.
 *
 * Passphrase or key file -> unlocking key (Argon2id, RFC 9106; HKDF for a key file) -> master key -> secrets.
 * The master key and each secret are rows of an erasable store (AES-256-GCM), so a replaced or deleted secret,
 * and the master key as an old passphrase would open it, are gone from the disk and not merely unlinked.
 *
 * Protects a copied disk or backup without the passphrase. Does not protect against who reads this process's
 * memory, nor a weak passphrase against guessing beyond Argon2id's cost. JavaScript strings cannot be zeroed.
 */
import { utf8 } from '../../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../../codec/cbor.ts';
import { hmacSha256 } from '../../codec/hash.ts';
import { storageError } from '../errors.ts';
import {
  didNotOpen,
  type ErasableOptions,
  type ErasableStore,
  openErasable,
  type Random,
} from './erasable.ts';
import { encodeKdf, type Kdf, newKdf, parseKdf, type Unlock, unlockingKey } from './unlock.ts';

/** Longest secret. */
export const SECRET_BYTES_MAX = 1024 * 1024;

const NAME_FORM = /^[a-z0-9][a-z0-9./_-]{0,127}$/;
const KDF_ROW = utf8('kdf');
/** Rows of secrets have 32-byte keys, so this one cannot meet them. */
const MASTER_ROW = utf8('master');

export interface Keystore {
  /** A copy of the secret, undefined if there is none. Zero it after use. */
  get(name: string): Promise<Uint8Array | undefined>;
  /** Stores or replaces; the old value is erased. Resolved means durable. Names: a-z 0-9 . / _ -, at most 128. */
  put(name: string, secret: Uint8Array): Promise<void>;
  /** All or none, in one transaction. */
  putMany(secrets: readonly { readonly name: string; readonly secret: Uint8Array }[]): Promise<void>;
  /** Erases; resolved means that the secret is gone from this disk. */
  delete(...names: readonly string[]): Promise<void>;
  /** All names, sorted. */
  names(): Promise<string[]>;
  /** From now on only `unlock` opens the keystore. Secrets are not rewritten. */
  rotate(unlock: Unlock): Promise<void>;
  /** A consistent copy into the empty directory `dir`, for a backup; it opens as this keystore does. */
  copyTo(dir: string): Promise<void>;
  /** Zeroes the master key in memory. */
  close(): Promise<void>;
}

/** Makes a new keystore in `dir`; throws `storage.keystore_exists` if there is one. */
export async function createKeystore(
  dir: string,
  unlock: Unlock,
  options: ErasableOptions,
): Promise<Keystore> {
  return withStore(dir, options, async (store) => {
    if (store.env.get('meta', KDF_ROW) !== undefined) {
      throw storageError('storage.keystore_exists', 'there is a keystore here already; open it instead');
    }
    const master = options.random(32);
    await lockMaster(store, master, unlock, options.random);
    return new OpenKeystore(store, master, options.random);
  });
}

/**
 * Opens the keystore in `dir`. Throws `storage.not_found` if there is none, `storage.keystore_locked` under
 * another passphrase or key file, `storage.keystore_malformed` when its parameters are torn.
 */
export async function openKeystore(dir: string, unlock: Unlock, options: ErasableOptions): Promise<Keystore> {
  return withStore(dir, options, async (store) => {
    const row = store.env.get('meta', KDF_ROW);
    if (row === undefined) throw storageError('storage.not_found', 'there is no keystore here; create one');
    const master = await openMaster(store, parseKdf(row), unlock);
    return new OpenKeystore(store, master, options.random);
  });
}

async function withStore(
  dir: string,
  options: ErasableOptions,
  use: (store: ErasableStore) => Promise<Keystore>,
): Promise<Keystore> {
  const store = await openErasable(dir, options);
  try {
    return await use(store);
  } catch (cause) {
    await store.close();
    throw cause;
  }
}

class OpenKeystore implements Keystore {
  readonly #store: ErasableStore;
  readonly #master: Uint8Array;
  readonly #random: Random;

  constructor(store: ErasableStore, master: Uint8Array, random: Random) {
    this.#store = store;
    this.#master = master;
    this.#random = random;
  }

  async get(name: string): Promise<Uint8Array | undefined> {
    return this.#open(this.#rowOf(name))?.secret;
  }

  put(name: string, secret: Uint8Array): Promise<void> {
    return this.putMany([{ name, secret }]);
  }

  async putMany(secrets: readonly { readonly name: string; readonly secret: Uint8Array }[]): Promise<void> {
    for (const { secret } of secrets) requireSecretSize(secret);
    await this.#store.put(
      secrets.map(({ name, secret }) => ({
        key: this.#rowOf(name),
        bytes: encodeCbor([name, secret]),
        pepper: this.#master,
      })),
    );
  }

  async delete(...names: readonly string[]): Promise<void> {
    await this.#store.erase(names.map((name) => this.#rowOf(name)));
  }

  async names(): Promise<string[]> {
    const names: string[] = [];
    for (const key of this.#store.keys()) {
      if (key.length !== 32) continue;
      const opened = this.#open(key);
      if (opened === undefined) continue;
      opened.secret.fill(0);
      names.push(opened.name);
    }
    return names.sort();
  }

  rotate(unlock: Unlock): Promise<void> {
    return lockMaster(this.#store, this.#master, unlock, this.#random);
  }

  copyTo(dir: string): Promise<void> {
    return this.#store.copyTo(dir);
  }

  async close(): Promise<void> {
    await this.#store.close();
    this.#master.fill(0);
  }

  /** Names stay off the disk in clear: they say which subjects have custodial keys. */
  #rowOf(name: string): Uint8Array {
    if (NAME_FORM.test(name)) return hmacSha256(this.#master, utf8(name));
    throw storageError(
      'storage.bad_secret_name',
      'expected a name of a-z 0-9 . / _ -, at most 128 characters',
    );
  }

  #open(key: Uint8Array): { name: string; secret: Uint8Array } | undefined {
    const bytes = openRow(() => this.#store.get(key, this.#master), 'storage.corrupt');
    if (bytes === undefined) return undefined;
    const value = decodeCbor(bytes);
    if (Array.isArray(value) && typeof value[0] === 'string' && value[1] instanceof Uint8Array) {
      return { name: value[0], secret: value[1] };
    }
    throw storageError('storage.corrupt', 'a secret has another shape than [name, bytes]');
  }
}

function requireSecretSize(secret: Uint8Array): void {
  if (secret.length <= SECRET_BYTES_MAX) return;
  throw storageError('storage.block_too_large', `expected a secret of at most ${SECRET_BYTES_MAX} bytes`, {
    details: { max: SECRET_BYTES_MAX, got: secret.length },
  });
}

function openRow(
  open: () => Uint8Array | undefined,
  code: 'storage.corrupt' | 'storage.keystore_locked',
): Uint8Array | undefined {
  try {
    return open();
  } catch (cause) {
    if (!didNotOpen(cause)) throw cause;
    const message =
      code === 'storage.corrupt'
        ? 'a stored secret is damaged; restore the keystore from a backup'
        : 'the keystore does not open; check the passphrase or key file';
    throw storageError(code, message, { cause });
  }
}

async function lockMaster(
  store: ErasableStore,
  master: Uint8Array,
  unlock: Unlock,
  random: Random,
): Promise<void> {
  const kdf = newKdf(unlock, random);
  const pepper = await unlockingKey(kdf, unlock);
  const value = encodeKdf(kdf);
  await store.put([{ key: MASTER_ROW, bytes: master, pepper }], [{ table: 'meta', key: KDF_ROW, value }]);
  pepper.fill(0);
}

async function openMaster(store: ErasableStore, kdf: Kdf, unlock: Unlock): Promise<Uint8Array> {
  const pepper = await unlockingKey(kdf, unlock);
  const master = openRow(() => store.get(MASTER_ROW, pepper), 'storage.keystore_locked');
  pepper.fill(0);
  if (master === undefined) throw storageError('storage.keystore_malformed', 'the master key is missing');
  return master;
}
