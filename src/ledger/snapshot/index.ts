/** Catch-up by snapshot: the state of a certified height, and the history below it, without executing either. */
export { adopt, buildState, hasChunk, putChunk, sweep } from './adopt.ts';
export { certificateAt } from './certificate.ts';
export { decodeChunk, encodePair, nameOf, subtreeOf } from './chunks.ts';
export { copyState, PAIR_TABLE, type StateCopy } from './copy.ts';
export { Facts } from './facts.ts';
export { currentState, GENERATION_TABLES, Generations } from './generations.ts';
export {
  type CertifiedLog,
  forget as forgetHistory,
  History,
  type HistoryBlock,
  type HistoryEnd,
} from './history.ts';
export {
  CERTIFIED_BYTES_MAX,
  type Certified,
  CHUNK_BYTES_MAX,
  decodeCertified,
  decodeManifest,
  encodeCertified,
  encodeManifest,
  LINKS_MAX,
  MANIFEST_BYTES_MAX,
  type Manifest,
  type Places,
  placesOf,
  SNAPSHOT_BYTES_MAX,
} from './manifest.ts';
export {
  decodeSegment,
  encodeSegment,
  readSegment,
  SEGMENT_BLOCKS_MAX,
  SEGMENT_BYTES_MAX,
  type Segment,
} from './segment.ts';
export { CHUNK_TABLE, FACT_TABLE } from './tables.ts';
