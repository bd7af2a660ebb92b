/** The indexer's two long works, in steps: a batch becomes a segment, own segments become one. */
import type { Batch } from './batch.ts';
import { type BuiltSegment, buildSteps, type SecretList } from './build.ts';
import { secretFromT } from './keys.ts';
import { encodeKeyword, keywordKey, sentinel } from './keyword.ts';
import { type MergedSegment, type MergeInput, mergeSteps } from './merge.ts';
import { flushLevel } from './schedule.ts';
import { fieldOfKeyword, type KeywordSecrets } from './secrets.ts';
import { LISTS_A_STEP, type Steps } from './steps.ts';
import type { Word } from './vault.ts';
import type { Random } from './voprf.ts';

/** A sealed batch with the words of its companion. */
export interface SealedBatch {
  readonly built: BuiltSegment;
  readonly words: readonly Word[];
}

const sentinelsOf = (secrets: KeywordSecrets): Uint8Array[] =>
  secrets.current().map(({ field }) => encodeKeyword(sentinel(field)));

/** Seals `batch` under the current epochs, with the sentinel of every field. */
export function* sealBatch(
  batch: Batch,
  secrets: KeywordSecrets,
  time: number,
  random: Random,
): Steps<SealedBatch> {
  const epochs = secrets.current();
  const guards = sentinelsOf(secrets);
  const always = new Set(guards.map(keywordKey));
  for (const guard of guards) batch.touch(guard);
  const lists: SecretList[] = [];
  const words: Word[] = [];
  for (const { keyword, list } of batch.lists()) {
    if (list.ids.length === 0 && !always.has(keywordKey(keyword))) continue;
    const field = fieldOfKeyword(keyword);
    const epoch = secrets.currentEpoch(field);
    // An evaluation takes a millisecond, a list that is known a hundredth of it.
    if (words.length % LISTS_A_STEP === 0 || !secrets.knows(keyword, field, epoch)) yield;
    const secret = secrets.secretOf(keyword, field, epoch);
    lists.push({ secret, list });
    words.push({ keyword, t: secret.t });
  }
  const { lo, hi } = batch;
  const built = yield* buildSteps({ lo, hi, level: flushLevel(hi - lo), time, epochs, lists }, random);
  return { built, words };
}

/** Merges own segments under the current epochs; secrets of unchanged epochs come from the companions. */
export function* mergeOwn(
  input: Pick<MergeInput, 'segments' | 'dead' | 'level' | 'time'>,
  secrets: KeywordSecrets,
  random: Random,
): Steps<MergedSegment> {
  const secretFor: MergeInput['secretFor'] = (word, from) => {
    const field = fieldOfKeyword(word.keyword);
    const epoch = secrets.currentEpoch(field);
    const isCurrent = from.epochs.some((one) => one.field === field && one.epoch === epoch);
    return isCurrent ? secretFromT(word.t) : secrets.secretOf(word.keyword, field, epoch);
  };
  return yield* mergeSteps(
    { ...input, epochs: secrets.current(), always: sentinelsOf(secrets), secretFor },
    random,
  );
}
