/** Payloads as streams: memory stays at a few chunks whatever the size. */
import { concat } from '../../codec/bytes.ts';
import {
  CHUNKS_MAX,
  chunkOpener,
  chunkSealer,
  SEALED_CHUNK_BYTES,
  type SealPayloadOptions,
} from './bytes.ts';
import { CHUNK_BYTES, type PayloadName, PREAMBLE_BYTES, payloadRejected } from './preamble.ts';

/**
 * Cuts `source` into blocks of `firstBytes`, then `blockBytes` each. The last block, which may be shorter and is
 * empty for an empty rest, is the only one flagged `isLast`: it is known only when the source has ended.
 */
async function* blocks(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  blockBytes: number,
  firstBytes = blockBytes,
): AsyncGenerator<{ block: Uint8Array; isLast: boolean }> {
  let pending: Uint8Array[] = [];
  let held = 0;
  let size = firstBytes;
  for await (const piece of source) {
    pending.push(piece);
    held += piece.length;
    // A full block is held back until a byte follows it, because it might be the last.
    while (held > size) {
      const joined = pending.length === 1 ? pending[0] : concat(...pending);
      yield { block: joined.subarray(0, size), isLast: false };
      pending = [joined.subarray(size)];
      held -= size;
      size = blockBytes;
    }
  }
  yield { block: concat(...pending), isLast: true };
}

/** The sealed payload of `source`: the preamble, then a sealed chunk for each 64 KiB. */
export async function* sealPayload(
  dataKey: Uint8Array,
  options: SealPayloadOptions,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const sealer = chunkSealer(dataKey, options);
  yield sealer.preamble;
  for await (const { block, isLast } of blocks(source, CHUNK_BYTES)) yield sealer.seal(block, isLast);
}

/**
 * The plaintext of a sealed payload, in chunks that are each authentic and in order. A consumer that needs the
 * whole must read to the end: only there is a cut detected (`abe.payload_rejected`).
 */
export async function* openPayload(
  dataKey: Uint8Array,
  name: PayloadName,
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let opener: ReturnType<typeof chunkOpener> | undefined;
  let index = 0;
  for await (const { block, isLast } of blocks(source, SEALED_CHUNK_BYTES, PREAMBLE_BYTES)) {
    if (opener === undefined) {
      if (isLast) payloadRejected();
      opener = chunkOpener(dataKey, name, block);
      continue;
    }
    if (index >= CHUNKS_MAX) payloadRejected();
    const plaintext = opener.open(block, index++, isLast);
    if (plaintext.length > 0) yield plaintext;
  }
}
