/**
 * Builds one sealed segment from lists (search-security.md, section 2). All randomness is drawn in here: the
 * segment id is HMAC(fresh key, everything that goes in), so that even a random source that repeats itself never
 * puts two different contents under one id and hence under one key stream.
 * Small files (whole-fetched) have a fixed page form, so that neither file size nor manifest tells how many
 * keywords a flush of one record had.
 */
import { ctrXor } from '../codec/aead.ts';
import { u32be } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { hmacSha256 } from '../codec/hash.ts';
import { searchError } from './errors.ts';
import { bucketOf, type KeywordSecret, listKeys } from './keys.ts';
import { encodeList, type PostingList } from './list.ts';
import { joinMany } from './merkle.ts';
import {
  BUCKET_BITS_MAX,
  CELL_BYTES,
  INLINE_BYTES_MAX,
  PAGE_BYTES_MAX,
  PAGE_BYTES_STEP,
  PAGE_BYTES_TARGET,
  PAGE_FILL,
  SEGMENT_BYTES_MAX,
  SEGMENT_ID_BYTES,
  SEGMENT_RECORDS_MAX,
  TIERS_MAX,
  WHOLE_FETCH_BYTES,
} from './parameters.ts';
import {
  closeFile,
  type FieldEpoch,
  paddingFor,
  type SegmentMeta,
  segmentRoot,
  slotBytes,
} from './segment.ts';
import { keyStream, Shuffler } from './shuffle.ts';
import { LISTS_A_STEP, runThrough, type Steps } from './steps.ts';
import type { Random } from './voprf.ts';

/** One keyword's list with the secret it is sealed under. Every secret occurs once. */
export interface SecretList {
  readonly secret: KeywordSecret;
  readonly list: PostingList;
}

/** What a build is about; the segment id is never among it. */
export interface SegmentInput {
  readonly lo: number;
  readonly hi: number;
  readonly level: number;
  readonly time: number;
  readonly epochs: readonly FieldEpoch[];
  readonly lists: readonly SecretList[];
}

export interface BuiltSegment {
  readonly meta: SegmentMeta;
  readonly file: Uint8Array;
}

/** Cells of a page of a small file: leaves 10 bytes a list on average for bodies. */
export const SMALL_PAGE_CELLS = 341;
const SMALL_BITS_MAX = Math.log2(WHOLE_FETCH_BYTES / PAGE_BYTES_TARGET);
const ZERO_IV = new Uint8Array(16);

/** Seals `input`. Cost: about 7 us a list and 60 ns a posting on the reference machine. */
export function buildSegment(input: SegmentInput, random: Random): BuiltSegment {
  return runThrough(buildSteps(input, random));
}

/** `buildSegment` in steps. `input` must not change until it is done. */
export function* buildSteps(input: SegmentInput, random: Random): Steps<BuiltSegment> {
  const width = input.hi - input.lo;
  if (!(width > 0 && width <= SEGMENT_RECORDS_MAX && input.lo >= 0)) {
    throw searchError(
      'search.too_large',
      `a segment covers 1 to ${SEGMENT_RECORDS_MAX} records, not ${width}`,
    );
  }
  const plain: Uint8Array[] = [];
  for (const { list } of input.lists) {
    plain.push(encodeList(list, width));
    if (plain.length % LISTS_A_STEP === 0) yield;
  }
  yield;
  const id = drawId(input, plain, random);
  yield;
  const layout = planLayout(input.lists, plain);
  yield;
  const shuffler = new Shuffler(random(32));
  const leafPart = keyStream(random(32), layout.leafBytes);
  yield;
  yield* writeLists(leafPart, layout, input.lists, plain, id, shuffler);
  yield;
  const { bits, cells, pageBytes, tiers, padBytes } = layout;
  const { file, treeRoot } = closeFile(layout, leafPart);
  const { lo, hi, level, time, epochs } = input;
  const open = { id, lo, hi, level, time, epochs, bits, cells, pageBytes, tiers, padBytes };
  return { meta: { ...open, root: segmentRoot(open, treeRoot) }, file };
}

function drawId(input: SegmentInput, plain: readonly Uint8Array[], random: Random): Uint8Array {
  const scope = encodeCbor([input.lo, input.hi, input.epochs.map(({ field, epoch }) => [field, epoch])]);
  const parts: Uint8Array[] = [scope];
  input.lists.forEach(({ secret }, i) => {
    parts.push(secret.t, u32be(plain[i].length), plain[i]);
  });
  return hmacSha256(random(32), joinMany(parts)).slice(0, SEGMENT_ID_BYTES);
}

interface Layout {
  readonly bits: number;
  readonly cells: number;
  readonly pageBytes: number;
  readonly tiers: readonly number[];
  readonly padBytes: number;
  readonly leafBytes: number;
  /** Tier of each list, or -1 for inline. */
  readonly tierOf: Int8Array;
}

function planLayout(lists: readonly SecretList[], plain: readonly Uint8Array[]): Layout {
  const tierOf = new Int8Array(lists.length).fill(-1);
  const tiers: number[] = [];
  let inlineBytes = 0;
  for (let i = 0; i < lists.length; i++) {
    inlineBytes += CELL_BYTES;
    if (plain[i].length <= INLINE_BYTES_MAX) {
      inlineBytes += plain[i].length;
      continue;
    }
    const tier = tierFor(plain[i].length);
    tierOf[i] = tier;
    while (tiers.length <= tier) tiers.push(0);
    tiers[tier]++;
  }
  const tierBytes = tiers.reduce((sum, slots, tier) => sum + slots * slotBytes(tier), 0);
  const loads = (bits: number) => pageLoads(lists, plain, tierOf, bits);
  const small = smallBits(loads, tierBytes);
  if (small >= 0) {
    const bytes = 2 ** small * PAGE_BYTES_TARGET + tierBytes;
    const padBytes = paddingFor(bytes);
    const leafBytes = bytes + padBytes;
    const form = { bits: small, cells: SMALL_PAGE_CELLS, pageBytes: PAGE_BYTES_TARGET };
    return { ...form, tiers, padBytes, leafBytes, tierOf };
  }
  let bits = 0;
  while (bits < BUCKET_BITS_MAX && inlineBytes / 2 ** bits > PAGE_FILL * PAGE_BYTES_TARGET) bits++;
  // Above the whole-fetch size whatever the loads are, so that two forms never share a file size.
  while (2 ** bits * PAGE_BYTES_TARGET + tierBytes <= WHOLE_FETCH_BYTES) bits++;
  const { cellsMax, bodyMax } = loads(bits);
  const pageBytes = Math.max(
    roundUp(cellsMax * CELL_BYTES + bodyMax, PAGE_BYTES_STEP),
    roundUp((WHOLE_FETCH_BYTES + 1 - tierBytes) / 2 ** bits, PAGE_BYTES_STEP),
  );
  const leafBytes = 2 ** bits * pageBytes + tierBytes;
  if (pageBytes > PAGE_BYTES_MAX || leafBytes > 0.99 * SEGMENT_BYTES_MAX) {
    throw searchError(
      'search.too_large',
      'the lists do not fit into one segment; flush fewer records at once',
    );
  }
  return { bits, cells: cellsMax, pageBytes, tiers, padBytes: 0, leafBytes, tierOf };
}

const roundUp = (value: number, step: number): number => Math.ceil(value / step) * step;

function tierFor(bytes: number): number {
  for (let tier = 0; tier < TIERS_MAX; tier++) if (bytes <= slotBytes(tier)) return tier;
  throw searchError('search.too_large', `a list of ${bytes} bytes fits no tier`);
}

interface Loads {
  readonly cellsMax: number;
  /** Most bytes of cells that are lists plus their bodies, minus the cells: bodies of the fullest page. */
  readonly bodyMax: number;
}

function pageLoads(
  lists: readonly SecretList[],
  plain: readonly Uint8Array[],
  tierOf: Int8Array,
  bits: number,
): Loads {
  const cells = new Uint32Array(2 ** bits);
  const bodies = new Uint32Array(2 ** bits);
  for (let i = 0; i < lists.length; i++) {
    const bucket = bucketOf(lists[i].secret.u, bits);
    cells[bucket]++;
    if (tierOf[i] < 0) bodies[bucket] += plain[i].length;
  }
  return { cellsMax: largest(cells), bodyMax: largest(bodies) };
}

function largest(values: Uint32Array): number {
  let most = 0;
  for (const value of values) if (value > most) most = value;
  return most;
}

/** Fewest bucket bits with which a small file holds everything; -1 when none does. */
function smallBits(loads: (bits: number) => Loads, tierBytes: number): number {
  for (let bits = 0; bits <= SMALL_BITS_MAX; bits++) {
    if (2 ** bits * PAGE_BYTES_TARGET + tierBytes > WHOLE_FETCH_BYTES) return -1;
    const { cellsMax, bodyMax } = loads(bits);
    if (cellsMax <= SMALL_PAGE_CELLS && SMALL_PAGE_CELLS * CELL_BYTES + bodyMax <= PAGE_BYTES_TARGET)
      return bits;
  }
  return -1;
}

/** Kind and length in one number: kind in the top 5 bits (0 inline, tier + 1), length of an inline body below. */
export function cellHead(tier: number, length: number): number {
  return tier < 0 ? length : (tier + 1) << 11;
}

function* writeLists(
  out: Uint8Array,
  layout: Layout,
  lists: readonly SecretList[],
  plain: readonly Uint8Array[],
  id: Uint8Array,
  shuffler: Shuffler,
): Steps<void> {
  const { bits, cells, pageBytes, tiers, tierOf } = layout;
  const pages = 2 ** bits;
  const used = new Uint32Array(pages);
  const bodyEnd = new Uint32Array(pages).fill(cells * CELL_BYTES);
  const cellOrder: Uint32Array[] = [];
  for (let page = 0; page < pages; page++) {
    cellOrder.push(shuffler.permutation(cells));
    if (page % LISTS_A_STEP === 0) yield;
  }
  const slotOrder = tiers.map((slots) => shuffler.permutation(slots));
  const slotsUsed = new Uint32Array(tiers.length);
  const tierStart = tiers.map((_, tier) => {
    let offset = pages * pageBytes;
    for (let below = 0; below < tier; below++) offset += tiers[below] * slotBytes(below);
    return offset;
  });
  yield;
  let written = 0;
  for (const i of shuffler.permutation(lists.length)) {
    if (++written % LISTS_A_STEP === 0) yield;
    const { secret } = lists[i];
    const keys = listKeys(secret.t, id);
    const page = bucketOf(secret.u, bits);
    const tier = tierOf[i];
    let place: number;
    if (tier < 0) {
      place = bodyEnd[page];
      out.set(ctrXor(keys.key, ZERO_IV, plain[i]), page * pageBytes + place);
      bodyEnd[page] += plain[i].length;
    } else {
      place = slotOrder[tier][slotsUsed[tier]++];
      const slot = new Uint8Array(slotBytes(tier));
      slot.set(plain[i]);
      out.set(ctrXor(keys.key, ZERO_IV, slot), tierStart[tier] + place * slot.length);
    }
    const at = page * pageBytes + cellOrder[page][used[page]++] * CELL_BYTES;
    writeCell(out, at, keys.tag, keys.mask, cellHead(tier, plain[i].length), place);
  }
}

function writeCell(
  out: Uint8Array,
  at: number,
  tag: Uint8Array,
  mask: Uint8Array,
  head: number,
  place: number,
): void {
  out.set(tag, at);
  out[at + 8] = (head >>> 8) ^ mask[0];
  out[at + 9] = (head & 255) ^ mask[1];
  out[at + 10] = (place >>> 24) ^ mask[2];
  out[at + 11] = ((place >>> 16) & 255) ^ mask[3];
  out[at + 12] = ((place >>> 8) & 255) ^ mask[4];
  out[at + 13] = (place & 255) ^ mask[5];
}
