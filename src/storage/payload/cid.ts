/**
 * The content identifiers that are stored: sha2-256 over `raw` or `dag-pb` blocks, version 1 in base32 (and
 * version 0, which is the same for dag-pb). Profile unixfs-v1-2025 (IPIP-499) makes nothing else.
 * A block is keyed by its digest alone, so both codecs over the same bytes are one block.
 */
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { equalBytes, toHex } from '../../codec/bytes.ts';
import { sha256 } from '../../codec/hash.ts';
import { storageError } from '../errors.ts';

export type { CID } from 'multiformats/cid';

/** Multicodec of raw bytes. */
export const RAW_CODEC = 0x55;
/** Multicodec of dag-pb nodes. */
export const DAG_PB_CODEC = 0x70;
const SHA2_256 = 0x12;
/** How the base32 text of a raw sha2-256 CID of version 1 begins, and no other. */
export const RAW_CID_PREFIX = 'bafkrei';
/** Longer text is not looked at; a base32 CID has 59 characters. */
export const CID_TEXT_MAX = 128;
/** The block exchange's limit, Kubo's too. Leaves of the profile have at most 1 MiB. */
export const BLOCK_BYTES_MAX = 2 * 1024 * 1024;

/** The CID that `text` names; throws `storage.bad_cid`. */
export function parseCid(text: string): CID {
  if (text.length > CID_TEXT_MAX) throw badCid('a longer text');
  let cid: CID;
  try {
    cid = CID.parse(text);
  } catch (cause) {
    throw badCid('text that does not parse', cause);
  }
  return requireStored(cid);
}

/** `cid` itself, if blocks under it can be stored here; throws `storage.bad_cid`. */
export function requireStored(cid: CID): CID {
  if (cid.multihash.code !== SHA2_256 || cid.multihash.digest.length !== 32) throw badCid('another hash');
  if (cid.code !== RAW_CODEC && cid.code !== DAG_PB_CODEC) throw badCid('another codec');
  return cid;
}

function badCid(got: string, cause?: unknown) {
  return storageError('storage.bad_cid', `expected a sha2-256 CID of raw or dag-pb, got ${got}`, { cause });
}

/** CIDv1 of `bytes` as one raw block: what the profile gives to an object of at most 1 MiB. */
export function rawCid(bytes: Uint8Array): CID {
  return rawCidOf(sha256(bytes));
}

/** The same from the digest of the bytes. */
export function rawCidOf(digest: Uint8Array): CID {
  return CID.createV1(RAW_CODEC, createDigest(SHA2_256, digest));
}

/** The 32-byte digest, under which the block is stored. */
export function blockKey(cid: CID): Uint8Array {
  return cid.multihash.digest;
}

/** Text form of a block key for sets and file names. */
export function keyText(key: Uint8Array): string {
  return toHex(key);
}

/** Tells blocks apart in a walk: the same bytes as raw and as dag-pb are two nodes. */
export function blockName(cid: CID): string {
  return `${cid.code}:${keyText(blockKey(cid))}`;
}

/** Whether `text` is the text form of a block key. */
export function isKeyText(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** Whether `bytes` are what `cid` names. */
export function matches(cid: CID, bytes: Uint8Array): boolean {
  return equalBytes(sha256(bytes), cid.multihash.digest);
}

/** Throws `storage.block_too_large` or `storage.hash_mismatch` unless `bytes` are what `cid` names. */
export function requireMatch(cid: CID, bytes: Uint8Array): void {
  if (bytes.length > BLOCK_BYTES_MAX) {
    throw storageError('storage.block_too_large', `expected a block of at most ${BLOCK_BYTES_MAX} bytes`, {
      details: { cid: cid.toString(), max: BLOCK_BYTES_MAX, got: bytes.length },
    });
  }
  if (matches(cid, bytes)) return;
  throw storageError('storage.hash_mismatch', `the bytes that came are not those of ${cid}`, {
    details: { cid: cid.toString() },
  });
}
