/**
 * Every code that src/search throws, with what it means. A code names one failed check, so that a test (and an
 * operator) can tell which one fired; docs/search.md lists them for users. No message carries a field's value.
 */
import { CodedError } from '../codec/errors.ts';

export const SEARCH_ERRORS = {
  'search.syntax': 'the query text does not parse; details give the column',
  'search.unsupported': 'the query asks a field for something it is not indexed for',
  'search.too_large': 'a query, record, batch or segment is over a declared bound',
  'search.keyword_malformed': 'bytes that should be one encoded keyword are not',
  'search.value_malformed': 'a value does not fit its field (a date that is none, a number off its unit)',
  'search.field_malformed': 'a field declaration is not well formed',
  'search.field_unknown': 'no such field in the registry',
  'search.oprf_element': 'a group element or scalar is malformed, not canonical or the identity',
  'search.oprf_proof': 'the evaluation proof does not verify under the public key of the ledger',
  'search.oprf_count': 'the evaluator answered another number of elements than it was asked',
  'search.segment_unavailable': 'no copy of a segment could be fetched',
  'search.segment_length': 'a fetched page, slot or file has another length than its manifest says',
  'search.segment_root': 'fetched bytes do not hash to the root in the manifest',
  'search.segment_duplicate_tag': 'a page carries the same tag twice (fault of the custodian)',
  'search.segment_cell': 'a page cell has an impossible kind, length, offset or slot',
  'search.list_malformed': 'a list does not decode to its canonical form',
  'search.manifest_malformed': 'a manifest is not well formed, or its sizes contradict its parameters',
  'search.manifest_hash': 'a manifest is not the one the ledger names',
  'search.manifest_ranges': 'the segments of a manifest overlap, leave a gap or run past the ledger',
  'search.incomplete': 'no custodian could answer',
  'search.lag_exceeded': 'the index is further behind the ledger than the caller allows',
  'search.epoch_over': 'the epoch has ended and its keys are gone: search again under the newest manifest',
  'search.opening_unknown': 'nothing was kept here that opens the search, or it was made on another device',
  'search.opening_wrong': 'an opening does not explain the elements of its Search entry',
  'search.secret_missing': 'no keyword secret was given for a term of the plan',
  'search.keys_inconsistent':
    'the sentinel list contradicts the lists of its field: wrong keys or a bad index',
  'search.index_order': 'records must come to the indexer with consecutive numbers',
  'search.index_pending': 'a proposed manifest has to be committed or abandoned first',
  'search.index_state': 'the indexer cannot go on from the files it was given: rebuild from records',
} as const;

export type SearchErrorCode = keyof typeof SEARCH_ERRORS;

/** A `CodedError` whose code is one of this module's. */
export function searchError(
  code: SearchErrorCode,
  message: string,
  options: { cause?: unknown; details?: Record<string, string | number | boolean> } = {},
): CodedError {
  return new CodedError(code, message, options);
}
