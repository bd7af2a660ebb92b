/** RecordPut, PolicyChange, Erase, Stored, Destroyed: sealed records, where their bytes lie and what became of them. */
import { RECORDS_MAX, STORED_CIDS_MAX } from './bounds.ts';
import { bytes16, bytes32, cidText, count, type GateMode, gateMode, policyBytes } from './common.ts';
import { bool, type Decode, distinct, list, malformed, map, nullable, oneOf } from './fields.ts';

/** One sealed record. `commitment` binds the data key, `patient` is the pseudonym or null. */
export interface RecordItem {
  readonly record: Uint8Array;
  readonly version: number;
  readonly cid: string;
  readonly bytes: number;
  readonly headerHash: Uint8Array;
  readonly policy: Uint8Array;
  readonly gate: GateMode;
  readonly patient: Uint8Array | null;
  readonly commitment: Uint8Array;
  readonly indexed: boolean;
}

export interface RecordPut {
  readonly records: readonly RecordItem[];
}

/** `cid`, `bytes` and `commitment` are all null (payload stays) or all given (rekey). */
export interface PolicyChange {
  readonly record: Uint8Array;
  readonly version: number;
  readonly headerHash: Uint8Array;
  readonly policy: Uint8Array;
  readonly gate: GateMode;
  readonly cid: string | null;
  readonly bytes: number | null;
  readonly commitment: Uint8Array | null;
}

export const ERASE_REASONS = ['patient-request', 'retention', 'error', 'order'] as const;

export interface Erase {
  readonly record: Uint8Array;
  readonly reason: (typeof ERASE_REASONS)[number];
}

export interface Stored {
  readonly cids: readonly string[];
}

export interface Destroyed {
  readonly record: Uint8Array;
  readonly kinds: readonly ('header' | 'payload' | 'index')[];
}

const recordItem: Decode<RecordItem> = map<RecordItem>({
  record: bytes32,
  version: count,
  cid: cidText,
  bytes: count,
  headerHash: bytes32,
  policy: policyBytes,
  gate: gateMode,
  patient: nullable(bytes16),
  commitment: bytes32,
  indexed: bool,
});

export const recordPut: Decode<RecordPut> = map<RecordPut>({ records: list(recordItem, 1, RECORDS_MAX) });

const policyChangeFields = map<PolicyChange>({
  record: bytes32,
  version: count,
  headerHash: bytes32,
  policy: policyBytes,
  gate: gateMode,
  cid: nullable(cidText),
  bytes: nullable(count),
  commitment: nullable(bytes32),
});

export const policyChange: Decode<PolicyChange> = (value, field) => {
  const body = policyChangeFields(value, field);
  const given = [body.cid, body.bytes, body.commitment].filter((part) => part !== null).length;
  if (given !== 0 && given !== 3) malformed(field, 'cid, bytes and commitment all null or all given');
  return body;
};

export const erase: Decode<Erase> = map<Erase>({ record: bytes32, reason: oneOf(...ERASE_REASONS) });

export const stored: Decode<Stored> = map<Stored>({ cids: distinct(list(cidText, 1, STORED_CIDS_MAX)) });

export const destroyed: Decode<Destroyed> = map<Destroyed>({
  record: bytes32,
  kinds: distinct(list(oneOf('header', 'payload', 'index'), 1, 3)),
});
