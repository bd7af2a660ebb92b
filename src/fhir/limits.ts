/** Bounds of the FHIR edge: everything that a source file controls has one. */

/** One JSON value: a whole Bundle document or one ndjson line. The largest Synthea bundles are near 100 MiB. */
export const VALUE_BYTES_MAX = 256 * 1024 * 1024;
/** One resource: room for a scanned document in base64. */
export const RESOURCE_BYTES_MAX = 32 * 1024 * 1024;
/** Objects and arrays inside one another. FHIR's deepest (nested Questionnaire items) stay far below. */
export const JSON_DEPTH_MAX = 64;
/** Entries of one Bundle. */
export const BUNDLE_ENTRIES_MAX = 100_000;
/** Resources without a Bundle that are held at once while they are grouped by patient. */
export const WINDOW_RESOURCES_MAX = 1_000;
/** Bytes of resources without a Bundle that are held at once while they are grouped by patient. */
export const WINDOW_BYTES_MAX = 16 * 1024 * 1024;
/** Names (patients, organisations, identifiers) that the first pass over a file set keeps. */
export const SURVEY_NAMES_MAX = 2_000_000;
/** Distinct words indexed of one record: a long letter has some 500. */
export const RECORD_WORDS_MAX = 2_000;
/** Field values indexed of one record, words included. */
export const RECORD_VALUES_MAX = 4_000;
/** Bytes of one attachment that are read for words; the rest is sealed but not indexed. */
export const NOTE_BYTES_MAX = 1024 * 1024;
