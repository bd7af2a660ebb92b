/**
 * The custodian's own way to keyword secrets: with the seed of a field's epoch it evaluates directly (0.84 ms a new
 * keyword), so results are kept in a bounded cache, the oldest half out when it is full. Whoever holds a `KeywordSecrets` knows
 * every keyword of its own records (THREATS.md); it lives in the indexer's process and nowhere else.
 */
import { searchError } from './errors.ts';
import { type KeywordSecret, keywordSecret } from './keys.ts';
import { decodeKeyword, keywordKey } from './keyword.ts';
import { NOBLE, type Ristretto } from './ristretto.ts';
import type { FieldEpoch } from './segment.ts';
import {
  deriveFieldKeyPair,
  type Evaluation,
  evaluate,
  evaluateDirect,
  type FieldKeyPair,
  type Random,
} from './voprf.ts';

/** What a custodian holds for one field in one epoch: VOPRF seed and field key, 32 random bytes each. */
export interface FieldKeys {
  readonly field: string;
  readonly epoch: number;
  readonly seed: Uint8Array;
  readonly fieldKey: Uint8Array;
}

/** About 150 bytes each: 40 MB when full. */
export const SECRETS_CACHED_MAX = 262_144;

interface HeldKeys {
  readonly pair: FieldKeyPair;
  readonly fieldKey: Uint8Array;
  readonly cache: Map<string, KeywordSecret>;
}

/** Keyword secrets of one custodian for all its fields and live epochs. */
export class KeywordSecrets {
  readonly #custodian: string;
  readonly #cachedMax: number;
  readonly #fields = new Map<string, Map<number, HeldKeys>>();
  #cached = 0;
  #current: readonly FieldEpoch[] | undefined;

  constructor(custodian: string, keys: readonly FieldKeys[], cachedMax: number = SECRETS_CACHED_MAX) {
    this.#custodian = custodian;
    this.#cachedMax = cachedMax;
    for (const one of keys) this.addKeys(one);
  }

  /** Takes up a new field or a new epoch of one; the highest epoch of a field is its current one. */
  addKeys(keys: FieldKeys): void {
    const pair = deriveFieldKeyPair(keys.seed, this.#custodian, keys.field, keys.epoch);
    this.#current = undefined;
    const epochs = this.#fields.get(keys.field) ?? new Map<number, HeldKeys>();
    epochs.set(keys.epoch, { pair, fieldKey: keys.fieldKey, cache: new Map() });
    this.#fields.set(keys.field, epochs);
  }

  /** Forgets an epoch once its last segment is rebuilt; the keystore erases the seed at the same time. */
  dropKeys(field: string, epoch: number): void {
    const held = this.#fields.get(field)?.get(epoch);
    if (held === undefined) return;
    this.#cached -= held.cache.size;
    this.#current = undefined;
    held.pair.secretKey.fill(0);
    this.#fields.get(field)?.delete(epoch);
  }

  /** Whether the keys of that epoch are here. */
  holds(field: string, epoch: number): boolean {
    return this.#fields.get(field)?.has(epoch) === true;
  }

  /** Current epochs of all fields, sorted by field. */
  current(): readonly FieldEpoch[] {
    this.#current ??= this.#currentEpochs();
    return this.#current;
  }

  /** The current epoch of `field`; throws `search.field_unknown`. */
  currentEpoch(field: string): number {
    const found = this.current().find((one) => one.field === field);
    if (found === undefined) throw searchError('search.field_unknown', `no index keys for field "${field}"`);
    return found.epoch;
  }

  #currentEpochs(): FieldEpoch[] {
    return [...this.#fields]
      .filter(([, epochs]) => epochs.size > 0)
      .map(([field, epochs]) => ({ field, epoch: Math.max(...epochs.keys()) }))
      .sort((a, b) => (a.field < b.field ? -1 : 1));
  }

  /** The VOPRF public key for the ledger's registry. */
  publicKey(field: string, epoch: number): Uint8Array {
    return this.#held(field, epoch).pair.publicKey;
  }

  /** Answers a committed Search entry; see `evaluate`. Throws `search.epoch_over` once the epoch's keys are gone. */
  evaluate(
    field: string,
    epoch: number,
    blinded: readonly Uint8Array[],
    random: Random,
    group: Ristretto = NOBLE,
  ): Evaluation {
    const current = this.current().find((one) => one.field === field);
    if (current !== undefined && epoch < current.epoch && !this.holds(field, epoch)) {
      throw searchError(
        'search.epoch_over',
        'that epoch has ended: read the newest manifest and search again',
      );
    }
    return evaluate(this.#held(field, epoch).pair, blinded, random, group);
  }

  /** The secret of an encoded keyword under `epoch` of its field; throws `search.field_unknown`. */
  secretOf(keyword: Uint8Array, field: string, epoch: number): KeywordSecret {
    const held = this.#held(field, epoch);
    const key = keywordKey(keyword);
    const known = held.cache.get(key);
    if (known !== undefined) return known;
    const secret = keywordSecret(evaluateDirect(held.pair.secretKey, keyword), held.fieldKey);
    this.remember(keyword, field, epoch, secret);
    return secret;
  }

  /** Whether `secretOf` would answer without an evaluation. */
  knows(keyword: Uint8Array, field: string, epoch: number): boolean {
    return this.#held(field, epoch).cache.has(keywordKey(keyword));
  }

  /** Keeps a secret that came from the vault, sparing its evaluation. */
  remember(keyword: Uint8Array, field: string, epoch: number, secret: KeywordSecret): void {
    const { cache } = this.#held(field, epoch);
    const key = keywordKey(keyword);
    if (cache.has(key)) return;
    if (this.#cached >= this.#cachedMax) this.#evict();
    cache.set(key, secret);
    this.#cached++;
  }

  /** Drops the older half of every cache: maps keep insertion order, and a re-evaluation costs under 1 ms. */
  #evict(): void {
    for (const epochs of this.#fields.values()) {
      for (const { cache } of epochs.values()) {
        let drop = Math.ceil(cache.size / 2);
        for (const key of cache.keys()) {
          if (drop-- === 0) break;
          cache.delete(key);
          this.#cached--;
        }
      }
    }
  }

  #held(field: string, epoch: number): HeldKeys {
    const held = this.#fields.get(field)?.get(epoch);
    if (held === undefined) {
      throw searchError('search.field_unknown', `no index keys for field "${field}" in epoch ${epoch}`);
    }
    return held;
  }
}

/** The field that an encoded keyword belongs to; throws `search.keyword_malformed`. */
export function fieldOfKeyword(keyword: Uint8Array): string {
  return decodeKeyword(keyword).field;
}
