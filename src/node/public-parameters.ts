/** What everybody seals and opens with, as the ledger has it now: the authorities' public keys and the registry of labels. */
import { type AuthorityKeys, encodeAuthorityKeys, encodeRegistry, type Group } from '../abe/index.ts';
import { CodedError } from '../codec/errors.ts';
import { type MemberId, memberId } from '../codec/ids.ts';
import { type ShareState, STATE } from '../ledger/index.ts';
import type { NodeLedger } from './ledger.ts';
import type { Parameters } from './work/tasks.ts';

export class PublicParameters {
  readonly #ledger: NodeLedger;
  readonly #group: Group;
  readonly #keysOf: (share: ShareState) => AuthorityKeys;
  #keys: { readonly epoch: number; readonly keys: AuthorityKeys; readonly bytes: Uint8Array } | undefined;
  #registry: { readonly bytes: Uint8Array; readonly of: unknown } | undefined;

  constructor(ledger: NodeLedger, group: Group, keysOf: (share: ShareState) => AuthorityKeys) {
    this.#ledger = ledger;
    this.#group = group;
    this.#keysOf = keysOf;
  }

  /** Public keys of the authorities in force; throws `authority.no_share` before the first ceremony. */
  authorityKeys(): AuthorityKeys {
    return this.#authorityKeys().keys;
  }

  encodedAuthorityKeys(): Uint8Array | null {
    return this.#ledger.shareEpoch() === null ? null : this.#authorityKeys().bytes;
  }

  /** The authorities' keys of the share epoch in force unless another is named, and the registry. */
  encoded(shareEpoch?: number): Parameters {
    const registry = this.#ledger.registry();
    if (this.#registry?.of !== registry) this.#registry = { of: registry, bytes: encodeRegistry(registry) };
    return { keys: this.#authorityKeys(shareEpoch).bytes, registry: this.#registry.bytes };
  }

  /** Members that hold a share of the epoch in force. */
  holders(): readonly MemberId[] {
    const epoch = this.#ledger.shareEpoch();
    const share = epoch === null ? undefined : this.#ledger.state(STATE.share(epoch));
    return (share?.members ?? []).map(memberId);
  }

  #authorityKeys(epoch = this.#ledger.shareEpoch()): { keys: AuthorityKeys; bytes: Uint8Array } {
    const share = epoch === null ? undefined : this.#ledger.state(STATE.share(epoch));
    if (epoch === null || share === undefined) {
      throw new CodedError('authority.no_share', 'the authorities have not made their key yet');
    }
    if (this.#keys?.epoch === epoch) return this.#keys;
    const keys = this.#keysOf(share);
    this.#keys = { epoch, keys, bytes: encodeAuthorityKeys(this.#group, keys) };
    return this.#keys;
  }
}
