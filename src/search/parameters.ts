/**
 * The constants of suite `sli/1` and the bounds on what others control. The first group is part of the format:
 * a change of any of them is a new suite. Reasons: docs/format/search.md and, for the sizes, the measurements
 * in docs/search.md.
 */

/** Name of the sealed list index with everything in this file. */
export const SUITE = 'sli/1';

/** Cell: tag 8, masked kind and length 2, masked offset or slot 4. */
export const CELL_BYTES = 14;
export const TAG_BYTES = 8;
/** Pages aim at this size before rounding. */
export const PAGE_BYTES_TARGET = 8192;
/** Share of the target that lists may fill on average, so that the fullest page stays near it. */
export const PAGE_FILL = 0.8;
/** Page sizes are multiples of this. */
export const PAGE_BYTES_STEP = 256;
/** Longest list that lies in its page; longer ones get a slot of a tier. */
export const INLINE_BYTES_MAX = 1024;
/** Slot size of tier j is this times 4^j. */
export const TIER_BYTES = 4096;
export const TIERS_MAX = 12;
/** Bucket bits of the largest segment. */
export const BUCKET_BITS_MAX = 20;
/** Files up to this size are always fetched whole, so they show no access pattern and carry no tree. */
export const WHOLE_FETCH_BYTES = 256 * 1024;
/** Files under `WHOLE_FETCH_BYTES` are padded to this times a power of two. */
export const SMALL_FILE_BYTES = 16 * 1024;
/** Slots fetched together for a field marked sensitive. */
export const SLOT_GROUP = 8;
/** Bytes of a segment id. */
export const SEGMENT_ID_BYTES = 16;

/** Adjacent segments of a level that are merged into one of the next. */
export const FAN_OUT = 8;
/** A flush of this many records is level 0; one of eight times as many, level 1; and so on. */
export const LEVEL0_RECORDS = 1000;
/** Most records of one segment; a merge that would pass it is not made. */
export const SEGMENT_RECORDS_MAX = 1 << 23;
/** Largest page: over 60 times the target, so no honest load reaches it; a client allocates by it. */
export const PAGE_BYTES_MAX = 1 << 20;
/** Largest segment file: 2^23 records of 100 keywords take about as much. */
export const SEGMENT_BYTES_MAX = 2 ** 32;
/** Most segments of one manifest: levels x fan-out with room for odd flushes. */
export const SEGMENTS_MAX = 4096;
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;

/** Longest encoded keyword. */
export const KEYWORD_BYTES_MAX = 512;
/** Most keywords of one record. */
export const RECORD_KEYWORDS_MAX = 4096;
/** Blinded elements of one evaluation: one Search entry, one proof. */
export const OPRF_BATCH_MAX = 32;
/** Query text, nesting and size after expansion of ranges. */
export const QUERY_CHARS_MAX = 4096;
export const QUERY_DEPTH_MAX = 32;
export const QUERY_KEYWORDS_MAX = 256;
/** Fields of one registry. */
export const FIELDS_MAX = 256;
