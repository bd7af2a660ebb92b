/** What every part of the SDK shares: gateway, device, pairing group, consortium parameters from the ledger. */
import { type AuthorityKeys, decodeAuthorityKeys, type Group, openGroup } from '../abe/index.ts';
import { fromBase64url } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import type { EntryBodies, EntryType } from '../ledger/entries/index.ts';
import type { Device } from './device.ts';
import { FRESHNESS_MS } from './freshness.ts';
import type { Gateway } from './http.ts';

/** Uniform random bytes of the platform. */
export const platformRandom = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));

export interface ContextOptions {
  readonly gateway: Gateway;
  /** Absent for callers whose keys the gateway keeps. */
  readonly device?: Device;
  readonly backend?: 'mcl' | 'noble';
  readonly random?: (length: number) => Uint8Array;
  readonly now?: () => number;
  /** How old a proven state may be by `now`; default `FRESHNESS_MS`, `Infinity` for any age. */
  readonly freshnessMs?: number;
  /** The chain that the caller expects; a gateway of another one is refused. */
  readonly chainId?: string;
}

export interface MemberInfo {
  readonly id: string;
  readonly name: string;
  readonly url: string;
  readonly index: number;
  readonly validatorKey: string;
  readonly hpkeKey: string;
  readonly indexerKey: string;
}

export interface MembersAnswer {
  readonly chainId: string;
  readonly member: string;
  readonly members: readonly MemberInfo[];
  /** The genesis leaf, base64url: names chain and validators, signed by all members. */
  readonly genesis: string;
  /** Changes of validators since genesis, each vouched for by the set before. */
  readonly epochs?: readonly unknown[];
}

export class Context {
  readonly gateway: Gateway;
  readonly random: (length: number) => Uint8Array;
  readonly now: () => number;
  readonly freshnessMs: number;
  readonly #device: Device | undefined;
  readonly #backend: 'mcl' | 'noble' | undefined;
  readonly #expectedChain: string | undefined;
  #members: Promise<MembersAnswer> | undefined;
  #group: Promise<Group> | undefined;
  #keys: Promise<AuthorityKeys> | undefined;
  readonly #keysSeen = new Map<number, AuthorityKeys>();
  #refreshes = 0;

  constructor(options: ContextOptions) {
    this.gateway = options.gateway;
    this.random = options.random ?? platformRandom;
    this.now = options.now ?? Date.now;
    this.freshnessMs = options.freshnessMs ?? FRESHNESS_MS;
    this.#device = options.device;
    this.#backend = options.backend;
    this.#expectedChain = options.chainId;
  }

  get device(): Device {
    if (this.#device === undefined) {
      throw new CodedError(
        'device.absent',
        'this needs the keys of a device; the gateway keeps the keys of this account',
      );
    }
    return this.#device;
  }

  get hasDevice(): boolean {
    return this.#device !== undefined;
  }

  /** Chain, members and their public keys. Throws `client.other_chain` when another chain was expected. */
  members(): Promise<MembersAnswer> {
    this.#members ??= this.gateway.json<MembersAnswer>('GET', '/v1/members').then((answer) => {
      if (this.#expectedChain !== undefined && answer.chainId !== this.#expectedChain) {
        throw new CodedError('client.other_chain', 'the gateway serves another chain than the one expected');
      }
      return answer;
    });
    return this.#members;
  }

  /** The same, asked anew: members may have joined or left. */
  freshMembers(): Promise<MembersAnswer> {
    this.#members = undefined;
    return this.members();
  }

  group(): Promise<Group> {
    this.#group ??= openGroup(this.#backend);
    return this.#group;
  }

  /** Public keys of the authorities, decoded and checked to lie on one polynomial. */
  authorityKeys(): Promise<AuthorityKeys> {
    this.#keys ??= Promise.all([
      this.group(),
      this.gateway.json<{ keys: string | null }>('GET', '/v1/authorities'),
    ]).then(([group, { keys }]) => {
      if (keys === null) throw new CodedError('authority.no_share', 'the consortium has no public key yet');
      const decoded = decodeAuthorityKeys(group, fromBase64url(keys));
      this.#keysSeen.set(decoded.shareEpoch, decoded);
      return decoded;
    });
    return this.#keys;
  }

  /**
   * The keys that a ring of `shareEpoch` is checked against: what was released in an epoch opens under its keys also when
   * the shares were renewed in between.
   */
  async keysOfEpoch(shareEpoch: number): Promise<AuthorityKeys> {
    const current = await this.authorityKeys();
    return this.#keysSeen.get(shareEpoch) ?? current;
  }

  /** Forgets what the ledger may have changed: authority keys, and the registry of labels (`Proven`). */
  refresh(): void {
    this.#refreshes += 1;
    this.#keys = undefined;
  }

  /** How often that was. */
  get refreshes(): number {
    return this.#refreshes;
  }

  /** `tx` and `sig` of one or more bodies, signed by the device. */
  async sign<K extends EntryType>(
    type: K,
    body: EntryBodies[K] | readonly EntryBodies[K][],
  ): Promise<{ tx: string; sig: string }> {
    const { chainId } = await this.members();
    return this.device.sign({ chainId, nowMs: this.now(), random: this.random }, type, body);
  }
}
