/**
 * An attacker with every disk and every key: reads the raw bytes of all files of all members (LMDB pages that are free
 * included), every snapshot of the backups that it can open, every keystore, and so all shares of the master secret. It parses
 * pages itself and runs the raw equations; no check of ours stands in its way.
 */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import {
  type AuthorityKeys,
  addKeyParts,
  combineKey,
  compilePolicy,
  decodeAuthorityShare,
  decodePolicy,
  emptyKeyRing,
  type Group,
  inspectHeader,
  issueKeyPart,
  openAuthority,
  openHeader,
  openRecordPayload,
  type Registry,
} from '../../../src/abe/index.ts';
import { gcmOpen } from '../../../src/codec/aead.ts';
import { concat, toHex, u64be } from '../../../src/codec/bytes.ts';
import { decodeCbor } from '../../../src/codec/cbor.ts';
import { hkdfSha256 } from '../../../src/codec/hash.ts';
import { openVocabulary } from '../../../src/search/vault.ts';
import { ERASABLE_INFO } from '../../../src/storage/secrets/erasable.ts';
import { SLOT_BYTES } from '../../../src/storage/secrets/key-slots.ts';
import { filesBelow } from '../../storage/support.ts';

/** One file, whole. */
export interface Image {
  readonly path: string;
  readonly bytes: Buffer;
}

export function imagesOf(...dirs: readonly string[]): Image[] {
  return dirs.flatMap(filesBelow).map((path) => ({ path, bytes: readFileSync(path) }));
}

/** Whether and where any image holds `needle`, at any offset. */
export function placesOf(images: readonly Image[], needle: Uint8Array): string[] {
  return images.filter(({ bytes }) => bytes.includes(Buffer.from(needle))).map(({ path }) => path);
}

/** Every key that a slot file holds, however often it was copied. */
export function slotKeys(images: readonly Image[]): Uint8Array[] {
  const keys = new Map<string, Uint8Array>();
  for (const { path, bytes } of images) {
    if (basename(path) !== 'keys.slots') continue;
    for (let at = 0; at + SLOT_BYTES <= bytes.length; at += SLOT_BYTES) {
      const key = new Uint8Array(bytes.subarray(at, at + SLOT_BYTES));
      if (key.some((byte) => byte !== 0)) keys.set(toHex(key), key);
    }
  }
  return [...keys.values()];
}

const PAGE_BYTES = 4096;
const PAGE_HEADER_BYTES = 24;
const NODE_HEADER_BYTES = 8;
/** Flag of a node whose value lies on pages of its own. */
const BIG_DATA = 1;

/** Values that stand, or stood, behind `key` in a page of any LMDB file, free ones included. */
export function rowsOf(images: readonly Image[], key: Uint8Array): Uint8Array[] {
  const rows = new Map<string, Uint8Array>();
  for (const { path, bytes } of images) {
    if (basename(path) !== 'data.mdb') continue;
    for (let at = bytes.indexOf(key); at >= 0; at = bytes.indexOf(key, at + 1)) {
      if (at < NODE_HEADER_BYTES || bytes.readUInt16LE(at - 2) !== key.length) continue;
      const length = bytes.readUInt16LE(at - 8) + bytes.readUInt16LE(at - 6) * 65_536;
      const start =
        (bytes.readUInt16LE(at - 4) & BIG_DATA) === 0
          ? at + key.length
          : bytes.readUInt32LE(at + key.length) * PAGE_BYTES + PAGE_HEADER_BYTES;
      const value = new Uint8Array(bytes.subarray(start, start + length));
      rows.set(toHex(value), value);
    }
  }
  return [...rows.values()];
}

/** Starts of runs of pages that hold one large value: where a header may lie of which no leaf speaks any more. */
export function largeValues(images: readonly Image[], length: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const { path, bytes } of images) {
    if (basename(path) !== 'data.mdb') continue;
    for (let page = 0; page + PAGE_BYTES <= bytes.length; page += PAGE_BYTES) {
      const start = page + PAGE_HEADER_BYTES;
      if (start + length <= bytes.length) found.push(new Uint8Array(bytes.subarray(start, start + length)));
    }
  }
  return found;
}

/** Tries every slot key on every candidate row of `key`. */
export function unsealed(
  images: readonly Image[],
  key: Uint8Array,
  pepper: Uint8Array,
  more: readonly Uint8Array[] = [],
): { value: Uint8Array; slotKey: Uint8Array } | undefined {
  const rows = [...rowsOf(images, key), ...more];
  for (const slotKey of slotKeys(images)) {
    const sealingKey = hkdfSha256(concat(slotKey, pepper), key, ERASABLE_INFO, 32);
    for (const row of rows) {
      try {
        return { value: gcmOpen(sealingKey, new Uint8Array(12), key, row), slotKey };
      } catch {
        // Another row, another key.
      }
    }
  }
  return undefined;
}

/** What is left of a staged record: its plain keywords. */
export function stagedKeywords(
  images: readonly Image[],
  { record, version, headerHash }: { record: Uint8Array; version: number; headerHash: Uint8Array },
  local: Uint8Array,
): { keywords: readonly Uint8Array[]; slotKey: Uint8Array } | undefined {
  const key = concat(record, u64be(version), headerHash);
  const pepper = hkdfSha256(local, new Uint8Array(), 'hippocrypt/staging/1', 32);
  const found = unsealed(images, key, pepper);
  if (found === undefined) return undefined;
  const { keywords } = decodeCbor(found.value) as { keywords: { plain: readonly Uint8Array[] } };
  return { keywords: keywords.plain, slotKey: found.slotKey };
}

/** Keywords of every companion of a vault that opens under a custodian's `local` secret. */
export function vaultKeywords(images: readonly Image[], local: Uint8Array): string[] {
  const vaultKey = hkdfSha256(local, new Uint8Array(), 'hippocrypt/vault/1', 32);
  return images.flatMap(({ path, bytes }) => {
    const name = basename(path);
    if (!/^[0-9a-f]{32}$/.test(name)) return [];
    try {
      const { words } = openVocabulary(vaultKey, Buffer.from(name, 'hex'), new Uint8Array(bytes));
      return words.map(({ keyword }) => Buffer.from(keyword).toString('latin1'));
    } catch {
      return [];
    }
  });
}

export interface Consortium {
  readonly group: Group;
  readonly keys: AuthorityKeys;
  readonly registry: Registry;
  /** Shares of the master secret, of every authority. */
  readonly shares: readonly Uint8Array[];
}

/** The data key of a header, under a key that the authorities' shares make for whatever the policy and the gate want. */
export function dataKeyOf({ group, keys, registry, shares }: Consortium, header: Uint8Array): Uint8Array {
  const { recordId, version, policyBytes, gate } = inspectHeader(header);
  const record = { recordId, version };
  const compiled = compilePolicy(decodePolicy(policyBytes), registry, { gate: record, emergency: record });
  const leaves = compiled.rows.map((row) => row.leaf);
  const keyId = new Uint8Array(32).fill(0xaa);
  const parts = shares.map((share) =>
    issueKeyPart(openAuthority(group, decodeAuthorityShare(share)), { keyId, generation: 0, leaves }),
  );
  const ring = addKeyParts(emptyKeyRing(keys, keyId, 0), parts);
  const random = (n: number) => crypto.getRandomValues(new Uint8Array(n));
  const { key } = combineKey({ group, keys, ring, leaves: leaves.map(toHex), random, check: 'none' });
  const expected = { recordId, version, policyBytes, gate };
  return openHeader({ group, mpk: keys.mpk, key, header, registry, expected });
}

/** The plaintext of a small sealed payload: whatever stands, or stood, behind its CID's digest in any LMDB file. */
export function plaintextOf(
  images: readonly Image[],
  digest: Uint8Array,
  dataKey: Uint8Array,
  { record, commitment }: { record: Uint8Array; commitment: Uint8Array | null },
): Uint8Array | undefined {
  for (const sealed of rowsOf(images, digest)) {
    try {
      return openRecordPayload(dataKey, record, sealed, commitment ?? new Uint8Array());
    } catch {
      // A row of another table under the same digest.
    }
  }
  return undefined;
}
