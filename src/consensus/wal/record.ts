/** WAL records as bytes: one kind byte, the height, and the message or certificate in its wire form. */

import type { WalRecord } from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import { Reader, Writer } from '../wire/bytes.ts';
import {
  capacityOf,
  decodeMessage,
  decodePrepared,
  decodeQc,
  encodePrepared,
  encodeQc,
  writeMessage,
} from '../wire/codec.ts';

const KIND = { proposal: 1, prepared: 2, 'view-change': 3, decided: 4 } as const;

export function encodeRecord(record: WalRecord): Uint8Array {
  const writer = new Writer(recordCapacity(record));
  writeRecord(writer, record);
  return writer.finish();
}

/** Room for a record without growing. */
export function recordCapacity(record: WalRecord): number {
  return 64 + ('message' in record ? capacityOf(record.message) : 1024);
}

/** Appends what `encodeRecord` gives. */
export function writeRecord(writer: Writer, record: WalRecord): void {
  writer.u8(KIND[record.kind]).u64(record.height);
  switch (record.kind) {
    case 'proposal':
    case 'view-change':
      writeMessage(writer, record.message);
      return;
    case 'prepared':
      writer.fixed(encodePrepared(record.certificate));
      return;
    case 'decided':
      writer.fixed(encodeQc(record.qc));
      return;
    default:
      record satisfies never;
  }
}

/** The record in `bytes`; throws `consensus.malformed`. */
export function decodeRecord(bytes: Uint8Array): WalRecord {
  const reader = new Reader(bytes.subarray(0, 9));
  const kind = reader.u8();
  const height = reader.u64();
  const body = bytes.subarray(9);
  if (kind === KIND.prepared) return { kind: 'prepared', height, certificate: decodePrepared(body) };
  if (kind === KIND.decided) return { kind: 'decided', height, qc: decodeQc(body) };
  const message = decodeMessage(body);
  if (kind === KIND.proposal && (message.type === 'pre-prepare' || message.type === 'new-view')) {
    return { kind: 'proposal', height, message };
  }
  if (kind === KIND['view-change'] && message.type === 'view-change')
    return { kind: 'view-change', height, message };
  throw new ConsensusError('consensus.malformed', `expected a WAL record, got kind ${kind}`);
}
