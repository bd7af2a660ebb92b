/** ConsentRequest, ConsentAnswer, ConsentRevoke: a patient lets one subject in for a time. */
import { bytes16, bytes32, type Purpose, purpose, time } from './common.ts';
import { type Decode, map, nullable, oneOf } from './fields.ts';

export interface ConsentRequest {
  readonly patient: Uint8Array;
  readonly until: number;
  readonly purpose: Purpose;
}

export interface ConsentAnswer {
  readonly consent: Uint8Array;
  readonly answer: 'accept' | 'reject';
  readonly until: number | null;
}

export interface ConsentRevoke {
  readonly consent: Uint8Array;
}

export const consentRequest: Decode<ConsentRequest> = map<ConsentRequest>({
  patient: bytes16,
  until: time,
  purpose,
});

export const consentAnswer: Decode<ConsentAnswer> = map<ConsentAnswer>({
  consent: bytes32,
  answer: oneOf('accept', 'reject'),
  until: nullable(time),
});

export const consentRevoke: Decode<ConsentRevoke> = map<ConsentRevoke>({ consent: bytes32 });
