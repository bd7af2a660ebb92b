/**
 * Sign-in accounts of one gateway: name -> Argon2id hash and subject. Local to the member, never on the ledger.
 */
import type { Custody, Session } from '../api/ports.ts';
import { utf8 } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { CodedError } from '../codec/errors.ts';
import { type SubjectId, subjectId } from '../codec/ids.ts';
import type { KvStore } from '../storage/index.ts';
import type { Passwords } from './work/passwords.ts';

const TABLE = 'accounts';

interface Account {
  readonly hash: string;
  readonly subject: string;
  readonly custody: Custody;
}

export class Accounts {
  readonly #store: KvStore;
  readonly #passwords: Passwords;
  readonly #random: (length: number) => Uint8Array;
  /** A hash of a password nobody knows, so that an unknown name takes as long as a wrong password. */
  #decoy: Promise<string> | undefined;

  constructor(store: KvStore, passwords: Passwords, random: (length: number) => Uint8Array) {
    this.#store = store;
    this.#passwords = passwords;
    this.#random = random;
  }

  /** Adds an account; throws `auth.account_exists`. */
  async add(name: string, password: string, subject: SubjectId, custody: Custody): Promise<void> {
    if (this.#read(name) !== undefined)
      throw new CodedError('auth.account_exists', 'an account of this name exists');
    const account: Account = { hash: await this.#hash(password), subject, custody };
    await this.#store.write([{ table: TABLE, key: utf8(name), value: encodeCbor(account) }]);
  }

  /** The session of a right name and password, else undefined, in about the same time. */
  async verify(name: string, password: string): Promise<Session | undefined> {
    const account = this.#read(name);
    this.#decoy ??= this.#hash(Buffer.from(this.#random(24)).toString('base64'));
    // One that could not be made, because too many sign in, is made again.
    this.#decoy.catch(() => {
      this.#decoy = undefined;
    });
    const hash = account?.hash ?? (await this.#decoy);
    const right = await this.#passwords.verify(password, hash);
    return right && account !== undefined ? this.session(name) : undefined;
  }

  session(name: string): Session | undefined {
    const account = this.#read(name);
    if (account === undefined) return undefined;
    return { account: name, subject: subjectId(account.subject), custody: account.custody };
  }

  #hash(password: string): Promise<string> {
    return this.#passwords.hash(password, this.#random(16));
  }

  #read(name: string): Account | undefined {
    const bytes = this.#store.get(TABLE, utf8(name));
    return bytes === undefined ? undefined : (decodeCbor(bytes) as Account);
  }
}
