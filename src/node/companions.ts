/**
 * Companions of index segments: what the indexer needs to merge a segment, sealed under a key of its own (src/search/vault.ts).
 * Without them an index that came back from its copies could never be merged or purged again, so the members that
 * copy a custodian's segments keep these too: sealed once more, padded to a power of two, so that their length tells the
 * number of keywords within a factor of two and nothing else. A custodian opens its own only.
 */
import { join } from 'node:path';
import { gcmOpen, gcmSeal } from '../codec/aead.ts';
import { fromHex, readU32be, u32be, utf8 } from '../codec/bytes.ts';
import { CodedError } from '../codec/errors.ts';
import { hkdfSha256 } from '../codec/hash.ts';
import type { MemberId } from '../codec/ids.ts';
import { openVocabulary } from '../search/vault.ts';
import { requireSegmentName, SegmentFiles } from './segment-files.ts';

/** A name is used once, and with it its key. */
const NONCE = new Uint8Array(12);
/** Smallest padded companion. */
const PADDED_BYTES_MIN = 4096;
/** Above what a companion of a full segment takes (src/search/vault.ts reads no longer one). */
const PADDED_BYTES_MAX = 512 * 1024 * 1024;

export class Companions {
  readonly #dir: string;
  readonly #member: MemberId;
  readonly #copies = new Map<MemberId, Promise<SegmentFiles>>();
  /** The indexer's own, by segment name. */
  readonly vault: SegmentFiles;
  /** Seals the companions of the vault. */
  readonly vaultKey: Uint8Array;

  private constructor(dir: string, member: MemberId, vault: SegmentFiles, vaultKey: Uint8Array) {
    this.#dir = dir;
    this.#member = member;
    this.vault = vault;
    this.vaultKey = vaultKey;
  }

  /** `dir` is the node's data directory, `local` the secret of that name in its keystore. */
  static async open(dir: string, member: MemberId, local: Uint8Array): Promise<Companions> {
    const vaultKey = hkdfSha256(local, new Uint8Array(), 'hippocrypt/vault/1', 32);
    return new Companions(dir, member, await SegmentFiles.open(join(dir, 'vault')), vaultKey);
  }

  /** Where the companions of a custodian lie: the vault, or the copies of another's. */
  folder(custodian: MemberId): Promise<SegmentFiles> {
    if (custodian === this.#member) return Promise.resolve(this.vault);
    const known = this.#copies.get(custodian) ?? SegmentFiles.open(join(this.#dir, 'companions', custodian));
    this.#copies.set(custodian, known);
    return known;
  }

  /** Which of `names` are not here. */
  async missing(custodian: MemberId, names: readonly string[]): Promise<string[]> {
    const present = new Set(await (await this.folder(custodian)).names());
    return names.filter((name) => !present.has(name));
  }

  /** Bytes of an own companion that opens; throws `index.unknown`, `search.index_state`. */
  async check(name: string): Promise<number> {
    const bytes = await this.vault.getSegment(name);
    openVocabulary(this.vaultKey, fromHex(name), bytes);
    return bytes.length;
  }

  /** What another member may keep. Throws `index.unknown`. */
  async give(custodian: MemberId, name: string): Promise<Uint8Array> {
    const bytes = await (await this.folder(custodian)).getSegment(requireSegmentName(name));
    return custodian === this.#member ? sealCompanion(this.vaultKey, name, bytes) : bytes;
  }

  /** Keeps what another member gave; throws `storage.corrupt` for an own one that does not open. */
  async take(custodian: MemberId, name: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length > PADDED_BYTES_MAX)
      throw new CodedError('link.malformed', 'a companion is longer than any segment needs');
    const kept = custodian === this.#member ? openCompanion(this.vaultKey, name, bytes) : bytes;
    await (await this.folder(custodian)).putSegment(name, kept);
  }
}

/** AES-256-GCM over `u32be(length) || companion || zeros`, as long as a power of two. */
export function sealCompanion(vaultKey: Uint8Array, name: string, companion: Uint8Array): Uint8Array {
  let length = PADDED_BYTES_MIN;
  while (length < 4 + companion.length) length *= 2;
  const padded = new Uint8Array(length);
  padded.set(u32be(companion.length));
  padded.set(companion, 4);
  return gcmSeal(companionKey(vaultKey, name), NONCE, utf8(name), padded);
}

/** Throws `storage.corrupt` on what `sealCompanion` did not give under this name. */
export function openCompanion(vaultKey: Uint8Array, name: string, sealed: Uint8Array): Uint8Array {
  try {
    const padded = gcmOpen(companionKey(vaultKey, name), NONCE, utf8(name), sealed);
    return padded.slice(4, 4 + readU32be(padded, 0));
  } catch (cause) {
    throw new CodedError('storage.corrupt', 'a copy of a segment companion does not open', { cause });
  }
}

function companionKey(vaultKey: Uint8Array, name: string): Uint8Array {
  return hkdfSha256(vaultKey, utf8(name), 'hippocrypt/companion/1', 32);
}
