/** SubjectPut, SubjectKeyPut, AttributeSet, AttributeEnd, SubjectRevoke, RegistryPut: people, systems and what they hold. */
import type { PublicKey } from '../../codec/signature.ts';
import { LABELS_MAX, SUBJECT_KEYS_MAX } from './bounds.ts';
import { attributeText, bytes16, bytes32, bytes64, member, publicKey, time } from './common.ts';
import { type Decode, distinct, integer, list, map, nullable, oneOf } from './fields.ts';
import { type LabelEntry, labelEntry } from './labels.ts';

export type SubjectKind = 'patient' | 'person' | 'system' | 'device';
/** Who holds the subject's keys: its own device, or its hospital's gateway. */
export type Custody = 'client' | 'gateway';

export interface SubjectPut {
  readonly subject: Uint8Array;
  readonly member: string;
  readonly kind: SubjectKind;
  readonly custody: Custody;
  readonly key: PublicKey;
  readonly hpkeKey: Uint8Array;
  readonly proof: Uint8Array;
}

export interface SubjectKeyPut {
  readonly subject: Uint8Array;
  readonly key: PublicKey;
  readonly hpkeKey: Uint8Array;
  readonly proof: Uint8Array;
  readonly retire: readonly number[];
}

export interface AttributeSet {
  readonly subject: Uint8Array;
  readonly attribute: string;
  readonly until: number | null;
}

export interface AttributeEnd {
  readonly subject: Uint8Array;
  readonly attribute: string;
}

export const REVOKE_REASONS = ['left', 'lost-key', 'abuse', 'deceased', 'error'] as const;

export interface SubjectRevoke {
  readonly subject: Uint8Array;
  readonly reason: (typeof REVOKE_REASONS)[number];
}

export interface RegistryPut {
  readonly labels: readonly LabelEntry[];
}

export const subjectPut: Decode<SubjectPut> = map<SubjectPut>({
  subject: bytes16,
  member,
  kind: oneOf('patient', 'person', 'system', 'device'),
  custody: oneOf('client', 'gateway'),
  key: publicKey,
  hpkeKey: bytes32,
  proof: bytes64,
});

export const subjectKeyPut: Decode<SubjectKeyPut> = map<SubjectKeyPut>({
  subject: bytes16,
  key: publicKey,
  hpkeKey: bytes32,
  proof: bytes64,
  retire: distinct(list(integer(0, SUBJECT_KEYS_MAX - 1), 0, SUBJECT_KEYS_MAX)),
});

export const attributeSet: Decode<AttributeSet> = map<AttributeSet>({
  subject: bytes16,
  attribute: attributeText,
  until: nullable(time),
});

export const attributeEnd: Decode<AttributeEnd> = map<AttributeEnd>({
  subject: bytes16,
  attribute: attributeText,
});

export const subjectRevoke: Decode<SubjectRevoke> = map<SubjectRevoke>({
  subject: bytes16,
  reason: oneOf(...REVOKE_REASONS),
});

export const registryPut: Decode<RegistryPut> = map<RegistryPut>({
  labels: list(labelEntry, 1, LABELS_MAX),
});
