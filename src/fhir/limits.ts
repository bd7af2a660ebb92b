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
/**
 * What is indexed of one record. Together with a sentinel a field these stay below the index's own bound
 * (RECORD_KEYWORDS_MAX of src/search), so that no record is refused for having too much to be found by.
 * A word of a field with prefixes costs up to 8 keywords, of `note` 1; a long letter has some 500 distinct words.
 */
export const NOTE_WORDS_MAX = 1_500;
export const TEXT_WORDS_MAX = 64;
/** Keywords of codes, dates, numbers and references. */
export const VALUE_KEYWORDS_MAX = 1_800;
/** Bytes of one attachment that are read for words; the rest is sealed but not indexed. */
export const NOTE_BYTES_MAX = 1024 * 1024;
