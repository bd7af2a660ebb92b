/** Access, BreakGlass, BreakGlassReview: asking to open records. */
import { RECORDS_MAX } from './bounds.ts';
import { bytes32, count, type Purpose, purpose } from './common.ts';
import { type Decode, list, map, oneOf } from './fields.ts';
import { stepUpText } from './keys.ts';

export interface RecordVersion {
  readonly record: Uint8Array;
  readonly version: number;
}

export interface Access {
  readonly keyId: Uint8Array;
  readonly generation: number;
  readonly records: readonly RecordVersion[];
  readonly purpose: Purpose;
}

export const BREAK_GLASS_REASONS = ['life-threat', 'unconscious', 'disaster', 'other'] as const;

export interface BreakGlass {
  readonly keyId: Uint8Array;
  readonly generation: number;
  readonly record: Uint8Array;
  readonly version: number;
  readonly reason: (typeof BREAK_GLASS_REASONS)[number];
  readonly stepUp: string;
}

export interface BreakGlassReview {
  readonly entry: Uint8Array;
  readonly outcome: 'justified' | 'unjustified';
}

export const access: Decode<Access> = map<Access>({
  keyId: bytes32,
  generation: count,
  records: list(map<RecordVersion>({ record: bytes32, version: count }), 1, RECORDS_MAX),
  purpose,
});

export const breakGlass: Decode<BreakGlass> = map<BreakGlass>({
  keyId: bytes32,
  generation: count,
  record: bytes32,
  version: count,
  reason: oneOf(...BREAK_GLASS_REASONS),
  stepUp: stepUpText,
});

export const breakGlassReview: Decode<BreakGlassReview> = map<BreakGlassReview>({
  entry: bytes32,
  outcome: oneOf('justified', 'unjustified'),
});
