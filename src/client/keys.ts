/**
 * The subject's decryption key: a ring of parts, one authority each, requested through a KeyIssue entry and extended
 * when attributes or consents were gained. The client opens the parts, combines any threshold of them and checks the
 * result; a bad authority is named, and another taken.
 */
import { combineKey, decodeKeyRing, emptyKeyRing, encodeKeyRing, type KeyRing } from '../abe/index.ts';
import { fromBase64url, fromHex, toHex } from '../codec/bytes.ts';
import { CodedError, hasCode } from '../codec/errors.ts';
import { partInfo } from '../codec/hpke-info.ts';
import type { Context } from './context.ts';
import { type OpenedParts, openIntoRing } from './parts.ts';
import type { Committed } from './types.ts';

export interface PartsJson {
  readonly parts: readonly { readonly authority: number; readonly member: string; readonly sealed: string }[];
  readonly missing: readonly { readonly member: string; readonly code: string }[];
}

export interface KeyReport {
  readonly keyId: string;
  readonly generation: number;
  readonly attributes: readonly string[];
  /** Authorities whose parts came, whose were combined, and whose were wrong. */
  readonly received: readonly number[];
  readonly combined: readonly number[];
  readonly rejected: readonly number[];
  readonly missing: PartsJson['missing'];
  readonly committed: Committed;
}

export interface Me {
  readonly account: string;
  readonly subject: string;
  readonly member: string;
  readonly custody: 'client' | 'gateway';
  readonly kind: string;
  readonly generation: number;
  readonly attributes: readonly {
    readonly attribute: string;
    readonly until: string | null;
    readonly inForce: boolean;
  }[];
}

export class Keys {
  readonly #context: Context;
  #ring: KeyRing | undefined;
  #attributes: readonly string[] = [];

  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Requests a new key for `attributes`, or for everything that is held. Asks once more when the authorities' shares were
   * renewed in between: parts of two share epochs are never put together.
   */
  async request(attributes?: readonly string[]): Promise<KeyReport> {
    try {
      return await this.#request(attributes);
    } catch (error) {
      if (!hasCode(error, 'authority.too_few')) throw error;
      const { shareEpoch } = await this.#context.authorityKeys();
      if (!(await this.isOutdated(shareEpoch))) throw error;
      return this.#request(attributes);
    }
  }

  /** Whether the authorities' shares are of another epoch than `shareEpoch` now. */
  async isOutdated(shareEpoch: number): Promise<boolean> {
    this.#context.refresh();
    return (await this.#context.authorityKeys()).shareEpoch !== shareEpoch;
  }

  /** A new key for what the present one is for, under the share epoch of now. */
  async renewed(): Promise<KeyRing> {
    this.#context.refresh();
    await this.request();
    return this.current();
  }

  async #request(attributes?: readonly string[]): Promise<KeyReport> {
    const context = this.#context;
    const wanted = attributes ?? (await this.#held());
    if (wanted.length === 0)
      throw new CodedError('key.no_attributes', 'this subject holds no attribute: ask its registrar');
    const signed = await context.sign('KeyIssue', { attributes: [...wanted], stepUp: null });
    const answer = await context.gateway.json<{ keyId: string; committed: Committed; parts: PartsJson }>(
      'POST',
      '/v1/keys',
      { body: signed },
    );
    const generation = answer.committed.result.generation as number;
    let keys = await context.authorityKeys();
    if (keys.shareEpoch !== answer.committed.result.shareEpoch) {
      context.refresh();
      keys = await context.authorityKeys();
    }
    const id = fromHex(answer.keyId);
    const { ring, refused } = await this.openParts(emptyKeyRing(keys, id, generation), answer.parts, id);
    const { quorum, rejected } = combineKey({
      group: await context.group(),
      keys,
      ring,
      random: context.random,
    });
    this.#ring = ring;
    this.#attributes = wanted;
    return {
      keyId: answer.keyId,
      generation,
      attributes: wanted,
      received: answer.parts.parts.map((part) => part.authority),
      combined: quorum,
      rejected,
      missing: [...answer.parts.missing, ...refused],
      committed: answer.committed,
    };
  }

  /** The ring in force: requested if there is none or it is stale, extended if attributes were gained. */
  async current(): Promise<KeyRing> {
    const context = this.#context;
    const me = await context.gateway.json<Me>('GET', '/v1/me');
    const held = me.attributes.filter((one) => one.inForce).map((one) => one.attribute);
    if (this.#ring === undefined || this.#ring.generation !== me.generation) await this.request(held);
    const gained = held.filter((attribute) => !this.#attributes.includes(attribute));
    if (gained.length > 0) await this.extend(gained);
    if (this.#ring === undefined) throw new CodedError('key.unknown', 'no key could be had');
    return this.#ring;
  }

  /** Pulls newly earned attributes (a consent, say) into the key. */
  async extend(attributes: readonly string[]): Promise<void> {
    const context = this.#context;
    const ring = this.#ring;
    if (ring === undefined) throw new CodedError('key.unknown', 'request a key before extending it');
    const signed = await context.sign('KeyExtend', { keyId: ring.keyId, attributes: [...attributes] });
    const path = `/v1/keys/${toHex(ring.keyId)}/parts`;
    const { parts } = await context.gateway.json<{ parts: PartsJson }>('POST', path, { body: signed });
    this.#ring = (await this.openParts(ring, parts, ring.keyId)).ring;
    this.#attributes = [...this.#attributes, ...attributes];
  }

  /** `ring` with sealed parts that were released for `entry` (a KeyIssue, Access or BreakGlass). */
  async openParts(ring: KeyRing, parts: PartsJson, entry: Uint8Array): Promise<OpenedParts> {
    const { device } = this.#context;
    const [{ chainId }, { t }] = await Promise.all([this.#context.members(), this.#context.authorityKeys()]);
    return openIntoRing(ring, parts.parts, t, ({ member, sealed }) =>
      device.hpke.open(partInfo(chainId, member, ring.keyId, ring.generation, entry), fromBase64url(sealed)),
    );
  }

  /** The ring as bytes, to be stored as carefully as the device's seeds. */
  export(): Uint8Array | undefined {
    return this.#ring === undefined ? undefined : encodeKeyRing(this.#ring);
  }

  /** Takes a stored ring; it is checked against the ledger at its next use. */
  import(bytes: Uint8Array, attributes: readonly string[]): void {
    this.#ring = decodeKeyRing(bytes);
    this.#attributes = [...attributes];
  }

  async #held(): Promise<string[]> {
    const me = await this.#context.gateway.json<Me>('GET', '/v1/me');
    return me.attributes.filter((one) => one.inForce).map((one) => one.attribute);
  }
}
