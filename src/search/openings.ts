/**
 * What a searcher keeps to answer an audit: for each batch of blinded elements the salt of its scalars and the keywords,
 * sealed under the client key and filed under the hash that the Search entry holds. An opening shows keyword and scalar of
 * an element; whoever has the entry recomputes `blind * H(keyword)`. Binding: to open an element as another keyword takes
 * a discrete logarithm. Keywords stay on the device until their owner shows them.
 */
import { gcmOpen, gcmSeal } from '../codec/aead.ts';
import { concat, equalBytes, toHex } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import { searchError } from './errors.ts';
import { decodeKeyword, type Keyword } from './keyword.ts';
import {
  auditableRandom,
  blindKeywords,
  ELEMENT_BYTES,
  hashBlinded,
  paddedCount,
  type Random,
  verifyAuditOpening,
} from './voprf.ts';

const NONCE_BYTES = 12;
const MEMO_BYTES_MAX = 64 * 1024;

/** Where sealed memos are kept, by the hash of the blinded elements. */
export interface SearchJournal {
  put(blindedHash: Uint8Array, sealed: Uint8Array): Promise<void>;
  get(blindedHash: Uint8Array): Promise<Uint8Array | undefined>;
}

/** A journal that ends with its process. */
export class MemoryJournal implements SearchJournal {
  readonly #memos = new Map<string, Uint8Array>();

  async put(blindedHash: Uint8Array, sealed: Uint8Array): Promise<void> {
    this.#memos.set(toHex(blindedHash), sealed);
  }

  async get(blindedHash: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#memos.get(toHex(blindedHash));
  }
}

/** One batch: its encoded keywords in order, the public salt of its scalars, and the transaction that carries its entry. */
export interface SearchMemo {
  readonly salt: Uint8Array;
  readonly keywords: readonly Uint8Array[];
  /** Bytes that were signed; empty where the ledger is at hand. */
  readonly tx: Uint8Array;
}

/** One element explained: the VOPRF input and its blinding scalar. Padding has inputs that are no keyword. */
export interface OpenedElement {
  readonly input: Uint8Array;
  readonly blind: Uint8Array;
}

/** Elements of one Search entry, and what stands behind those that are opened; null where not. */
export interface SearchOpening {
  readonly elements: readonly Uint8Array[];
  readonly opened: readonly (OpenedElement | null)[];
}

const memoKey = (clientKey: Uint8Array, blindedHash: Uint8Array): Uint8Array =>
  hkdfSha256(clientKey, blindedHash, 'sli/1/journal', 32);

/** Seals a memo: nonce || AES-256-GCM under a key of its own, bound to the hash. */
export function sealMemo(
  clientKey: Uint8Array,
  blindedHash: Uint8Array,
  { salt, keywords, tx }: SearchMemo,
  random: Random,
): Uint8Array {
  const nonce = random(NONCE_BYTES);
  const plain = encodeCbor([1, salt, [...keywords], tx]);
  return concat(nonce, gcmSeal(memoKey(clientKey, blindedHash), nonce, blindedHash, plain));
}

/** Opens what `sealMemo` gave; throws `search.opening_unknown` on anything else. */
export function openMemo(clientKey: Uint8Array, blindedHash: Uint8Array, sealed: Uint8Array): SearchMemo {
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES);
    const body = sealed.subarray(NONCE_BYTES);
    const plain = gcmOpen(memoKey(clientKey, blindedHash), nonce, blindedHash, body);
    const [version, salt, keywords, tx] = decodeCbor(plain, MEMO_BYTES_MAX) as unknown[];
    const isBytes = (one: unknown): one is Uint8Array => one instanceof Uint8Array;
    if (
      version !== 1 ||
      !isBytes(salt) ||
      !isBytes(tx) ||
      !Array.isArray(keywords) ||
      !keywords.every(isBytes)
    )
      throw new RangeError('form');
    return { salt, keywords, tx };
  } catch (cause) {
    throw searchError('search.opening_unknown', 'what was kept of this search does not open with this key', {
      cause,
    });
  }
}

/**
 * The opening of a batch. With `only`, of these elements alone. Throws `search.opening_unknown` when client key and memo do
 * not give the elements of the entry.
 */
export function openingOf(
  clientKey: Uint8Array,
  blindedHash: Uint8Array,
  { salt, keywords }: SearchMemo,
  only?: readonly number[],
): SearchOpening {
  const { elements, inputs } = blindKeywords(keywords, auditableRandom(clientKey, salt));
  if (!equalBytes(hashBlinded(elements), blindedHash))
    throw searchError('search.opening_unknown', 'this is not the device that made the search');
  const opened = inputs.map(({ input, blind }, i) =>
    only === undefined || only.includes(i) ? { input, blind } : null,
  );
  return { elements, opened };
}

/** What an opening shows: of each element its keyword, `padding`, or null where it was left closed. */
export type Shown = Keyword | 'padding' | null;

/**
 * Checks an opening against the hash in a Search entry. Throws `search.opening_wrong` unless the elements hash to it and each
 * opened one is explained by its keyword and scalar.
 */
export function checkOpening(blindedHash: Uint8Array, { elements, opened }: SearchOpening): readonly Shown[] {
  const wrong = (what: string) =>
    searchError('search.opening_wrong', `the opening is not of this search: ${what}`);
  const isForm =
    opened.length === elements.length &&
    elements.length > 0 &&
    elements.length <= 32 &&
    paddedCount(elements.length) === elements.length &&
    elements.every((element) => element.length === ELEMENT_BYTES);
  if (!isForm) throw wrong('its form');
  if (!equalBytes(hashBlinded(elements), blindedHash)) throw wrong('the elements are others');
  return opened.map((one, index) => {
    if (one === null) return null;
    const { input: keyword, blind } = one;
    if (!verifyAuditOpening(blindedHash, elements, { keyword, blind, index }))
      throw wrong(`element ${index} is another keyword's`);
    return shownOf(keyword);
  });
}

function shownOf(input: Uint8Array): Shown {
  try {
    return decodeKeyword(input);
  } catch {
    return 'padding';
  }
}
