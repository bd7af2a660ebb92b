/**
 * The lists of a plan's keywords in every segment of one custodian: two rounds, each one batch a segment. What goes
 * out depends on the segment and on page numbers only: terms are padded with decoy pages drawn from (client key, set
 * of terms), so that a repeated query repeats its decoys; an absent keyword is fetched like any other; the second
 * round starts when every page of the first has come (search-security.md, never-do 10 and 11).
 */
import { concat, readU32be, toHex, u32be, utf8 } from '../codec/bytes.ts';
import { encodeCbor } from '../codec/cbor.ts';
import { hmacSha256, sha256 } from '../codec/hash.ts';
import { searchError } from './errors.ts';
import { bucketOf, type KeywordSecret, type ListKeys } from './keys.ts';
import type { ReadList } from './list.ts';
import { type Manifest, segmentName } from './manifest.ts';
import { isWithin } from './members.ts';
import { SLOT_GROUP } from './parameters.ts';
import type { PlannedKeyword } from './plan.ts';
import { type CellContent, readPage, readSlot } from './read.ts';
import type { FetchCount, Guard, SegmentReader } from './reader.ts';
import { type SegmentMeta, slotLeaf } from './segment.ts';

/** Secret of an encoded keyword in an epoch of its field; undefined when the caller has none. */
export type SecretLookup = (keyword: Uint8Array, field: string, epoch: number) => KeywordSecret | undefined;

export interface LookupInput {
  readonly manifest: Manifest;
  readonly keywords: readonly PlannedKeyword[];
  readonly secretOf: SecretLookup;
  readonly readerOf: (meta: SegmentMeta) => SegmentReader;
  /** 32 bytes that stay on the device; chooses decoys. */
  readonly clientKey: Uint8Array;
  readonly cost: FetchCount;
}

/** A segment with the list of each keyword of the plan; null where it has none. */
export interface SegmentLists {
  readonly meta: SegmentMeta;
  readonly lists: readonly (ReadList | null)[];
}

interface OpenTerm {
  readonly at: number;
  readonly planned: PlannedKeyword;
  readonly secret: KeywordSecret;
  readonly keys: ListKeys;
  /** Of a sentinel that an earlier query has read. */
  readonly guard: Guard | undefined;
}

interface OpenSegment {
  readonly meta: SegmentMeta;
  readonly reader: SegmentReader;
  readonly terms: readonly OpenTerm[];
}

/** Sizes to which the terms of a page-wise query are padded. */
export function paddedTerms(count: number): number {
  let size = 4;
  while (size < count) size *= 2;
  return size;
}

const NO_LEAVES: ReadonlyMap<number, Uint8Array> = new Map();

/** Every list of the plan, verified. Throws instead of answering from fewer segments or terms. */
export async function lookupLists(input: LookupInput): Promise<SegmentLists[]> {
  const secretOf = rememberedSecrets(input);
  const open = input.manifest.segments.map((meta) => openSegment(input, meta, secretOf));
  const decoys = decoyChooser(input);
  const pages = await Promise.all(
    open.map(({ meta, reader, terms }) => {
      const positions = terms.map(({ secret }) => secret.u);
      if (!reader.isWhole) positions.push(...decoys(meta, terms));
      return reader.leaves(
        positions.map((u) => bucketOf(u, meta.bits)),
        input.cost,
      );
    }),
  );
  const contents = open.map(({ meta, terms }, i) =>
    terms.map(
      ({ secret, keys, guard }) =>
        guard?.content ?? readPage(meta, leafOf(pages[i], bucketOf(secret.u, meta.bits)), keys),
    ),
  );
  const slots = await Promise.all(
    open.map(({ meta, reader, terms }, i) => {
      const wanted = slotLeaves(meta, terms, contents[i]);
      return wanted.length === 0 ? NO_LEAVES : reader.leaves(wanted, input.cost);
    }),
  );
  return open.map(({ meta, reader, terms }, i) => {
    const lists: (ReadList | null)[] = input.keywords.map(() => null);
    terms.forEach(({ at, planned, secret, keys, guard }, j) => {
      const content = contents[i][j];
      const list = guard === undefined ? readContent(meta, content, slots[i], keys) : guard.list;
      if (planned.isSentinel && guard === undefined) reader.keepGuard(secret, { content, list });
      lists[at] = list;
    });
    checkSentinels(meta, input.keywords, terms, lists);
    return { meta, lists };
  });
}

/** Secret of the plan's keyword `at` in an epoch of its field. */
type SecretAt = (at: number, epoch: number) => KeywordSecret;

/** The caller's secrets, asked for once for all segments of an epoch. */
function rememberedSecrets({ keywords, secretOf, manifest }: LookupInput): SecretAt {
  const known = keywords.map(() => new Map<number, KeywordSecret>());
  return (at, epoch) => {
    const { bytes, field } = keywords[at];
    const held = known[at].get(epoch);
    if (held !== undefined) return held;
    const secret = secretOf(bytes, field, epoch);
    if (secret === undefined) {
      throw searchError(
        'search.secret_missing',
        `no secret for a keyword of field "${field}" in epoch ${epoch} at ${manifest.custodian}: ask its indexer first`,
        { details: { field, epoch, custodian: manifest.custodian } },
      );
    }
    known[at].set(epoch, secret);
    return secret;
  };
}

function openSegment(input: LookupInput, meta: SegmentMeta, secretOf: SecretAt): OpenSegment {
  const reader = input.readerOf(meta);
  const terms: OpenTerm[] = [];
  input.keywords.forEach((planned, at) => {
    const epoch = reader.epochOf(planned.field);
    // A field that the segment does not name was not indexed when it was built: none of its records has it.
    if (epoch === undefined) return;
    const secret = secretOf(at, epoch);
    const guard = planned.isSentinel ? reader.guardOf(secret) : undefined;
    terms.push({ at, planned, secret, keys: reader.keysOf(secret), guard });
  });
  return { meta, reader, terms };
}

const DECOY_LABEL = utf8('sli/1/decoy');

type Decoys = (meta: SegmentMeta, terms: readonly OpenTerm[]) => readonly number[];

/**
 * Bucket positions of the decoys that go with `terms` of one segment. They depend on the epochs too: decoys that
 * outlived an epoch change would stand out from the terms, whose positions change with it.
 */
function decoyChooser(input: LookupInput): Decoys {
  const chosen = new Map<string, readonly number[]>();
  const digests = input.keywords.map(({ bytes }) => toHex(sha256(bytes)));
  return (meta, terms) => {
    const fields = new Set(terms.map(({ planned }) => planned.field));
    const epochs = meta.epochs.filter(({ field }) => fields.has(field)).map(({ epoch }) => epoch);
    const key = `${terms.map(({ at }) => at).join()} ${epochs.join()}`;
    const known = chosen.get(key);
    if (known !== undefined) return known;
    const names = terms.map(({ at }) => digests[at]).sort();
    const scope = encodeCbor([input.manifest.custodian, names, epochs]);
    const positions = decoyPositions(input.clientKey, sha256(scope), terms.length);
    chosen.set(key, positions);
    return positions;
  };
}

function decoyPositions(clientKey: Uint8Array, scope: Uint8Array, terms: number): number[] {
  return Array.from({ length: paddedTerms(terms) - terms }, (_, i) =>
    readU32be(hmacSha256(clientKey, concat(DECOY_LABEL, scope, u32be(i))), 0),
  );
}

function slotLeaves(
  meta: SegmentMeta,
  terms: readonly OpenTerm[],
  contents: readonly CellContent[],
): number[] {
  const leaves: number[] = [];
  contents.forEach((content, i) => {
    if (content.kind !== 'slot') return;
    const { tier, slot } = content;
    const size = terms[i].planned.sensitive ? SLOT_GROUP : 1;
    const first = slot - (slot % size);
    for (let one = first; one < Math.min(first + size, meta.tiers[tier]); one++) {
      leaves.push(slotLeaf(meta, tier, one));
    }
  });
  return leaves;
}

function readContent(
  meta: SegmentMeta,
  content: CellContent,
  slots: ReadonlyMap<number, Uint8Array>,
  keys: ListKeys,
): ReadList | null {
  if (content.kind === 'absent') return null;
  if (content.kind === 'list') return content.list;
  return readSlot(meta, leafOf(slots, slotLeaf(meta, content.tier, content.slot)), keys);
}

function leafOf(leaves: ReadonlyMap<number, Uint8Array>, index: number): Uint8Array {
  const leaf = leaves.get(index);
  if (leaf === undefined) throw new RangeError('a leaf was not asked for');
  return leaf;
}

/**
 * Step 8: every segment holds the sentinel of every field it names, empty or not, and each list of a field lies inside
 * its sentinel's. A wrong field key or a wrong epoch finds no sentinel and is told apart from an empty answer.
 */
function checkSentinels(
  meta: SegmentMeta,
  keywords: readonly PlannedKeyword[],
  terms: readonly OpenTerm[],
  lists: readonly (ReadList | null)[],
): void {
  const sentinels = new Map<string, ReadList | null>();
  for (const { at, planned } of terms) if (planned.isSentinel) sentinels.set(planned.field, lists[at]);
  keywords.forEach(({ field, isSentinel }, at) => {
    if (!sentinels.has(field)) return;
    const guard = sentinels.get(field) ?? null;
    const list = lists[at];
    const good =
      guard !== null &&
      (isSentinel ||
        list === null ||
        (list.members.size > 0 && isWithin(list.members, guard.members, meta.hi - meta.lo)));
    if (!good) {
      throw searchError(
        'search.keys_inconsistent',
        `segment ${segmentName(meta)}: the lists of field "${field}" contradict its sentinel; the field key is wrong, or the index is`,
        { details: { field, segment: segmentName(meta) } },
      );
    }
  });
}
