/** KeyIssue and KeyExtend: which attributes the authorities may put into a subject's decryption key. */
import { ATTRIBUTES_MAX, STEP_UP_CHARS_MAX } from './bounds.ts';
import { attributeText, bytes32 } from './common.ts';
import { type Decode, distinct, list, map, nullable, text } from './fields.ts';

export interface KeyIssue {
  readonly attributes: readonly string[];
  readonly stepUp: string | null;
}

export interface KeyExtend {
  readonly keyId: Uint8Array;
  readonly attributes: readonly string[];
}

/** How a gateway checked the person again: a method's name (`webauthn`, `otp`), never a credential. */
export const stepUpText = text(1, STEP_UP_CHARS_MAX, /^[a-z0-9][a-z0-9._:-]*$/);

export const keyIssue: Decode<KeyIssue> = map<KeyIssue>({
  attributes: distinct(list(attributeText, 1, ATTRIBUTES_MAX)),
  stepUp: nullable(stepUpText),
});

export const keyExtend: Decode<KeyExtend> = map<KeyExtend>({
  keyId: bytes32,
  attributes: distinct(list(attributeText, 1, ATTRIBUTES_MAX)),
});
