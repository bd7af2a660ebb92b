/**
 * The manifest: every live segment of one custodian's index, in order of record numbers. Its hash is ledger state
 * (entry IndexCommit), so a client that knows the state knows that no segment was left out, added or kept from
 * an earlier day. Verification step 3 of search-security.md section 6 lives here.
 */
import { equalBytes, toHex } from '../codec/bytes.ts';
import { decodeCbor, encodeCbor } from '../codec/cbor.ts';
import { DOMAIN } from '../codec/domains.ts';
import { taggedHash } from '../codec/hash.ts';
import { memberId } from '../codec/ids.ts';
import { searchError } from './errors.ts';
import { isFieldName } from './keyword.ts';
import { HASH_BYTES } from './merkle.ts';
import {
  BUCKET_BITS_MAX,
  CELL_BYTES,
  FIELDS_MAX,
  MANIFEST_BYTES_MAX,
  PAGE_BYTES_MAX,
  PAGE_BYTES_STEP,
  SEGMENT_BYTES_MAX,
  SEGMENT_ID_BYTES,
  SEGMENT_RECORDS_MAX,
  SEGMENTS_MAX,
  SUITE,
  TIERS_MAX,
} from './parameters.ts';
import {
  type FieldEpoch,
  metaForm,
  paddingFor,
  type SegmentMeta,
  segmentShape,
  slotBytes,
} from './segment.ts';

/** One custodian's index at one commit. */
export interface Manifest {
  readonly custodian: string;
  /** 1 for the first commit, then one more each time; the ledger refuses any other. */
  readonly seq: number;
  readonly segments: readonly SegmentMeta[];
}

const FORMAT = 1;

/** Records that the manifest covers: numbers 0 to this, exclusive. */
export function manifestEnd(manifest: Manifest): number {
  return manifest.segments.at(-1)?.hi ?? 0;
}

/** Canonical bytes; checks the manifest first, so that what is written can be read. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  checkManifest(manifest);
  return encodeCbor({
    v: FORMAT,
    suite: SUITE,
    custodian: manifest.custodian,
    seq: manifest.seq,
    segments: manifest.segments.map((meta) => ({ ...metaForm(meta), root: meta.root })),
  });
}

/** Hash of encoded manifest bytes, as the ledger holds it. */
export function manifestHash(bytes: Uint8Array): Uint8Array {
  return taggedHash(DOMAIN.manifest, bytes);
}

/** Name of a segment in stores and routes: its id in hexadecimal. */
export function segmentName(meta: Pick<SegmentMeta, 'id'>): string {
  return toHex(meta.id);
}

/**
 * The manifest of `bytes`. With `expected`, what the ledger's state says: the hash and the custodian's record
 * count. Throws `search.manifest_hash`, `search.manifest_malformed`, `search.manifest_ranges`.
 */
export function decodeManifest(
  bytes: Uint8Array,
  expected?: { readonly hash: Uint8Array; readonly records: number },
): Manifest {
  if (expected !== undefined && !equalBytes(manifestHash(bytes), expected.hash)) {
    throw searchError(
      'search.manifest_hash',
      'this is not the manifest that the ledger names; fetch it again',
    );
  }
  let parsed: unknown;
  try {
    parsed = decodeCbor(bytes, MANIFEST_BYTES_MAX);
  } catch (cause) {
    throw malformed('not canonical dag-cbor', cause);
  }
  const form = record(parsed, ['v', 'suite', 'custodian', 'seq', 'segments']);
  if (form.v !== FORMAT || form.suite !== SUITE)
    throw malformed(`expected version ${FORMAT}, suite ${SUITE}`);
  if (typeof form.custodian !== 'string' || !Array.isArray(form.segments)) throw malformed('wrong types');
  const manifest = {
    custodian: form.custodian,
    seq: count(form.seq),
    segments: form.segments.map(parseMeta),
  };
  checkManifest(manifest);
  if (expected !== undefined && manifestEnd(manifest) > expected.records) {
    throw searchError('search.manifest_ranges', 'the manifest covers records that the ledger does not have');
  }
  return manifest;
}

const META_KEYS = [
  'id',
  'lo',
  'hi',
  'level',
  'time',
  'epochs',
  'b',
  'd',
  'p',
  'tiers',
  'pad',
  'root',
] as const;

function parseMeta(value: unknown): SegmentMeta {
  const form = record(value, META_KEYS);
  if (!Array.isArray(form.epochs) || !Array.isArray(form.tiers)) throw malformed('wrong types in a segment');
  return {
    id: bytesOf(form.id, SEGMENT_ID_BYTES),
    lo: count(form.lo),
    hi: count(form.hi),
    level: count(form.level),
    time: count(form.time),
    epochs: form.epochs.map(parseEpoch),
    bits: count(form.b),
    cells: count(form.d),
    pageBytes: count(form.p),
    tiers: form.tiers.map(count),
    padBytes: count(form.pad),
    root: bytesOf(form.root, HASH_BYTES),
  };
}

function parseEpoch(value: unknown): FieldEpoch {
  if (!Array.isArray(value) || value.length !== 2 || typeof value[0] !== 'string') {
    throw malformed('expected [field, epoch]');
  }
  return { field: value[0], epoch: count(value[1]) };
}

function checkManifest(manifest: Manifest): void {
  memberId(manifest.custodian);
  if (!(manifest.seq >= 1)) throw malformed('seq begins with 1');
  if (manifest.segments.length > SEGMENTS_MAX) throw malformed(`more than ${SEGMENTS_MAX} segments`);
  const names = new Set<string>();
  let next = 0;
  for (const meta of manifest.segments) {
    if (meta.lo !== next) {
      const what = meta.lo > next ? 'leave a gap' : 'overlap or are out of order';
      throw searchError('search.manifest_ranges', `the segments of the manifest ${what} at record ${next}`);
    }
    next = meta.hi;
    checkMeta(meta);
    names.add(segmentName(meta));
  }
  if (names.size !== manifest.segments.length) throw malformed('a segment id occurs twice');
}

/** A client allocates and fetches by these numbers, so they are bounded and must agree with each other. */
function checkMeta(meta: SegmentMeta): void {
  const records = meta.hi - meta.lo;
  const tierBytes = meta.tiers.reduce((sum, slots, tier) => sum + slots * slotBytes(tier), 0);
  const good =
    records > 0 &&
    records <= SEGMENT_RECORDS_MAX &&
    meta.id.length === SEGMENT_ID_BYTES &&
    meta.root.length === HASH_BYTES &&
    meta.bits <= BUCKET_BITS_MAX &&
    meta.pageBytes > 0 &&
    meta.pageBytes <= PAGE_BYTES_MAX &&
    meta.pageBytes % PAGE_BYTES_STEP === 0 &&
    meta.cells * CELL_BYTES <= meta.pageBytes &&
    meta.tiers.length <= TIERS_MAX &&
    meta.tiers.at(-1) !== 0 &&
    meta.padBytes === paddingFor(2 ** meta.bits * meta.pageBytes + tierBytes) &&
    meta.tiers.every((slots) => slots <= SEGMENT_BYTES_MAX / slotBytes(0)) &&
    segmentShape(meta).fileBytes <= SEGMENT_BYTES_MAX;
  if (!good) throw malformed('the parameters of a segment contradict each other');
  if (meta.epochs.length > FIELDS_MAX) throw malformed('a segment names too many fields');
  meta.epochs.forEach(({ field }, i) => {
    const sorted = i === 0 || meta.epochs[i - 1].field < field;
    if (!isFieldName(field) || !sorted) throw malformed('expected field epochs sorted by field, each once');
  });
}

const malformed = (what: string, cause?: unknown) =>
  searchError('search.manifest_malformed', `a manifest is not well formed: ${what}`, { cause });

function record(value: unknown, keys: readonly string[]): Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw malformed('expected a map');
  const form = value as Readonly<Record<string, unknown>>;
  if (Object.keys(form).length !== keys.length || !keys.every((key) => Object.hasOwn(form, key))) {
    throw malformed('missing or unknown keys');
  }
  return form;
}

function count(value: unknown): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw malformed('expected a whole number');
  return Number(value);
}

function bytesOf(value: unknown, length: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) throw malformed(`expected ${length} bytes`);
  return value;
}
