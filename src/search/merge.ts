/**
 * Joins adjacent segments into one: opens every list with the indexer's own secrets, shifts its numbers, drops the
 * dead, seals under the current epochs. One input alone is a rebuild: for a new epoch, or to purge erased numbers.
 */

import { type BuiltSegment, buildSteps, type SecretList } from './build.ts';
import { searchError } from './errors.ts';
import { bucketOf, type KeywordSecret, listKeys, secretFromT } from './keys.ts';
import { keywordKey } from './keyword.ts';
import type { PostingList, ReadList } from './list.ts';
import { readPage, readSlot } from './read.ts';
import { type FieldEpoch, leafRange, type SegmentMeta, slotLeaf, verifySegmentFile } from './segment.ts';
import { LISTS_A_STEP, runThrough, type Steps } from './steps.ts';
import type { Vocabulary, Word } from './vault.ts';
import type { Random } from './voprf.ts';

/** A segment as its indexer has it. */
export interface OwnSegment {
  readonly meta: SegmentMeta;
  readonly file: Uint8Array;
  readonly vocabulary: Vocabulary;
}

export interface MergeInput {
  /** In order of record numbers, without gaps. */
  readonly segments: readonly OwnSegment[];
  /** Dead record numbers, increasing; others than those of the segments are ignored. */
  readonly dead: Uint32Array;
  readonly epochs: readonly FieldEpoch[];
  readonly level: number;
  readonly time: number;
  /** The secret of `word` under the new segment's epochs, given the segment it comes from. */
  readonly secretFor: (word: Word, from: SegmentMeta) => KeywordSecret;
  /** Keywords that get a list even when it is empty: the sentinels. */
  readonly always: readonly Uint8Array[];
}

/** The list of `secret` in a whole file that has been verified; undefined when the keyword is absent. */
export function listInFile(meta: SegmentMeta, file: Uint8Array, secret: KeywordSecret): ReadList | undefined {
  const keys = listKeys(secret.t, meta.id);
  const leaf = (index: number): Uint8Array => {
    const { offset, length } = leafRange(meta, index);
    return file.subarray(offset, offset + length);
  };
  const content = readPage(meta, leaf(bucketOf(secret.u, meta.bits)), keys);
  if (content.kind === 'absent') return undefined;
  if (content.kind === 'list') return content.list;
  return readSlot(meta, leaf(slotLeaf(meta, content.tier, content.slot)), keys);
}

interface Gathering {
  readonly word: Word;
  readonly secret: KeywordSecret;
  readonly parts: { readonly shift: number; readonly list: ReadList }[];
}

/** A merged segment with its words. */
export interface MergedSegment {
  readonly built: BuiltSegment;
  readonly vocabulary: Vocabulary;
}

/** Merges at once. Throws `search.index_state` when files and companions disagree. */
export function mergeSegments(input: MergeInput, random: Random): MergedSegment {
  return runThrough(mergeSteps(input, random));
}

/** `mergeSegments` in steps. */
export function* mergeSteps(input: MergeInput, random: Random): Steps<MergedSegment> {
  const { segments } = input;
  const lo = segments[0].meta.lo;
  const hi = segments[segments.length - 1].meta.hi;
  const gone = new Uint8Array(hi - lo);
  for (const number of input.dead) if (number >= lo && number < hi) gone[number - lo] = 1;
  const gathered = new Map<string, Gathering>();
  let end = lo;
  for (const segment of segments) {
    if (segment.meta.lo !== end) throw new RangeError('segments are not adjacent');
    end = segment.meta.hi;
    yield* gather(segment, segment.meta.lo - lo, input.secretFor, gathered);
  }
  const always = new Set(input.always.map(keywordKey));
  const lists: SecretList[] = [];
  const words: Word[] = [];
  for (const [key, { word, secret, parts }] of gathered) {
    const list = join(parts, gone);
    if (list.ids.length === 0 && !always.has(key)) continue;
    lists.push({ secret, list });
    words.push({ keyword: word.keyword, t: secret.t });
    if (words.length % LISTS_A_STEP === 0) yield;
  }
  const { level, time, epochs } = input;
  const built = yield* buildSteps({ lo, hi, level, time, epochs, lists }, random);
  const dropped: number[] = [];
  gone.forEach((flag, local) => {
    if (flag === 1) dropped.push(local);
  });
  return { built, vocabulary: { words, dropped } };
}

function* gather(
  segment: OwnSegment,
  shift: number,
  secretFor: MergeInput['secretFor'],
  gathered: Map<string, Gathering>,
): Steps<void> {
  const { meta, file, vocabulary } = segment;
  yield;
  verifySegmentFile(meta, file);
  yield;
  let read = 0;
  for (const word of vocabulary.words) {
    if (++read % LISTS_A_STEP === 0) yield;
    const list = listInFile(meta, file, secretFromT(word.t));
    if (list === undefined) {
      throw searchError(
        'search.index_state',
        'a segment lacks a list of its companion: rebuild from records',
      );
    }
    const key = keywordKey(word.keyword);
    const known = gathered.get(key);
    if (known !== undefined) known.parts.push({ shift, list });
    else gathered.set(key, { word, secret: secretFor(word, meta), parts: [{ shift, list }] });
  }
}

function join(parts: Gathering['parts'], gone: Uint8Array): PostingList {
  let length = 0;
  let weighted = false;
  for (const { list } of parts) {
    length += list.members.size;
    weighted ||= list.weights !== null;
  }
  const ids = new Uint32Array(length);
  const weights = weighted ? new Uint8Array(length) : null;
  let n = 0;
  for (const { shift, list } of parts) {
    const local = list.members.ids;
    for (let i = 0; i < local.length; i++) {
      const id = local[i] + shift;
      if (gone[id] === 1) continue;
      if (weights !== null) weights[n] = list.weights?.[i] ?? 0;
      ids[n++] = id;
    }
  }
  return { ids: ids.subarray(0, n), weights: weights?.subarray(0, n) ?? null };
}
