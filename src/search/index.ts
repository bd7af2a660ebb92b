/**
 * Encrypted search, suite `sli/1` (sealed list index). Pure: bytes in, bytes out; two narrow ports (`SegmentStore`,
 * `SegmentSource`). Guide: docs/search.md; bytes: docs/format/search.md; what leaks: THREATS.md.
 */

export { type AuditInput, missingKeywords } from './audit.ts';
export { type BuiltSegment, buildSegment, type SecretList, type SegmentInput } from './build.ts';
export { COUNT_ROUNDED_TO, COUNT_SUPPRESSED_BELOW, suppressedCount } from './counts.ts';
export { SEARCH_ERRORS, type SearchErrorCode } from './errors.ts';
export { type FieldValue, keywordsOf, type RecordKeywords, recordKeywords } from './extract.ts';
export {
  type EvaluationRequest,
  type FederatedQuery,
  type FederatedResult,
  FederatedSearch,
  type FederationPorts,
  type FieldEpochName,
  type Outcome,
} from './federated.ts';
export {
  DEFAULT_BUDGET,
  decodeFieldRegistry,
  decodeFieldSpec,
  encodeFieldRegistry,
  encodeFieldSpec,
  type FieldIndex,
  type FieldRegistry,
  type FieldSpec,
  fieldOf,
  fieldRegistry,
  type PrefixLengths,
} from './fields.ts';
export type { Grid } from './grid.ts';
export {
  type EpochKeyword,
  Indexer,
  type IndexerOptions,
  type IndexProposal,
  type IndexRecord,
  type SegmentStore,
} from './indexer.ts';
export { type KeywordSecret, keywordSecret, secretFromT } from './keys.ts';
export {
  decodeKeyword,
  encodeKeyword,
  type Keyword,
  type KeywordType,
  keywordKey,
  sentinel,
} from './keyword.ts';
export type { PostingList, ReadList } from './list.ts';
export type { SecretLookup } from './lookup.ts';
export {
  decodeManifest,
  encodeManifest,
  type Manifest,
  manifestEnd,
  manifestHash,
  segmentName,
} from './manifest.ts';
export type { Members } from './members.ts';
export { listInFile, type MergeInput, mergeSegments, type OwnSegment } from './merge.ts';
export {
  checkOpening,
  MemoryJournal,
  type OpenedElement,
  openingOf,
  openMemo,
  type SearchJournal,
  type SearchMemo,
  type SearchOpening,
  type Shown,
  sealMemo,
} from './openings.ts';
export {
  FAN_OUT,
  KEYWORD_BYTES_MAX,
  LEVEL0_RECORDS,
  OPRF_BATCH_MAX,
  QUERY_KEYWORDS_MAX,
  RECORD_KEYWORDS_MAX,
  SUITE,
  WHOLE_FETCH_BYTES,
} from './parameters.ts';
export { type PatientMap, PatientNumbers, patientMap } from './patients.ts';
export {
  type Explanation,
  explainQuery,
  type Formula,
  type Plan,
  type PlannedKeyword,
  planQuery,
} from './plan.ts';
export { type Bound, type Match, parseQuery, type Query, type Term } from './query.ts';
export { type RankedHit, TOP_MAX } from './rank.ts';
export {
  type ByteRange,
  type FetchCount,
  type FetchPolicy,
  SegmentReader,
  type SegmentSource,
} from './reader.ts';
export { NOBLE, openRistretto, type Ristretto } from './ristretto.ts';
export {
  type CustodianIndex,
  type QueryResult,
  type RecordHits,
  type RunInput,
  runQuery,
} from './run.ts';
export { type FieldKeys, fieldOfKeyword, KeywordSecrets } from './secrets.ts';
export { type FieldEpoch, type SegmentMeta, segmentShape, verifySegmentFile } from './segment.ts';
export {
  type AuditOpening,
  auditableRandom,
  auditOpening,
  type BlindedBatch,
  type BlindedInput,
  blindKeywords,
  deriveFieldKeyPair,
  type Evaluation,
  evaluate,
  evaluateDirect,
  type FieldKeyPair,
  finalize,
  hashBlinded,
  paddedCount,
  type Random,
  verifyAuditOpening,
} from './voprf.ts';
