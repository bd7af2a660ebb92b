/** The CID that every UnixFS implementation of profile unixfs-v1-2025 gives to bytes, without storing anything. */
import { importBytes, importFile } from 'ipfs-unixfs-importer';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { concat } from './bytes.ts';
import { sha256 } from './hash.ts';

const RAW_CODEC = 0x55;
const SHA2_256 = 0x12;
/** One raw leaf of the profile. */
const LEAF_BYTES = 1024 * 1024;

const discard = { put: async (cid: CID): Promise<CID> => cid };

/** Base32 CIDv1 of `bytes`. One hash up to 1 MiB, else a whole import without a store. */
export async function cidOf(bytes: Uint8Array): Promise<string> {
  if (bytes.length <= LEAF_BYTES)
    return CID.createV1(RAW_CODEC, createDigest(SHA2_256, sha256(bytes))).toString();
  const { cid } = await importBytes(bytes, discard, { profile: 'unixfs-v1-2025' });
  return cid.toString();
}

/** What passed through a `measured` stream. */
export interface Measure {
  readonly cid: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * Yields `source` unchanged and tells its CID and size once all of it was taken, before the end is seen. Whoever stops early
 * is told nothing. At most one leaf of 1 MiB waits.
 */
export async function* measured(
  source: AsyncIterable<Uint8Array>,
  tell: (measure: Measure) => void,
): AsyncGenerator<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const imported = importFile({ content: leaves(readable) }, discard, { profile: 'unixfs-v1-2025' });
  imported.catch(() => undefined);
  let size = 0;
  try {
    for await (const chunk of source) {
      size += chunk.length;
      await writer.write(chunk);
      yield chunk;
    }
    await writer.close();
    tell({ cid: (await imported).cid.toString(), size });
  } finally {
    // Has no effect on a stream that was read to its end.
    await writer.abort().catch(() => undefined);
  }
}

/** Whole leaves, so that the importer joins nothing. */
async function* leaves(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  let waiting: Uint8Array[] = [];
  let held = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    waiting.push(next.value);
    held += next.value.length;
    if (held < LEAF_BYTES) continue;
    const joined = concat(...waiting);
    const end = joined.length - (joined.length % LEAF_BYTES);
    for (let at = 0; at < end; at += LEAF_BYTES) yield joined.subarray(at, at + LEAF_BYTES);
    waiting = [joined.subarray(end)];
    held -= end;
  }
  if (held > 0) yield concat(...waiting);
}
