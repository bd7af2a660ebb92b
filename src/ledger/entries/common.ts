/** Field types that several kinds of entries share. */
import { utf8 } from '../../codec/bytes.ts';
import { memberId } from '../../codec/ids.ts';
import type { PublicKey } from '../../codec/signature.ts';
import { ATTRIBUTE_BYTES_MAX, CID_CHARS_MAX, POLICY_BYTES_MAX, URL_CHARS_MAX } from './bounds.ts';
import { bytes, bytesBetween, type Decode, integer, malformed, map, oneOf, text } from './fields.ts';

export const bytes16 = bytes(16);
export const bytes32 = bytes(32);
export const bytes64 = bytes(64);
/** Whole milliseconds since 1970-01-01 UTC; bounded far below the year 275760, where dates end. */
export const time = integer(0, 8_640_000_000_000_000);
export const count = integer(0);

/** An attribute as it is printed; it stands in a state key, whose bytes are bounded. */
export const attributeText: Decode<string> = (value, field) =>
  typeof value === 'string' && value !== '' && utf8(value).length <= ATTRIBUTE_BYTES_MAX
    ? value
    : malformed(field, `an attribute of at most ${ATTRIBUTE_BYTES_MAX} bytes`);

export const policyBytes = bytesBetween(1, POLICY_BYTES_MAX);
/** CID version 1 in base32. */
export const cidText = text(8, CID_CHARS_MAX, /^b[a-z2-7]+$/);
export const urlText = text(1, URL_CHARS_MAX, /^https?:\/\/[\x21-\x7e]+$/);

export const member: Decode<string> = (value, field) => {
  if (typeof value !== 'string') malformed(field, 'a member id');
  return memberId(value);
};

/** A subject's public key; its bytes are checked for order by the state machine, where it is registered. */
export const publicKey: Decode<PublicKey> = (value, field) => {
  const key = map<PublicKey>({ alg: oneOf('ed25519', 'p256'), key: bytesBetween(32, 33) })(value, field);
  if (key.key.length !== (key.alg === 'ed25519' ? 32 : 33)) {
    malformed('key', key.alg === 'ed25519' ? '32 bytes' : '33 bytes');
  }
  return key;
};

export const PURPOSES = ['treatment', 'payment', 'operations', 'research', 'patient', 'audit'] as const;
/** Why somebody reads or searches. */
export type Purpose = (typeof PURPOSES)[number];
export const purpose: Decode<Purpose> = oneOf(...PURPOSES);

/** How a record's gate is released: with every granted access, or not at all. */
export type GateMode = 'record' | 'none';
export const gateMode: Decode<GateMode> = oneOf('record', 'none');
