/** Sealing and opening of payloads of any length: at most a few chunks are in memory at a time. */
import {
  dataKeyCommitment,
  encodePolicy,
  headerHash,
  openPayload,
  PAYLOAD_ID_BYTES,
  PREAMBLE_BYTES,
  type SealRecordOptions,
  sealPayload,
  wrapRecord,
} from '../abe/index.ts';
import { concat, equalBytes } from '../codec/bytes.ts';
import { type Measure, measured } from '../codec/cid.ts';
import { CodedError } from '../codec/errors.ts';
import type { RecordItem } from '../ledger/entries/records.ts';

/** Of a record's row on the ledger, what sealing decides. */
export type SealedRow = Omit<RecordItem, 'patient' | 'indexed'>;

/**
 * Seals `source` under a new data key while `send` takes the ciphertext, and wraps the key. Throws `payload.cid_mismatch` when
 * what was stored is not what was sent.
 */
export async function sealedStream(
  options: Omit<SealRecordOptions, 'plaintext' | 'version' | 'gate'>,
  source: AsyncIterable<Uint8Array>,
  send: (payload: AsyncIterable<Uint8Array>) => Promise<{ cid: string; bytes: number }>,
): Promise<{ row: SealedRow; header: Uint8Array }> {
  const { recordId, policy, random } = options;
  const dataKey = random(32);
  const payloadId = random(PAYLOAD_ID_BYTES);
  const seen: Measure[] = [];
  const payload = sealPayload(dataKey, { recordId, payloadId, random }, source);
  const stored = await send(measured(payload, (measure) => seen.push(measure)));
  const [sent] = seen;
  if (sent === undefined || stored.cid !== sent.cid || stored.bytes !== sent.size) {
    throw new CodedError('payload.cid_mismatch', 'the gateway stored something else than what was sent');
  }
  const gate = 'record';
  const header = wrapRecord({ ...options, version: 0, gate, dataKey });
  const commitment = dataKeyCommitment(dataKey, payloadId);
  dataKey.fill(0);
  const row = {
    record: recordId,
    version: 0,
    cid: sent.cid,
    bytes: sent.size,
    headerHash: headerHash(header),
    policy: encodePolicy(policy),
    gate,
    commitment,
  } as const;
  return { row, header };
}

export interface OpenStreamOptions {
  /** Overwritten when the stream ends. */
  readonly dataKey: Uint8Array;
  readonly recordId: Uint8Array;
  /** The ledger's. */
  readonly cid: string | null;
  readonly commitment: Uint8Array;
}

/**
 * The plaintext of a sealed payload, each chunk authentic and in order. Throws `abe.payload_rejected` for one that is damaged, cut
 * or under another key than the ledger says, and at the end `payload.cid_mismatch` for another one under the same key.
 */
export async function* openedStream(
  { dataKey, recordId, cid, commitment }: OpenStreamOptions,
  sealed: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let passed: Measure | undefined;
  const chunks = measured(sealed, (measure) => {
    passed = measure;
  })[Symbol.asyncIterator]();
  try {
    let head: Uint8Array = new Uint8Array();
    while (head.length < PREAMBLE_BYTES) {
      const next = await chunks.next();
      if (next.done === true) break;
      head = concat(head, next.value);
    }
    const payloadId = head.slice(2, 2 + PAYLOAD_ID_BYTES);
    const isBound =
      payloadId.length === PAYLOAD_ID_BYTES && equalBytes(dataKeyCommitment(dataKey, payloadId), commitment);
    if (!isBound) {
      throw new CodedError(
        'abe.payload_rejected',
        'the payload does not belong to this data key and ledger entry',
      );
    }
    yield* openPayload(dataKey, { recordId, payloadId }, following(head, chunks));
    if (passed?.cid !== cid) {
      throw new CodedError(
        'payload.cid_mismatch',
        'the gateway sent a payload that is not the one on the ledger',
      );
    }
  } finally {
    dataKey.fill(0);
    await chunks.return?.(undefined);
  }
}

async function* following(head: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}
