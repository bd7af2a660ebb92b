/** FieldKeyPut, Search, IndexCommit: encrypted search as the ledger sees it, without a keyword. */
import { BUDGET_MAX, FIELD_CHARS_MAX, FIELD_SPEC_BYTES_MAX, SEARCH_COUNTS } from './bounds.ts';
import { bytes32, count, member, type Purpose, policyBytes, purpose } from './common.ts';
import { bytesBetween, type Decode, integer, map, oneOf, text } from './fields.ts';

export interface FieldKeyPut {
  readonly field: string;
  readonly epoch: number;
  readonly publicKey: Uint8Array;
  readonly policy: Uint8Array;
  readonly headerHash: Uint8Array;
  readonly spec: Uint8Array;
  readonly budgetDay: number;
  readonly budgetEpoch: number;
}

export interface Search {
  readonly custodian: string;
  readonly field: string;
  readonly epoch: number;
  readonly count: number;
  readonly blindedHash: Uint8Array;
  readonly purpose: Purpose;
}

export interface IndexCommit {
  readonly seq: number;
  readonly manifestHash: Uint8Array;
  readonly covered: number;
}

/** A field's name; it stands in state keys, so it holds no `/`. */
export const fieldText = text(1, FIELD_CHARS_MAX, /^[A-Za-z][A-Za-z0-9._:-]*$/);

export const fieldKeyPut: Decode<FieldKeyPut> = map<FieldKeyPut>({
  field: fieldText,
  epoch: count,
  publicKey: bytes32,
  policy: policyBytes,
  headerHash: bytes32,
  spec: bytesBetween(0, FIELD_SPEC_BYTES_MAX),
  budgetDay: integer(1, BUDGET_MAX),
  budgetEpoch: integer(1, BUDGET_MAX),
});

export const search: Decode<Search> = map<Search>({
  custodian: member,
  field: fieldText,
  epoch: count,
  count: oneOf(...SEARCH_COUNTS),
  blindedHash: bytes32,
  purpose,
});

export const indexCommit: Decode<IndexCommit> = map<IndexCommit>({
  seq: count,
  manifestHash: bytes32,
  covered: count,
});
