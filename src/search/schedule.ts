/** Which segments are merged or rebuilt next. Pure: looks at the manifest's segments only. */
import { FAN_OUT, LEVEL0_RECORDS, SEGMENT_RECORDS_MAX } from './parameters.ts';
import type { FieldEpoch, SegmentMeta } from './segment.ts';

/** Segments [from, to) of the manifest, to become one of `level`. */
export interface Run {
  readonly from: number;
  readonly to: number;
  readonly level: number;
}

/** Level of a flush of so many records: 0 up to 8,000, one more for each further factor of eight. */
export function flushLevel(records: number): number {
  return Math.max(0, Math.floor(Math.log(records / LEVEL0_RECORDS) / Math.log(FAN_OUT)));
}

/** Segments that hold a field under another epoch than `current`: each is rebuilt alone, all for one manifest. */
export function staleSegments(
  segments: readonly SegmentMeta[],
  current: readonly FieldEpoch[],
): readonly SegmentMeta[] {
  const epochs = new Map(current.map(({ field, epoch }) => [field, epoch]));
  return segments.filter((meta) => meta.epochs.some(({ field, epoch }) => epochs.get(field) !== epoch));
}

/**
 * Eight segments of one level with nothing higher between them, lowest level first; lower ones that lie between
 * them (left by a large flush) go along. Each record is thus rewritten once a level.
 */
export function fullRun(segments: readonly SegmentMeta[]): Run | undefined {
  const fits = (from: number, to: number) => segments[to].hi - segments[from].lo <= SEGMENT_RECORDS_MAX;
  const top = Math.max(0, ...segments.map((meta) => meta.level));
  for (let level = 0; level <= top; level++) {
    let members: number[] = [];
    for (let at = 0; at < segments.length; at++) {
      if (segments[at].level > level) members = [];
      if (segments[at].level !== level) continue;
      members.push(at);
      while (!fits(members[0], at)) members.shift();
      if (members.length === FAN_OUT) return { from: members[0], to: at + 1, level: level + 1 };
    }
  }
  return undefined;
}
