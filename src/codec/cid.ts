/** The CID that every UnixFS implementation of profile unixfs-v1-2025 gives to bytes, without storing anything. */
import { importBytes } from 'ipfs-unixfs-importer';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { sha256 } from './hash.ts';

const RAW_CODEC = 0x55;
const SHA2_256 = 0x12;
/** One raw leaf of the profile. */
const LEAF_BYTES = 1024 * 1024;

/** Base32 CIDv1 of `bytes`. One hash up to 1 MiB, else a whole import without a store. */
export async function cidOf(bytes: Uint8Array): Promise<string> {
  if (bytes.length <= LEAF_BYTES)
    return CID.createV1(RAW_CODEC, createDigest(SHA2_256, sha256(bytes))).toString();
  const discard = { put: async (cid: CID): Promise<CID> => cid };
  const { cid } = await importBytes(bytes, discard, { profile: 'unixfs-v1-2025' });
  return cid.toString();
}
